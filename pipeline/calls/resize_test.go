package calls_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// The calls at once to one host follow the workers of the step where they were as many; where the file says fewer, or more, they stay within
// that.
func TestCallsToAHostFollowTheWorkers(t *testing.T) {
	for _, c := range []struct {
		name          string
		most          int // max_per_host
		adapts        bool
		before, after int64 // calls at once with 4 workers, and with 32
	}{
		{"nothing said", 0, false, 4, 32},
		{"as many as the workers", 4, false, 4, 32},
		{"fewer", 3, false, 3, 3},
		{"more", 20, false, 4, 20},
		{"adaptive", 4, true, 4, 32},
	} {
		synctest.Test(t, func(t *testing.T) {
			var now, most atomic.Int64
			s := calls.Defaults()
			s.MaxPerHost, s.Adaptive = c.most, c.adapts
			stage, err := calls.Limited(pipeline.StageFunc(func(context.Context, *pipeline.Record) error {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				time.Sleep(100 * time.Millisecond)
				return nil
			}), "api.example", calls.Env{Settings: s, Workers: 4})
			if err != nil {
				t.Fatal(err)
			}
			var values []string
			for i := range 20_000 {
				values = append(values, fmt.Sprint(i))
			}
			p, err := engine.New(engine.Options{
				Source: pipelinetest.NewValues(values...), Sinks: []engine.Output{{Name: "out", Sink: &pipelinetest.Memory{}}},
				Steps: []engine.Step{{Name: "ask", Stage: stage, Workers: 4, Wait: &engine.Wait{}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			sees := func(what string, want int64) {
				t.Helper()
				time.Sleep(20 * time.Second)
				if got := most.Swap(0); got != want {
					t.Errorf("%s: %s, %d calls at once, want %d", c.name, what, got, want)
				}
			}
			sees("at first", c.before)
			for range 2 {
				if err := p.SetWorkers("ask", 32); err != nil {
					t.Fatal(err)
				}
				sees("with more", c.after)
				if err := p.SetWorkers("ask", 2); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				most.Store(0)
				sees("with fewer", 2)
			}
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	}
}
