package calls

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

const joiners = 1000

// TestJoinersOfALeader has 1,000 records wait for the call of another, with each way in which that
// can end.
func TestJoinersOfALeader(t *testing.T) {
	broken := pipeline.Permanent(errors.New("no such thing"))
	for _, c := range []struct {
		name     string
		first    func(ctx context.Context) error // of the leader's Ask, after a second
		attempts int                             // allowed
		asked    int
		err      error // of all but the leader
		counted  int   // attempts of each of the others
		joined   int64
	}{
		{name: "answers", first: func(context.Context) error { return nil }, asked: 1, counted: 1, joined: joiners},
		{name: "fails", first: func(context.Context) error { return errDown }, asked: 1, err: errDown, counted: 1, joined: joiners},
		{name: "fails, and is tried again", first: func(context.Context) error { return errDown }, attempts: 2, asked: 2, counted: 2, joined: 2 * joiners},
		{name: "refuses", first: func(context.Context) error { return broken }, asked: 1, err: broken, counted: 1, joined: joiners},
		{name: "filters", first: func(context.Context) error { return pipeline.Filtered }, asked: 1, err: pipeline.Filtered, counted: 1, joined: joiners},
		{name: "asks to wait", first: func(context.Context) error { return waitsToo }, asked: 2, counted: 1, joined: 2 * joiners},
		{name: "has no time left", first: func(context.Context) error { return context.DeadlineExceeded }, asked: 1, err: context.DeadlineExceeded, counted: 1, joined: joiners},
		{name: "is cancelled", first: func(context.Context) error { return fmt.Errorf("asking: %w", context.Canceled) }, asked: 2, counted: 1, joined: joiners - 1},
		{name: "panics", first: func(context.Context) error { panic("oh") }, asked: 2, counted: 1, joined: joiners - 1},
		{name: "ends its goroutine", first: func(context.Context) error { runtime.Goexit(); return nil }, asked: 2, counted: 1, joined: joiners - 1},
		{name: "gives a panic as its error", first: func(context.Context) error { return &pipeline.PanicError{} }, asked: 2, counted: 1, joined: joiners - 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := newCalls(t, nil)
				defer calls.Close()
				s := &oracle{t: t, reply: func(ctx context.Context, key string, n int, _ *string) (Reply[string], error) {
					if err := sleep(ctx, time.Second); err != nil {
						return Reply[string]{}, err
					}
					if n == 1 {
						if err := c.first(ctx); err != nil {
							return Reply[string]{}, err
						}
					}
					return reply(key), nil
				}}
				d := &desk{attempts: c.attempts}
				var wg sync.WaitGroup
				for i := range 1 + joiners {
					wg.Go(func() {
						if i > 0 {
							time.Sleep(time.Millisecond) // the leader is the first
						}
						var got string
						counted, err := d.run(t.Context(), calls, s.question("k", &got), i)
						switch {
						case i == 0:
							return // what becomes of it is its own
						case counted != c.counted:
							t.Errorf("%d attempts were counted, want %d", counted, c.counted)
						case !errors.Is(err, c.err) || (err == nil) != (c.err == nil):
							t.Errorf("the error is %v, want %v", err, c.err)
						case err == nil && got != answerOf("k"):
							t.Errorf("got %q", got)
						}
					})
				}
				wg.Wait()
				if n := s.count("k"); n != c.asked {
					t.Errorf("asked %d times, want %d", n, c.asked)
				}
				r := calls.Report()
				if r.CallsJoined != c.joined {
					t.Errorf("%d calls were joined, want %d", r.CallsJoined, c.joined)
				}
				if r.OpenCircuits != 0 {
					t.Error("those who joined have opened the circuit of the host")
				}
				if len(calls.flights) != 0 || len(d.lines) != 0 {
					t.Errorf("%d flights and %d lines are left", len(calls.flights), len(d.lines))
				}
			})
		})
	}
}

// TestALeaderIsGivenUp has it leave in each state that it can be in before it has called.
func TestALeaderIsGivenUp(t *testing.T) {
	for _, c := range []struct {
		name   string
		giveUp func(t *testing.T, leader pipeline.Call)
	}{
		{"before it asked to enter", func(t *testing.T, l pipeline.Call) { l.Leave(pipeline.CallResult{}) }},
		{"while it waited at its host", func(t *testing.T, l pipeline.Call) {
			if _, ok := l.Enter(func() {}); ok {
				t.Fatal("it was let in where there is no place")
			}
			l.Leave(pipeline.CallResult{})
		}},
		{"after it was let in", func(t *testing.T, l pipeline.Call) {
			time.Sleep(2 * time.Second)
			if _, ok := l.Enter(func() {}); !ok {
				t.Fatal("it was not let in")
			}
			l.Leave(pipeline.CallResult{})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := newCalls(t, func(s *Settings) { s.MaxPerHost = 1 })
				defer calls.Close()
				s := &oracle{t: t, reply: func(ctx context.Context, key string, _ int, _ *string) (Reply[string], error) {
					return reply(key), sleep(ctx, time.Second)
				}}
				d, other := &desk{}, ""
				var wg sync.WaitGroup
				wg.Go(func() { d.run(t.Context(), calls, s.question("other", &other), -1) }) // takes the only place for a second
				time.Sleep(time.Millisecond)
				leader := calls.Admit(s.question("k", new(string)), 1)
				for i := range 50 {
					wg.Go(func() {
						var got string
						if _, err := d.run(t.Context(), calls, s.question("k", &got), i); err != nil || got != answerOf("k") {
							t.Errorf("got %q, %v", got, err)
						}
					})
				}
				synctest.Wait()
				if s.count("k") != 0 {
					t.Error("asked beside the leader")
				}
				c.giveUp(t, leader)
				wg.Wait()
				if n := s.count("k"); n != 1 {
					t.Errorf("asked %d times, want once", n)
				}
			})
		})
	}
}

