package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

func TestReasonsOfRejection(t *testing.T) {
	cases := []struct {
		name   string
		stage  func(ctx context.Context, r *pipeline.Record) error
		wait   Wait
		reason string
		tries  string
		after  time.Duration // at least, from the start of the first attempt
	}{
		{"permanent", func(context.Context, *pipeline.Record) error {
			return pipeline.Permanent(errors.New("asking: no such airport"))
		},
			Wait{}, pipeline.ReasonPermanent, "1", 0},
		{"own reason", func(context.Context, *pipeline.Record) error {
			return pipeline.Reject("http_404", errors.New("asking: status 404"))
		},
			Wait{}, "http_404", "1", 0},
		{"attempts", func(context.Context, *pipeline.Record) error { return errors.New("asking: reset") },
			Wait{Retry: Retry{Attempts: 3}}, pipeline.ReasonAttempts, "3", 0},
		{"deadline", func(context.Context, *pipeline.Record) error {
			return pipeline.RetryAfter(time.Second, errors.New("asking: busy"))
		},
			Wait{Retry: Retry{Attempts: 100}, Deadline: 3500 * time.Millisecond}, pipeline.ReasonDeadline, "4", 3 * time.Second},
		{"attempt times out", func(ctx context.Context, _ *pipeline.Record) error { <-ctx.Done(); return ctx.Err() },
			Wait{Retry: Retry{Attempts: 2}, Timeout: 700 * time.Millisecond}, pipeline.ReasonAttempts, "2", 1400 * time.Millisecond},
		{"deadline cuts an attempt", func(ctx context.Context, _ *pipeline.Record) error { <-ctx.Done(); return ctx.Err() },
			Wait{Timeout: time.Hour, Deadline: 2 * time.Second}, pipeline.ReasonDeadline, "1", 2 * time.Second},
		{"panic", func(context.Context, *pipeline.Record) error { panic("asking: nil map") },
			Wait{}, pipeline.ReasonPanic, "1", 0},
	}
	for _, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			dead := &collect{}
			began := time.Now()
			_, err := run(t, Options{
				Source: &memory{lanes: 1, records: 1}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
				DeadLetter: DeadLetter{Sink: dead}, Steps: []Step{{Name: "ask", Wait: &c.wait, Stage: does(c.stage)}},
			})
			if err != nil {
				t.Fatal(c.name, err)
			}
			got := dead.all()
			if len(got) != 1 {
				t.Fatalf("%s: %d dead letters", c.name, len(got))
			}
			h := got[0].headers
			if h[deadletter.Reason] != c.reason || h[deadletter.Attempts] != c.tries {
				t.Errorf("%s: reason %s after %s attempts, want %s after %s", c.name, h[deadletter.Reason], h[deadletter.Attempts], c.reason, c.tries)
			}
			if took := got[0].at.Sub(began); took < c.after || took > c.after+21*time.Second {
				t.Errorf("%s: after %s, want %s", c.name, took, c.after)
			}
		})
	}
}

