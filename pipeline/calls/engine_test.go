package calls_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// asked is what a host was asked.
type asked struct {
	mu    sync.Mutex
	times []time.Time
}

func (a *asked) now() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times = append(a.times, time.Now())
}

// run has a pipeline of one limited step work on so many records, and checks that all come out in
// order. Any that is rejected stops it.
func run(t *testing.T, env calls.Env, records int, events *event.Emitter, call func(context.Context, *pipeline.Record) error) {
	t.Helper()
	stage, err := calls.Limited(pipeline.StageFunc(call), "api.example", env)
	if err != nil {
		t.Error(err)
		return
	}
	var values []string
	for i := range records {
		values = append(values, fmt.Sprintf(`{"id":%d}`, i))
	}
	out := &pipelinetest.Memory{}
	p, err := engine.New(engine.Options{
		Name: "asking", Source: pipelinetest.NewValues(values...), Events: events,
		Steps: []engine.Step{{Name: "ask", Stage: stage, Workers: env.Workers, Wait: &engine.Wait{}}},
		Sinks: []engine.Output{{Name: "out", Sink: out}},
	})
	if err == nil {
		err = p.Run(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
	if len(out.Values()) != records {
		t.Errorf("%d of %d records came out", len(out.Values()), records)
		return
	}
	for i, v := range out.Values() {
		if string(v) != values[i] {
			t.Fatalf("at place %d stands %s", i, v)
		}
	}
}

func TestTwoPipelinesKeepOneRateAndNothingIsRejectedForWaiting(t *testing.T) {
	for _, burst := range []int{1, 20} {
		synctest.Test(t, func(t *testing.T) {
			shared := calls.NewShared(map[string]calls.RateSettings{"api": {Rate: settings.Rate{N: 100, Per: time.Second}, Burst: burst, Per: "host"}})
			var all asked
			var each [2]asked
			var wg sync.WaitGroup
			for i := range each {
				wg.Go(func() {
					s := calls.Defaults()
					s.Limit = []string{"api"}
					run(t, calls.Env{Shared: shared, Settings: s, Workers: 64}, 5000, nil, func(context.Context, *pipeline.Record) error {
						all.now()
						each[i].now()
						time.Sleep(300 * time.Millisecond)
						return nil
					})
				})
			}
			wg.Wait()
			slices.SortFunc(all.times, time.Time.Compare)
			worst := 0
			for i, j := 0, 0; j < len(all.times); j++ {
				for all.times[j].Sub(all.times[i]) >= time.Second {
					i++
				}
				worst = max(worst, j-i+1)
			}
			took := all.times[len(all.times)-1].Sub(all.times[0])
			half, _ := slices.BinarySearchFunc(each[0].times, all.times[0].Add(took/2), time.Time.Compare)
			t.Logf("burst %d: %d calls in %v, worst second %d, %d of the first half by one of two", burst, len(all.times), took, worst, half)
			if len(all.times) != 10000 || worst > 100+burst || took > 101*time.Second {
				t.Errorf("%d calls in %v, worst second %d", len(all.times), took, worst)
			}
			if share := float64(half) / 5000; share < 0.4 || share > 0.6 {
				t.Errorf("%.2f of the rate went to one of two", share)
			}
		})
	}
}

func TestAnOutageIsWaitedOutInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		outage time.Duration
		silent bool
	}{
		"refuses for 60 s":  {time.Minute, false},
		"silent for 60 s":   {time.Minute, true},
		"refuses for 5 min": {5 * time.Minute, false},
		"silent for 5 min":  {5 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				down := time.Now().Add(700 * time.Millisecond)
				up := down.Add(c.outage)
				var meanwhile asked
				var log lines
				run(t, calls.Env{Settings: calls.Defaults(), Workers: 64}, 4096, event.New(&log, event.Options{}), func(ctx context.Context, _ *pipeline.Record) error {
					if now := time.Now(); now.Before(down) || !now.Before(up) {
						time.Sleep(20 * time.Millisecond)
						return nil
					}
					meanwhile.now()
					if c.silent {
						<-ctx.Done()
						return ctx.Err()
					}
					time.Sleep(time.Millisecond)
					return errors.New("calling api.example: refused")
				})
				late := time.Since(up)
				t.Logf("%d requests while it is away, done %v after it is back; %d times open, %d closed",
					len(meanwhile.times), late, log.count(`"state":"open"`), log.count(`"state":"closed"`))
				if len(meanwhile.times) > 256 || late > 45*time.Second {
					t.Errorf("%d requests while it is away, done %v after it is back", len(meanwhile.times), late)
				}
				if log.count(`"state":"open"`) < 5 || log.count(`"state":"closed"`) != 1 {
					t.Error("the circuit was not opened and closed")
				}
			})
		})
	}
}

// Where a record comes now and then, a host without a connection is left alone before one record has
// used up its attempts, however the waits between them are drawn.
func TestAFewRecordsWaitOutAnOutage(t *testing.T) {
	for records := 1; records <= 4; records++ {
		for range 20 {
			synctest.Test(t, func(t *testing.T) {
				up := time.Now().Add(time.Minute)
				var meanwhile asked
				run(t, calls.Env{Settings: calls.Defaults(), Workers: 64}, records, nil, func(context.Context, *pipeline.Record) error {
					if time.Now().Before(up) {
						meanwhile.now()
						return noConnection{}
					}
					return nil
				})
				if n := len(meanwhile.times); n > 24 {
					t.Errorf("%d requests while the host was out", n)
				}
			})
		}
	}
}

type noConnection struct{}

func (noConnection) Error() string      { return "calling api.example: no connection" }
func (noConnection) OutOfService() bool { return true }

// Many records need a second call, or a third. Their window fills with them, and goes on.
func TestTheRetryBudgetDoesNotStopAStepThatGetsItsAnswers(t *testing.T) {
	records := 20000
	if testing.Short() {
		records = 2000
	}
	for _, c := range []struct {
		share, times int // of ten records; how often their call fails
	}{{1, 1}, {3, 1}, {2, 2}, {10, 1}} {
		synctest.Test(t, func(t *testing.T) {
			s := calls.Defaults()
			s.Breaker.Off = true
			var mu sync.Mutex
			failed := map[string]int{}
			requests := 0
			began := time.Now()
			run(t, calls.Env{Settings: s, Workers: 64}, records, nil, func(_ context.Context, rec *pipeline.Record) error {
				time.Sleep(20 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				requests++
				key := string(rec.Value())
				if n := len(key); int(key[n-2]-'0') < c.share && failed[key] < c.times {
					failed[key]++
					return errors.New("calling api.example: broken")
				}
				return nil
			})
			ideal := time.Duration(requests) * 20 * time.Millisecond / 64
			t.Logf("%d of ten records fail %d times: %d requests, done after %v, ideal %v", c.share, c.times, requests, time.Since(began), ideal)
			if d := time.Since(began); d > 2*ideal {
				t.Errorf("done after %v, ideal %v", d, ideal)
			}
		})
	}
}

// lines is a log.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	return len(b), nil
}

func (l *lines) count(part string) (n int) {
	for _, line := range l.all {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}