// TestAJoinerIsGivenUp has those who no longer want the answer leave nothing behind, and the others
// still have it.
func TestAJoinerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := newCalls(t, nil)
		defer calls.Close()
		s := &oracle{t: t}
		leader := calls.Admit(s.question("k", new(string)), 1)
		var all []pipeline.Call
		for range 10 {
			j := calls.Admit(s.question("k", new(string)), 1)
			if wait, ok := j.Enter(func() { t.Error("woken after it has left") }); ok || wait != 0 {
				t.Errorf("entered: %v, %v", wait, ok)
			}
			if got := j.Waits(); got != "an equal call to api.example" {
				t.Errorf("waits for %q", got)
			}
			all = append(all, j)
			if j.Gate() != all[0].Gate() || j.Gate() == leader.Gate() {
				t.Error("they do not wait for the same")
			}
		}
		for _, j := range all {
			if !j.Leave(pipeline.CallResult{}) {
				t.Error("it does not count")
			}
		}
		if n := len(calls.flights["k"].wakes); n != 0 {
			t.Errorf("%d are still to be woken", n)
		}
		leader.Leave(pipeline.CallResult{})
		if len(calls.flights) != 0 {
			t.Error("the flight is left")
		}
	})
}

// TestUseIsOfEachRecord has the errors of Use stay with their records.
func TestUseIsOfEachRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := newCalls(t, nil)
		defer calls.Close()
		s := &oracle{t: t, reply: func(ctx context.Context, key string, _ int, _ *string) (Reply[string], error) {
			return reply(key), sleep(ctx, time.Second)
		}}
		d := &desk{}
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() {
				q := s.question("k", new(string))
				q.Use = func(_ *pipeline.Record, answer string) error {
					switch i % 3 {
					case 0:
						return errDown
					case 1:
						panic("oh")
					}
					return nil
				}
				_, err := d.run(t.Context(), calls, q, i)
				_, refused := pipeline.IsPermanent(err)
				if errors.Is(err, errDown) != (i%3 == 0) || refused != (i%3 == 1) {
					t.Errorf("record %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if n := s.count("k"); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
		if r := calls.Report(); r.OpenCircuits != 0 {
			t.Error("what records made of the answer has opened the circuit")
		}
	})
}

// TestNextOfAsk is of the record alone that has asked: the others ask for themselves, and do not
// wait for one another again.
func TestNextOfAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := newCalls(t, nil)
		defer calls.Close()
		s := &oracle{t: t, twice: true}
		d := &desk{}
		s.reply = func(ctx context.Context, key string, _ int, _ *string) (Reply[string], error) {
			if err := sleep(ctx, time.Second); err != nil || key == "b" {
				return reply(key), err
			}
			return Reply[string]{}, nil
		}
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				var got string
				q := s.question("a", &got)
				ask := q.Ask
				q.Ask = func(ctx context.Context, rec *pipeline.Record, known *string) (Reply[string], error) {
					r, err := ask(ctx, rec, known)
					if err == nil {
						err = pipeline.Next(calls.Admit(s.question("b", &got), 1))
					}
					return r, err
				}
				if _, err := d.run(t.Context(), calls, q, i); err != nil || got != answerOf("b") {
					t.Errorf("got %q, %v", got, err)
				}
			})
		}
		wg.Wait()
		if a, took := s.count("a"), time.Since(began); a != 20 || took > 4*time.Second {
			t.Errorf("a was asked %d times in %v", a, took)
		}
	})
}

// TestNextOfUse is for each record that has the answer.
func TestNextOfUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := newCalls(t, nil)
		defer calls.Close()
		s := &oracle{t: t, reply: func(ctx context.Context, key string, _ int, _ *string) (Reply[string], error) {
			return reply(key), sleep(ctx, time.Second)
		}}
		d := &desk{}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				var got string
				q := s.question("robots", nil)
				q.Use = func(_ *pipeline.Record, answer string) error {
					if answer != answerOf("robots") {
						t.Errorf("got %q", answer)
					}
					return pipeline.Next(calls.Admit(s.question("page", &got), 1))
				}
				if counted, err := d.run(t.Context(), calls, q, i); err != nil || got != answerOf("page") || counted != 1 {
					t.Errorf("got %q, %v, %d attempts", got, err, counted)
				}
			})
		}
		wg.Wait()
		if s.count("robots") != 1 || s.count("page") != 1 {
			t.Errorf("asked %v", s.asked)
		}
	})
}

// TestWhatIsNotShared are questions that are equal to none, and steps that do not want it.
func TestWhatIsNotShared(t *testing.T) {
	no := false
	for _, c := range []struct {
		name  string
		key   string
		share *bool
		asked int
	}{{"no key", "", nil, 10}, {"share is off", "k", &no, 10}, {"share is on", "k", nil, 1}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := newCalls(t, func(s *Settings) { s.Share = c.share })
				defer calls.Close()
				s := &oracle{t: t, twice: true, reply: func(ctx context.Context, key string, _ int, _ *string) (Reply[string], error) {
					return reply(key), sleep(ctx, time.Second)
				}}
				d := &desk{}
				var wg sync.WaitGroup
				for i := range 10 {
					wg.Go(func() {
						var got string
						if _, err := d.run(t.Context(), calls, s.question(c.key, &got), i); err != nil || got != answerOf(c.key) {
							t.Errorf("got %q, %v", got, err)
						}
					})
				}
				wg.Wait()
				if n := s.count(c.key); n != c.asked {
					t.Errorf("asked %d times, want %d", n, c.asked)
				}
			})
		})
	}
}
