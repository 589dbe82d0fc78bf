package calls

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"testing"
	"testing/synctest"
	"time"
)

// services are distributions of the time that a call takes at an idle host, mean 20 ms.
var services = map[string]func(*rand.Rand) time.Duration{
	"even":   func(*rand.Rand) time.Duration { return 20 * time.Millisecond },
	"spread": func(r *rand.Rand) time.Duration { return time.Duration((0.5 + r.Float64()) * 20e6) },
	"exp":    func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * 20e6) },
	"tail": func(r *rand.Rand) time.Duration {
		if r.Intn(100) == 0 {
			return 400 * time.Millisecond
		}
		return 16 * time.Millisecond
	},
}

func adaptiveSettings() Settings {
	s := Defaults()
	s.Adaptive = true
	return s
}

func (l *load) limit() int {
	r := l.gates.hosts.use("api.example", l.gates.fill)
	defer r.done()
	return r.value.places()
}

func TestAnAdaptiveLimitSettlesAtWhatTheHostCanDo(t *testing.T) {
	oneGoroutine(t)
	const base = 20 * time.Millisecond
	for name, service := range services {
		uneven := name == "exp" || name == "tail" // few calls at once say little then
		for _, capacity := range []int{1, 4, 16, 64, 200} {
			t.Run(fmt.Sprintf("%s/%d", name, capacity), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := rand.New(rand.NewSource(1))
					var served time.Duration
					n := 0
					l := newLoad(t, capacity, 64, adaptiveSettings(), func() time.Duration {
						d := service(r)
						served += d
						n++
						return d
					})
					l.pump()
					l.measure(t, 10*time.Second)
					served, n = 0, 0
					rate, mean := l.measure(t, 20*time.Second)
					best := float64(min(capacity, 64)) / (served / time.Duration(n)).Seconds() // of a fixed limit
					t.Logf("%.3f of the best rate, latency %.2f of the base, limit %d", rate/best, mean.Seconds()/base.Seconds(), l.limit())
					least := 0.95
					if uneven && capacity < 16 {
						least = 0.8
					}
					if rate < least*best {
						t.Errorf("%.0f answers a second, want %.2f of %.0f", rate, least, best)
					}
					if !(uneven && capacity == 1) && mean > 2*base {
						t.Errorf("latency %v, want at most twice %v", mean, base)
					}
				})
			})
		}
	}
}

// Without the adaptive limit the same load waits at the host: this is what the limit is for.
func TestTheFixedLimitOfTheSameLoadWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoad(t, 16, 64, Defaults(), func() time.Duration { return 20 * time.Millisecond })
		l.pump()
		if _, mean := l.measure(t, 10*time.Second); mean < 70*time.Millisecond {
			t.Errorf("latency %v, want about four times 20ms", mean)
		}
	})
}

func TestAnAdaptiveLimitFollowsTheHost(t *testing.T) {
	oneGoroutine(t)
	for name, change := range map[string]func(*load, *time.Duration){
		"slower":         func(_ *load, d *time.Duration) { *d = 80 * time.Millisecond },
		"fewer at once":  func(l *load, _ *time.Duration) { l.server.capacity = 4 },
		"slow and fewer": func(l *load, d *time.Duration) { l.server.capacity, *d = 4, 80*time.Millisecond },
		"faster":         func(_ *load, d *time.Duration) { *d = 5 * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service := 20 * time.Millisecond
				r := rand.New(rand.NewSource(1))
				l := newLoad(t, 16, 64, adaptiveSettings(), func() time.Duration { return time.Duration((0.8 + 0.4*r.Float64()) * float64(service)) })
				l.pump()
				check := func(when string) {
					t.Helper()
					l.measure(t, 20*time.Second) // to find out
					rate, mean := l.measure(t, 20*time.Second)
					best := float64(min(l.server.capacity, 64)) / service.Seconds()
					t.Logf("%s: %.3f of the best rate, latency %.2f of the base, limit %d", when, rate/best, mean.Seconds()/service.Seconds(), l.limit())
					if rate < 0.93*best || mean > 2*service {
						t.Errorf("%s: %.3f of the best rate at a latency of %v", when, rate/best, mean)
					}
				}
				check("before")
				capacity := l.server.capacity
				change(l, &service)
				check("meanwhile")
				l.server.capacity, service = capacity, 20*time.Millisecond
				check("after")
			})
		})
	}
}

