package calls

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// TestStaleStandsIn has a host answer once and fail from then on, in each way.
func TestStaleStandsIn(t *testing.T) {
	broken := pipeline.Permanent(errors.New("no such thing"))
	for _, c := range []struct {
		name  string
		err   error
		stale time.Duration // of the reply
		kept  bool          // to be asked about, also when it may not stand in
		after time.Duration // that the answer was there
		want  error         // nil: the answer stands in
	}{
		{name: "it fails", err: errDown, after: time.Minute},
		{name: "it does not answer", err: context.DeadlineExceeded, after: time.Minute},
		{name: "it asks to wait", err: waitsToo, after: time.Minute},
		{name: "it asks to wait, with a time", err: pipeline.RetryAfter(time.Millisecond, errDown), after: time.Minute},
		{name: "at the last moment", err: errDown, after: 11*time.Minute - 1},
		{name: "too late", err: errDown, after: 11 * time.Minute, want: errDown},
		{name: "at the last moment of one that is kept to be asked about", err: errDown, kept: true, after: 11*time.Minute - 1},
		{name: "too late, though it is kept to be asked about", err: errDown, kept: true, after: 11 * time.Minute, want: errDown},
		{name: "it refuses", err: broken, after: time.Minute, want: broken},
		{name: "it says that there is none", err: pipeline.Filtered, after: time.Minute, want: pipeline.Filtered},
		{name: "the call is given up", err: context.Canceled, after: time.Minute, want: context.Canceled},
		{name: "the pipeline must stop", err: pipeline.Fatal(errDown), after: time.Minute, want: errDown},
		{name: "the reply did not want it", err: errDown, stale: -1, after: time.Minute, want: errDown},
		{name: "the reply wanted it for longer", err: errDown, stale: time.Hour, after: 61*time.Minute - 1},
		{name: "and no longer than that", err: errDown, stale: time.Hour, after: 61 * time.Minute, want: errDown},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := cached(t, func(s *CacheSettings, _ *Settings) { s.Stale = 10 * time.Minute })
				defer calls.Close()
				s := &oracle{t: t, reply: func(_ context.Context, key string, n int, known *string) (Reply[string], error) {
					if n > 1 {
						return Reply[string]{}, c.err
					}
					r := reply(key)
					r.Stale, r.Validates = c.stale, c.kept
					return r, nil
				}}
				d := &desk{}
				var got string
				if _, err := d.run(t.Context(), calls, s.question("k", &got), 0); err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.after)
				got = ""
				call := calls.Admit(s.question("k", &got), 1)
				if _, ok := call.Enter(nil); !ok {
					t.Fatal("it was not let in")
				}
				err := call.Do(t.Context(), nil)
				counts := call.Leave(pipeline.CallResult{Begun: true, Err: err})
				if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Fatalf("the error is %v, want %v", err, c.want)
				}
				if err == nil && (got != answerOf("k") || !counts) {
					t.Errorf("got %q, counts %v", got, counts)
				}
				want := pipeline.Report{CacheMisses: 2}
				if c.want == nil {
					want = pipeline.Report{CacheMisses: 2, CacheHits: 1, CacheStale: 1}
				}
				if r := calls.Report(); r.CacheMisses != want.CacheMisses || r.CacheHits != want.CacheHits || r.CacheStale != want.CacheStale {
					t.Errorf("the report is %+v, want %+v", r, want)
				}
			})
		})
	}
}

// TestAFailureThatIsHiddenIsKnownToTheBreaker has a host fail behind answers that stand in: its
// circuit opens all the same, and from then on the answers stand in without its being asked.
func TestAFailureThatIsHiddenIsKnownToTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := cached(t, func(s *CacheSettings, set *Settings) {
			s.Stale = time.Hour
			set.Breaker.Open, set.Breaker.MaxOpen = time.Minute, time.Minute
		})
		defer calls.Close()
		down := false
		s := &oracle{t: t, reply: func(_ context.Context, key string, _ int, _ *string) (Reply[string], error) {
			if down {
				return Reply[string]{}, errDown
			}
			return reply(key), nil
		}}
		d := &desk{}
		get := func(i int) {
			t.Helper()
			key, got := fmt.Sprint("k", i), ""
			if _, err := d.run(t.Context(), calls, s.question(key, &got), i); err != nil || got != answerOf(key) {
				t.Fatalf("got %q, %v", got, err)
			}
		}
		const keys = 200
		for i := range keys {
			get(i)
		}
		time.Sleep(time.Minute)
		down = true
		for i := range keys {
			get(i)
		}
		r := calls.Report()
		if n := s.all.Load() - keys; r.OpenCircuits != 1 || n < 10 || n > 40 || r.CacheStale != keys {
			t.Errorf("asked %d times, %+v", n, r)
		}
		down = false
		time.Sleep(time.Minute)
		get(0)
		if r := calls.Report(); r.OpenCircuits != 0 || r.CacheStale != keys {
			t.Errorf("the host is there again: %+v", r)
		}
	})
}

