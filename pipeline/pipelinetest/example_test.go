package pipelinetest_test

import (
	"context"
	"fmt"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A test of a pipeline: values go in, and one looks at what came out, what was rejected, and
// how far the source was told to have come. In a test the comparisons stand in place of the
// prints, and t.Context in place of context.Background.
func Example() {
	src := pipelinetest.NewValues(`{"id":1,"delay":3}`, `{"id":2,"delay":40}`, `{"id":3,"delay":"no"}`)
	out, dead := &pipelinetest.Memory{}, &pipelinetest.Memory{}
	late := pipeline.StageFunc(func(_ context.Context, rec *pipeline.Record) error {
		var flight struct{ Delay int }
		if err := rec.Decode(&flight); err != nil {
			return err
		}
		if flight.Delay < 15 {
			return pipeline.Filtered
		}
		return nil
	})
	p, err := engine.New(engine.Options{
		Source: src, Steps: []engine.Step{{Name: "late", Stage: late}},
		Sinks: []engine.Output{{Name: "out", Sink: out}}, DeadLetter: engine.DeadLetter{Sink: dead},
	})
	if err != nil {
		panic(err)
	}
	if err := p.Run(context.Background()); err != nil {
		panic(err)
	}
	fmt.Printf("out: %s\nrejected: %s\ncommitted: %d\n", out.Values(), dead.Values(), src.Committed(0))
	// Output:
	// out: [{"id":2,"delay":40}]
	// rejected: [{"id":3,"delay":"no"}]
	// committed: 3
}
