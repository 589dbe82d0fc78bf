package engine

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// halted runs a pipeline of a budget of 20 of 100 into its pause, which lasts for a day, and stops it there. It gives how
// long the stop took, and how many letters there were before it.
func halted(t *testing.T, o Options, dead *collect) (p *Pipeline, took time.Duration, letters int) {
	t.Helper()
	var log bytes.Buffer
	o.Events = event.New(&log, event.Options{})
	o.DeadLetter = DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 20, Of: 100, Pause: 24 * time.Hour}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, done := start(t, ctx, o)
	time.Sleep(time.Hour)
	if s := p.Snapshot(); s.State != "paused" || s.InFlight == 0 {
		t.Fatalf("state %s, %d in flight", s.State, s.InFlight)
	}
	began, letters := time.Now(), len(dead.all())
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	took = time.Since(began)
	balanced(t, p)
	pauses(t, log.String(), 1)
	return p, took, letters
}

// Records that wait for their next attempt are abandoned at a stop in a pause, and read again: the next run has each
// record once, when the server is mended.
func TestAStopInAPauseRejectsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5000
		o := &outage{from: 0}
		steps := []Step{{Name: "ask", Kind: "test", Stage: o.stage(time.Millisecond), Workers: 64, Wait: &Wait{Retry: Retry{Attempts: 5, Backoff: time.Second}}}}
		src, out, dead := &memory{lanes: 1, records: n, endless: true}, &collect{}, &collect{}
		p, took, letters := halted(t, Options{Source: src, Sinks: []Output{{Name: "out", Kind: "test", Sink: out}}, Steps: steps}, dead)
		if n := len(dead.all()); took > 0 || n != letters || p.Snapshot().Abandoned == 0 {
			t.Errorf("the stop took %s, %d letters of which %d were there before, %d abandoned", took, n, letters, p.Snapshot().Abandoned)
		}
		mark := src.mark(0)
		if mark > int64(letters) {
			t.Errorf("mark %d with %d letters", mark, letters)
		}
		before := func(c *collect) {
			kept := c.got[:0]
			for _, s := range c.got {
				if s.Offset < mark {
					kept = append(kept, s)
				}
			}
			c.got = kept
		}
		before(dead)
		before(out)
		o.mended.Store(true)
		again := &memory{lanes: 1, records: n, from: map[string]int64{"t/0": mark}}
		if _, err := run(t, Options{Source: again, Sinks: []Output{{Name: "out", Kind: "test", Sink: out}}, Steps: steps, DeadLetter: DeadLetter{Sink: dead}}); err != nil {
			t.Fatal(err)
		}
		allOnce(t, n, out, dead)
	})
}

// What a sink holds at a stop in a pause is written; what it refuses then, or cannot store at an attempt that is one of
// few, is abandoned, and the mark stands before it.
func TestASinkRejectsNothingAtAStopInAPause(t *testing.T) {
	for name, fails := range map[string]error{"refuses": pipeline.Permanent(errors.New("storing: no")), "cannot": errors.New("storing: the server is down")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src, dead := &memory{lanes: 1, records: 1000, endless: true}, &collect{}
				out := &collect{write: func(context.Context, []*pipeline.Record) error { return fails }}
				p, took, letters := halted(t, Options{Source: src, Sinks: []Output{{Name: "out", Kind: "test", Sink: out, MaxRecords: 10, Retry: Retry{Attempts: 5, Backoff: time.Second}}}}, dead)
				if n := len(dead.all()); took > 0 || n != letters || p.Snapshot().Abandoned == 0 || src.mark(0) != int64(letters) {
					t.Errorf("the stop took %s, %d letters of which %d were there before, %d abandoned, mark %d", took, n, letters, p.Snapshot().Abandoned, src.mark(0))
				}
			})
		})
	}
}

// What cannot be read again is finished at a stop in a pause, as it would be lost.
func TestAStopInAPauseFinishesWhatIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{from: 0}
		dead := &collect{}
		p, _, letters := halted(t, Options{Source: &once{memory: memory{lanes: 1, records: 300, endless: true}}, Sinks: []Output{{Name: "out", Kind: "test", Sink: &collect{}}}, Steps: outageSteps(o)["retries"]}, dead)
		if c := p.Snapshot().Counts; len(dead.all()) <= letters || c.Abandoned != 0 || c.In != c.Rejected {
			t.Errorf("%d letters, %d before, %+v", len(dead.all()), letters, c)
		}
	})
}