// TestStaleWhileShut has a host be left alone, up to the end of the time in which an answer stands in.
func TestStaleWhileShut(t *testing.T) {
	for _, c := range []struct {
		name  string
		kept  bool
		after time.Duration
		want  bool
	}{
		{"in time", false, 2*time.Minute - 1, true},
		{"too late", false, 2 * time.Minute, false},
		{"in time, kept to be asked about", true, 2*time.Minute - 1, true},
		{"too late, kept to be asked about", true, 2 * time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := cached(t, func(s *CacheSettings, _ *Settings) { s.Stale = time.Minute })
				defer calls.Close()
				s := &oracle{t: t, reply: func(_ context.Context, key string, _ int, _ *string) (Reply[string], error) {
					if key == "busy" {
						return Reply[string]{}, pipeline.RetryAfter(time.Hour, errDown)
					}
					r := reply(key)
					r.Validates = c.kept
					return r, nil
				}}
				d := &desk{}
				d.run(t.Context(), calls, s.question("k", new(string)), 0)
				time.Sleep(c.after)
				busy := calls.Admit(s.question("busy", new(string)), 1)
				busy.Enter(nil)
				busy.Leave(pipeline.CallResult{Begun: true, Err: busy.Do(t.Context(), nil)})
				call := calls.Admit(s.question("k", new(string)), 1)
				if got := call.Gate() == nil; got != c.want {
					t.Errorf("the answer stands in: %v, want %v", got, c.want)
				}
				call.Leave(pipeline.CallResult{})
			})
		})
	}
}

// TestStaleWhileWaiting has calls wait at a host that is shut meanwhile: what they may have
// stands in, for those too that wait for them.
func TestStaleWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := cached(t, func(s *CacheSettings, set *Settings) {
			s.Stale = time.Hour
			set.MaxPerHost = 1
		})
		defer calls.Close()
		s := &oracle{t: t}
		s.reply = func(ctx context.Context, key string, n int, _ *string) (Reply[string], error) {
			if key == "slow" {
				return Reply[string]{}, errors.Join(sleep(ctx, time.Second), pipeline.RetryAfter(time.Minute, errDown))
			}
			return reply(key), nil
		}
		d := &desk{}
		d.run(t.Context(), calls, s.question("k", new(string)), 0)
		time.Sleep(time.Minute)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.run(ctx, calls, s.question("slow", new(string)), 0)
		}()
		time.Sleep(time.Millisecond)
		began := time.Now()
		var all [5]string
		finished := make(chan error)
		for i := range all {
			go func() {
				_, err := d.run(t.Context(), calls, s.question("k", &all[i]), i)
				finished <- err
			}()
		}
		for range all {
			if err := <-finished; err != nil {
				t.Error(err)
			}
		}
		if slices.Contains(all[:], "") || time.Since(began) >= time.Second || s.count("k") != 1 {
			t.Errorf("got %q after %v, asked %d times", all, time.Since(began), s.count("k"))
		}
		if r := calls.Report(); r.CacheStale != 1 || r.CallsJoined != 4 {
			t.Errorf("the report is %+v", r)
		}
		stop()
		<-done
	})
}

// TestARefusalIsNews has an answer not stand in any more when the host has said something else since.
func TestARefusalIsNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := cached(t, func(s *CacheSettings, _ *Settings) { s.Stale = time.Hour })
		defer calls.Close()
		s := &oracle{t: t, reply: func(_ context.Context, key string, n int, _ *string) (Reply[string], error) {
			switch n {
			case 1:
				return reply(key), nil
			case 2:
				return Reply[string]{}, pipeline.Permanent(errors.New("gone"))
			}
			return Reply[string]{}, errDown
		}}
		d := &desk{}
		d.run(t.Context(), calls, s.question("k", new(string)), 0)
		time.Sleep(time.Minute)
		d.run(t.Context(), calls, s.question("k", new(string)), 0)
		if _, err := d.run(t.Context(), calls, s.question("k", new(string)), 0); !errors.Is(err, errDown) {
			t.Errorf("the error is %v", err)
		}
	})
}

