package calls

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

func perSecond(n float64, burst int, per string) RateSettings {
	return RateSettings{Rate: settings.Rate{N: n, Per: time.Second}, Burst: burst, Per: per}
}

func limitedTo(rates ...string) Settings {
	s := Defaults()
	s.Limit = rates
	return s
}

func mustGates(t testing.TB, env Env) *gates {
	t.Helper()
	g, err := newGates(env)
	if err != nil {
		t.Fatal(err)
	}
	g.random = func() float64 { return 0.5 } // no jitter
	return g
}

// counted counts how often a call asks.
type counted struct {
	*way
	asks *atomic.Int64
}

func (c counted) Enter(wake func()) (time.Duration, bool) {
	c.asks.Add(1)
	return c.way.Enter(wake)
}

func newCall(g *gates, host string) *way {
	return &way{passage: g.of(host), attempt: 1}
}

// begin waits until a call may begin, and has it end at once.
func begin(ctx context.Context, g *gates, host string, asks *atomic.Int64) (at time.Time, err error) {
	call := newCall(g, host)
	err = Enter(ctx, counted{call, asks})
	at = time.Now()
	call.Leave(pipeline.CallResult{Begun: err == nil})
	return at, err
}

// within fails the test when there are more times in any window than rate*length + burst.
func within(t *testing.T, what string, times []time.Time, r RateSettings) {
	t.Helper()
	slices.SortFunc(times, time.Time.Compare)
	burst := float64(max(r.Burst, 1))
	for i := range times {
		for j := i + int(burst); j < len(times); j++ {
			d := times[j].Sub(times[i])
			if most := r.Rate.PerSecond()*(d+2*time.Nanosecond).Seconds() + burst; float64(j-i+1) > most {
				t.Fatalf("%s: %d calls within %v, at most %.3f are allowed", what, j-i+1, d, most)
			}
		}
	}
}

// Several steps with several hosts share rates, several of them at once, at random times and from
// several goroutines.
func TestNoWindowHasMoreCallsThanItsRatesAllow(t *testing.T) {
	for seed := range int64(12) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewSource(seed))
			rates := map[string]RateSettings{
				"all":  perSecond(1+random.Float64()*100, 1+random.Intn(20), "process"),
				"each": perSecond(1+random.Float64()*30, 1+random.Intn(5), "host"),
				"slow": {Rate: settings.Rate{N: 1 + random.Float64()*10, Per: time.Duration(1 + random.Intn(3e9))}},
			}
			shared := NewShared(rates)
			names := []string{"all", "each", "slow"}
			var mu sync.Mutex
			begun := map[string][]time.Time{}
			var wg sync.WaitGroup
			for range 4 {
				s := limitedTo(names[random.Intn(3)], names[random.Intn(3)])
				g := mustGates(t, Env{Shared: shared, Settings: s})
				for range 3 {
					r := rand.New(rand.NewSource(random.Int63()))
					wg.Go(func() {
						for range 40 {
							if r.Intn(3) == 0 {
								time.Sleep(time.Duration(r.ExpFloat64() * 3e8))
							}
							host := fmt.Sprint("h", r.Intn(2))
							ctx, cancel := context.Background(), func() {}
							if r.Intn(4) == 0 { // it is given up
								ctx, cancel = context.WithTimeout(ctx, time.Duration(r.Intn(1e9)))
							}
							at, err := begin(ctx, g, host, new(atomic.Int64))
							cancel()
							if err != nil {
								continue
							}
							mu.Lock()
							for i, name := range s.Limit {
								if rates[name].Per == perHost {
									name += " " + host
								}
								if i == 0 || s.Limit[1] != s.Limit[0] {
									begun[name] = append(begun[name], at)
								}
							}
							mu.Unlock()
						}
					})
				}
			}
			wg.Wait()
			for key, times := range begun {
				name, _, _ := cut(key)
				within(t, fmt.Sprintf("seed %d, rate %s (%v, burst %d)", seed, key, rates[name].Rate, rates[name].Burst), times, rates[name])
			}
		})
	}
}

func cut(key string) (name, host string, ok bool) {
	var i int
	for i = 0; i < len(key) && key[i] != ' '; i++ {
	}
	return key[:i], key[min(i+1, len(key)):], i < len(key)
}

// A step asks with one call at a time, as its gate has one head.
func keepAsking(ctx context.Context, g *gates, host string, asks *atomic.Int64) (begun int) {
	for {
		if _, err := begin(ctx, g, host, asks); err != nil {
			return begun
		}
		begun++
	}
}

