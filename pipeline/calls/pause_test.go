package calls

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

func TestAHostThatAsksToWaitIsLeftAloneByTheWholeProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(nil)
		one := mustGates(t, Env{Shared: shared, Settings: Defaults()})
		two := mustGates(t, Env{Shared: shared, Settings: Defaults()})
		for _, c := range []struct {
			err  error
			want time.Duration
		}{
			{pipeline.RetryAfter(7*time.Second, refusal{}), 7 * time.Second},
			{pipeline.RetryAfter(7*time.Second, errBroken), 7 * time.Second}, // 503 with Retry-After
			{pipeline.RetryAfter(time.Hour, refusal{}), maxPause},
			{refusal{}, time.Second},
		} {
			if pipeline.RetryHint(c.err) == 0 {
				for range fewRefusals - 1 {
					if !let(t, one).leave(result(c.err)) {
						t.Error("the attempt does not count, though the host is asked on")
					}
				}
			}
			if let(t, one).leave(result(c.err)) {
				t.Error("the attempt counts")
			}
			for _, g := range []*gates{one, two} {
				waits := asked
				if !errors.As(c.err, new(refusal)) { // an error without a type says no more
					waits = "api.example, which has asked to wait"
				}
				call, wait := held(t, g, waits, nil)
				if wait != c.want || !call.shut() {
					t.Errorf("left alone for %v, want %v", wait, c.want)
				}
				call.leave(pipeline.CallResult{})
				other := g.of("other.example")
				if _, ok := other.enter(1, nil); !ok {
					t.Error("another host is left alone too")
				}
				other.leave(result(nil))
			}
			time.Sleep(c.want)
			let(t, two).leave(result(nil))
		}
		if one.openCircuits() != 0 {
			t.Error("the circuit is open")
		}
	})
}

func TestAPauseWithoutATimeDoublesWhileThereIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGates(t, Env{Settings: Defaults()})
		for range 10 { // now and then
			let(t, g).leave(result(refusal{}))
			let(t, g).leave(result(refusal{}))
			let(t, g).leave(result(nil))
		}
		let(t, g).leave(result(refusal{}))
		let(t, g).leave(result(refusal{}))
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			var batch []*passage
			calls := 64
			if i > 0 {
				calls = 1 // as the host has asked to wait before
			}
			for range calls {
				batch = append(batch, let(t, g))
			}
			for _, c := range batch { // all of them had begun before the first refusal was known
				time.Sleep(time.Millisecond)
				r := result(refusal{})
				r.Took = 100 * time.Millisecond
				c.leave(r)
			}
			call, wait := held(t, g, asked, nil)
			call.leave(pipeline.CallResult{})
			if got := wait + time.Duration(calls-1)*time.Millisecond; got != want*time.Second {
				t.Fatalf("left alone for %v, want %v", got, want*time.Second)
			}
			time.Sleep(wait)
		}
		r := result(nil)
		r.Took = time.Hour
		let(t, g).leave(r) // it had begun before the last refusal, and says nothing
		let(t, g).leave(result(refusal{}))
		if _, wait := held(t, g, asked, nil); wait != time.Minute {
			t.Errorf("left alone for %v, want a minute", wait)
		}
		time.Sleep(time.Minute)
		let(t, g).leave(result(nil))
		for range fewRefusals {
			let(t, g).leave(result(refusal{}))
		}
		if _, wait := held(t, g, asked, nil); wait != time.Second {
			t.Errorf("left alone for %v after an answer, want 1s", wait)
		}
	})
}

// However short the time that a host says, it is not asked in a loop.
func TestAPauseIsNeverTiny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, says := range []time.Duration{1, time.Millisecond, 300 * time.Millisecond, 20 * time.Second} {
			g := mustGates(t, Env{Settings: Defaults()})
			least := 100 * time.Millisecond
			for range 12 {
				let(t, g).leave(result(pipeline.RetryAfter(says, refusal{})))
				call, wait := held(t, g, asked, nil)
				call.leave(pipeline.CallResult{})
				if want := max(says, least); wait != want {
					t.Fatalf("it says %v: left alone for %v, want %v", says, wait, want)
				}
				time.Sleep(wait)
				least = min(2*least, time.Minute)
			}
			let(t, g).leave(result(nil))
			let(t, g).leave(result(pipeline.RetryAfter(says, refusal{})))
			call, wait := held(t, g, asked, nil)
			if want := max(says, 100*time.Millisecond); wait != want {
				t.Errorf("it says %v after an answer: left alone for %v, want %v", says, wait, want)
			}
			call.leave(pipeline.CallResult{})
		}
	})
}

// Behind a pause one call goes first, and all others when the host has answered it.
func TestAfterAPauseOneCallGoesFirst(t *testing.T) {
	for name, c := range map[string]struct {
		result pipeline.CallResult
		all    bool // then; else one more
		pause  time.Duration
	}{
		"an answer":   {result(nil), true, 0},
		"a refusal":   {result(pipeline.Permanent(errBroken)), true, 0},
		"a failure":   {result(errBroken), true, 0},
		"given up":    {pipeline.CallResult{}, false, 0},
		"a panic":     {result(&pipeline.PanicError{}), false, 0},
		"asked again": {result(pipeline.RetryAfter(time.Second, refusal{})), false, time.Second},
		"429":         {result(refusal{}), false, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := mustGates(t, Env{Settings: Defaults(), Workers: 64})
				late := let(t, g)
				let(t, g).leave(result(pipeline.RetryAfter(time.Second, refusal{})))
				time.Sleep(time.Second)
				first := let(t, g)
				woken := 0
				other, wait := held(t, g, asked, func() { woken++ })
				if wait != 0 || !other.shut() {
					t.Errorf("the others wait for %v", wait)
				}
				late.leave(pipeline.CallResult{Begun: true, Took: 2 * time.Second}) // it says how the host was
				held(t, g, asked, nil)
				first.leave(c.result)
				if woken != 1 {
					t.Errorf("woken %d times", woken)
				}
				wait, ok := other.enter(1, nil)
				if ok != (c.pause == 0) || wait != c.pause {
					t.Fatalf("let in: %v, wait %v", ok, wait)
				}
				time.Sleep(wait)
				if !ok {
					if _, ok = other.enter(1, nil); !ok {
						t.Fatal("not let in when the pause is over")
					}
				}
				third := g.of("api.example")
				if _, ok := third.enter(1, nil); ok != c.all {
					t.Errorf("a third call is let in: %v", ok)
				}
			})
		})
	}
}