// TestStaleBehindOthers has those who can do without their host come behind some who cannot: they do not
// wait for them when the host asks to be left alone.
func TestStaleBehindOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := cached(t, func(s *CacheSettings, set *Settings) {
			s.Stale = time.Hour
			set.MaxPerHost = 1
		})
		defer calls.Close()
		s := &oracle{t: t}
		s.reply = func(ctx context.Context, key string, n int, _ *string) (Reply[string], error) {
			if key == "busy" {
				return Reply[string]{}, errors.Join(sleep(ctx, time.Second), pipeline.RetryAfter(time.Minute, errDown))
			}
			return reply(key), sleep(ctx, time.Millisecond)
		}
		d := &desk{}
		const each = 5
		for i := range each {
			d.run(t.Context(), calls, s.question(fmt.Sprint("old", i), new(string)), i)
		}
		time.Sleep(time.Minute)
		ctx, stop := context.WithCancel(t.Context())
		var all, old sync.WaitGroup
		run := func(wg *sync.WaitGroup, ctx context.Context, key string) {
			wg.Go(func() { d.run(ctx, calls, s.question(key, new(string)), 0) })
			synctest.Wait()
		}
		began := time.Now()
		run(&all, ctx, "busy")
		for i := range each {
			run(&all, t.Context(), fmt.Sprint("new", i))
		}
		for i := range each {
			run(&old, t.Context(), fmt.Sprint("old", i))
		}
		old.Wait()
		if took := time.Since(began); took > 2*time.Second || calls.Report().CacheStale != each {
			t.Errorf("the last of those with an answer was done after %v: %+v", took, calls.Report())
		}
		stop()
		all.Wait()
		if took := time.Since(began); took < time.Minute {
			t.Errorf("those without were done after %v", took)
		}
	})
}

// TestWhatIsOutOfDateIsAskedForOnce has many records want an answer that has just become out of date.
func TestWhatIsOutOfDateIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := cached(t, func(s *CacheSettings, _ *Settings) { s.Stale = time.Hour })
		defer calls.Close()
		s := &oracle{t: t, reply: func(ctx context.Context, key string, n int, known *string) (Reply[string], error) {
			if (known != nil) != (n == 2) {
				t.Errorf("call %d is told of %v", n, known)
			}
			return reply(fmt.Sprint(key, n)), sleep(ctx, time.Second)
		}}
		d := &desk{}
		d.run(t.Context(), calls, s.question("k", new(string)), 0)
		time.Sleep(time.Minute)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				var got string
				if _, err := d.run(t.Context(), calls, s.question("k", &got), i); err != nil || got != answerOf("k2") {
					t.Errorf("got %q, %v", got, err)
				}
			})
		}
		wg.Wait()
		if n := s.count("k"); n != 2 {
			t.Errorf("asked %d times, want twice", n)
		}
	})
}

// TestRevalidation gives what is out of date to whoever can ask whether it still holds.
func TestRevalidation(t *testing.T) {
	for _, c := range []struct {
		name  string
		can   bool
		stale time.Duration
		after time.Duration
		known bool
	}{
		{"kept for that alone", true, -1, 1000 * time.Hour, true},
		{"kept for an error too", false, time.Hour, 30 * time.Minute, true},
		{"not kept", false, -1, time.Minute, false},
		{"no longer kept", false, time.Hour, 61 * time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := cached(t, nil)
				defer calls.Close()
				var seen []string
				s := &oracle{t: t, reply: func(_ context.Context, key string, n int, known *string) (Reply[string], error) {
					if known != nil {
						seen = append(seen, *known)
					} else if n > 1 {
						seen = append(seen, "")
					}
					r := reply(fmt.Sprint(key, n))
					r.Validates, r.Stale = c.can, c.stale
					return r, nil
				}}
				d := &desk{}
				var got string
				d.run(t.Context(), calls, s.question("k", &got), 0)
				time.Sleep(c.after)
				d.run(t.Context(), calls, s.question("k", &got), 0)
				want := []string{""}
				if c.known {
					want[0] = answerOf("k1")
				}
				if !slices.Equal(seen, want) || got != answerOf("k2") {
					t.Errorf("Ask has seen %q, want %q; got %q", seen, want, got)
				}
			})
		})
	}
}
