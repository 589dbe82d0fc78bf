package sql

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A slow database answers look-ups after a second, and notes which came together.
type slow struct {
	mu     sync.Mutex
	groups []string
	ended  []string // that were cancelled
}

func (s *slow) ask(ctx context.Context, looks []*look) (once bool) {
	var names []string
	for _, l := range looks {
		names = append(names, string(l.args[0]))
	}
	s.mu.Lock()
	s.groups = append(s.groups, strings.Join(names, " "))
	s.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		s.mu.Lock()
		s.ended = append(s.ended, strings.Join(names, " "))
		s.mu.Unlock()
	}
	for _, l := range looks {
		l.result = result{rows: 1, json: l.args[0]}
		l.err = ctx.Err()
	}
	return true
}

func askFor(text string) *look {
	return &look{settings: &Settings{}, args: [][]byte{[]byte(text)}}
}

func upTo(most int) func(int) int { return func(n int) int { return min(n, most) } }

// The first look-ups go at once, one to each connection. What comes meanwhile goes together.
func TestWhatWaitsGoesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slow
		b := batches{ask: s.ask, take: upTo(4), max: 2}
		var wg sync.WaitGroup
		for i := range 12 {
			text := fmt.Sprint(i)
			wg.Go(func() {
				if l, err := b.do(t.Context(), text, askFor(text)); err != nil || string(l.result.json) != text {
					t.Error(text, l, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		b.wait()
		slices.Sort(s.groups)
		if got, want := strings.Join(s.groups, ", "), "0, 1, 10 11, 2 3 4 5, 6 7 8 9"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if b.running != 0 || len(b.waiting) != 0 || len(b.byKey) != 0 {
			t.Errorf("something is left: %+v", &b)
		}
	})
}

// What is too large to go with others keeps its place.
func TestLargeLookupsGoAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slow
		b := batches{ask: s.ask, take: upTo(64), max: 1}
		large := strings.Repeat("x", maxBatchBytes)
		var wg sync.WaitGroup
		for i := range 8 {
			text := fmt.Sprint(i)
			if i == 3 || i == 4 {
				text += large
			}
			wg.Go(func() {
				if l, err := b.do(t.Context(), text, askFor(text)); err != nil || string(l.result.json) != text {
					t.Error(i, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if got, want := strings.ReplaceAll(strings.Join(s.groups, ", "), large, ""), "0, 1 2, 3, 4, 5 6 7"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// Equal look-ups that wait are one; one that comes when the query has begun is asked for anew: it may
// have changed.
func TestEqualLookupsThatWaitAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slow
		b := batches{ask: s.ask, take: upTo(64), max: 1}
		var wg sync.WaitGroup
		for i, text := range []string{"x", "y", "z", "y", "y", "x"} {
			wg.Go(func() {
				if l, err := b.do(t.Context(), text, askFor(text)); err != nil || string(l.result.json) != text {
					t.Error(i, err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if got, want := strings.Join(s.groups, ", "), "x, y z x"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// Who gives up gets an error at once; the others get their answer. A query that nobody waits for
// ends, and a look-up that nobody waits for is not asked for.
func TestGivenUpLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slow
		b := batches{ask: s.ask, take: upTo(64), max: 1}
		start := time.Now()
		var wg sync.WaitGroup
		ask := func(text string, after time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			wg.Go(func() {
				defer cancel()
				l, err := b.do(ctx, text, askFor(text))
				switch took := time.Since(start); {
				case after == time.Hour && (err != nil || string(l.result.json) != text):
					t.Errorf("%s: %v", text, err)
				case after < time.Hour && (!errors.Is(err, context.DeadlineExceeded) || took != after):
					t.Errorf("%s: %v after %v", text, err, took)
				}
			})
			synctest.Wait()
		}
		ask("first", time.Hour)
		ask("never", 500*time.Millisecond) // while it waits
		ask("one", 1500*time.Millisecond)  // while it is asked for, with others
		ask("two", time.Hour)
		ask("two", 1500*time.Millisecond) // an equal one stays
		wg.Wait()
		start = time.Now()
		ask("three", 300*time.Millisecond)
		ask("four", 200*time.Millisecond) // waits behind
		wg.Wait()
		start = time.Now()
		ask("five", time.Hour)
		ask("six", 1100*time.Millisecond) // all of a query
		ask("seven", 1200*time.Millisecond)
		wg.Wait()
		b.wait()
		if got, want := strings.Join(s.groups, ", "), "first, one two, three, five, six seven"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got, want := strings.Join(s.ended, ", "), "three, six seven"; got != want {
			t.Errorf("ended: %s, want %s", got, want)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.do(ended, "k", askFor("k")); err == nil || len(s.groups) != 5 {
			t.Error("asked under an ended ctx")
		}
	})
}

// A panic is an error of those who asked, and the next are asked for.
func TestPanicInAQuery(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic("boom") }, "goexit": runtime.Goexit} {
		synctest.Test(t, func(t *testing.T) {
			var s slow
			b := batches{take: upTo(64), max: 1, ask: func(ctx context.Context, looks []*look) bool {
				if s.ask(ctx, looks); len(looks) > 1 {
					fail()
				}
				return true
			}}
			var wg sync.WaitGroup
			var failed atomic.Int64
			for i := range 3 {
				wg.Go(func() {
					_, err := b.do(t.Context(), fmt.Sprint(i), askFor(fmt.Sprint(i)))
					var crash *pipeline.PanicError
					if errors.As(err, &crash) {
						failed.Add(1)
					} else if err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
			wg.Wait()
			if failed.Load() != 2 {
				t.Errorf("%s: %d failed, want 2", name, failed.Load())
			}
			if l, err := b.do(t.Context(), "9", askFor("9")); err != nil || string(l.result.json) != "9" {
				t.Errorf("%s: behind it: %v", name, err)
			}
			b.wait()
		})
	}
}

func TestKeysOfDifferentParametersDiffer(t *testing.T) {
	key := func(params ...string) string {
		var k []byte
		for _, p := range params {
			k = appendKey(k, []byte(p))
		}
		return string(k)
	}
	lists := [][]string{{}, {""}, {"", ""}, {"a", "b"}, {"ab", ""}, {"", "ab"}, {"ab"}, {"a", "b", ""}}
	for i, a := range lists {
		for j, b := range lists {
			if (key(a...) == key(b...)) != (i == j) {
				t.Errorf("%q and %q", a, b)
			}
		}
	}
}
