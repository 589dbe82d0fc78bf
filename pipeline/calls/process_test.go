package calls

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/internal/inside"
	"github.com/penstockio/penstock/pipeline/settings"
)

// scripted is a call whose Enter gives what it is told to, one after another.
type scripted struct {
	enter []func(wake func()) (time.Duration, bool)
	asked int
	do    func(context.Context) error
	left  []pipeline.CallResult
}

func (s *scripted) Gate() any {
	if s.enter == nil {
		return nil
	}
	return s
}

func (s *scripted) Enter(wake func()) (time.Duration, bool) {
	s.asked++
	return s.enter[min(s.asked, len(s.enter))-1](wake)
}
func (s *scripted) Waits() string { return "the test" }
func (s *scripted) Do(ctx context.Context, _ *pipeline.Record) error {
	if s.do == nil {
		return nil
	}
	return s.do(ctx)
}

func (s *scripted) Leave(r pipeline.CallResult) bool {
	s.left = append(s.left, r)
	return true
}

func letIn(func()) (time.Duration, bool)      { return 0, true }
func forASecond(func()) (time.Duration, bool) { return time.Second, false }

type clock struct {
	stopped, resumed int
	went             bool // between two stops
	waits            []waiting
}

// A waiting is for what a clock stands still.
type waiting struct {
	cause, what, host string
	until             time.Time
}

func (c *clock) StopClock(by ...pipeline.Call) func() {
	r := by[0].(refused)
	c.waits = append(c.waits, waiting{r.Cause(), r.Waits(), r.Host(), r.Until()})
	c.went = c.went || c.stopped > 0 && c.resumed == c.stopped
	c.stopped++
	return func() { c.resumed++ }
}

func TestEnterWaitsAsLongAsItIsToldToOrUntilItIsWoken(t *testing.T) {
	for name, c := range map[string]struct {
		enter []func(func()) (time.Duration, bool)
		asks  int
		takes time.Duration
	}{
		"at once":               {[]func(func()) (time.Duration, bool){letIn}, 1, 0},
		"no gate":               {nil, 0, 0},
		"a time":                {[]func(func()) (time.Duration, bool){forASecond, forASecond, letIn}, 3, 2 * time.Second},
		"woken before the time": {[]func(func()) (time.Duration, bool){func(wake func()) (time.Duration, bool) { go wake(); return time.Hour, false }, letIn}, 2, 0},
		"woken before it has returned": {[]func(func()) (time.Duration, bool){func(wake func()) (time.Duration, bool) {
			wake()
			wake()
			return 0, false
		}, letIn}, 2, 0},
		"woken later": {[]func(func()) (time.Duration, bool){func(wake func()) (time.Duration, bool) {
			time.AfterFunc(time.Minute, wake)
			return 0, false
		}, letIn}, 2, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				call, clock, began := &scripted{enter: c.enter}, &clock{}, time.Now()
				if err := Enter(context.WithValue(t.Context(), inside.Clock{}, clock), call); err != nil {
					t.Error(err)
				}
				if d := time.Since(began); d != c.takes || call.asked != c.asks {
					t.Errorf("asked %d times in %v, want %d in %v", call.asked, d, c.asks, c.takes)
				}
				if waited := c.asks > 1; (clock.stopped > 0) != waited || clock.resumed != clock.stopped || clock.went {
					t.Errorf("the clock was stopped %d times and resumed %d times, and went in between: %v", clock.stopped, clock.resumed, clock.went)
				}
			})
		})
	}
}

func TestEnterEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := func(func()) (time.Duration, bool) { return 0, false }
		for _, enter := range []func(func()) (time.Duration, bool){never, forASecond, letIn} {
			for _, after := range []time.Duration{0, 2500 * time.Millisecond} {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(after, cancel)
				if after == 0 {
					cancel()
				}
				clock, call := &clock{}, &scripted{enter: []func(func()) (time.Duration, bool){enter}}
				err := Enter(context.WithValue(ctx, inside.Clock{}, clock), call)
				if let := call.asked == 1 && after > 0; err == nil && !let || err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("Enter: %v", err)
				}
				if clock.resumed != clock.stopped {
					t.Error("the clock still stands")
				}
				cancel()
			}
		}
	})
}

type admitter struct {
	pipeline.StageFunc
	admit func(attempt int) (pipeline.Call, error)
}

func (a admitter) Admit(_ *pipeline.Record, attempt int) (pipeline.Call, error) {
	return a.admit(attempt)
}

