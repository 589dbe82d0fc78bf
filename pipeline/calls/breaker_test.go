package calls

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

var errBroken = errors.New("calling api.example: broken")

// let lets a call in, or fails the test.
func let(t *testing.T, g *gates) *passage {
	t.Helper()
	c := g.of("api.example")
	if wait, ok := c.enter(1, func() {}); !ok {
		t.Fatalf("not let in: waits %v for %s", wait, c.waits())
	}
	return &c
}

// held makes a call that is not let in, or fails the test.
func held(t *testing.T, g *gates, want string, wake func()) (*passage, time.Duration) {
	t.Helper()
	c := g.of("api.example")
	wait, ok := c.enter(1, wake)
	if ok {
		t.Fatalf("let in, want it to wait for %q", want)
	}
	if c.waits() != want {
		t.Fatalf("waits for %q, want %q", c.waits(), want)
	}
	return &c, wait
}

func result(err error) pipeline.CallResult { return pipeline.CallResult{Begun: true, Err: err} }

func fail(t *testing.T, g *gates, n int) (counted int) {
	t.Helper()
	for range n {
		if let(t, g).leave(result(errBroken)) {
			counted++
		}
	}
	return counted
}

const circuit = "circuit of api.example"

func TestABreakerOpensForTwiceAsLongEachTimeAndClosesWithAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGates(t, Env{Settings: Defaults()})
		var log bytes.Buffer
		g.attach(event.New(&log, event.Options{}).Step("ask"))
		if counted := fail(t, g, 20); counted != 19 {
			t.Errorf("%d of 20 failures count, want all but the one that opens the circuit", counted)
		}
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 25, 25} {
			if g.openCircuits() != 1 {
				t.Fatal("the circuit is not open")
			}
			c, wait := held(t, g, circuit, nil)
			if wait != want*time.Second || !c.shut() {
				t.Fatalf("open for %v, want %v", wait, want*time.Second)
			}
			c.leave(pipeline.CallResult{})
			time.Sleep(wait)
			if c := g.of("api.example"); c.shut() {
				t.Error("shut, though a call may try the host")
			} else {
				c.leave(pipeline.CallResult{})
			}
			if let(t, g).leave(result(errBroken)) {
				t.Error("a failed call that tries the host counts")
			}
		}
		time.Sleep(30 * time.Second)
		let(t, g).leave(result(pipeline.Permanent(errBroken))) // a refusal is an answer
		if g.openCircuits() != 0 {
			t.Error("the circuit is still open")
		}
		if counted := fail(t, g, 19); counted != 19 {
			t.Error("what failed before is not forgotten")
		}
		var states []string
		for line := range strings.Lines(log.String()) {
			if problems := event.Validate([]byte(line)); problems != nil {
				t.Error(problems)
			}
			var e struct {
				Step, Target, State, ErrorType string
				ErrorCount                     int `json:"error_count"`
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Step != "ask" || e.Target != "api.example" {
				t.Fatal(line, err)
			}
			states = append(states, fmt.Sprint(e.State, " ", e.ErrorCount))
		}
		want := "open 20, half_open 20, open 21, half_open 21, open 22, half_open 22, open 23, half_open 23, open 24, half_open 24, " +
			"open 25, half_open 25, open 26, half_open 26, open 27, half_open 27, closed 0"
		if got := strings.Join(states, ", "); got != want {
			t.Errorf("events: %s\nwant: %s", got, want)
		}
	})
}

func TestABreakerCountsWhatIsWithinItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Defaults()
		s.Breaker.Calls = 10
		g := mustGates(t, Env{Settings: s})
		mixed := func(n int) {
			for i := range n {
				err := errBroken
				if i%3 == 0 {
					err = nil
				}
				let(t, g).leave(result(err))
			}
		}
		mixed(9) // two of three fail, but they are too few
		time.Sleep(11 * time.Second)
		mixed(9)
		if g.openCircuits() != 0 {
			t.Error("opened for calls that are older than the window")
		}
		mixed(2)
		if g.openCircuits() != 1 {
			t.Error("not opened at seven of 11")
		}
		time.Sleep(time.Second)
		let(t, g).leave(result(nil))
		for i := range 1000 { // a third fails
			err := errBroken
			if i%3 < 2 {
				err = nil
			}
			let(t, g).leave(result(err))
			time.Sleep(3 * time.Millisecond)
		}
		if g.openCircuits() != 0 {
			t.Error("opened at one of three")
		}
		if n := failUntilOpen(t, g); n != 10 {
			t.Errorf("after a good time %d failures in a row opened it, want 10", n)
		}
	})
}