// What an attempt did to key, headers, time and value is undone before the next one; a dead letter has
// what came.
func TestAnAttemptIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := func(r *pipeline.Record) string {
			return fmt.Sprintf("%s %s %d %q", r.AppendValue(nil), r.Key(), r.Time, r.Headers())
		}
		before := does(func(_ context.Context, r *pipeline.Record) error {
			r.SetKey([]byte("first"))
			r.SetHeaders([]pipeline.Header{{Name: "h", Value: []byte("first")}})
			r.SetTime(7)
			return r.SetRaw("first", []byte("1"))
		})
		var came []string
		tries := 0
		again := does(func(_ context.Context, r *pipeline.Record) error {
			tries++
			came = append(came, whole(r))
			r.SetKey([]byte("again"))
			r.SetHeaders(append(r.Headers(), pipeline.Header{Name: "h", Value: []byte("again")}))
			r.SetTime(8)
			if tries == 2 {
				r.SetValue(nil)
			} else if err := r.SetRaw("again", []byte("1")); err != nil {
				return err
			}
			if r.Offset == 0 && tries == 3 {
				return nil
			}
			return errors.New("asking: later")
		})
		out, dead := &collect{}, &collect{}
		_, err := run(t, Options{
			Source: &memory{lanes: 1, records: 2, batch: 1}, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
			Steps: []Step{
				{Name: "edit", Stage: before, Workers: 1},
				{Name: "ask", Wait: &Wait{Window: 1, Retry: Retry{Attempts: 3, Backoff: time.Microsecond}}, Workers: 1, Stage: again},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range came {
			if want := fmt.Sprintf(`{"lane":0,"n":%d,"first":1} first 7 [{"h" "first"}]`, i/3); got != want {
				t.Errorf("attempt %d begins with %s, want %s", i, got, want)
			}
		}
		if got := out.all(); len(came) != 6 || len(got) != 1 || got[0].value != `{"lane":0,"n":0,"first":1,"again":1}` || got[0].headers["h"] != "again" {
			t.Errorf("%d attempts gave %+v", len(came), got)
		}
		letters := dead.all()
		if len(letters) != 1 || letters[0].value != `{"lane":0,"n":1}` || letters[0].headers["h"] != "" || letters[0].headers[deadletter.Timestamp] != "1" {
			t.Errorf("dead letters: %+v", letters)
		}
	})
}

// A retry waits without a slot, and goes ahead of new records when it is due.
func TestARetryHoldsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var calls []int64
		tried := false
		stage := does(func(ctx context.Context, r *pipeline.Record) error {
			mu.Lock()
			calls = append(calls, r.Offset)
			mu.Unlock()
			if r.Offset == 0 && !tried {
				tried = true
				return pipeline.RetryAfter(55*time.Millisecond, errors.New("asking: later"))
			}
			pause(ctx, 10*time.Millisecond)
			return nil
		})
		out := &collect{}
		_, err := run(t, Options{
			Source: &memory{lanes: 1, records: 20, batch: 20}, Sinks: []Output{{Name: "out", Sink: out}},
			Steps: []Step{{Name: "ask", Wait: &Wait{Window: 100, Retry: Retry{Backoff: time.Microsecond}}, Workers: 1, Stage: stage}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ascending(t, "out", out.offsets(0), 20)
		if want := "[0 1 2 3 4 5 6 0 7 8 9 10 11 12 13 14 15 16 17 18 19]"; fmt.Sprint(calls) != want {
			t.Errorf("calls %v, want %s", calls, want)
		}
	})
}

// A record keeps its place in the window while it waits: the window fills behind it.
func TestARetryKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun atomic.Int32
		var tried atomic.Bool
		stage := does(func(context.Context, *pipeline.Record) error { return nil })
		first := does(func(ctx context.Context, r *pipeline.Record) error {
			begun.Add(1)
			if r.Offset == 0 && !tried.Swap(true) {
				return pipeline.RetryAfter(time.Second, errors.New("asking: later"))
			}
			return stage(ctx, r)
		})
		out := &collect{}
		p, done := start(t, t.Context(), Options{
			Source: &memory{lanes: 1, records: 100, batch: 100}, Sinks: []Output{{Name: "out", Sink: out}},
			Steps: []Step{{Name: "ask", Wait: &Wait{Window: 10, Retry: Retry{Backoff: time.Microsecond}}, Workers: 4, Stage: first}},
		})
		time.Sleep(500 * time.Millisecond)
		s := p.Snapshot().Steps[0]
		if n := begun.Load(); n != 10 || s.WindowLen != 10 || s.WindowCap != 10 || s.QueueLen != 90 || len(out.all()) != 0 {
			t.Errorf("%d calls, window %d/%d, %d pending, %d out", n, s.WindowLen, s.WindowCap, s.QueueLen, len(out.all()))
		}
		states := map[string]int{}
		for _, f := range p.InFlight() {
			states[f.State]++
			if f.Where != "ask" || f.Lane != "t/0" {
				t.Errorf("%+v", f)
			}
		}
		if states["retrying"] != 1 || states["waiting for its turn"] != 9 || states["queued"] != 90 {
			t.Errorf("%v", states)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ascending(t, "out", out.offsets(0), 100)
	})
}