// A stop while no pause is on rejects no more than the budget: what has begun then and fails is abandoned once the budget is
// spent, or the pipeline ends with its error, and the next run has each record once, when the server is mended.
func TestAStopInAnOutageKeepsToTheBudget(t *testing.T) {
	fails := does(func(ctx context.Context, _ *pipeline.Record) error {
		pause(ctx, 2*time.Second) // the stop comes meanwhile
		return errors.New("asking: the server is down")
	})
	refuses := func(ctx context.Context, recs []*pipeline.Record) error {
		pause(ctx, 2*time.Second)
		e := &pipeline.WriteError{}
		for i := range recs {
			e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: pipeline.Permanent(errors.New("storing: no"))})
		}
		return e
	}
	for budget, conf := range map[string]RejectionBudget{
		"pauses": {Rejected: 20, Of: 100, Pause: 24 * time.Hour}, "stops": {Rejected: 20, Of: 100},
	} {
		for name, c := range map[string]struct {
			steps []Step
			write func(context.Context, []*pipeline.Record) error
		}{
			"step":    {steps: []Step{{Name: "ask", Kind: "test", Stage: fails, Workers: 64, Wait: &Wait{Retry: Retry{Attempts: 1}}}}},
			"retries": {steps: []Step{{Name: "ask", Kind: "test", Stage: fails, Workers: 64, Wait: &Wait{Retry: Retry{Attempts: 3, Backoff: time.Second}}}}},
			"sink":    {write: refuses},
		} {
			t.Run(name+" "+budget, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const n = 1000
					var log bytes.Buffer
					src, out, dead := &memory{lanes: 1, records: n, endless: true}, &collect{write: c.write}, &collect{}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					p, done := start(t, ctx, Options{
						Source: src, Steps: c.steps, Sinks: []Output{{Name: "out", Kind: "test", Sink: out, MaxRecords: 200}}, Events: event.New(&log, event.Options{}),
						DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: conf},
					})
					time.Sleep(time.Second)
					if s := p.Snapshot(); s.State != "running" || s.Rejected != 0 || s.InFlight == 0 {
						t.Fatalf("before the stop: %s, %+v", s.State, s.Counts)
					}
					cancel()
					if err := <-done; (err == nil) != (conf.Pause > 0) || err != nil && !strings.Contains(err.Error(), "the budget of dead letters is spent: 20 of the last") {
						t.Errorf("it ended with %v", err)
					}
					s, letters, mark := p.Snapshot(), len(dead.all()), src.mark(0)
					if letters > 20 || mark != int64(letters) || s.Abandoned == 0 || s.Out != 0 {
						t.Errorf("%d letters, mark %d, %+v", letters, mark, s.Counts)
					}
					balanced(t, p)
					pauses(t, log.String(), 0)
					out.write = nil
					again := Options{
						Source: &memory{lanes: 1, records: n, from: map[string]int64{"t/0": mark}}, Sinks: []Output{{Name: "out", Kind: "test", Sink: out}},
						DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: conf},
					}
					if _, err := run(t, again); err != nil {
						t.Fatal(err)
					}
					allOnce(t, n, out, dead)
				})
			})
		}
	}
}

// Of a source that cannot be read again all is finished at such a stop: it would be lost.
func TestAStopInAnOutageFinishesWhatIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &collect{}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{
			Source: &once{memory: memory{lanes: 1, records: 100, endless: true}}, Sinks: []Output{{Name: "out", Kind: "test", Sink: &collect{}}},
			Steps: []Step{{Name: "ask", Kind: "test", Workers: 64, Wait: &Wait{Retry: Retry{Attempts: 1}}, Stage: does(func(ctx context.Context, _ *pipeline.Record) error {
				pause(ctx, 2*time.Second)
				return errors.New("asking: the server is down")
			})}},
			DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 20, Of: 100, Pause: 24 * time.Hour}},
		})
		time.Sleep(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if c := p.Snapshot().Counts; len(dead.all()) != 100 || c.Abandoned != 0 {
			t.Errorf("%d letters, %+v", len(dead.all()), c)
		}
	})
}

// A failing memory cannot be read any more from one moment on.
type failing struct {
	memory
	fails chan struct{} // closed at that moment
}

func (f *failing) Read(ctx context.Context) (*pipeline.Batch, error) {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-f.fails:
			cancel()
		case <-within.Done():
		}
	}()
	b, err := f.memory.Read(within)
	if err != nil && ctx.Err() == nil {
		return nil, errors.New("reading: the disk is gone")
	}
	return b, err
}

// A source that fails in an outage has what it has given finished, within the budget: a pipeline that ends begins no pause.
func TestASourceThatFailsInAnOutageKeepsToTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, dead := &failing{memory: memory{lanes: 1, records: 1000, endless: true}, fails: make(chan struct{})}, &collect{}
		p, done := start(t, t.Context(), Options{
			Source: src, Sinks: []Output{{Name: "out", Kind: "test", Sink: &collect{}}},
			Steps: []Step{{Name: "ask", Kind: "test", Workers: 64, Wait: &Wait{Retry: Retry{Attempts: 1}}, Stage: does(func(ctx context.Context, _ *pipeline.Record) error {
				pause(ctx, 2*time.Second)
				return errors.New("asking: the server is down")
			})}},
			DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 20, Of: 100, Pause: 24 * time.Hour}},
		})
		time.Sleep(time.Second)
		close(src.fails)
		if err := <-done; err == nil || !strings.Contains(err.Error(), "the disk is gone") {
			t.Errorf("it ended with %v", err)
		}
		if n := len(dead.all()); n > 20 || src.mark(0) != int64(n) || p.Snapshot().Abandoned == 0 {
			t.Errorf("%d letters, mark %d, %+v", n, src.mark(0), p.Snapshot().Counts)
		}
		balanced(t, p)
	})
}