func failUntilOpen(t *testing.T, g *gates) (n int) {
	for ; g.openCircuits() == 0 && n < 10000; n++ {
		let(t, g).leave(result(errBroken))
	}
	return n
}

func TestOneCallTriesAHostAndTheOthersWaitForIt(t *testing.T) {
	for name, c := range map[string]struct {
		result pipeline.CallResult
		wake   string // what the waiting one waits for then; "": it is let in
	}{
		"an answer":           {result(nil), ""},
		"filtered":            {result(pipeline.Filtered), ""},
		"a further call":      {result(pipeline.Next(&way{})), ""},
		"a failure":           {result(errBroken), circuit},
		"too late":            {result(context.DeadlineExceeded), circuit},
		"cancelled":           {result(fmt.Errorf("calling api.example: %w", context.Canceled)), ""},
		"a panic":             {result(&pipeline.PanicError{}), ""},
		"given up":            {pipeline.CallResult{}, ""},
		"it asks to wait":     {result(refusal{}), asked},
		"503 and Retry-After": {result(pipeline.RetryAfter(2*time.Second, errBroken)), "api.example, which has asked to wait"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := mustGates(t, Env{Settings: Defaults()})
				fail(t, g, 20)
				time.Sleep(time.Second)
				tries := let(t, g)
				woken := 0
				other, wait := held(t, g, circuit, func() { woken++ })
				if wait != 0 || !other.shut() {
					t.Errorf("waits %v, want to be woken", wait)
				}
				tries.leave(c.result)
				if woken != 1 {
					t.Fatalf("woken %d times", woken)
				}
				_, ok := other.enter(1, func() {})
				if got := other.waits(); ok != (c.wake == "") || got != c.wake {
					t.Errorf("let in: %v, waits for %q; want %q", ok, got, c.wake)
				}
				other.leave(pipeline.CallResult{})
			})
		})
	}
}

// What began before the circuit opened says how the host was.
func TestWhatComesLateChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGates(t, Env{Settings: Defaults()})
		late := []*passage{let(t, g), let(t, g), let(t, g), let(t, g)}
		fail(t, g, 20)
		late[0].leave(result(nil))
		if g.openCircuits() != 1 {
			t.Error("a late answer has closed the circuit")
		}
		if late[1].leave(result(errBroken)) {
			t.Error("a failure counts while the circuit is open")
		}
		time.Sleep(time.Second)
		tries := let(t, g)
		if late[2].leave(result(errBroken)) {
			t.Error("a failure counts while the circuit is half open")
		}
		held(t, g, circuit, nil)
		tries.leave(result(nil))
		for range 18 {
			let(t, g).leave(result(errBroken))
		}
		late[3].leave(result(errBroken))
		let(t, g).leave(result(errBroken))
		if g.openCircuits() != 0 {
			t.Error("a failure from before the outage was counted after it")
		}
	})
}

func TestWithoutABreakerAHostIsCalledOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Defaults()
		s.Breaker.Off = true
		g := mustGates(t, Env{Settings: s})
		if counted := fail(t, g, 1000); counted != 1000 {
			t.Errorf("%d of 1000 failures count", counted)
		}
	})
}

func TestSettingsOfABreakerThatAreNotGivenHaveDefaults(t *testing.T) {
	if got, want := (BreakerSettings{}).complete(), DefaultBreaker(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Circuits that open together do not try their host at the same time, and none waits longer than it may.
func TestBreakersDoNotKeepStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewSource(1))
		for times, want := range []time.Duration{1, 2, 4, 8, 16, 25, 25} {
			want *= time.Second
			var least, most, sum time.Duration
			const steps = 1000
			for range steps {
				b := breaker{set: DefaultBreaker(), state: closed, random: random.Float64, times: times}
				b.open(0)
				if least == 0 || b.until < least {
					least = b.until
				}
				most = max(most, b.until)
				sum += b.until
			}
			mean := float64(sum/steps) / float64(want)
			if least < want*8/10 || least > want*82/100 || most > want*12/10 || most < want*118/100 || mean < 0.98 || mean > 1.02 {
				t.Errorf("open for %v to %v, %.2f of %v in the mean", least, most, mean, want)
			}
		}
	})
}
