package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/source/letters"
)

// This file has what a replay says of itself: in the log, of who gets records again, and at its end.

// notADaemon keeps the log of a replay apart from that of the daemon: both may be shipped to one
// place. Its pipeline has a name of its own there; and what dashboards and alerts take for the life
// and the figures of a daemon is left out, for replay.progress and replay.finished count the letters.
func notADaemon(o *event.Options) {
	o.Rename = replayName
	o.Skip = func(name string) bool {
		return strings.HasPrefix(name, "process.") || strings.HasSuffix(name, ".stats")
	}
}

// replayName is the name by which replays of a pipeline's dead letters are known.
func replayName(pipeline string) string { return pipeline + ".dead-letter" }

// warn says who gets records again that has had them: with --to start not only what rejected them does.
func (r *redrive) warn(w io.Writer) {
	if r.flags.to != "start" {
		return
	}
	sinks, behind := sinksAndBehindSplit(r.file)
	all, ofSinks, ofParts := r.chooser.sending(sinks, behind)
	if r.toTopics && all > 0 {
		fmt.Fprintln(w, "every other reader of the topic gets them again; --to step goes on in this pipeline alone")
	}
	if ofSinks > 0 && len(sinks) > 1 {
		fmt.Fprintf(w, "%d of them were rejected by a sink: the other sinks get them again; --to step goes on at that sink alone\n", ofSinks)
	}
	if ofParts > 0 {
		fmt.Fprintf(w, "%d of them were rejected behind a split: those of its parts that were delivered are delivered again\n", ofParts)
	}
}

// sinksAndBehindSplit gives the names of a pipeline's sinks, and of all steps and sinks behind its first split.
func sinksAndBehindSplit(p *config.Pipeline) (sinks, behind []string) {
	for _, s := range p.Sinks {
		sinks = append(sinks, s.Name)
	}
	split := slices.IndexFunc(p.Stages, func(s config.Stage) bool { return s.Kind.Name == "split" })
	if split < 0 {
		return sinks, nil
	}
	for _, s := range p.Stages[split+1:] {
		behind = append(behind, s.Name)
	}
	return sinks, append(behind, sinks...)
}

// sending gives how many letters are replayed, and how many of them sinks rejected, and steps and sinks behind a split.
func (c *letterChooser) sending(sinks, behind []string) (all, ofSinks, ofParts int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, n := range c.chosen {
		all += n
		step, _, _ := strings.Cut(name, " (")
		if slices.Contains(sinks, step) {
			ofSinks += n
		}
		if slices.Contains(behind, step) {
			ofParts += n
		}
	}
	return all, ofSinks, ofParts
}

// printChosen writes how many letters were chosen, by step and reason. A sink that was given up may still turn some
// down, here and in printLeft: what is written is what was known when the call began.
func (c *letterChooser) printChosen(w io.Writer) {
	c.mu.Lock()
	chosen := maps.Clone(c.chosen)
	c.mu.Unlock()
	printCounts(w, chosen)
}

// printLeft says which letters are left, and why.
func (c *letterChooser) printLeft(w io.Writer) {
	c.mu.Lock()
	refused, count, unasked := maps.Clone(c.refused), c.count, c.unasked
	c.mu.Unlock()
	n := int64(0)
	for _, some := range refused {
		n += some
	}
	if n > 0 {
		fmt.Fprintf(w, "%d refused\n", n)
		printCounts(w, refused)
	}
	for _, left := range []struct {
		n    int64
		what string
	}{
		{unasked, "that the flags do not choose"},
		{count.foreign, "of other pipelines"},
		{count.none, "that are no dead letters"},
	} {
		if left.n > 0 {
			fmt.Fprintf(w, "%d left %s\n", left.n, left.what)
		}
	}
	if count.failed > 0 {
		fmt.Fprintf(w, "%d for which --where failed, the last: %v\n", count.failed, count.failure)
	}
}

// expect says what was not as it should be though nothing failed.
func (r *redrive) expect(t letters.Tally) error {
	refused := r.chooser.refusals()
	if refused == 0 && t.Rejected == 0 {
		return nil
	}
	return &exitError{exitExpectation, fmt.Errorf("replaying dead letters: %d of %d were refused, %d rejected again", refused, refused+t.Chosen, t.Rejected)}
}

