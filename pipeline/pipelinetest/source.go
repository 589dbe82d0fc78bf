package pipelinetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// A SourceUnderTest is a finite source, or one that has been told to stop at the end of
// what there is.
type SourceUnderTest struct {
	// New makes the source; a second one reads the same records, as after a restart.
	New func() (pipeline.Source, error)

	// Lanes gives the values of each lane, by its name, in order. No value is there twice, in
	// whatever lane.
	Lanes map[string][]string

	// Resumes says that a second source goes on where the commits of the first ended.
	Resumes bool
}

// Source checks the promises of pipeline.Source, in a pipeline. Each check calls fresh for a
// source with records of its own.
func Source(t *testing.T, fresh func(t *testing.T) SourceUnderTest) {
	t.Helper()
	run(t, sourceChecks, fresh)
}

var sourceChecks = []check[SourceUnderTest]{
	{
		"hands over", "Read gives the records of each lane in order, each once, and io.EOF when a finite source is at its end.",
		func(ctx context.Context, c SourceUnderTest) error {
			r, err := c.run(ctx, runOptions{})
			if err != nil {
				return err
			}
			return errors.Join(c.complete(r.w.read, true), c.delivered(true, r))
		},
	},
	{
		"marks", "Next is the first offset after the run: when all is done, the marks stand behind everything that was read.",
		func(ctx context.Context, c SourceUnderTest) error {
			r, err := c.run(ctx, runOptions{})
			if err != nil {
				return err
			}
			for name, next := range r.w.next {
				if len(c.Lanes[name]) > 0 && r.w.marks[name] != next {
					return fmt.Errorf("lane %s: committed up to %d, read up to %d", name, r.w.marks[name], next)
				}
			}
			return nil
		},
	},
	{
		"small budget", "Bytes are taken before they are read, and what was taken is given back: a small budget makes it slow, not stuck.",
		func(ctx context.Context, c SourceUnderTest) error {
			r, err := c.run(ctx, runOptions{budget: engine.NewBudget(64, 16<<10)})
			if err != nil {
				return err
			}
			return c.delivered(true, r)
		},
	},
	{
		"ended context", "When ctx ends Read returns promptly; bytes taken for a batch that is not returned are given back.",
		func(ctx context.Context, c SourceUnderTest) error {
			_, err := c.run(ctx, runOptions{stopAfter: 1})
			return err
		},
	},
	{
		"restart", "A commit says what needs no redelivery, and nothing else: after a restart every other record comes again.",
		func(ctx context.Context, c SourceUnderTest) error {
			first, err := c.run(ctx, runOptions{stopAfter: c.total()/2 + 1})
			if err != nil {
				return fmt.Errorf("the first run: %w", err)
			}
			second, err := c.run(ctx, runOptions{})
			if err != nil {
				return fmt.Errorf("the second run: %w", err)
			}
			return c.delivered(c.Resumes, first, second)
		},
	},
	{
		"lost lanes", "A lane may be ended under the source: it opens a new one, where the commits stand, and loses nothing.",
		func(ctx context.Context, c SourceUnderTest) error {
			r, err := c.run(ctx, runOptions{loseFirst: true})
			if err != nil {
				return err
			}
			if r.w.opened <= len(c.filled()) {
				return fmt.Errorf("%d lanes were opened; the lost ones were not opened again", r.w.opened)
			}
			return c.delivered(true, r)
		},
	},
}

// filled are the names of lanes with records.
func (c SourceUnderTest) filled() (names []string) {
	for name, values := range c.Lanes {
		if len(values) > 0 {
			names = append(names, name)
		}
	}
	return names
}

func (c SourceUnderTest) total() (n int) {
	for _, values := range c.Lanes {
		n += len(values)
	}
	return n
}

// complete checks that every record of each lane was seen, in order. Unless once is set, a
// record that was seen may come again.
func (c SourceUnderTest) complete(got map[string][]string, once bool) error {
	for name := range got {
		if _, ok := c.Lanes[name]; !ok {
			return fmt.Errorf("lane %q is none of those that were expected", name)
		}
	}
	for name, want := range c.Lanes {
		next := 0
		for _, v := range got[name] {
			switch i := slices.Index(want, v); {
			case i < 0:
				return fmt.Errorf("lane %s: a record that is not its own: %q", name, v)
			case i == next:
				next++
			case i > next:
				return fmt.Errorf("lane %s: record %d came before record %d", name, i, next)
			case once:
				return fmt.Errorf("lane %s: record %d came twice", name, i)
			}
		}
		if next < len(want) {
			return fmt.Errorf("lane %s: %d of %d records came", name, next, len(want))
		}
	}
	return nil
}

// delivered checks that the sinks of one or several runs together have every record.
func (c SourceUnderTest) delivered(once bool, runs ...*sourceRun) error {
	got := map[string][]string{}
	for _, r := range runs {
		for _, v := range r.sink.Values() {
			name, err := c.laneOf(string(v))
			if err != nil {
				return err
			}
			got[name] = append(got[name], string(v))
		}
	}
	return c.complete(got, once)
}

func (c SourceUnderTest) laneOf(value string) (string, error) {
	for name, values := range c.Lanes {
		if slices.Contains(values, value) {
			return name, nil
		}
	}
	return "", fmt.Errorf("the sink has a record of no lane: %q", value)
}

type runOptions struct {
	budget    *engine.Budget
	stopAfter int  // after how many records the run is told to end; 0: it ends by itself
	loseFirst bool // end each lane when its first batch comes
}

// A sourceRun is a run of a pipeline with the source under test.
type sourceRun struct {
	w    *watched // what was seen of the source
	sink *Memory  // what was delivered
}

// run moves the records of a new source into memory.
func (c SourceUnderTest) run(ctx context.Context, o runOptions) (*sourceRun, error) {
	src, err := c.New()
	if err != nil {
		return nil, fmt.Errorf("making the source: %w", err)
	}
	if o.budget == nil {
		o.budget = engine.NewBudget(0, 0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &sourceRun{w: newWatched(src), sink: new(Memory)}
	r.w.lose, r.w.stopAfter, r.w.stop = o.loseFirst, o.stopAfter, cancel
	p, err := engine.New(engine.Options{
		Name: "kit", Source: r.w, Budget: o.budget, CommitEvery: 10 * time.Millisecond,
		Sinks: []engine.Output{{Name: "memory", Kind: "memory", Sink: r.sink}},
	})
	if err != nil {
		return nil, err
	}
	if err := within("Run", func() error { return p.Run(ctx) }); err != nil {
		return nil, fmt.Errorf("running: %w", err)
	}
	if n, size := o.budget.Use(); n != 0 || size != 0 {
		return nil, fmt.Errorf("%d records and %d bytes have not been given back to the budget", n, size)
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	return r, errors.Join(r.w.problems...)
}

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

// Attach, Ping and Report are there for a source under test that has them.

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
