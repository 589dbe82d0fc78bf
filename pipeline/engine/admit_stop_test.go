package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A stop hands back what is throttled and has not begun: it does not wait for the gate, and nothing
// of it is done twice. What has begun is finished, also what waits for a further call.
func TestAStopHandsBackThrottledRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shut, further := &door{}, &door{}
		calls := map[int64]int{}
		d := &desk{t: t}
		d.admit = func(r *pipeline.Record, _ int) (*visit, error) {
			v := &visit{do: func(ctx context.Context, r *pipeline.Record) error {
				calls[r.Offset]++
				pause(ctx, time.Second)
				if r.Offset == 9 {
					return pipeline.Next(d.take(&visit{gate: further, enter: further.enter}))
				}
				return ctx.Err()
			}}
			if r.Offset >= 10 {
				v.gate, v.enter = shut, shut.enter
			}
			return v, nil
		}
		src, out := &memory{lanes: 1, records: 1000, endless: true}, &collect{}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}},
			Steps: []Step{asks(d, 1, Wait{Window: 200})},
		})
		time.Sleep(time.Minute)
		if n := p.Snapshot().Steps[0].Throttled; n != 200 { // nine have left; the tenth waits for its further call
			t.Errorf("%d throttled", n)
		}
		cancel()
		synctest.Wait()
		if d.given-d.left != 1 {
			t.Errorf("%d calls are still given, want that of the record which has begun", d.given-d.left)
		}
		time.Sleep(time.Second)
		further.set(true)
		began := time.Now()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("the stop took %s once everything was done", took)
		}
		ascending(t, "out", out.offsets(0), 10)
		if src.mark(0) != 10 || len(calls) != 10 {
			t.Errorf("mark %d after %d calls", src.mark(0), len(calls))
		}
		d.settled()
	})
}

// Past the drain budget what has begun and waits at a gate is given up, and read again.
func TestADrainBudgetEndsAtAGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shut := &door{}
		d := &desk{t: t}
		d.admit = func(r *pipeline.Record, attempt int) (*visit, error) {
			if attempt == 1 {
				return &visit{do: func(context.Context, *pipeline.Record) error { return errors.New("asking: reset") }}, nil
			}
			return &visit{gate: shut, enter: shut.enter}, nil
		}
		src, out := &memory{lanes: 1, records: 20, endless: true}, &collect{}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}}, Drain: 5 * time.Second,
			Steps: []Step{asks(d, 2, Wait{})},
		})
		time.Sleep(time.Minute)
		cancel()
		var abandoned *AbandonedError
		if err := <-done; !errors.As(err, &abandoned) || abandoned.Abandoned != 20 || abandoned.Running != 0 {
			t.Errorf("%v", err)
		}
		balanced(t, p)
		if src.mark(0) != 0 || len(out.all()) != 0 {
			t.Errorf("mark %d, %d records out", src.mark(0), len(out.all()))
		}
		d.settled()
	})
}

// Abort gives up at once what is throttled.
func TestAbortWhileThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shut := &door{}
		d := &desk{t: t, admit: func(*pipeline.Record, int) (*visit, error) {
			return &visit{gate: shut, enter: shut.enter}, nil
		}}
		p, done := start(t, t.Context(), Options{
			Source: &memory{lanes: 2, records: 100}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
			Steps: []Step{asks(d, 2, Wait{MaxWait: time.Hour})},
		})
		time.Sleep(time.Minute)
		began := time.Now()
		p.Abort()
		var abandoned *AbandonedError
		if err := <-done; !errors.As(err, &abandoned) || time.Since(began) > time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		balanced(t, p)
		d.settled()
		shut.set(true) // a wake that comes when all is over
	})
}

