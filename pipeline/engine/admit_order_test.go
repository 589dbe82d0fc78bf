package engine

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// order is which records were called, in turn.
type order []int64

func (o *order) do(_ context.Context, r *pipeline.Record) error {
	*o = append(*o, r.Offset)
	return nil
}

func (o order) check(t *testing.T, n int) {
	t.Helper()
	if len(o) != n || !slices.IsSorted(o) {
		t.Errorf("%d calls, want %d in order: %v", len(o), n, o)
	}
}

// Records come to a gate the other way round than they were picked, and one that has come first there
// holds a turn already: they are called in the order of their lane, each once it is let in.
func TestCallsAreLetInAsTheyWerePicked(t *testing.T) {
	for _, workers := range []int{2, 64} {
		synctest.Test(t, func(t *testing.T) {
			gate := &rateGate{every: time.Second, next: time.Now().Add(time.Minute)}
			var called order
			d := &desk{t: t, admit: func(r *pipeline.Record, _ int) (*visit, error) {
				time.Sleep(time.Duration(workers-int(r.Offset)%workers) * time.Millisecond)
				return &visit{gate: gate, enter: gate.enter, do: called.do}, nil
			}}
			if _, err := run(t, Options{
				Source: &memory{lanes: 1, records: 500}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
				Steps: []Step{asks(d, workers, Wait{Window: 100})},
			}); err != nil {
				t.Fatal(err)
			}
			called.check(t, 500)
			if d.yields == 0 {
				t.Error("nobody was told to give up its turn")
			}
			if gate.asked > 3*500 {
				t.Errorf("asked %d times for 500 calls", gate.asked)
			}
			d.settled()
		})
	}
}

// A further call of a record is let in before those of records that were picked behind it, though these
// have come to its gate before.
func TestAFurtherCallKeepsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		robots, page := &door{}, &rateGate{every: time.Second, next: time.Now().Add(time.Minute)}
		var called order
		d := &desk{t: t}
		d.admit = func(r *pipeline.Record, _ int) (*visit, error) {
			v := &visit{do: func(ctx context.Context, r *pipeline.Record) error {
				if r.Offset == 0 {
					pause(ctx, time.Second)
					robots.set(true)
					pause(ctx, time.Second)
				}
				return pipeline.Next(d.take(&visit{gate: page, enter: page.enter, do: called.do}))
			}}
			if r.Offset > 0 {
				v.gate, v.enter = robots, robots.enter
			}
			return v, nil
		}
		if _, err := run(t, Options{
			Source: &memory{lanes: 1, records: 50}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
			Steps: []Step{asks(d, 8, Wait{})},
		}); err != nil {
			t.Fatal(err)
		}
		called.check(t, 50)
		d.settled()
	})
}

// Calls go from one gate to another without having begun: a stop hands them back, and each is left once.
// Let in there, or where there is no gate any more, they are made.
func TestAGateThatChanges(t *testing.T) {
	for _, c := range []struct {
		name string
		to   *door // nil: no gate
		out  int
	}{{"to one that is shut", &door{}, 0}, {"to one that is open", &door{open: true}, 40}, {"to none", nil, 40}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := &door{}
				d := &desk{t: t, admit: func(*pipeline.Record, int) (*visit, error) {
					v := &visit{gate: first}
					moved := false
					v.enter = func(wake func()) (time.Duration, bool) {
						if moved {
							return c.to.enter(wake)
						}
						_, moved = first.enter(wake)
						return 0, false
					}
					v.next = func() any {
						switch {
						case !moved:
							return first
						case c.to == nil:
							v.in = true
							return nil
						}
						return c.to
					}
					return v, nil
				}}
				src := &memory{lanes: 1, records: 40, endless: true}
				ctx, cancel := context.WithCancel(t.Context())
				p, done := start(t, ctx, Options{
					Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Steps: []Step{asks(d, 3, Wait{})},
				})
				time.Sleep(time.Minute)
				if n := p.Snapshot().Steps[0].Throttled; n != 40 || first.asks() != 1 {
					t.Errorf("%d throttled, asked %d times", n, first.asks())
				}
				first.set(true)
				time.Sleep(time.Minute)
				if n := p.Snapshot().Steps[0].Throttled; n != 40-c.out || len(p.chain().steps[0].(*waitStep).win.gates) > 1 {
					t.Errorf("%d throttled at %d gates", n, len(p.chain().steps[0].(*waitStep).win.gates))
				}
				began := time.Now()
				cancel()
				if err := <-done; err != nil || time.Since(began) > time.Second {
					t.Errorf("%v after %s", err, time.Since(began))
				}
				called := 0
				for _, r := range d.results {
					if r.Begun {
						called++
					}
				}
				if called != c.out {
					t.Errorf("%d calls", called)
				}
				balanced(t, p)
				d.settled()
			})
		})
	}
}

