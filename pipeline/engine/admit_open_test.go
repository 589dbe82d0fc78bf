package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/reorder"
)

// A desk of one gate that lets in all who ask, which takes a moment. It counts the calls of each lane.
type openDesk struct {
	*desk
	mu    sync.Mutex
	calls map[int32]int
}

func newOpenDesk(t *testing.T, gate *door, asking, call time.Duration) *openDesk {
	o := &openDesk{calls: map[int32]int{}}
	o.desk = &desk{t: t, admit: func(*pipeline.Record, int) (*visit, error) {
		return &visit{gate: gate, waits: "a door", enter: func(wake func()) (time.Duration, bool) {
			time.Sleep(asking)
			return gate.enter(wake)
		}, do: func(ctx context.Context, r *pipeline.Record) error {
			o.mu.Lock()
			o.calls[r.Partition]++
			o.mu.Unlock()
			pause(ctx, call)
			return nil
		}}, nil
	}}
	return o
}

func (o *openDesk) of(lane int32) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[lane]
}

// gatesAddUp checks what is counted of those that wait at gates.
func (w *window) gatesAddUp(t testing.TB) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	undecided := 0
	for key, g := range w.gates {
		waiting := 0
		for _, c := range g.queue.Rest() {
			if c.gate == g && c.State() == reorder.Throttled {
				waiting++
			}
		}
		if waiting != g.waiting {
			t.Errorf("%d wait at gate %v, and %d are counted", waiting, key, g.waiting)
		}
		if !g.refuses {
			undecided += waiting
		}
	}
	if undecided != w.undecided {
		t.Errorf("%d wait at gates that may be open, and %d are counted", undecided, w.undecided)
	}
}

// late has the first batch of the second lane come when the first one has been there for a moment.
func late(by time.Duration) func(*pipeline.Batch) {
	first := true
	return func(b *pipeline.Batch) {
		if b.Lane.(*lane).name == "t/1" && first {
			first = false
			time.Sleep(by)
		}
	}
}

// Where no limit holds anything back, nothing is throttled while calls ask one behind another, what waits waits for a slot, and a
// lane that comes later has its turns at once.
func TestAnOpenGateHoldsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newOpenDesk(t, &door{open: true}, time.Millisecond, 300*time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{
			Source: &memory{lanes: 2, records: 2000, batch: 500, endless: true, wrap: late(100 * time.Millisecond)},
			Sinks:  []Output{{Name: "out", Sink: &collect{}}}, Steps: []Step{asks(d.desk, 4, Wait{})},
		})
		for range 20 {
			time.Sleep(500*time.Millisecond + time.Microsecond)
			synctest.Wait()
			for _, h := range p.Why() {
				if h.Cause == CauseLimit || h.State == "throttled" {
					t.Errorf("%s", h)
				}
			}
		}
		s := p.Snapshot().Steps[0]
		if s.Throttled != 0 || s.ThrottleWait != 0 {
			t.Errorf("%d are throttled, for %s in all; no limit is there", s.Throttled, s.ThrottleWait)
		}
		if a, b := d.of(0), d.of(1); a+b < 120 || a-b > 8 || b-a > 8 {
			t.Errorf("%d calls of one lane, %d of the other", a, b)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		balanced(t, p)
		d.settled()
	})
}

// When a limit ends that has held a window back, what waits behind it waits for a slot: it is no longer throttled, and
// no further records join it, so that the other lane has its turns when it has gone.
func TestAGateThatOpensHoldsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := &door{}
		d := newOpenDesk(t, gate, time.Millisecond, 300*time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{
			Source: &memory{lanes: 2, records: 2000, batch: 500, endless: true},
			Sinks:  []Output{{Name: "out", Sink: &collect{}}}, Steps: []Step{asks(d.desk, 4, Wait{Window: 40})},
		})
		time.Sleep(10 * time.Second)
		before := p.Snapshot().Steps[0]
		if before.Throttled < 30 {
			t.Errorf("%d are throttled", before.Throttled)
		}
		for _, h := range p.Why() {
			if h.State != "throttled" || h.For != "a door" {
				t.Errorf("%s", h)
			}
		}
		gate.set(true)
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		after := p.Snapshot().Steps[0]
		if after.Throttled != 0 || after.ThrottleWait != before.ThrottleWait {
			t.Errorf("%d are throttled once the gate is open, and were for %s more", after.Throttled, after.ThrottleWait-before.ThrottleWait)
		}
		for _, h := range p.Why() {
			if h.Cause != CauseSlot && h.Cause != CauseCall || h.Cause == CauseSlot && h.Since > 500*time.Millisecond {
				t.Errorf("%s", h)
			}
		}
		for _, f := range p.InFlight() {
			if f.State == "throttled" {
				t.Errorf("%+v", f)
			}
		}
		time.Sleep(10 * time.Second)
		balanced(t, p)
		w := &p.chain().steps[0].(*waitStep).win
		w.mu.Lock()
		for _, g := range w.gates {
			if n := g.queue.Len(); n > 4 {
				t.Errorf("%d are still at the gate", n)
			}
		}
		w.mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		balanced(t, p)
		d.settled()
	})
}

// Gates open and shut, calls fail and go to other gates: nobody is forgotten, whoever passed by.
func TestNobodyIsForgottenAtGates(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			n := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return rnd.IntN(n)
			}
			gates := []*door{{}, {open: true}, {}}
			d := &desk{t: t}
			d.admit = func(*pipeline.Record, int) (*visit, error) {
				gate := gates[n(len(gates))]
				v := &visit{gate: gate}
				v.enter = func(wake func()) (time.Duration, bool) {
					time.Sleep(time.Duration(n(3)) * time.Millisecond)
					wait, ok := gate.enter(wake)
					return wait + time.Duration(n(2))*time.Second, ok
				}
				v.do = func(ctx context.Context, _ *pipeline.Record) error {
					pause(ctx, time.Duration(n(50))*time.Millisecond)
					switch n(10) {
					case 0:
						return errors.New("not now")
					case 1:
						return pipeline.Next(d.take(&visit{gate: gates[1], enter: gates[1].enter}))
					}
					return nil
				}
				v.leave = func(pipeline.CallResult) bool { return n(10) > 0 }
				return v, nil
			}
			p, done := start(t, t.Context(), Options{
				Source: &memory{lanes: 3, records: 400}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
				DeadLetter: DeadLetter{Sink: &collect{}}, Steps: []Step{asks(d, 5, Wait{Window: 60, Deadline: time.Minute})},
			})
			var err error
			for ended := false; !ended; {
				select {
				case err = <-done:
					ended = true
				case <-time.After(time.Duration(n(300)) * time.Millisecond):
					gates[n(len(gates))].set(n(3) > 0)
					balanced(t, p)
				}
			}
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			balanced(t, p)
			d.settled()
		})
	}
}