// summarize says what became of the letters that were chosen; the pipeline has counted their parts, and has ended with
// an error, or without. It says what is known, and nothing else.
func (r *redrive) summarize(w io.Writer, t letters.Tally, s engine.Snapshot, ended error) {
	if !t.Opened {
		fmt.Fprintln(w, "no letter was looked at, and none was sent")
		return
	}
	fmt.Fprintf(w, "%d of %s replayed %s\n", t.Stored, counted(int(t.Chosen), "letter"), r.where())
	r.chooser.printChosen(w)
	r.warn(w)
	notSent := t.Chosen - t.Ended()
	if !r.toTopics {
		fmt.Fprintf(w, "%d delivered, %d filtered, %d rejected again", t.Delivered, t.Filtered, t.Rejected)
		if notSent > 0 {
			fmt.Fprintf(w, ", %d not sent", notSent)
		}
		fmt.Fprintln(w)
		if s.Created > 0 { // one letter may have parts that are delivered and parts that are rejected
			fmt.Fprintf(w, "counted by parts: %d delivered, %d filtered, %d rejected\n", s.Out, s.Filtered, s.Rejected)
		}
	}
	printLate(w, t.Late, t.LateOrMore, "were sent")
	if t.Doubtful > 0 {
		fmt.Fprintf(w, "at most %d of those not sent may have arrived: a sink was given them, and has not said that it has them; the next replay sends them again\n", t.Doubtful)
	}
	if n := t.Ended() - t.Stored; n > 0 {
		fmt.Fprintf(w, "%d were sent and are not remembered: the next replay sends them again\n", n)
	}
	r.chooser.printLeft(w)
	fmt.Fprintf(w, "what was replayed stands in %s\n", r.log.PositionName())
	if begun := t.Chosen > 0 || t.Unseen > 0; !t.Complete && (begun || ended == nil) { // else the error says all there is to say
		fmt.Fprintf(w, "ended before all were sent: %d sent, %s; %s\n", t.Ended(), leftOver(t, ended), r.goOn(ended))
	}
}

// printLate says how many letters come behind a record of their key that was read later.
func printLate(w io.Writer, n int64, atLeast bool, sent string) {
	if n == 0 && !atLeast {
		return
	}
	least := ""
	if atLeast {
		least = "at least "
	}
	fmt.Fprintf(w, "%s%d %s behind a later record of their key: their letters stand more than %d letters or %d MiB behind, or what was replayed would be too scattered to be remembered\n",
		least, n, sent, letters.WindowRecords, letters.WindowBytes>>20)
}

// leftOver says how many letters are left: those that were chosen, and about so many that nobody has looked at.
func leftOver(t letters.Tally, ended error) string {
	n := t.Chosen - t.Ended()
	switch {
	case changedMeanwhile(ended):
		return "how many are left is not known: the dead letters, or what was replayed of them, were changed meanwhile"
	case t.Seen:
		return fmt.Sprintf("%d left", n)
	case t.Unseen > 0:
		return fmt.Sprintf("%d left, and about %d more were not looked at", n, t.Unseen)
	}
	return fmt.Sprintf("%d left of those that were looked at, and how many were not is not known", n)
}

// changedMeanwhile says whether a replay has ended because somebody else has changed what it worked on.
func changedMeanwhile(ended error) bool {
	return errors.Is(ended, letters.ErrTaken) || errors.Is(ended, letters.ErrBegunAnew)
}

// goOn says how the letters that are left are sent.
func (r *redrive) goOn(ended error) string {
	var scattered *letters.ScatteredError
	switch {
	case errors.As(ended, &scattered):
		return "the same command ends there again, until those between the replayed ones are replayed too, or moved away"
	case r.flags.again:
		return "--again begins with the first one again"
	case changedMeanwhile(ended):
		return "the same command sends what is not remembered"
	case ended != nil:
		return "mend what has ended it, and the same command goes on there"
	}
	return "the same command goes on there"
}