// What an attempt did to a record is undone before the next, and before it is passed.
func TestTheRecordIsRestored(t *testing.T) {
	for _, on := range []OnError{OnErrorDeadLetter, OnErrorPass} {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			stage := does(func(_ context.Context, r *pipeline.Record) error {
				tries++
				if got := string(r.Value()); got != `{"a":1,"b":2}` {
					t.Errorf("attempt %d sees %s", tries, got)
				}
				_ = r.SetRaw("a", []byte("5"))
				_ = r.Remove("b")
				r.Value()
				_ = r.SetRaw("c", []byte("6"))
				r.SetKey([]byte("other"))
				r.SetHeaders(append(r.Headers(), pipeline.Header{Name: "x", Value: nil}))
				r.Time = 7
				if tries == 3 && on == OnErrorDeadLetter {
					return nil
				}
				return errors.New("asking: later")
			})
			out := &collect{}
			p, err := run(t, Options{
				Source: &memory{lanes: 1, records: 1, value: func(int, int) string { return `{"a":1}` }, key: func(int, int) string { return "k" }},
				Sinks:  []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: &collect{}},
				Steps: []Step{
					{Name: "edit", Stage: does(func(_ context.Context, r *pipeline.Record) error { return r.SetRaw("b", []byte("2")) })},
					{Name: "ask", Wait: &Wait{Retry: Retry{Attempts: 3}}, Stage: stage, OnError: on},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			got := out.all()
			if len(got) != 1 {
				t.Fatalf("%d records", len(got))
			}
			want, key := `{"a":5,"c":6}`, "other"
			if on == OnErrorPass {
				want, key = `{"a":1,"b":2}`, "k"
			}
			if got[0].value != want || got[0].key != key {
				t.Errorf("on error %d: %s under %s, want %s", on, got[0].value, got[0].key, want)
			}
			s := p.Snapshot().Steps[1]
			if errs := int64(2); s.Retries != 2 || s.Errors < errs || s.Rejected != 0 || s.Out != 1 {
				t.Errorf("%+v", s.Counts)
			}
		})
	}
}

// A record that a step which does not wait fails on is passed as it came.
func TestPassInAStepThatDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &collect{}
		p, err := run(t, Options{
			Source: &memory{lanes: 1, records: 100}, Sinks: []Output{{Name: "out", Sink: out}},
			Steps: []Step{{Name: "edit", OnError: OnErrorPass, Stage: does(func(_ context.Context, r *pipeline.Record) error {
				_ = r.SetRaw("n", []byte("0"))
				if r.Offset%2 == 0 {
					panic("editing: no")
				}
				return nil
			})}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ascending(t, "out", out.offsets(0), 100)
		for _, s := range out.all() {
			want := `{"lane":0,"n":0}`
			if s.Offset%2 == 0 {
				want = fmt.Sprintf(`{"lane":0,"n":%d}`, s.Offset)
			}
			if s.value != want {
				t.Fatalf("%s: %s, want %s", s.Position, s.value, want)
			}
		}
		if c := p.Snapshot().Steps[0].Counts; c.Errors != 50 || c.Out != 100 {
			t.Errorf("%+v", c)
		}
	})
}

func TestBackoffGrowsWithFullJitter(t *testing.T) {
	r := Retry{Backoff: 100 * time.Millisecond, MaxBackoff: 5 * time.Second}
	for n, most := range []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		most *= time.Millisecond
		low, high := most, time.Duration(0)
		for range 300 {
			d := r.pause(n)
			low, high = min(low, d), max(high, d)
		}
		if high > most || high < most*9/10 || low > most/10 {
			t.Errorf("after %d failures: from %s to %s, want from 0 to %s", n+1, low, high, most)
		}
	}
	if d := r.pause(1000); d > 5*time.Second {
		t.Errorf("%s", d)
	}
}

