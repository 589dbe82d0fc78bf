package pipelinetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// This file is what stands between a source under test and its pipeline, and sees what passes.

// A watched is a source between the one under test and the engine: it hands everything on, and
// notes what breaks a promise. Its maps are by the names of lanes, if nothing else is said.
type watched struct {
	src       pipeline.Source
	lose      bool   // runOptions.loseFirst
	stopAfter int    // runOptions.stopAfter
	stop      func() // tells the run to end

	mu       sync.Mutex
	last     chan struct{}           // closed when the last batch has no more records
	opened   int                     // how many lanes were opened
	records  int                     // how many records batches have made
	lanes    map[pipeline.Lane]int64 // where a lane's next batch starts at the earliest
	lost     map[string]bool         // lanes that were ended because of lose
	read     map[string][]string     // the values of the records that batches have made
	next     map[string]int64        // Next of the last batch
	marks    map[string]int64        // the last mark that was committed
	problems []error                 // promises that were broken
}

func newWatched(src pipeline.Source) *watched {
	return &watched{
		src: src, lanes: map[pipeline.Lane]int64{}, lost: map[string]bool{},
		read: map[string][]string{}, next: map[string]int64{}, marks: map[string]int64{},
	}
}

// wrong notes that a promise was broken. The lock is held.
func (w *watched) wrong(format string, args ...any) {
	w.problems = append(w.problems, fmt.Errorf(format, args...))
}

// A watchedEngine is the Feed of the source under test: it notes the lanes that are opened.
type watchedEngine struct {
	pipeline.Feed
	w *watched
}

func (e watchedEngine) Lane(ctx context.Context, name string, committed int64) (pipeline.Lane, int64, error) {
	l, from, err := e.Feed.Lane(ctx, name, committed)
	if err == nil {
		e.w.mu.Lock()
		e.w.opened++
		e.w.lanes[l] = from
		e.w.mu.Unlock()
	}
	return l, from, err
}

func (w *watched) Open(ctx context.Context, e pipeline.Feed) error {
	return w.src.Open(ctx, watchedEngine{e, w})
}

func (w *watched) Read(ctx context.Context) (*pipeline.Batch, error) {
	if w.stopAfter > 0 && w.last != nil { // a batch's records are counted when they are made
		select {
		case <-w.last:
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	stop := w.stopAfter > 0 && w.records >= w.stopAfter
	w.mu.Unlock()
	if stop {
		return w.readEnded(ctx)
	}
	b, err := w.src.Read(ctx)
	if b == nil {
		if err == nil {
			err = errors.New("Read gave neither a batch nor an error")
		}
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && err != io.EOF {
		w.wrong("Read gave a batch beside the error %w", err)
	}
	from, ok := w.lanes[b.Lane]
	switch {
	case !ok:
		w.wrong("a batch of a lane that was not opened through the engine")
		return b, err
	case b.Next < from:
		w.wrong("lane %s: a batch has Next %d behind one with %d", b.Lane.Name(), b.Next, from)
	}
	w.lanes[b.Lane] = b.Next
	name := b.Lane.Name()
	if w.lose && !w.lost[name] {
		w.lost[name] = true
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := b.Lane.End(ended); err != nil && !errors.Is(err, context.Canceled) {
			w.wrong("ending lane %s: %w", name, err)
		}
		return b, err
	}
	w.next[name] = b.Next
	if b.Fill != nil {
		if b.Next == from {
			w.wrong("lane %s: a batch with records has the Next %d of the one before", name, b.Next)
		}
		w.last = make(chan struct{})
		b.Fill = w.watch(name, b.Fill, w.last)
	}
	return b, err
}

// watch gives a Fill that notes the records which the batch's own makes, and closes over when
// there are no more.
func (w *watched) watch(name string, fill func([]pipeline.Record) (int, error), over chan struct{}) func([]pipeline.Record) (int, error) {
	return func(into []pipeline.Record) (int, error) {
		n, err := fill(into)
		w.mu.Lock()
		defer w.mu.Unlock()
		if n < 0 || n > len(into) {
			w.wrong("lane %s: Fill made %d records in %d places", name, n, len(into))
			return 0, err
		}
		w.records += n
		if n == 0 {
			close(over)
		}
		for i := range into[:n] {
			w.read[name] = append(w.read[name], string(bytes.Clone(into[i].Value())))
		}
		return n, err
	}
}

// readEnded tells the run to end, and reads once more with the ctx that has ended.
func (w *watched) readEnded(ctx context.Context) (*pipeline.Batch, error) {
	w.stop()
	<-ctx.Done()
	var b *pipeline.Batch
	err := within("Read with an ended ctx", func() (err error) {
		b, err = w.src.Read(ctx)
		return err
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if b != nil || !errors.Is(err, context.Canceled) && err != io.EOF {
		w.wrong("Read with an ended ctx gave a batch (%v) and the error %v", b != nil, err)
	}
	return b, err
}

func (w *watched) Commit(ctx context.Context, marks []pipeline.Mark) error {
	err := w.src.Commit(ctx, marks)
	w.Report()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range marks {
		if err == nil {
			w.marks[m.Lane.Name()] = m.Next
		}
	}
	return err
}

func (w *watched) Close(ctx context.Context) error { return w.src.Close(ctx) }

func (w *watched) Attach(e *event.Emitter) {
	if a, ok := w.src.(pipeline.Attacher); ok {
		a.Attach(e)
	}
}

func (w *watched) Ping(ctx context.Context) error {
	if p, ok := w.src.(pipeline.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

func (w *watched) Report() pipeline.Report {
	if r, ok := w.src.(pipeline.Reporter); ok {
		return r.Report()
	}
	return pipeline.Report{}
}