// A stop comes while a call asks for its entrance, in each lane. It is not let in: it is handed back with all that
// is throttled before it, and the stop waits for no gate.
func TestAStopWhileACallAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shut := &door{}
		d := &desk{t: t, admit: func(r *pipeline.Record, _ int) (*visit, error) {
			v := &visit{gate: shut, enter: shut.enter}
			if r.Offset >= 30 {
				v.gate = r.Position
				v.enter = func(wake func()) (time.Duration, bool) {
					time.Sleep(2 * time.Second)
					return shut.enter(wake)
				}
			}
			return v, nil
		}}
		src := &memory{lanes: 2, records: 40, endless: true}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Steps: []Step{asks(d, 4, Wait{})},
		})
		time.Sleep(time.Second)
		if n := p.Snapshot().Steps[0].Throttled; n < 30 { // of one lane, when its records were all picked first
			t.Fatalf("%d throttled", n)
		}
		began := time.Now()
		cancel()
		if err := <-done; err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if src.mark(0) != 0 || src.mark(1) != 0 {
			t.Errorf("marks %d and %d", src.mark(0), src.mark(1))
		}
		balanced(t, p)
		d.settled()
	})
}

// A stop comes while a call asks, and one behind it has begun: both are finished.
func TestAStopWhileACallAsksBeforeOneThatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shut := &door{}
		d := &desk{t: t, admit: func(r *pipeline.Record, _ int) (*visit, error) {
			switch r.Offset {
			case 10:
				return &visit{gate: shut, enter: func(wake func()) (time.Duration, bool) {
					time.Sleep(2 * time.Second)
					return shut.enter(wake)
				}}, nil
			case 20:
				return &visit{do: func(ctx context.Context, _ *pipeline.Record) error {
					pause(ctx, 10*time.Second)
					return ctx.Err()
				}}, nil
			}
			return &visit{gate: shut, enter: shut.enter}, nil
		}}
		src, out := &memory{lanes: 1, records: 40, endless: true}, &collect{}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}}, Steps: []Step{asks(d, 4, Wait{Timeout: time.Minute, Deadline: time.Minute})},
		})
		time.Sleep(time.Second)
		cancel()
		time.Sleep(5 * time.Second)
		shut.set(true)
		if err := <-done; err != nil {
			t.Error(err)
		}
		ascending(t, "out", out.offsets(0), 21)
		if src.mark(0) != 21 {
			t.Errorf("mark %d", src.mark(0))
		}
		balanced(t, p)
		d.settled()
	})
}

// max_wait does not count what is no limit, and counts what comes before and behind it.
func TestMaxWaitDoesNotCountAnEqualCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := &door{}
		var under atomic.Bool
		d := &desk{t: t, admit: func(*pipeline.Record, int) (*visit, error) {
			return &visit{gate: gate, enter: gate.enter, joins: under.Load, waits: "a call"}, nil
		}}
		out, dead := &collect{}, &collect{}
		began := time.Now()
		_, done := start(t, t.Context(), Options{
			Source: &memory{lanes: 1, records: 20}, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
			Steps: []Step{asks(d, 4, Wait{MaxWait: time.Minute})},
		})
		again := func(after time.Duration, now bool) {
			time.Sleep(after)
			under.Store(now)
			gate.set(false) // wakes who asks
		}
		again(30*time.Second, true)
		again(time.Hour, false)
		again(20*time.Second, true)
		again(time.Hour, false)
		time.Sleep(9 * time.Second)
		if n := len(dead.all()); n != 0 {
			t.Errorf("%d are rejected after 59 s", n)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); len(dead.all()) != 20 || took < 2*time.Hour+time.Minute || took > 2*time.Hour+63*time.Second {
			t.Errorf("%d rejected after %s, %d out", len(dead.all()), took, len(out.all()))
		}
		d.settled()
	})
}
