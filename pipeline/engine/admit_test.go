package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

// asks is a step whose stage is a desk.
func asks(d *desk, workers int, wait Wait) Step {
	return Step{Name: "ask", Stage: d, Workers: workers, Wait: &wait}
}

// 5,000 records behind a rate of 100 a second, and a deadline of a second: none of them fails, they
// stay in order, and it takes as long as the rate says.
func TestARateIsNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := &rateGate{every: 10 * time.Millisecond}
		d := &desk{t: t, admit: func(*pipeline.Record, int) (*visit, error) {
			return &visit{gate: gate, enter: gate.enter, waits: "rate api", do: func(ctx context.Context, _ *pipeline.Record) error {
				pause(ctx, 30*time.Millisecond)
				return ctx.Err()
			}}, nil
		}}
		out := &collect{}
		began := time.Now()
		p, err := run(t, Options{
			Source: &memory{lanes: 1, records: 5000, batch: 500}, Sinks: []Output{{Name: "out", Sink: out}},
			Steps: []Step{asks(d, 8, Wait{Deadline: time.Second, Timeout: 500 * time.Millisecond})},
		})
		if err != nil {
			t.Fatal(err)
		}
		ascending(t, "out", out.offsets(0), 5000)
		if c := p.Snapshot().Counts; c.Rejected != 0 || c.Errors != 0 {
			t.Errorf("%d rejected, %d errors", c.Rejected, c.Errors)
		}
		if took := time.Since(began); took < 49990*time.Millisecond || took > 51*time.Second {
			t.Errorf("it took %s, want 50 s", took)
		}
		if d.most > 8 {
			t.Errorf("%d calls at a time, with 8 workers", d.most)
		}
		if gate.asked > 3*5000 { // at most: when the time has come, and behind the one before
			t.Errorf("asked %d times for 5000 calls", gate.asked)
		}
		d.settled()
	})
}

// Calls that are held back have no slot: others run at the rate that all slots allow.
func TestAThrottledCallHasNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shut := &door{}
		d := &desk{t: t, admit: func(r *pipeline.Record, _ int) (*visit, error) {
			if r.Offset%2 == 0 {
				return &visit{gate: shut, enter: shut.enter, waits: "circuit of even.example"}, nil
			}
			return &visit{do: func(ctx context.Context, _ *pipeline.Record) error {
				pause(ctx, 100*time.Millisecond)
				return ctx.Err()
			}}, nil
		}}
		out := &collect{}
		p, done := start(t, t.Context(), Options{
			Source: &memory{lanes: 1, records: 400}, Sinks: []Output{{Name: "out", Sink: out}}, Order: OrderNone,
			Steps: []Step{asks(d, 4, Wait{Window: 400})},
		})
		time.Sleep(5*time.Second + time.Millisecond) // 200 calls of 100 ms in 4 slots
		if got := len(out.all()); got != 200 {
			t.Errorf("%d records after 5 s, want 200", got)
		}
		s := p.Snapshot().Steps[0]
		if s.Throttled != 200 || shut.asks() != 1 {
			t.Errorf("%d throttled, asked %d times; want 200 and once", s.Throttled, shut.asks())
		}
		if s.Busy < 19*time.Second || s.Busy > 21*time.Second {
			t.Errorf("busy for %s, want 20 s", s.Busy)
		}
		if list := p.InFlight(); len(list) != 200 || list[0].State != "throttled" || list[0].For != "circuit of even.example" {
			t.Errorf("in flight: %d, the first %+v", len(list), list[0])
		}
		shut.set(true)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		var even []int64 // those of one gate are let in in the order in which they came
		for _, o := range out.offsets(0) {
			if o%2 == 0 {
				even = append(even, o/2)
			}
		}
		if len(even) != 200 {
			t.Errorf("%d of 200 records came through the gate", len(even))
		}
		d.settled()
	})
}

