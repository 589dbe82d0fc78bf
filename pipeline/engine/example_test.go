package engine_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A service of one's own runs a pipeline until it is told to stop. What has begun is
// finished then, within Drain; what has not is read again the next time.
func Example() {
	ask := pipeline.StageFunc(func(ctx context.Context, rec *pipeline.Record) error {
		select { // in place of a call to another service
		case <-time.After(time.Millisecond):
			return rec.SetString("asked", "yes")
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	out := &pipelinetest.Memory{}
	p, err := engine.New(engine.Options{
		Name:   "asking",
		Source: pipelinetest.NewValues(`{"id":1}`, `{"id":2}`, `{"id":3}`),
		Steps: []engine.Step{{
			Name: "ask", Stage: ask, Workers: 64, // 64 calls at once, in order behind them
			Wait: &engine.Wait{Timeout: 2 * time.Second, Retry: engine.Retry{Attempts: 3}},
		}},
		Sinks:  []engine.Output{{Name: "out", Sink: out}},
		Budget: engine.NewBudget(10_000, 64<<20),
		Drain:  10 * time.Second,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := p.Run(ctx); err != nil { // nil after a clean stop as well
		fmt.Fprintln(os.Stderr, err)
	}
	for _, v := range out.Values() {
		fmt.Printf("%s\n", v)
	}
	// Output:
	// {"id":1,"asked":"yes"}
	// {"id":2,"asked":"yes"}
	// {"id":3,"asked":"yes"}
}