func TestProcessMakesTheCallsThatFollowAndLeavesEachOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		third := &scripted{enter: []func(func()) (time.Duration, bool){forASecond, letIn}, do: func(context.Context) error {
			time.Sleep(3 * time.Second)
			return errBroken
		}}
		second := &scripted{do: func(context.Context) error { return pipeline.Next(third) }}
		first := &scripted{enter: []func(func()) (time.Duration, bool){letIn}, do: func(context.Context) error { return pipeline.Next(second) }}
		rec := new(pipeline.Record)
		s := admitter{admit: func(int) (pipeline.Call, error) { return first, nil }}
		if err := Process(t.Context(), s, rec); !errors.Is(err, errBroken) {
			t.Errorf("Process: %v", err)
		}
		for i, c := range []*scripted{first, second, third} {
			if len(c.left) != 1 || !c.left[0].Begun {
				t.Errorf("call %d was left with %v", i, c.left)
			}
		}
		if r := third.left[0]; r.Took != 3*time.Second || !errors.Is(r.Err, errBroken) || r.Released <= first.left[0].Released {
			t.Errorf("the last was left with %+v", r)
		}

		s.admit = func(int) (pipeline.Call, error) { return nil, errBroken }
		if err := Process(t.Context(), s, rec); !errors.Is(err, errBroken) {
			t.Errorf("Process: %v", err)
		}

		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		held := &scripted{enter: []func(func()) (time.Duration, bool){forASecond}}
		s.admit = func(int) (pipeline.Call, error) { return held, nil }
		if err := Process(cancelled, s, rec); !errors.Is(err, context.Canceled) || len(held.left) != 1 || held.left[0].Begun {
			t.Errorf("Process: %v, left with %v", err, held.left)
		}

		panics := &scripted{do: func(context.Context) error { panic("the stage") }}
		s.admit = func(int) (pipeline.Call, error) { return panics, nil }
		func() {
			defer func() {
				if recover() == nil || len(panics.left) != 1 || !panics.left[0].Begun {
					t.Errorf("left with %v", panics.left)
				}
			}()
			_ = Process(t.Context(), s, rec)
		}()
	})
}

func TestALimiterHasASinkKeepItsRateWithItsClockStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := NewLimiter(Env{Shared: NewShared(map[string]RateSettings{"api": perSecond(10, 1, "host")}), Settings: Settings{Limit: []string{"api"}}})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		clock := &clock{}
		ctx := context.WithValue(t.Context(), inside.Clock{}, clock)
		began := time.Now()
		var n atomic.Int64
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				for range 100 {
					if err := l.Do(t.Context(), "api.example", func(context.Context) error { n.Add(1); return errBroken }); !errors.Is(err, errBroken) {
						t.Error(err) // there is no breaker
					}
				}
			})
		}
		wg.Wait()
		if d := time.Since(began).Round(time.Millisecond); n.Load() != 500 || d != 49900*time.Millisecond {
			t.Errorf("%d calls in %v", n.Load(), d)
		}
		if err := l.Do(ctx, "api.example", func(context.Context) error { return pipeline.RetryAfter(time.Second, refusal{}) }); !errors.As(err, new(refusal)) || clock.stopped != 1 || clock.resumed == 0 {
			t.Errorf("%v, stopped %d, resumed %d", err, clock.stopped, clock.resumed)
		}
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		if err := l.Do(short, "api.example", func(context.Context) error { n.Add(1); return nil }); !errors.Is(err, context.DeadlineExceeded) || n.Load() != 500 {
			t.Errorf("a host that has asked to wait was called: %v", err)
		}
		began = time.Now()
		if err := l.Do(ctx, "api.example", func(context.Context) error { return nil }); err != nil || time.Since(began) != 500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if l.gates.openCircuits() != 0 {
			t.Error("a circuit is open where there is none")
		}
	})
}

func TestALimiterHasABreakerWhenItIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := NewLimiter(Env{Settings: Settings{Breaker: BreakerSettings{Calls: 3}}})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		l.gates.random = func() float64 { return 0.5 }
		var log bytes.Buffer
		l.Attach(event.New(&log, event.Options{}).Step("post"))
		began := time.Now()
		for range 4 {
			if err := l.Do(t.Context(), "api.example", func(context.Context) error { return errBroken }); !errors.Is(err, errBroken) {
				t.Error(err)
			}
		}
		if d := time.Since(began); d != time.Second || l.gates.openCircuits() != 1 || !strings.Contains(log.String(), `"step":"post","target":"api.example","state":"open"`) {
			t.Errorf("after %v, %d open; %s", d, l.gates.openCircuits(), log.String())
		}
	})
}

