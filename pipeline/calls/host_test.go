package calls

import (
	"bytes"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/settings"
)

const asked = "api.example, which has asked to wait (http_429)"

// 5xx with Retry-After is both: the host is left alone, and it fails.
func TestARefusalIsNoFailureAndAFailureThatAsksToWaitIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for err, want := range map[error]int64{refusal{}: 0, pipeline.RetryAfter(time.Millisecond, errBroken): 1} {
			g := mustGates(t, Env{Settings: Defaults()})
			for range 30 {
				c := g.of("api.example")
				for wait, ok := c.enter(1, nil); !ok && g.openCircuits() == 0; wait, ok = c.enter(1, nil) {
					time.Sleep(wait)
				}
				c.leave(result(err))
			}
			if got := g.openCircuits(); got != want {
				t.Errorf("%v: %d circuits are open, want %d", err, got, want)
			}
		}
	})
}

// What has used up its budget while the host failed goes on soon when the host is well.
func TestRepeatedCallsThatAreAnsweredTakeNothingFromTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Defaults()
		s.Breaker.Off = true
		g := mustGates(t, Env{Settings: s, Workers: 64})
		var failing []*passage
		for {
			c := g.of("api.example")
			if _, ok := c.enter(2, func() {}); !ok {
				if c.waits() != "the retry budget of api.example" {
					t.Fatal(c.waits())
				}
				c.leave(pipeline.CallResult{})
				break
			}
			failing = append(failing, &c)
		}
		if n := len(failing); n < 12 || n > 15 { // a fifth of the places, and what these have paid
			t.Errorf("%d repeated calls at once", n)
		}
		for _, c := range failing {
			c.leave(result(errBroken))
		}
		began := time.Now()
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range 50 {
					c := &way{passage: g.of("api.example"), attempt: 2}
					if err := Enter(t.Context(), c); err != nil {
						t.Error(err)
					}
					time.Sleep(20 * time.Millisecond)
					c.Leave(result(nil))
				}
			})
		}
		wg.Wait()
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("3200 repeated calls in %v, want about 1s and a start", d)
		}
	})
}

// Repeated calls that fail again are a share of all, and beyond that take no more than the share of the places.
// Others go on as if there were none.
func TestRepeatedCallsThatFailAreNoMoreThanAShare(t *testing.T) {
	calls := int64(10000) // that one goroutine can make one after another
	if testing.Short() {
		calls = 1000
	}
	for _, share := range []settings.Share{0, 0.2, 0.5, 1} {
		t.Run(share.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const places, others = 20, 4
				s := Defaults()
				s.RetryBudget = share
				s.Breaker.Off = true
				s.MaxPerHost = places
				g := mustGates(t, Env{Settings: s})
				var first, again, running, most atomic.Int64
				var wg sync.WaitGroup
				until := time.Now().Add(time.Duration(calls) * 10 * time.Millisecond)
				call := func(attempt int, n *atomic.Int64, err error) {
					c := &way{passage: g.of("api.example"), attempt: attempt}
					if e := Enter(t.Context(), c); e != nil {
						t.Error(e)
					}
					n.Add(1)
					if err != nil {
						most.Store(max(most.Load(), running.Add(1)))
					}
					time.Sleep(10 * time.Millisecond)
					if err != nil {
						running.Add(-1)
					}
					c.Leave(result(err))
				}
				for range others {
					wg.Go(func() {
						for time.Now().Before(until) {
							call(1, &first, nil)
						}
					})
				}
				for range 40 {
					wg.Go(func() {
						for time.Now().Before(until) {
							call(2, &again, errBroken)
						}
					})
				}
				wg.Wait()
				t.Logf("%d repeated, %d others, %d repeated at once", again.Load(), first.Load(), most.Load())
				owed := max(1, int64(float64(share)*places)) // at once
				paid := int64(float64(share) * places)       // by all of 10 ms
				if share < 1 && most.Load() > owed+paid || most.Load() < owed && share < 1 {
					t.Errorf("%d repeated calls at once, %d of them without credit", most.Load(), owed)
				}
				if share <= 0.2 && first.Load() != others*calls {
					t.Errorf("%d first attempts, want %d: they do not wait for the budget", first.Load(), others*calls)
				}
			})
		})
	}
}