// A lane that is revoked while its records are throttled leaves at once; those of another lane that
// wait behind them at the same gate go on, though the one that asked is gone.
func TestALaneEndsWhileThrottled(t *testing.T) {
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			shut := &door{}
			first := int32(-1) // the lane of the record that asks
			d := &desk{t: t, admit: func(r *pipeline.Record, _ int) (*visit, error) {
				return &visit{gate: shut, enter: func(wake func()) (time.Duration, bool) {
					if first < 0 {
						first = r.Partition
					}
					return shut.enter(wake)
				}}, nil
			}}
			src, out := &memory{lanes: 2, records: 50, endless: true}, &collect{}
			ctx, cancel := context.WithCancel(t.Context())
			p, done := start(t, ctx, Options{
				Source: src, Sinks: []Output{{Name: "out", Sink: out}}, Steps: []Step{asks(d, 3, Wait{Window: 400})},
			})
			time.Sleep(time.Minute)
			if n := p.Snapshot().Steps[0].Throttled; n != 100 || shut.asks() != 1 {
				t.Fatalf("%d throttled, asked %d times", n, shut.asks())
			}
			how := ctx
			if lost {
				how = ended()
			}
			began := time.Now()
			report, err := src.lane(int(first)).End(how)
			if took := time.Since(began); took > 100*time.Millisecond || report.Drained != 0 || report.Returned+report.Abandoned != 50 {
				t.Errorf("lost %v: %+v, %v, after %s", lost, report, err, took)
			}
			time.Sleep(time.Second)
			if n := p.Snapshot().Steps[0].Throttled; n != 50 || shut.asks() != 2 {
				t.Errorf("lost %v: %d throttled, asked %d times in all", lost, n, shut.asks())
			}
			shut.set(true)
			time.Sleep(time.Minute)
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			ascending(t, "out", out.offsets(1-first), 50)
			if len(out.offsets(first)) != 0 || src.mark(int(first)) != 0 {
				t.Errorf("lost %v: the lane that ended has %d records out, and the mark %d", lost, len(out.offsets(first)), src.mark(int(first)))
			}
			d.settled()
		})
	}
}

// A panic in Leave of a call that is given up is reported, and the others are told all the same.
func TestAPanicInLeaveOfWhatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shut := &door{}
		d := &desk{t: t, admit: func(*pipeline.Record, int) (*visit, error) {
			return &visit{gate: shut, enter: shut.enter, leave: func(pipeline.CallResult) bool { panic("boom") }}, nil
		}}
		src := &memory{lanes: 1, records: 50, endless: true}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Steps: []Step{asks(d, 3, Wait{})},
		})
		time.Sleep(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		balanced(t, p)
		d.settled()
	})
}

// What is held back is bounded by the window, and its bytes stay charged to the budget.
func TestHeldBackRecordsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shut := &door{}
		d := &desk{t: t, admit: func(*pipeline.Record, int) (*visit, error) {
			return &visit{gate: shut, enter: shut.enter}, nil
		}}
		src, out := &memory{lanes: 3, records: 5000, charge: true}, &collect{}
		budget := NewBudget(2000, 400_000)
		p, done := start(t, t.Context(), Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}}, Budget: budget,
			Steps: []Step{asks(d, 4, Wait{Window: 300, MaxWait: time.Hour})},
		})
		time.Sleep(time.Minute)
		s := p.Snapshot()
		records, bytes := budget.Use()
		if n := s.Steps[0].Throttled; n > 300 || n < 200 || s.Steps[0].WindowLen > 300 {
			t.Errorf("%d throttled, window %d", n, s.Steps[0].WindowLen)
		}
		if records > 2000 || bytes > 400_000+1<<16 || int64(records) < s.InFlight {
			t.Errorf("%d records, %d bytes of the budget in use, %d in flight", records, bytes, s.InFlight)
		}
		if g := p.chain().steps[0].(*waitStep).win.gates; len(g) != 1 || shut.asks() != 1 {
			t.Errorf("%d gates, asked %d times", len(g), shut.asks())
		}
		shut.set(true)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if records, bytes := budget.Use(); records != 0 || bytes != 0 {
			t.Errorf("%d records and %d bytes are still in use", records, bytes)
		}
		d.settled()
	})
}
