package pipeline

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
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

// What a lane that is over leaves behind in a sink is forgotten.
func TestAnEndedLaneLeavesNothingInTheSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 10, endless: true}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{Source: src, Sinks: []Output{{Name: "a", Sink: &collect{}}}})
		time.Sleep(time.Second)
		l := src.lane(0)
		if _, err := l.End(ended()); err != nil {
			t.Fatal(err)
		}
		// The router looked at the lane just before it ended.
		rec := &Record{}
		rec.eng.piece = &piece{lane: l, left: 1, size: 1, next: 1, from: &intake{pieces: 1}}
		p.sinks[0].enqueue(l, []*Record{rec})
		synctest.Wait()
		p.sinks[0].mu.Lock()
		if n := len(p.sinks[0].queues); n != 0 {
			t.Errorf("%d queues of lanes that are over", n)
		}
		p.sinks[0].mu.Unlock()
		cancel()
		<-done
	})
}