func TestARepeatedCallHasAnotherGateThanAFirstOne(t *testing.T) {
	g := mustGates(t, Env{Settings: Defaults()})
	a, b, other := g.of("a"), g.of("a"), g.of("b")
	if a.identity(1) != b.identity(1) || a.identity(2) != b.identity(5) || a.identity(1) == a.identity(2) || a.identity(1) == other.identity(1) {
		t.Error("calls do not wait where they should")
	}
	if a.identity(1) == nil || a.identity(2) == nil {
		t.Error("a gate is nil")
	}
}

// Many goroutines compete for few places, give up at random, and are cancelled. A lost wake-up would
// leave a bubble in which everybody waits: that fails the test.
func TestNoWakeUpIsLost(t *testing.T) {
	for seed := range int64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewSource(seed))
			s := Defaults()
			s.MaxPerHost = 1 + random.Intn(4)
			s.Adaptive = seed%2 == 0
			s.Breaker.Calls = 3
			g := mustGates(t, Env{Settings: s})
			var running, most, begun, left atomic.Int64
			var wg sync.WaitGroup
			for range 16 {
				r := rand.New(rand.NewSource(random.Int63()))
				wg.Go(func() {
					for range 60 {
						c := &way{passage: g.of("api.example"), attempt: 1 + r.Intn(2)}
						woken := make(chan struct{}, 1)
						wake := func() {
							select {
							case woken <- struct{}{}:
							default:
							}
						}
						for {
							wait, ok := c.Enter(wake)
							if ok {
								most.Store(max(most.Load(), running.Add(1)))
								begun.Add(1)
								time.Sleep(time.Duration(r.Intn(3)) * time.Millisecond)
								running.Add(-1)
								var err error
								if r.Intn(4) == 0 {
									err = errBroken
								}
								c.Leave(pipeline.CallResult{Begun: r.Intn(10) > 0, Err: err, Released: left.Add(1), Took: time.Millisecond})
								break
							}
							if r.Intn(6) == 0 { // given up, before or after it was woken
								time.Sleep(time.Duration(r.Intn(2)) * time.Millisecond)
								c.Leave(pipeline.CallResult{})
								break
							}
							if wait > 0 {
								select {
								case <-woken:
								case <-time.After(wait):
								}
							} else {
								<-woken
							}
						}
					}
				})
			}
			wg.Wait()
			if most.Load() > int64(s.MaxPerHost) || begun.Load() < 100 {
				t.Errorf("seed %d: %d at once of %d, %d begun", seed, most.Load(), s.MaxPerHost, begun.Load())
			}
			h := g.hosts.use("api.example", g.fill)
			if v := &h.value; v.running != 0 || len(v.waiting) != 0 || len(v.poor) != 0 || h.users.Load() != 1 {
				t.Errorf("seed %d: %d running, %d and %d waiting, %d users are left", seed, v.running, len(v.waiting), len(v.poor), h.users.Load())
			}
		})
	}
}

func TestPlacesGoToThoseWhoHaveWaitedLongest(t *testing.T) {
	for _, places := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			s := Defaults()
			s.MaxPerHost = places
			g := mustGates(t, Env{Settings: s})
			var mu sync.Mutex
			var order []int
			var wg sync.WaitGroup
			for i := range 60 {
				wg.Go(func() {
					c := newCall(g, "api.example")
					if err := Enter(t.Context(), c); err != nil {
						t.Error(err)
					}
					mu.Lock()
					order = append(order, i)
					mu.Unlock()
					time.Sleep(10 * time.Millisecond)
					c.Leave(result(nil))
				})
				time.Sleep(3*time.Millisecond + 7*time.Microsecond)
			}
			wg.Wait()
			for i, n := range order {
				if i != n {
					t.Fatalf("let in: %v", order)
				}
			}
		})
	}
}

