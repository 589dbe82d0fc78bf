package calls

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// Records of a host that has given no answer for too long are rejected at once, while one call at a time
// tries it. An answer ends that.
func TestRecordsOfAHostThatIsDownForTooLongAreRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Defaults()
		s.Breaker.GiveUp = 10 * time.Minute
		g := mustGates(t, Env{Settings: s})
		began := time.Now()
		fail(t, g, 20)
		for time.Since(began) < 10*time.Minute { // it is tried
			c := g.of("api.example")
			wait, ok := c.enter(1, nil)
			if ok && c.refusal() != nil {
				t.Fatalf("rejected after %v: %v", time.Since(began), c.refusal())
			}
			c.leave(pipeline.CallResult{Begun: ok, Err: errBroken})
			if left := 10*time.Minute - time.Since(began); wait > left {
				t.Fatalf("waits %v with %v left", wait, left)
			}
			time.Sleep(wait)
		}
		ask := func() (c *passage, down bool) {
			p := g.of("api.example")
			if wait, ok := p.enter(1, nil); !ok {
				t.Fatalf("waits %v for %s", wait, p.waits())
			}
			err := p.refusal()
			if err == nil {
				return &p, false
			}
			reason, permanent := pipeline.IsPermanent(err)
			if !permanent || reason != pipeline.ReasonHostDown || err.Error() != "calling api.example: no answer from the host for 10m0s" {
				t.Errorf("%q: %v", reason, err)
			}
			if !p.leave(pipeline.CallResult{Begun: true, Err: err}) {
				t.Error("the attempt does not count")
			}
			return nil, true
		}
		tried, rejected := 0, 0
		for range 600 {
			for range 3 {
				switch c, down := ask(); {
				case down:
					rejected++
				default:
					tried++
					if _, down := ask(); !down {
						t.Error("two try it at once")
					}
					c.leave(result(errBroken))
				}
			}
			time.Sleep(time.Second)
		}
		if tried < 15 || tried > 30 {
			t.Errorf("tried %d times in 10 minutes, %d were rejected", tried, rejected)
		}
		time.Sleep(time.Minute)
		c, down := ask()
		if down {
			t.Fatal("nobody tries it")
		}
		c.leave(result(nil))
		for range 10 {
			if c, down = ask(); down {
				t.Fatal("rejected though the host is back")
			}
			c.leave(result(nil))
		}
		if g.openCircuits() != 0 {
			t.Error("the circuit is open")
		}
	})
}

// Without the setting they wait.
func TestRecordsOfAHostThatIsDownWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGates(t, Env{Settings: Defaults()})
		fail(t, g, 20)
		time.Sleep(1000 * time.Hour)
		tries := let(t, g)
		c, wait := held(t, g, circuit, nil)
		if wait != 0 || c.refusal() != nil || tries.refusal() != nil {
			t.Errorf("%v %v", wait, c.refusal())
		}
		c.leave(pipeline.CallResult{})
		tries.leave(result(nil))
	})
}

// Who waits for a call that tries the host, and for its turn, learns it in time.
func TestWhoWaitsIsToldThatTheHostIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Defaults()
		s.Breaker.GiveUp = time.Minute
		g := mustGates(t, Env{Settings: s})
		fail(t, g, 20)
		time.Sleep(50 * time.Second)
		tries := let(t, g)
		ask := func() error {
			w := &way{passage: g.of("api.example"), attempt: 2, f: func(context.Context, *pipeline.Record) error { return nil }}
			if err := Enter(t.Context(), w); err != nil {
				return err
			}
			return do(t.Context(), w, nil)
		}
		err := ask()
		if reason, _ := pipeline.IsPermanent(err); reason != pipeline.ReasonHostDown {
			t.Error(err)
		}
		tries.leave(result(errBroken))
		for range 3 {
			err = ask()
			if reason, _ := pipeline.IsPermanent(err); reason != pipeline.ReasonHostDown {
				t.Error(err)
			}
		}
		if h := g.hosts.use("api.example", g.fill); h.value.running != 0 || len(h.value.waiting) != 0 {
			t.Errorf("%d running, %d waiting", h.value.running, len(h.value.waiting))
		}
	})
}
