package calls

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstockio/penstock/pipeline/settings"
)

// waiters begin one call each, a millisecond apart, and give when each has begun, in the order in which they came.
func waiters(n int, g *gates, host func(i int) string, during func()) []time.Duration {
	from, begun := time.Now(), make([]time.Duration, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			at, err := begin(context.Background(), g, host(i), new(atomic.Int64))
			if err != nil {
				panic(err)
			}
			begun[i] = at.Sub(from)
		})
		time.Sleep(time.Millisecond)
	}
	during()
	wg.Wait()
	return begun
}

// TestARateThatRisesIsOfThoseWhoWait: they do not sleep on until the moments of the old rate, and keep their order; of a rate per
// host that holds at each.
func TestARateThatRisesIsOfThoseWhoWait(t *testing.T) {
	for _, per := range []string{"process", perHost} {
		synctest.Test(t, func(t *testing.T) {
			shared := NewShared(map[string]RateSettings{"api": {Rate: settings.Rate{N: 1, Per: time.Minute}, Burst: 1, Per: per}})
			g := mustGates(t, Env{Shared: shared, Settings: limitedTo("api")})
			hosts := 1
			if per == perHost {
				hosts = 2
			}
			begun := waiters(20, g, func(i int) string { return fmt.Sprint("h", i%hosts) }, func() {
				time.Sleep(90*time.Second - 20*time.Millisecond) // two have begun at each host, and half a token is there
				was, is, err := shared.SetRate("api", settings.Rate{N: 10, Per: time.Second}, 0)
				if err != nil || was.Rate.Per != time.Minute || is.Rate.PerSecond() != 10 || is.Burst != 1 || is.Per != per {
					t.Errorf("%v, was %v, is %v", err, was, is)
				}
			})
			for h := range hosts {
				for k := 2; h+k*hosts < len(begun); k++ { // the third has half an interval to go, each further one a whole one
					want := 90*time.Second + time.Duration(2*k-3)*50*time.Millisecond
					if d := begun[h+k*hosts] - want; d.Abs() > 2*time.Millisecond {
						t.Errorf("%s: call %d of host %d has begun at %v, want %v", per, k, h, begun[h+k*hosts], want)
					}
				}
			}
		})
	}
}

// TestARateThatFallsIsOfThoseWhoWait: what the old rate had promised them is not kept.
func TestARateThatFallsIsOfThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(map[string]RateSettings{"api": perSecond(10, 5, "process")})
		g := mustGates(t, Env{Shared: shared, Settings: limitedTo("api")})
		begun := waiters(30, g, func(int) string { return "h" }, func() {
			time.Sleep(970 * time.Millisecond) // 5 at once and 10 since
			if _, _, err := shared.SetRate("api", settings.Rate{N: 1, Per: time.Second}, 2); err != nil {
				t.Error(err)
			}
		})
		if !slices.IsSorted(begun) {
			t.Errorf("out of order: %v", begun)
		}
		for k := 16; k < len(begun); k++ {
			if d := begun[k] - begun[k-1]; d < time.Second || d > time.Second+time.Millisecond {
				t.Errorf("call %d comes %v after the one before it", k, d)
			}
		}
	})
}

// TestABurstThatIsSet holds from now on, and the rate stays.
func TestABurstThatIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(map[string]RateSettings{"api": perSecond(1, 1, "process")})
		g := mustGates(t, Env{Shared: shared, Settings: limitedTo("api")})
		if _, is, err := shared.SetRate("api", settings.Rate{}, 3); err != nil || is != perSecond(1, 3, "process") {
			t.Error(is, err)
		}
		time.Sleep(time.Minute)
		begun := waiters(4, g, func(int) string { return "h" }, func() {})
		if begun[2] > 3*time.Millisecond || begun[3] < 900*time.Millisecond {
			t.Errorf("%v", begun)
		}
	})
}

// TestARateOfAnotherName is no rate, and neither is one of nothing; the file's own map stays as it is.
func TestARateOfAnotherName(t *testing.T) {
	file := map[string]RateSettings{"a": perSecond(1, 1, "process"), "b": perSecond(1, 1, perHost)}
	shared := NewShared(file)
	_, _, err := shared.SetRate("c", settings.Rate{N: 1, Per: time.Second}, 0)
	var none *NoRateError
	if !errors.As(err, &none) || err.Error() != `there is no rate "c": there is a, b` {
		t.Error(err)
	}
	if _, _, err := shared.SetRate("a", settings.Rate{N: -1, Per: time.Second}, 0); err == nil {
		t.Error("below 0")
	}
	if _, _, err := shared.SetRate("a", settings.Rate{N: 5, Per: time.Second}, 0); err != nil || file["a"].Rate.N != 1 {
		t.Error(err, file)
	}
	if _, _, err := new(Shared).SetRate("a", settings.Rate{N: 1, Per: time.Second}, 0); err == nil || err.Error() != `there is no rate "a": the process has none` {
		t.Error(err)
	}
}

