package engine

import (
	"bytes"
	"context"
	"errors"
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