// able is a stage that can do everything that is optional.
type able struct {
	pipeline.StageFunc
	did []string
}

func (a *able) Attach(*event.Emitter)           { a.did = append(a.did, "attach") }
func (a *able) Account(func(int64))             { a.did = append(a.did, "account") }
func (a *able) Report() pipeline.Report         { return pipeline.Report{CacheHits: 3, OpenCircuits: 1} }
func (a *able) Close() error                    { a.did = append(a.did, "close"); return errBroken }
func (a *able) Undone(pipeline.Position, int32) { a.did = append(a.did, "undone") }
func (a *able) Ping(context.Context) error      { a.did = append(a.did, "ping"); return nil }

func TestALimitedStageCanDoWhatItCouldAndNoMore(t *testing.T) {
	plain, err := Limited(pipeline.StageFunc(func(context.Context, *pipeline.Record) error { return nil }), "ask", Env{Settings: Defaults()})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := plain.(pipeline.Undoer); ok {
		t.Error("a stage that forgets nothing is an Undoer")
	}
	if _, ok := plain.(pipeline.Pinger); ok {
		t.Error("a stage that cannot be probed is a Pinger")
	}
	if err := plain.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
	stage := &able{}
	full, err := Limited(stage, "ask", Env{Settings: Defaults()})
	if err != nil {
		t.Fatal(err)
	}
	full.(pipeline.Attacher).Attach(nil)
	full.(pipeline.Accounter).Account(nil)
	full.(pipeline.Undoer).Undone(pipeline.Position{}, 0)
	_ = full.(pipeline.Pinger).Ping(t.Context())
	if r := full.(pipeline.Reporter).Report(); r.CacheHits != 3 || r.OpenCircuits != 1 {
		t.Errorf("%+v", r)
	}
	if err := full.(io.Closer).Close(); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	if got := strings.Join(stage.did, " "); got != "attach account undone ping close" {
		t.Error(got)
	}
	if _, err := Limited(stage, "ask", Env{Settings: limitedTo("api")}); err == nil {
		t.Error("a rate that is not there was taken")
	}
}

func TestALimitedStageIsHeldByItsLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, n atomic.Int64
		s := Defaults()
		s.MaxPerHost = 3
		stage, err := Limited(pipeline.StageFunc(func(context.Context, *pipeline.Record) error {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
			n.Add(1)
			return nil
		}), "ask", Env{Settings: s, Workers: 10})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		began := time.Now()
		for range 12 {
			wg.Go(func() {
				if err := stage.Process(t.Context(), new(pipeline.Record)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most.Load() != 3 || n.Load() != 12 || time.Since(began) != 4*time.Second {
			t.Errorf("%d at once, %d calls in %v", most.Load(), n.Load(), time.Since(began))
		}
	})
}

// What waits for its entrance without an engine says what for, each time that it has asked in vain: a sink's rate, and then its host, which has asked
// to wait meanwhile.
func TestEnterSaysWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{}
		ctx := context.WithValue(t.Context(), inside.Clock{}, c)
		limits, err := NewLimiter(Env{
			Shared:   NewShared(map[string]RateSettings{"api": {Rate: settings.Rate{N: 1, Per: time.Minute}, Burst: 1, Per: perHost}}),
			Settings: Settings{Limit: []string{"api"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer limits.Close()
		began := time.Now()
		call := func(err error) error {
			return limits.Do(ctx, "api.example", func(context.Context) error { return err })
		}
		if err := call(nil); err != nil || c.waits != nil {
			t.Fatalf("the first waits for %v, %v", c.waits, err)
		}
		if err := call(pipeline.RetryAfter(2*time.Minute, refusal{})); err == nil {
			t.Error("it is not refused")
		}
		if err := call(nil); err != nil {
			t.Error(err)
		}
		want := []waiting{
			{"rate", "rate api of api.example", "api.example", began.Add(time.Minute)},
			{"host", asked, "api.example", began.Add(3 * time.Minute)},
		}
		if len(c.waits) != len(want) {
			t.Fatalf("it waits for %v", c.waits)
		}
		for i, w := range c.waits {
			late := w.until.Sub(want[i].until)
			if w.until = want[i].until; w != want[i] || late < 0 || late > time.Millisecond {
				t.Errorf("it waits for %+v, want %+v", w, want[i])
			}
		}
	})
}
