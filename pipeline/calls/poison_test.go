package calls_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A trial is a pipeline of one limited step, some records of which fail.
type trial struct {
	records int
	bad     func(n int) bool // which fail whenever they are asked for; nil: none
	err     error            // what with; nil: they hang
	takes   time.Duration    // to fail; 0: as long as an answer
	workers int              // 0: 64
	wait    engine.Wait
	order   engine.Order
	set     func(*calls.Settings)
	ask     func(ctx context.Context, n int, at time.Duration) error // nil: by the above
}

// An outcome is what came of one.
type outcome struct {
	passed, rejected int
	took             time.Duration
	calls            []time.Duration // when each began
	most             int             // calls at once
}

func (c trial) run(t *testing.T, limit time.Duration) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := calls.Defaults()
		if c.set != nil {
			c.set(&s)
		}
		if c.workers == 0 {
			c.workers = 64
		}
		if c.ask == nil {
			c.ask = c.usual
		}
		began := time.Now()
		var mu sync.Mutex
		running := 0
		stage, err := calls.Limited(pipeline.StageFunc(func(ctx context.Context, r *pipeline.Record) error {
			n, at := 0, time.Since(began)
			_, _ = fmt.Sscanf(string(r.Value()), `{"id":%d}`, &n)
			mu.Lock()
			o.calls = append(o.calls, at)
			running++
			o.most = max(o.most, running)
			mu.Unlock()
			defer func() {
				mu.Lock()
				running--
				mu.Unlock()
			}()
			return c.ask(ctx, n, at)
		}), "api.example", calls.Env{Settings: s, Workers: c.workers})
		if err != nil {
			t.Error(err)
			return
		}
		var values []string
		for i := range c.records {
			values = append(values, fmt.Sprintf(`{"id":%d}`, i))
		}
		out, dead := &pipelinetest.Memory{}, &pipelinetest.Memory{}
		p, err := engine.New(engine.Options{
			Name: "asking", Source: pipelinetest.NewValues(values...), Order: c.order,
			Steps:      []engine.Step{{Name: "ask", Stage: stage, Workers: c.workers, Wait: &c.wait}},
			Sinks:      []engine.Output{{Name: "out", Sink: out}},
			DeadLetter: engine.DeadLetter{Sink: dead},
		})
		if err != nil {
			t.Error(err)
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_ = p.Run(ctx)
		o.passed, o.rejected, o.took = len(out.Values()), len(dead.Values()), time.Since(began)
	})
	return o
}

// usual answers within 10 to 30 ms, but for what is bad.
func (c trial) usual(ctx context.Context, n int, _ time.Duration) error {
	latency := 10*time.Millisecond + time.Duration(n*7919%20000)*time.Microsecond
	if c.bad == nil || !c.bad(n) {
		time.Sleep(latency)
		return nil
	}
	if c.err == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	if c.takes > 0 {
		latency = c.takes
	}
	time.Sleep(latency)
	return c.err
}

type badGateway struct{}

func (badGateway) Error() string      { return "calling api.example: answered 502" }
func (badGateway) OutOfService() bool { return true }

var errAnswered500 = errors.New("calling api.example: answered 500")

// Some records fail whenever they are asked for, all others are answered. The former are rejected after
// their attempts, the others pass, and that takes about as long as the attempts do.
func TestRecordsThatAlwaysFailAreRejectedAndHoldUpNobodyElse(t *testing.T) {
	records := 20000
	if testing.Short() {
		records = 2000
	}
	one := func(k int) func(int) bool { return func(n int) bool { return n == k } }
	every := func(k int) func(int) bool { return func(n int) bool { return n%k == k/2 } }
	count := func(n int) func(*calls.Settings) { return func(s *calls.Settings) { s.Breaker.Calls = n } }
	tenTimes := engine.Wait{Retry: engine.Retry{Attempts: 10}}
	kinds := []struct {
		name  string
		err   error
		takes time.Duration
	}{
		{"500", errAnswered500, 0}, {"502", badGateway{}, 0}, {"reset", noConnection{}, time.Millisecond},
		{"504", badGateway{}, 5 * time.Second}, {"hangs", nil, 0},
	}
	for _, c := range []struct {
		name string
		trial
		most time.Duration // several times what it takes: more when the last few records that fail are alone
	}{
		{"one", trial{bad: one(5)}, 30 * time.Second},
		{"one, without order", trial{bad: one(5), order: engine.OrderNone}, 30 * time.Second},
		{"one of ten attempts", trial{bad: one(5), wait: tenTimes}, 60 * time.Second},
		{"one of ten attempts, without order", trial{bad: one(5), wait: tenTimes, order: engine.OrderNone}, 60 * time.Second},
		{"one behind many", trial{bad: one(records * 3 / 4), wait: tenTimes}, 60 * time.Second},
		{"one and few calls are enough", trial{bad: one(5), set: count(1)}, 60 * time.Second},
		{"one and two calls are enough", trial{bad: one(5), set: count(2)}, 60 * time.Second},
		{"one in a small window", trial{bad: one(500), wait: engine.Wait{Window: 64}}, 60 * time.Second},
		{"one and few workers", trial{bad: one(500), workers: 2}, 240 * time.Second},
		{"one in a hundred", trial{bad: every(100)}, 5 * time.Minute},
		{"one in a hundred, without order", trial{bad: every(100), order: engine.OrderNone}, 5 * time.Minute},
		{"one in a hundred of ten attempts", trial{bad: every(100), wait: tenTimes}, 10 * time.Minute},
		{"one in ten", trial{bad: every(10)}, 90 * time.Minute},
		{"one in ten, without order", trial{bad: every(10), order: engine.OrderNone}, 90 * time.Minute},
		{"one in ten in a smaller window", trial{bad: every(10), wait: engine.Wait{Window: 512}}, 2 * time.Hour},
	} {
		for _, k := range kinds {
			t.Run(c.name+" "+k.name, func(t *testing.T) {
				c.records, c.err, c.takes = records, k.err, k.takes
				bad := 0
				for n := range c.records {
					if c.bad(n) {
						bad++
					}
				}
				o := c.run(t, 24*time.Hour)
				t.Logf("%d passed, %d rejected, %d calls in %v", o.passed, o.rejected, len(o.calls), o.took)
				if testing.Short() {
					c.most = 24 * time.Hour // of fewer records, those that fail at the end are more often alone
				}
				if o.passed != c.records-bad || o.rejected != bad || o.took > c.most {
					t.Errorf("%d passed and %d were rejected of %d, %d of them bad, in %v", o.passed, o.rejected, c.records, bad, o.took)
				}
			})
		}
	}
}

