package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/event"
)

// This file has what a replay says of itself: in the log, and of who gets records again.

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
	all, ofSinks := r.chooser.sending(r.file.Sinks)
	if r.toTopics && all > 0 {
		fmt.Fprintln(w, "every other reader of the topic gets them again; --to step goes on in this pipeline alone")
	}
	if r.flags.to == "start" && ofSinks > 0 && len(r.file.Sinks) > 1 {
		fmt.Fprintf(w, "%d of them were rejected by a sink: the other sinks get them again; --to step goes on at that sink alone\n", ofSinks)
	}
}

// sending gives how many letters are replayed, and how many of them sinks rejected.
func (c *letterChooser) sending(sinks []config.Sink) (all, ofSinks int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, n := range c.chosen {
		all += n
		step, _, _ := strings.Cut(name, " (")
		if slices.ContainsFunc(sinks, func(s config.Sink) bool { return s.Name == step }) {
			ofSinks += n
		}
	}
	return all, ofSinks
}