// One slow answer at the head of the step holds back all others: more calls at once gain nothing.
func TestAnAdaptiveLimitGrowsOnlyWhileRecordsAreReleased(t *testing.T) {
	oneGoroutine(t)
	synctest.Test(t, func(t *testing.T) {
		frozen := true
		l := newLoad(t, 200, 64, adaptiveSettings(), func() time.Duration { return 20 * time.Millisecond })
		l.frozen = func() bool { return frozen }
		l.pump()
		l.measure(t, 10*time.Second)
		if got := l.limit(); got > firstLimit {
			t.Errorf("the limit is %d while nothing is released, want at most %d", got, firstLimit)
		}
		frozen = false
		l.measure(t, 10*time.Second)
		if got := l.limit(); got != 64 {
			t.Errorf("the limit is %d, want 64", got)
		}
	})
}

type refusal struct{}

func (refusal) Error() string     { return "calling api.example: answered status 429" }
func (refusal) AsksToWait() bool  { return true }
func (refusal) ErrorType() string { return "http_429" }

func TestAnAdaptiveLimitShrinksWhenTheHostSaysThatItIsTooMuch(t *testing.T) {
	oneGoroutine(t)
	synctest.Test(t, func(t *testing.T) {
		l := newLoad(t, 200, 64, adaptiveSettings(), func() time.Duration { return 20 * time.Millisecond })
		refused := 0
		l.judge = func() error {
			if l.running >= 16 {
				refused++
				return refusal{}
			}
			return nil
		}
		l.pump()
		l.measure(t, 60*time.Second)
		if l.limit() > 20 {
			t.Errorf("the limit is %d at a host that refuses from 16", l.limit())
		}
		if share := float64(refused) / float64(l.done); share > 0.05 {
			t.Errorf("%.3f of the calls were refused", share)
		}
	})
}

// While a host does not answer the limit is 1 in the end. It is back soon, for slow hosts too.
func TestAnAdaptiveLimitIsBackSoonAfterAnOutage(t *testing.T) {
	oneGoroutine(t)
	for _, service := range []time.Duration{20 * time.Millisecond, time.Second} {
		for seed := range int64(3) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewSource(seed))
				down := false
				l := newLoad(t, 16, 64, adaptiveSettings(), func() time.Duration {
					if down {
						return 10 * time.Second
					}
					return time.Duration((0.7 + 0.6*random.Float64()) * float64(service))
				})
				l.judge = func() error {
					if down {
						return context.DeadlineExceeded
					}
					return nil
				}
				l.pump()
				l.measure(t, 1000*service)
				known := l.limit()
				down = true
				l.measure(t, 3*time.Minute)
				least := l.limit()
				down = false
				l.measure(t, 30*time.Second+60*service) // the circuit is closed, and then so many rounds
				rate, _ := l.measure(t, 200*service)
				best := 16 / service.Seconds()
				t.Logf("%v: the limit was %d, then %d; %.2f of the best rate after it, limit %d", service, known, least, rate/best, l.limit())
				if least > 4 || rate < 0.9*best {
					t.Errorf("%v: the limit was %d, then %d; %.2f of the best rate after it", service, known, least, rate/best)
				}
			})
		}
	}
}

func TestAnAdaptiveLimitStaysWithinItsBounds(t *testing.T) {
	oneGoroutine(t)
	for _, most := range []int{1, 2, 10} {
		synctest.Test(t, func(t *testing.T) {
			s := adaptiveSettings()
			s.MaxPerHost = most
			l := newLoad(t, 200, 64, s, func() time.Duration { return 20 * time.Millisecond })
			l.judge = func() error {
				if l.done%7 == 0 {
					return errors.New("calling api.example: broken")
				}
				return nil
			}
			l.pump()
			l.measure(t, 30*time.Second)
			if l.most != most {
				t.Errorf("up to %d calls at once, want %d", l.most, most)
			}
		})
	}
}