func TestARateIsUsedUpAndSharedFairlyAndNobodyAsksInVain(t *testing.T) {
	for _, c := range []struct {
		steps int
		rate  RateSettings
	}{
		{1, perSecond(100, 1, "process")},
		{1, perSecond(100, 20, "process")},
		{2, perSecond(100, 1, "process")},
		{2, perSecond(100, 20, "process")},
		{2, perSecond(7, 3, "process")},
		{2, perSecond(100, 1, "host")},
		{5, perSecond(500, 1, "process")},
		{200, perSecond(100, 1, "process")}, // as many hosts of one step
		{2, RateSettings{Rate: settings.Rate{N: 1, Per: 10 * time.Second}}},
	} {
		t.Run(fmt.Sprintf("%d/%v/%d/%s", c.steps, c.rate.Rate, c.rate.Burst, c.rate.Per), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := NewShared(map[string]RateSettings{"api": c.rate})
				long := 100 * time.Second
				ctx, cancel := context.WithTimeout(t.Context(), long)
				defer cancel()
				var asks atomic.Int64
				begun := make([]int, c.steps)
				var wg sync.WaitGroup
				for i := range c.steps {
					g := mustGates(t, Env{Shared: shared, Settings: limitedTo("api")})
					wg.Go(func() { begun[i] = keepAsking(ctx, g, "api.example", &asks) })
				}
				wg.Wait()
				sum := 0
				for _, n := range begun {
					sum += n
				}
				most := c.rate.Rate.PerSecond()*long.Seconds() + float64(max(c.rate.Burst, 1))
				if float64(sum) > most || float64(sum) < 0.99*most-2 {
					t.Errorf("%d calls, want about %.0f", sum, most)
				}
				for i, n := range begun {
					if share := float64(n) / float64(sum) * float64(c.steps); share < 0.8 || share > 1.2 {
						t.Errorf("step %d has %.2f of its share", i, share)
					}
				}
				per := float64(asks.Load()-int64(c.steps)) / float64(sum)
				t.Logf("%d calls, %.3f asks each", sum, per)
				if per > 2.05 {
					t.Errorf("%.2f asks for each call, want at most two", per)
				}
			})
		})
	}
}

// Two rates at once are no reason to starve between those who need one of them.
func TestWhoNeedsSeveralRatesGetsItsPart(t *testing.T) {
	for name, rates := range map[string][2]RateSettings{
		"alike":   {perSecond(100, 1, "process"), perSecond(100, 1, "process")},
		"uneven":  {perSecond(100, 1, "process"), perSecond(10, 1, "process")},
		"a burst": {perSecond(100, 10, "process"), perSecond(90, 1, "process")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := NewShared(map[string]RateSettings{"a": rates[0], "b": rates[1]})
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
				defer cancel()
				limits := [][]string{{"a", "b"}, {"a"}, {"b"}}
				begun := make([]int, len(limits))
				var asks atomic.Int64
				var wg sync.WaitGroup
				for i, l := range limits {
					g := mustGates(t, Env{Shared: shared, Settings: limitedTo(l...)})
					wg.Go(func() { begun[i] = keepAsking(ctx, g, "api.example", &asks) })
				}
				wg.Wait()
				sum := begun[0] + begun[1] + begun[2]
				t.Logf("%v calls, %.3f asks each", begun, float64(asks.Load())/float64(sum))
				scarce := min(rates[0].Rate.PerSecond(), rates[1].Rate.PerSecond()) * 100
				if float64(begun[0]) < 0.2*scarce {
					t.Errorf("%d calls that need both, of %.0f", begun[0], scarce)
				}
				for i, n := range []int{begun[0] + begun[1], begun[0] + begun[2]} {
					if all := rates[i].Rate.PerSecond() * 100; float64(n) < 0.9*all {
						t.Errorf("%d calls of a rate that allows %.0f", n, all)
					}
				}
			})
		})
	}
}

