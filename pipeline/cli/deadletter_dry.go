package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/source/letters"
)

// This file has the dry run of a replay.

// A rehearsal is a dry run: it looks at the letters as a replay would.
type rehearsal struct {
	*redrive
	done    letters.Progress
	planned letters.Progress // done, and what would be
	already int64
	chosen  int64
	short   bool  // it ended before the log did
	full    error // what would end the replay: what it does could not be remembered
	window  letters.Window

	late       int64 // letters behind a later record of their key
	lateOrMore bool

	read, left atomic.Int64 // records of the log
}

// rehearse is a dry run that a signal may end.
func (r *redrive) rehearse(ctx context.Context, w io.Writer, screen *screen) error {
	var whole atomic.Bool // it came to its end, though a signal came as well
	stopped, err := interrupted(ctx, r.signals, true, time.Second, func(ctx context.Context) error {
		err := r.dryRun(ctx, w, screen)
		whole.Store(!errors.Is(err, context.Canceled))
		return err
	})
	if stopped && !whole.Load() {
		fmt.Fprintln(w, "stopped before all was read: what the replay would do is not known")
	}
	return err
}

// dryRun looks at the letters as a replay would, and says what it would do.
func (r *redrive) dryRun(ctx context.Context, w io.Writer, screen *screen) error {
	done, err := r.log.Load(ctx)
	var changed *letters.ChangedError
	if errors.As(err, &changed) && r.flags.again { // as for the replay
		done, err = letters.Progress{}, nil
	}
	if err != nil {
		return err
	}
	d := &rehearsal{redrive: r, done: done, planned: letters.Progress{}}
	for partition, of := range done {
		d.planned[partition] = of.Clone()
	}
	if err := d.readAll(ctx, screen); err != nil {
		return err
	}
	return d.say(w)
}

// readAll reads the log, and shows on a terminal how far it has come: it may take as long as a replay that sends little.
func (d *rehearsal) readAll(ctx context.Context, screen *screen) error {
	watched, stop := context.WithCancel(ctx)
	shown := make(chan struct{})
	if screen.terminal {
		progress := func() (read, expected int64) {
			read = d.read.Load()
			return read, read + d.left.Load()
		}
		go (&replaying{screen: screen, names: []string{d.log.Name()}, progress: progress}).report(watched, shown)
	} else {
		close(shown)
	}
	d.window.ByPartition = d.options.ByPartition
	err := letters.Each(ctx, d.log, d.look)
	for err == nil && d.take() {
	}
	for { // what is left would not be sent
		_, choice, ok := d.window.Next(nil)
		if !ok {
			break
		}
		if choice.Verdict == letters.Replay {
			d.chooser.unchoose(choice.Letter)
		}
	}
	stop()
	<-shown
	return err
}

// look takes one record of the log.
func (d *rehearsal) look(rec *pipeline.Record, at pipeline.Position) error {
	d.read.Add(1)
	d.left.Store(d.log.Left())
	if !d.flags.again && d.done.Has(at) {
		l, err := deadletter.Read(rec, at) // to a replay what is not its own is done, too
		if err == nil && l.Pipeline == d.file.Name {
			d.already++
			return nil
		}
		_, err = d.chooser.choose(rec, at) // which counts it
		return err
	}
	choice, err := d.chooser.choose(rec, at)
	if err != nil || choice.Verdict == letters.Leave {
		return err
	}
	for d.window.Add(at, choice); d.window.Full(); {
		if !d.take() {
			d.short = true
			return io.EOF
		}
	}
	return nil
}

// take takes the next letter that would be sent, or passed by. It says whether another could be.
func (d *rehearsal) take() bool {
	if d.full != nil || d.flags.limit > 0 && d.chosen == d.flags.limit {
		return false
	}
	at, choice, ok := d.window.Next(func(at pipeline.Position) bool { return letters.FitsAhead(d.log, d.planned, at) })
	if !ok {
		return false
	}
	d.late, d.lateOrMore = d.window.Late()
	of := d.planned.Of(at.Partition)
	of.Add(at.Offset, at.Offset+1)
	if d.full = d.log.Fits(at.Partition, of); d.full != nil {
		if choice.Verdict == letters.Replay {
			d.chooser.unchoose(choice.Letter)
		}
		return false
	}
	if choice.Verdict == letters.Replay {
		d.chosen++
	}
	return true
}

// say says what the replay would do, and gives the error that it would end with.
func (d *rehearsal) say(w io.Writer) error {
	fmt.Fprintf(w, "%s would go %s\n", counted(int(d.chosen), "letter"), d.where())
	d.chooser.printChosen(w)
	d.warn(w)
	printLate(w, d.late, d.lateOrMore, "would go")
	fmt.Fprintf(w, "%d were replayed already\n", d.already)
	d.chooser.printLeft(w)
	if torn := d.torn(); torn != "" {
		fmt.Fprintln(w, torn)
	}
	behind := ""
	if d.short {
		behind = ", not to the end"
	}
	fmt.Fprintf(w, "%s of %s read%s\n", counted(int(d.read.Load()), "record"), d.log.Name(), behind)
	if d.full != nil {
		return fmt.Errorf("replaying dead letters: the replay would end here: %w", d.full)
	}
	if refused := d.chooser.refusals(); refused > 0 {
		return &exitError{exitExpectation, fmt.Errorf("replaying dead letters: %d of %d would be refused", refused, refused+d.chosen)}
	}
	return nil
}
