package pipeline

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// Lanes that end while the pipeline stops early are no lanes that it loses sight of.
func TestLanesEndWhileThePipelineStops(t *testing.T) {
	for range 20 {
		p := mustNew(t, Options{Source: &memory{}, Sinks: []Output{{Name: "out", Sink: &collect{}}}})
		var lanes []*Lane
		for range 200 {
			l, _, err := engine{p}.Lane(t.Context(), "t/0", 0)
			if err != nil {
				t.Fatal(err)
			}
			lanes = append(lanes, l)
		}
		var wait sync.WaitGroup
		wait.Go(func() {
			for _, l := range lanes[:100] {
				_, _ = l.End(ended())
			}
		})
		wait.Go(func() { p.stop(errors.New("a stage said so")) })
		wait.Wait()
		for i, l := range lanes {
			if l.calls.Err() == nil {
				t.Fatalf("the calls of lane %d go on", i)
			}
		}
		p.giveUp()
	}
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