// TestNoWindowHasMoreThanTheRatesOfItsTime: while a rate changes at random times under load, no window between two changes has more calls than
// it allows, and each call that is not given up begins.
func TestNoWindowHasMoreThanTheRatesOfItsTime(t *testing.T) {
	for seed := range int64(12) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewSource(seed))
			rates := map[string]RateSettings{"all": perSecond(20, 1+random.Intn(5), "process"), "each": perSecond(5, 1+random.Intn(3), perHost)}
			shared := NewShared(rates)
			var mu sync.Mutex
			begun := map[string][]time.Time{}
			var load, changes sync.WaitGroup
			for i := range 6 {
				g := mustGates(t, Env{Shared: shared, Settings: limitedTo([][]string{{"all"}, {"each"}, {"all", "each"}}[i%3]...)})
				r := rand.New(rand.NewSource(random.Int63()))
				load.Go(func() {
					for range 60 {
						host := fmt.Sprint("h", r.Intn(2))
						ctx, cancel := context.Background(), func() {}
						if r.Intn(4) == 0 {
							ctx, cancel = context.WithTimeout(ctx, time.Duration(r.Intn(1e9)))
						}
						at, err := begin(ctx, g, host, new(atomic.Int64))
						cancel()
						if err != nil {
							continue
						}
						mu.Lock()
						if i%3 != 1 {
							begun["all"] = append(begun["all"], at)
						}
						if i%3 != 0 {
							begun["each "+host] = append(begun["each "+host], at)
						}
						mu.Unlock()
					}
				})
			}
			type change struct {
				from time.Time
				RateSettings
			}
			history := map[string][]change{"all": {{time.Now(), rates["all"]}}, "each": {{time.Now(), rates["each"]}}}
			done := make(chan struct{})
			changes.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(time.Duration(random.ExpFloat64() * 2e9)):
					}
					name := []string{"all", "each"}[random.Intn(2)]
					_, is, err := shared.SetRate(name, settings.Rate{N: 0.5 + random.Float64()*50, Per: time.Second}, 1+random.Intn(5))
					if err != nil {
						t.Error(err)
					}
					history[name] = append(history[name], change{time.Now(), is})
				}
			})
			load.Wait()
			close(done)
			changes.Wait()
			for key, times := range begun {
				name, _, _ := cut(key)
				slices.SortFunc(times, time.Time.Compare)
				for i, c := range history[name] {
					var during []time.Time
					for _, at := range times {
						if at.After(c.from) && (i+1 == len(history[name]) || at.Before(history[name][i+1].from)) {
							during = append(during, at)
						}
					}
					within(t, fmt.Sprintf("seed %d, %s, change %d", seed, key, i), during, c.RateSettings)
				}
			}
		})
	}
}

// TestRatesSetAtOnce: when two set a rate at once, all hosts have that of the one who comes last.
func TestRatesSetAtOnce(t *testing.T) {
	shared := NewShared(map[string]RateSettings{"api": {Rate: settings.Rate{N: 1, Per: time.Second}, Burst: 1, Per: perHost}})
	g := mustGates(t, Env{Shared: shared, Settings: limitedTo("api")})
	for i := range 300 {
		if _, err := begin(context.Background(), g, fmt.Sprint("h", i), new(atomic.Int64)); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				if _, _, err := shared.SetRate("api", settings.Rate{N: float64(5 + n), Per: time.Second}, 0); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		want, hosts := rate.Limit(shared.rates["api"].Rate.PerSecond()), 0
		shared.peers.each(func(r *row[peer]) {
			for _, b := range r.value.rates {
				if hosts++; b.limiter.Limit() != want {
					t.Fatalf("%s has the rate %v, and the process %v", r.host, b.limiter.Limit(), want)
				}
			}
		})
		if hosts != 300 {
			t.Fatalf("%d hosts have the rate", hosts)
		}
	}
}

// TestARateThatIsAddedAgain: one that no file has had since, or that came with a file that was not applied, is per host or not as the file has it that
// is loaded now.
func TestARateThatIsAddedAgain(t *testing.T) {
	for _, per := range []string{"process", perHost} {
		shared, other := NewShared(nil), perHost
		if per == perHost {
			other = "process"
		}
		once := settings.Rate{N: 1, Per: time.Minute}
		for _, r := range []RateSettings{{Rate: once, Burst: 1, Per: other}, {Rate: once, Burst: 1, Per: per}} {
			if err := shared.AddRate("api", r); err != nil {
				t.Fatal(err)
			}
		}
		var p peer
		if a, b := shared.buckets(&p, []string{"api"}), shared.buckets(new(peer), []string{"api"}); (a[0] == b[0]) != (per == "process") {
			t.Errorf("per %s: two hosts have one bucket: %t", per, a[0] == b[0])
		}
	}
}