// What is given up early goes to another one, and does not go to waste.
func TestAMomentThatIsGivenUpIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(map[string]RateSettings{"api": perSecond(10, 1, "process")})
		g := mustGates(t, Env{Shared: shared, Settings: limitedTo("api")})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		var asks atomic.Int64
		var wg sync.WaitGroup
		var begun atomic.Int64
		for i := range 30 {
			r := rand.New(rand.NewSource(int64(i)))
			wg.Go(func() {
				for ctx.Err() == nil {
					short, done := context.WithTimeout(ctx, time.Duration(r.Intn(6e9)))
					if _, err := begin(short, g, fmt.Sprint("h", i), &asks); err == nil {
						begun.Add(1)
					}
					done()
				}
			})
		}
		wg.Wait()
		t.Logf("%d calls", begun.Load())
		if n := begun.Load(); n > 1001 || n < 950 {
			t.Errorf("%d calls, want about 1000", n)
		}
	})
}

func TestACrawlDelayIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mustGates(t, Env{Settings: Defaults(), Workers: 10})
		var mu sync.Mutex
		times := map[string][]time.Time{}
		var wg sync.WaitGroup
		ask := func(n int) {
			for range 5 {
				wg.Go(func() {
					for range n {
						at, err := begin(t.Context(), g, "a", new(atomic.Int64))
						if err != nil {
							t.Error(err)
						}
						mu.Lock()
						times["a"] = append(times["a"], at)
						mu.Unlock()
					}
				})
			}
			wg.Wait()
		}
		began := time.Now()
		ask(1) // without a delay all begin at once
		if time.Since(began) != 0 {
			t.Error("calls waited before there was a delay")
		}
		g.delay("a", "", 2*time.Second)
		if other := newCall(g, "b"); Enter(t.Context(), other) != nil || time.Since(began) != 0 {
			t.Error("the delay of one host holds up another")
		}
		ask(4)
		all := times["a"][4:] // the last without, and those with it
		for i := range all[1:] {
			if d := all[i+1].Sub(all[i]); d < 2*time.Second || d > 2*time.Second+time.Millisecond {
				t.Fatalf("two calls begin %v apart, want 2s", d)
			}
		}
		call := newCall(g, "a")
		if wait, ok := call.Enter(func() {}); ok || wait <= 0 || call.Waits() != "the crawl delay of a" {
			t.Errorf("%v, %v, waits for %q", wait, ok, call.Waits())
		}
		call.Leave(pipeline.CallResult{})
		g.delay("a", "", 0)
		began = time.Now()
		ask(1)
		if time.Since(began) != 0 {
			t.Error("calls wait for a delay that was taken back")
		}
	})
}

func TestTheSlowestAndTheFastestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := RateSettings{Rate: settings.Rate{N: 1e-9, Per: 24 * time.Hour}}
		g := mustGates(t, Env{Shared: NewShared(map[string]RateSettings{"api": slow}), Settings: limitedTo("api")})
		let(t, g).leave(result(nil))
		one, wait := held(t, g, "rate api", nil)
		two, later := held(t, g, "rate api", nil)
		if wait < 100*365*24*time.Hour/2 || later < wait {
			t.Errorf("waits %v and %v", wait, later)
		}
		one.leave(pipeline.CallResult{})
		two.leave(pipeline.CallResult{})
		fast := RateSettings{Rate: settings.Rate{N: 1e9, Per: time.Nanosecond}, Burst: 1}
		g = mustGates(t, Env{Shared: NewShared(map[string]RateSettings{"api": fast}), Settings: limitedTo("api")})
		for range 100 {
			c := newCall(g, "api.example")
			if err := Enter(t.Context(), c); err != nil {
				t.Error(err)
			}
			c.Leave(result(nil))
		}
	})
}

func TestARateThatIsNotThereIsAnError(t *testing.T) {
	for _, shared := range []*Shared{nil, {}, NewShared(map[string]RateSettings{"apis": perSecond(1, 1, "host"), "api": {}})} {
		if _, err := newGates(Env{Shared: shared, Settings: limitedTo("api")}); err == nil {
			t.Error("a rate that cannot be kept was taken")
		}
	}
}

func TestWhatACallWaitsForIsSaid(t *testing.T) {
	rates := map[string]RateSettings{"api": perSecond(1, 1, "host"), "all": perSecond(0.5, 1, "process")}
	for want, names := range map[string][]string{
		"rate api of api.example": {"api"},
		"rate all":                {"api", "all"},
	} {
		g := mustGates(t, Env{Shared: NewShared(rates), Settings: limitedTo(names...)})
		for {
			call := newCall(g, "api.example")
			_, ok := call.Enter(func() {})
			got := call.Waits()
			call.Leave(pipeline.CallResult{Begun: ok})
			if ok {
				continue
			}
			if got != want {
				t.Errorf("waits for %q, want %q", got, want)
			}
			break
		}
	}
}