// Alone, a record whose call is answered with 500 is rejected after its attempts. Without an answer, or with
// one that says that nobody serves, it waits: it cannot be told from an outage.
func TestARecordThatIsAloneIsRejectedWhenItsHostIsThere(t *testing.T) {
	for _, attempts := range []int{1, 5, 10} {
		c := trial{records: 1, bad: func(int) bool { return true }, wait: engine.Wait{Retry: engine.Retry{Attempts: attempts}}}
		for _, few := range []int{1, 20} {
			c.set, c.err = func(s *calls.Settings) { s.Breaker.Calls = few }, errAnswered500
			if o := c.run(t, time.Hour); o.rejected != 1 || len(o.calls) > attempts+1 || o.took > 5*time.Minute {
				t.Errorf("500, %d attempts, %d calls are enough: %d rejected with %d calls in %v", attempts, few, o.rejected, len(o.calls), o.took)
			}
		}
		if attempts < 5 {
			continue
		}
		c.set = nil
		for _, err := range []error{badGateway{}, noConnection{}, nil} {
			c.err = err
			c.wait.Timeout, c.wait.Deadline = time.Second, 20*time.Second
			if o := c.run(t, time.Hour); o.rejected != 0 || o.took < time.Hour {
				t.Errorf("%v: %d rejected in %v", err, o.rejected, o.took)
			}
		}
	}
}

type tooMany struct{}

func (tooMany) Error() string    { return "calling api.example: answered 429" }
func (tooMany) AsksToWait() bool { return true }

// A record that is always answered with the wish to wait, while others are answered, is rejected in the end.
func TestARecordThatIsAlwaysAskedToWaitIsRejected(t *testing.T) {
	records := 20000
	if testing.Short() {
		records = 2000
	}
	for _, order := range []engine.Order{engine.OrderPartition, engine.OrderNone} {
		for _, err := range []error{tooMany{}, pipeline.RetryAfter(time.Second, tooMany{}), pipeline.RetryAfter(time.Second, badGateway{})} {
			o := trial{records: records, bad: func(n int) bool { return n == 5 }, err: err, order: order}.run(t, time.Hour)
			t.Logf("%v: %d calls in %v", err, len(o.calls), o.took)
			if o.passed != records-1 || o.rejected != 1 || o.took > 30*time.Minute {
				t.Errorf("order %v, %v: %d passed, %d rejected in %v", order, err, o.passed, o.rejected, o.took)
			}
		}
	}
}

// A host that is gone for good holds its records up for as long as the step is to wait, and no longer.
func TestAHostThatIsGoneForGoodIsGivenUp(t *testing.T) {
	for _, records := range []int{1, 10, 5000} {
		for _, err := range []error{noConnection{}, nil} {
			c := trial{records: records, bad: func(int) bool { return true }, err: err}
			c.set = func(s *calls.Settings) { s.Breaker.GiveUp = 10 * time.Minute }
			if err == nil {
				c.wait.Timeout, c.wait.Deadline = 3*time.Second, time.Minute
			}
			o := c.run(t, time.Hour)
			t.Logf("%d records: %d rejected in %v with %d calls", records, o.rejected, o.took, len(o.calls))
			if o.rejected != records || o.took > 11*time.Minute || len(o.calls) > 200 {
				t.Errorf("%d records: %d rejected in %v with %d calls", records, o.rejected, o.took, len(o.calls))
			}
		}
	}
}

// A host that answers 50 calls in 10 s refuses few others, whatever time it says: those that are under way when its
// quota is used up, of 64 at once, and then one at a time.
func TestAQuotaIsMetWithFewRefusals(t *testing.T) {
	for _, says := range []time.Duration{0, time.Millisecond, time.Second, 10 * time.Second} {
		var mu sync.Mutex
		var window []time.Duration
		refused := 0
		o := trial{records: 1000, ask: func(_ context.Context, _ int, at time.Duration) error {
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			for len(window) > 0 && at-window[0] >= 10*time.Second {
				window = window[1:]
			}
			if len(window) < 50 {
				window = append(window, at)
				return nil
			}
			refused++
			return pipeline.RetryAfter(says, tooMany{})
		}}.run(t, 24*time.Hour)
		t.Logf("it says %v: %d refused, done in %v", says, refused, o.took)
		if o.passed != 1000 || refused > 20*64+200 || o.took > 7*time.Minute {
			t.Errorf("it says %v: %d passed, %d rejected, %d refused, done in %v", says, o.passed, o.rejected, refused, o.took)
		}
	}
}
