package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
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

// Attach, Ping and Report are there for a source under test that has them.
