package calls_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// asking is a stage that asks a host about the key of a record.
type asking struct {
	*calls.Calls[string]
	ask  func(ctx context.Context, key string) (string, error)
	busy sync.Map // keys that are being asked for
	t    *testing.T
	all  atomic.Int64
}

func (a *asking) Process(ctx context.Context, rec *pipeline.Record) error {
	return calls.Process(ctx, a, rec)
}

func (a *asking) Admit(rec *pipeline.Record, attempt int) (pipeline.Call, error) {
	key, err := rec.Text("key")
	if err != nil {
		return nil, err
	}
	return a.Calls.Admit(calls.Question[string]{
		Host: "api.example", Key: calls.Key(key),
		Ask: func(ctx context.Context, _ *pipeline.Record, _ *string) (r calls.Reply[string], err error) {
			if _, twice := a.busy.LoadOrStore(key, true); twice {
				a.t.Errorf("%q is asked twice at once", key)
			}
			defer a.busy.Delete(key)
			a.all.Add(1)
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return r, ctx.Err()
			}
			r.Answer, err = a.ask(ctx, key)
			r.Bytes = len(r.Answer)
			return r, err
		},
		Use: func(rec *pipeline.Record, answer string) error { return rec.SetString("answer", answer) },
	}, attempt), nil
}

func (a *asking) Close() error {
	a.Calls.Close()
	return nil
}

// TestUnderTheEngine has records of three lanes ask about a few keys while the host is down for half
// a minute, panics at times, or does nothing of that: every record has the answer to its own
// question, in order, none is rejected but by a panic of its own call, and the host is
// asked about as often as there are keys.
func TestUnderTheEngine(t *testing.T) {
	const lanes, each, keys = 3, 1000, 20
	for _, c := range []struct {
		name  string
		cache *calls.CacheSettings
		ask   func(n int64, at time.Duration) error
		most  int64 // calls
		lost  bool  // some records
	}{
		{name: "all is well", ask: func(int64, time.Duration) error { return nil }, most: lanes * each / 2},
		{name: "with a cache", cache: &calls.CacheSettings{TTL: time.Hour}, ask: func(int64, time.Duration) error { return nil }, most: keys},
		{name: "down for half a minute", cache: &calls.CacheSettings{TTL: time.Millisecond}, most: lanes * each / 4,
			ask: func(_ int64, at time.Duration) error {
				if 30*time.Millisecond <= at && at < 30*time.Second {
					return fmt.Errorf("asking: no answer")
				}
				return nil
			}},
		{name: "panics now and then", cache: &calls.CacheSettings{TTL: time.Millisecond}, most: lanes * each / 4, lost: true,
			ask: func(n int64, _ time.Duration) error {
				if n%7 == 0 {
					panic("oh")
				}
				return nil
			}},
		{name: "its calls are cut short", most: lanes * each * 3 / 4,
			ask: func(n int64, _ time.Duration) error {
				if n%3 == 0 {
					return fmt.Errorf("asking: %w", context.Canceled)
				}
				return nil
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set := calls.Defaults()
				set.Cache = c.cache
				made, err := calls.New[string](calls.Env{Settings: set, Workers: 16})
				if err != nil {
					t.Fatal(err)
				}
				began, n, panics := time.Now(), atomic.Int64{}, atomic.Int64{}
				stage := &asking{Calls: made, t: t}
				stage.ask = func(_ context.Context, key string) (string, error) {
					returned := false
					defer func() {
						if !returned {
							panics.Add(1)
						}
					}()
					err := c.ask(n.Add(1), time.Since(began))
					returned = true
					return "the answer to " + key, err
				}
				var values [lanes][]string
				for l := range values {
					for i := range each {
						values[l] = append(values[l], fmt.Sprintf(`{"lane":%d,"n":%d,"key":"k%d"}`, l, i, (i*7+l*3+i*i/5)%keys))
					}
				}
				out, dead := &pipelinetest.Memory{}, &pipelinetest.Memory{}
				p, err := engine.New(engine.Options{
					Name: "asking", Source: pipelinetest.NewLanes(values[:]...),
					Steps: []engine.Step{{Name: "ask", Stage: stage, Workers: 16,
						Wait: &engine.Wait{Window: 512, Deadline: time.Minute, Retry: engine.Retry{Attempts: 20}}}},
					Sinks:      []engine.Output{{Name: "out", Sink: out}},
					DeadLetter: engine.DeadLetter{Sink: dead},
					Budget:     engine.NewBudget(10_000, 64<<20),
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				check(t, out.Values(), c.lost)
				if n, want := len(dead.Values()), int(panics.Load()); n != want || (want > 0) != c.lost || len(out.Values()) != lanes*each-n {
					t.Errorf("%d records out, %d rejected, want %d", len(out.Values()), n, want)
				}
				r := made.Report()
				t.Logf("%d calls, %d hits, %d joined, %v", stage.all.Load(), r.CacheHits, r.CallsJoined, time.Since(began))
				if n := stage.all.Load(); n > c.most || r.CallsJoined == 0 || r.OpenCircuits != 0 {
					t.Errorf("%d calls, at most %d; %+v", n, c.most, r)
				}
			})
		})
	}
}

