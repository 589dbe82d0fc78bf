package sql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A oneByOne is a server that works on the look-ups of a query one after another, behind the way to it. It allows a query some time.
type oneByOne struct {
	way, work, allows time.Duration

	slowFrom int // the query from which on each look-up takes 500 ms; 0: none

	mu      sync.Mutex
	queries int
	largest int
	late    int // that were ended, by itself or from here
}

var errSlow = errors.New("too long")

func (s *oneByOne) ask(ctx context.Context, looks []*look) (once bool) {
	s.mu.Lock()
	if s.queries++; s.slowFrom > 0 && s.queries > s.slowFrom {
		s.work = 500 * time.Millisecond
	}
	takes := s.way + time.Duration(len(looks))*s.work
	s.largest = max(s.largest, len(looks))
	s.mu.Unlock()
	slow := s.allows > 0 && takes > s.allows
	if slow {
		takes = s.allows
	}
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		slow = true
	}
	for _, l := range looks {
		l.result = result{rows: 1, json: l.args[0]}
		switch {
		case slow && len(looks) > 1:
			l.again = true
		case slow:
			l.err = errSlow
		}
	}
	if slow {
		s.mu.Lock()
		s.late++
		s.mu.Unlock()
	}
	return !slow
}

// run has 64 ask for n look-ups, each with so much time, and gives how many failed and how long it took.
func (s *oneByOne) run(t *testing.T, n int, timeout time.Duration) (failed int, took time.Duration) {
	b := batches{ask: s.ask, take: upTo(64), max: 8, pace: new(pace)}
	var mu sync.Mutex
	var all sync.WaitGroup
	next, start := 0, time.Now()
	for range 64 {
		all.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return
				}
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				text := fmt.Sprint(i)
				l, err := b.do(ctx, text, askFor(text))
				cancel()
				mu.Lock()
				if err != nil {
					failed++
				} else if string(l.result.json) != text {
					t.Errorf("%s has the answer %s", text, l.result.json)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	b.wait()
	if b.running != 0 || len(b.waiting) != 0 || len(b.byKey) != 0 {
		t.Errorf("something is left: %+v", &b)
	}
	return failed, time.Since(start)
}

// Look-ups that take long go alone, over all connections; those that are quick, or far away, go together.
func TestPace(t *testing.T) {
	for name, tt := range map[string]struct {
		*oneByOne
		n       int
		timeout time.Duration
		queries int           // at most
		within  time.Duration // of the clock of the test
	}{
		"quick":                       {&oneByOne{way: 100 * time.Microsecond, work: 2 * time.Microsecond}, 10000, 10 * time.Second, 2500, time.Second},
		"a millisecond away":          {&oneByOne{way: time.Millisecond, work: 5 * time.Microsecond}, 10000, 10 * time.Second, 2500, time.Second},
		"an ocean away":               {&oneByOne{way: 150 * time.Millisecond, work: 50 * time.Microsecond}, 10000, 10 * time.Second, 2500, 50 * time.Second},
		"slow":                        {&oneByOne{work: 200 * time.Millisecond}, 400, 10 * time.Second, 410, 12 * time.Second},
		"slow, and the server is not": {&oneByOne{work: 100 * time.Millisecond, allows: 500 * time.Millisecond}, 400, 10 * time.Second, 410, 8 * time.Second},
		"almost out of time":          {&oneByOne{work: time.Second}, 200, 9 * time.Second, 210, 27 * time.Second},
		"some work":                   {&oneByOne{way: time.Millisecond, work: 5 * time.Millisecond}, 4000, 10 * time.Second, 2000, 3 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			failed, took := tt.oneByOne.run(t, tt.n, tt.timeout)
			if failed > 0 || tt.oneByOne.queries > tt.queries || took > tt.within {
				t.Errorf("%s: %d failed, %d queries of at most %d, %v", name, failed, tt.oneByOne.queries, tt.oneByOne.largest, took)
			}
		})
	}
}

// Look-ups that have become slow are asked for alone, before anybody's time runs out, and go together again when
// they are quick again.
func TestPaceOfWhatBecomesSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, allows := range []time.Duration{0, time.Second} {
			s := &oneByOne{way: time.Millisecond, work: 10 * time.Microsecond, allows: allows, slowFrom: 200}
			if failed, _ := s.run(t, 2000, 10*time.Second); failed > 0 {
				t.Errorf("%d failed", failed)
			}
			if s.largest < 8 || s.late == 0 {
				t.Errorf("allowed %v: at most %d together, %d took too long", allows, s.largest, s.late)
			}
		}
	})
}

func TestPaceComesBack(t *testing.T) {
	p := new(pace)
	for range 50 {
		p.took(p.most(64, 64, 0), time.Millisecond, p.stalls)
	}
	if n := p.most(64, 8, 0); n != 64 {
		t.Errorf("quick: %d", n)
	}
	for range 8 { // that ran at once
		p.late(0)
	}
	if n := p.most(64, 8, 0); n != 1 {
		t.Errorf("late: %d", n)
	}
	for range 30 { // one stall holds the next size back for 16
		p.took(p.most(64, 64, 0), time.Millisecond, p.stalls)
	}
	if n := p.most(64, 64, 0); n != 64 {
		t.Errorf("quick again: %d", n)
	}
}

// Equal look-ups that are not to be shared are asked for each by itself, also in one query.
func TestEqualLookupsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slow
		b := batches{ask: s.ask, take: upTo(64), max: 1, apart: true}
		var all sync.WaitGroup
		short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		for i := range 6 {
			ctx := t.Context()
			if i == 3 {
				ctx = short
			}
			all.Go(func() {
				if l, err := b.do(ctx, "x", askFor("x")); (err != nil) != (i == 3) || err == nil && string(l.result.json) != "x" {
					t.Error(i, err)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		if got, want := strings.Join(s.groups, ", "), "x, x x x x"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