// Calls in series: the next of a key begins when the one before has its final answer.
func TestSerial(t *testing.T) {
	for _, serial := range []Serial{SerialKey, SerialPartition} {
		for _, order := range []Order{OrderPartition, OrderKey, OrderNone} {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				running, last, most := map[string]bool{}, map[string]int64{}, 0
				failed := map[pipeline.Position]int{}
				stage := does(func(ctx context.Context, r *pipeline.Record) error {
					key := string(r.Key())
					if serial == SerialPartition {
						key = ""
					}
					key += fmt.Sprint(r.Partition)
					mu.Lock()
					if running[key] {
						t.Errorf("two calls of %q at a time", key)
					}
					if n, ok := last[key]; ok && r.Offset < n {
						t.Errorf("%q: %d after %d", key, r.Offset, n)
					}
					running[key], last[key] = true, r.Offset
					most = max(most, len(running))
					failed[r.Position]++
					again := r.Offset%7 == 3 && failed[r.Position] < 3
					mu.Unlock()
					pause(ctx, 5*time.Millisecond)
					mu.Lock()
					delete(running, key)
					mu.Unlock()
					if again {
						return errors.New("asking: later")
					}
					return nil
				})
				out := &collect{}
				_, err := run(t, Options{
					Source: &memory{lanes: 2, records: 300, batch: 100, key: func(_, n int) string { return fmt.Sprint(n % 5) }},
					Sinks:  []Output{{Name: "out", Sink: out}}, Order: order,
					Steps: []Step{{
						Name: "ask", Wait: &Wait{Window: 64, Serial: serial, Retry: Retry{Backoff: 20 * time.Millisecond}}, Workers: 8, Stage: stage,
					}},
				})
				if err != nil {
					t.Fatal(err)
				}
				if len(out.all()) != 600 {
					t.Errorf("%d records", len(out.all()))
				}
				if want := map[Serial]int{SerialKey: 5, SerialPartition: 2}[serial]; most < want {
					t.Errorf("at most %d calls at a time", most)
				}
			})
		}
	}
}

// A call that is deaf to its ctx keeps its slot and its place, and is reported once.
func TestADeafCallIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		out := &collect{}
		_, err := run(t, Options{
			Source: &memory{lanes: 1, records: 10}, Sinks: []Output{{Name: "out", Sink: out}}, Events: log.emitter(t),
			DeadLetter: DeadLetter{Sink: &collect{}}, StalledAfter: 30 * time.Second,
			Steps: []Step{
				{Name: "think", Stage: does(func(_ context.Context, r *pipeline.Record) error {
					if r.Offset == 7 {
						time.Sleep(3 * time.Minute)
					}
					return nil
				})},
				{Name: "ask", Wait: &Wait{}, Workers: 2, Stage: does(func(_ context.Context, r *pipeline.Record) error {
					if r.Offset == 4 {
						time.Sleep(5 * time.Minute)
					}
					return nil
				})},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ascending(t, "out", out.offsets(0), 10)
		for step, offset := range map[string]float64{"think": 7, "ask": 4} {
			var edges []string
			for _, m := range append(log.named("step.stalled"), log.named("step.recovered")...) {
				if m["step"] == step {
					edges = append(edges, m["event_name"].(string))
					if m["offset"] != offset || m["topic"] != "t" {
						t.Errorf("%v", m)
					}
				}
			}
			if fmt.Sprint(edges) != "[step.stalled step.recovered]" {
				t.Errorf("%s: %v", step, edges)
			}
		}
	})
}

// A record whose deadline passes while it waits for a slot was not tried once more.
func TestAttemptsAreThoseThatWereMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &collect{}
		stage := does(func(ctx context.Context, r *pipeline.Record) error {
			if r.Offset == 0 {
				return pipeline.RetryAfter(900*time.Millisecond, errors.New("asking: later"))
			}
			time.Sleep(2 * time.Second) // it ignores its ctx
			return nil
		})
		_, err := run(t, Options{
			Source: &memory{lanes: 1, records: 2}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
			DeadLetter: DeadLetter{Sink: dead},
			Steps:      []Step{{Name: "ask", Wait: &Wait{Deadline: time.Second, Retry: Retry{Backoff: time.Microsecond}}, Workers: 1, Stage: stage}},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := dead.all()
		if len(got) != 1 || got[0].headers["penstock-attempts"] != "1" || got[0].headers["penstock-reason"] != pipeline.ReasonDeadline {
			t.Errorf("%+v", got)
		}
	})
}