// TestMaxWaitAndEqualCalls has four equal records, of which one is asked for, in a step that holds none back for
// longer than 300 ms: the others have its answer, however long it takes, and wait no longer than it for a limit.
func TestMaxWaitAndEqualCalls(t *testing.T) {
	for _, c := range []struct {
		name      string
		rate      time.Duration // between calls, of which one was made just now
		out, asks int
	}{{"a slow answer", 0, 4, 1}, {"a slow rate", time.Minute, 0, 0}, {"a rate, and a slow answer", 200 * time.Millisecond, 4, 1}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set := calls.Defaults()
				var shared *calls.Shared
				if c.rate > 0 {
					shared = calls.NewShared(map[string]calls.RateSettings{"api": {Rate: settings.Rate{N: 1, Per: c.rate}, Burst: 1, Per: "process"}})
					set.Limit = []string{"api"}
				}
				made, err := calls.New[string](calls.Env{Shared: shared, Settings: set, Workers: 8})
				if err != nil {
					t.Fatal(err)
				}
				stage := &asking{Calls: made, t: t, ask: func(context.Context, string) (string, error) {
					time.Sleep(800 * time.Millisecond)
					return "x", nil
				}}
				if c.rate > 0 {
					first := made.Admit(calls.Question[string]{Host: "other"}, 1)
					first.Enter(func() {})
					first.Leave(pipeline.CallResult{})
				}
				out, dead := &pipelinetest.Memory{}, &pipelinetest.Memory{}
				p, err := engine.New(engine.Options{
					Name: "asking", Source: pipelinetest.NewValues(`{"key":"k"}`, `{"key":"k"}`, `{"key":"k"}`, `{"key":"k"}`),
					Steps:      []engine.Step{{Name: "ask", Stage: stage, Workers: 8, Wait: &engine.Wait{MaxWait: 300 * time.Millisecond}}},
					Sinks:      []engine.Output{{Name: "out", Sink: out}},
					DeadLetter: engine.DeadLetter{Sink: dead},
				})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if err := p.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if len(out.Values()) != c.out || len(dead.Values()) != 4-c.out || stage.all.Load() != int64(c.asks) {
					t.Errorf("%d out, %d rejected, asked %d times", len(out.Values()), len(dead.Values()), stage.all.Load())
				}
				if took := time.Since(began); c.out == 0 && took > 400*time.Millisecond {
					t.Errorf("the last was rejected after %s", took)
				}
			})
		})
	}
}

// check says whether each record has its answer, and follows the one before it in its lane.
func check(t *testing.T, values [][]byte, lost bool) {
	t.Helper()
	next := map[int]int{}
	for _, v := range values {
		var rec struct {
			Lane, N     int
			Key, Answer string
		}
		if err := json.Unmarshal(v, &rec); err != nil {
			t.Fatal(err)
		}
		if rec.Answer != "the answer to "+rec.Key {
			t.Errorf("%s", v)
		}
		if rec.N < next[rec.Lane] || !lost && rec.N != next[rec.Lane] {
			t.Errorf("lane %d: record %s comes where %d is due", rec.Lane, strconv.Itoa(rec.N), next[rec.Lane])
		}
		next[rec.Lane] = rec.N + 1
	}
}