func TestHostsAreForgottenWhenThereAreTooManyAndNothingIsLost(t *testing.T) {
	oneGoroutine(t)
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(map[string]RateSettings{"api": perSecond(1, 1, "host")})
		g := mustGates(t, Env{Shared: shared, Settings: limitedTo("api")})
		var log bytes.Buffer
		g.attach(event.New(&log, event.Options{}).Step("ask"))
		inUse := g.of("in use")
		inUse.enter(1, nil)
		for range 20 { // its circuit opens
			c := g.of("broken")
			for wait, ok := c.enter(1, nil); !ok && wait > 0 && g.openCircuits() == 0; wait, ok = c.enter(1, nil) {
				time.Sleep(wait)
			}
			c.leave(result(errBroken))
		}
		paused := g.of("paused")
		paused.enter(1, nil)
		paused.leave(result(pipeline.RetryAfter(time.Minute, errBroken)))
		touch := func(n int) {
			for i := range n {
				c := g.of(fmt.Sprint("host", i))
				c.leave(pipeline.CallResult{})
			}
		}
		touch(3 * mostHosts)
		if n := len(g.hosts.byHost); n > mostHosts {
			t.Errorf("%d hosts are kept", n)
		}
		if n := len(shared.peers.byHost); n > 2*mostHosts { // they go when hosts of a step have gone
			t.Errorf("%d hosts are kept for the process", n)
		}
		again := g.of("in use")
		if again.row != inUse.row {
			t.Error("a host in use was doubled")
		}
		if g.openCircuits() != 1 {
			t.Error("an open circuit was forgotten")
		}
		again.leave(pipeline.CallResult{})
		p := g.of("paused")
		if wait, ok := p.enter(1, nil); ok || wait > time.Minute || p.waits() != "paused, which has asked to wait" {
			t.Errorf("let in: %v, waits %v for %q", ok, wait, p.waits())
		}
		p.leave(pipeline.CallResult{})
		inUse.leave(result(nil))
		time.Sleep(time.Hour)
		touch(3 * mostHosts)
		if g.openCircuits() != 0 {
			t.Error("a circuit counts as open whose host nobody calls any more")
		}
		if !strings.Contains(log.String(), `"target":"broken","state":"closed"`) {
			t.Error("nobody is told that its circuit is closed")
		}
		if n := len(g.hosts.byHost); n > mostHosts {
			t.Errorf("%d hosts are kept", n)
		}
	})
}

// Hosts whose rate has no token yet are not forgotten: they would be called again too early.
func TestARateIsNotForgottenBeforeItIsFull(t *testing.T) {
	oneGoroutine(t)
	synctest.Test(t, func(t *testing.T) {
		slow := perSecond(1, 1, "host")
		slow.Rate.Per = time.Hour
		shared := NewShared(map[string]RateSettings{"api": slow})
		g := mustGates(t, Env{Shared: shared, Settings: limitedTo("api")})
		enter := func(i int) bool {
			c := g.of(fmt.Sprint("host", i))
			_, ok := c.enter(1, nil)
			c.leave(pipeline.CallResult{Begun: ok})
			return ok
		}
		const hosts = mostHosts + 1000
		for round := range 2 {
			for i := range hosts {
				if ok := enter(i); ok != (round == 0) {
					t.Fatalf("host %d, round %d: let in %v", i, round, ok)
				}
			}
		}
		time.Sleep(time.Hour)
		for i := range hosts {
			g.of(fmt.Sprint("x", i))
		}
		if n := len(shared.peers.byHost); n > mostHosts+hosts {
			t.Errorf("%d hosts are kept", n)
		}
	})
}