// Joiners: when a gate opens for all, all of them come, though one of them asks at a time.
func TestAGateOpensForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flight := &door{}
		var order []int64
		d := &desk{t: t, admit: func(r *pipeline.Record, _ int) (*visit, error) {
			return &visit{gate: flight, enter: flight.enter, do: func(context.Context, *pipeline.Record) error {
				order = append(order, r.Offset) // one slot
				return nil
			}}, nil
		}}
		out := &collect{}
		_, done := start(t, t.Context(), Options{
			Source: &memory{lanes: 1, records: 3000, batch: 100}, Sinks: []Output{{Name: "out", Sink: out}},
			Steps: []Step{asks(d, 1, Wait{Window: 4000})},
		})
		time.Sleep(time.Minute)
		if n := flight.asks(); n != 1 {
			t.Errorf("asked %d times while the gate was shut", n)
		}
		flight.set(true)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ascending(t, "let in", order, 3000)
		ascending(t, "out", out.offsets(0), 3000)
		if n := flight.asks(); n != 3001 {
			t.Errorf("asked %d times, want 3001", n)
		}
		d.settled()
	})
}

// A wake that comes before Enter has returned is not lost.
func TestAWakeWhileAskingIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		d := &desk{t: t, admit: func(*pipeline.Record, int) (*visit, error) {
			return &visit{gate: "a", enter: func(wake func()) (time.Duration, bool) {
				asked++
				if asked == 1 {
					wake()
					return 0, false
				}
				return 0, true
			}}, nil
		}}
		out := &collect{}
		if _, err := run(t, Options{
			Source: &memory{lanes: 1, records: 1}, Sinks: []Output{{Name: "out", Sink: out}},
			Steps: []Step{asks(d, 1, Wait{})},
		}); err != nil {
			t.Fatal(err)
		}
		ascending(t, "out", out.offsets(0), 1)
		d.settled()
	})
}

// Wakes too many, also late ones, do no harm.
func TestWakesTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := &rateGate{every: time.Millisecond}
		var wakes []func()
		wakeAll := func() {
			for _, w := range wakes[max(0, len(wakes)-20):] {
				w()
			}
		}
		d := &desk{t: t, admit: func(*pipeline.Record, int) (*visit, error) {
			return &visit{gate: gate, enter: func(wake func()) (time.Duration, bool) {
				wakes = append(wakes, wake)
				return gate.enter(wake)
			}, do: func(context.Context, *pipeline.Record) error {
				wakeAll()
				return nil
			}, leave: func(pipeline.CallResult) bool {
				wakeAll()
				return true
			}}, nil
		}}
		out := &collect{}
		_, done := start(t, t.Context(), Options{
			Source: &memory{lanes: 1, records: 50}, Sinks: []Output{{Name: "out", Sink: out}}, Steps: []Step{asks(d, 1, Wait{})},
		})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ascending(t, "out", out.offsets(0), 50)
		wakeAll()
		if len(wakes) > 4*50 {
			t.Errorf("asked %d times for 50 calls", len(wakes))
		}
		d.settled()
	})
}

// What Admit says of a record that needs no call, or cannot have one, is what Process would say.
func TestAdmitEndsARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := map[int64]int{}
		d := &desk{t: t, admit: func(r *pipeline.Record, attempt int) (*visit, error) {
			tried[r.Offset]++
			if tried[r.Offset] != attempt {
				t.Errorf("%s: attempt %d, the %d. time", r.Position, attempt, tried[r.Offset])
			}
			switch r.Offset {
			case 1:
				return nil, pipeline.Filtered
			case 2:
				return nil, pipeline.Reject("no_url", errors.New("making the address: none"))
			case 3:
				return nil, errors.New("making the address: not now")
			case 4:
				return nil, nil
			case 5:
				return &visit{gate: []int{1}}, nil
			}
			return &visit{}, nil
		}}
		out, dead := &collect{}, &collect{}
		if _, err := run(t, Options{
			Source: &memory{lanes: 1, records: 7}, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
			Steps: []Step{asks(d, 1, Wait{Retry: Retry{Attempts: 3}})},
		}); err != nil {
			t.Fatal(err)
		}
		if got := out.offsets(0); len(got) != 2 || got[0] != 0 || got[1] != 6 {
			t.Errorf("out: %v", got)
		}
		want := map[int64][2]string{2: {"no_url", "1"}, 3: {pipeline.ReasonAttempts, "3"}, 4: {pipeline.ReasonPermanent, "1"}, 5: {pipeline.ReasonPermanent, "1"}}
		for _, s := range dead.all() {
			if got := [2]string{s.headers[deadletter.Reason], s.headers[deadletter.Attempts]}; got != want[s.Offset] {
				t.Errorf("offset %d: %v, want %v", s.Offset, got, want[s.Offset])
			}
			delete(want, s.Offset)
		}
		if len(want) > 0 {
			t.Errorf("not among the dead letters: %v", want)
		}
		d.settled()
	})
}
