package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// What is throttled is not stalled, however long, and also when it has begun before; a call that
// hangs behind that is.
func TestThrottledIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		shut := &door{}
		d := &desk{t: t}
		d.admit = func(r *pipeline.Record, _ int) (*visit, error) {
			return &visit{gate: "first", do: func(ctx context.Context, _ *pipeline.Record) error {
				pause(ctx, 20*time.Second)
				return pipeline.Next(d.take(&visit{gate: shut, enter: shut.enter, waits: "circuit of api.example", do: func(ctx context.Context, _ *pipeline.Record) error {
					if r.Offset == 1 {
						pause(ctx, time.Minute)
					} else {
						pause(ctx, 5*time.Second)
					}
					return nil
				}}))
			}}, nil
		}
		p, done := start(t, t.Context(), Options{
			Source: &memory{lanes: 1, records: 2}, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Events: log.emitter(t),
			Steps: []Step{asks(d, 4, Wait{Timeout: time.Hour, Deadline: time.Hour})},
		})
		time.Sleep(time.Hour)
		s := p.Snapshot().Steps[0]
		if s.OldestInFlight != 20*time.Second || s.Throttled != 2 {
			t.Errorf("worked on for %s, %d throttled", s.OldestInFlight, s.Throttled)
		}
		if got := log.named("step.stalled"); len(got) != 0 {
			t.Errorf("%v", got)
		}
		shut.set(true)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := log.named("step.stalled"); len(got) != 1 || got[0]["offset"] != float64(1) {
			t.Errorf("%v", got)
		}
		var held float64
		for _, e := range log.named("step.stats") {
			held += e["throttle_wait_ms"].(float64)
		}
		if want := 2 * (time.Hour - 20*time.Second); held < float64(want.Milliseconds())-100 || held > float64(want.Milliseconds())+100 {
			t.Errorf("held back for %.0f ms, want %s", held, want)
		}
	})
}

// A step that limits hold up is the bottleneck, though its slots are idle; what is behind it is
// not, though that is at work for most of the time, and what holds up a step behind its limits is.
func TestAThrottledStepIsTheBottleneck(t *testing.T) {
	for _, where := range []string{"ask", "out"} {
		synctest.Test(t, func(t *testing.T) {
			gate := &rateGate{every: 20 * time.Millisecond}
			if where == "out" {
				gate.every = 4 * time.Millisecond
			}
			d := &desk{t: t, admit: func(*pipeline.Record, int) (*visit, error) {
				return &visit{gate: gate, enter: gate.enter}, nil
			}}
			out := &collect{write: func(ctx context.Context, recs []*pipeline.Record) error {
				pause(ctx, time.Duration(len(recs))*15*time.Millisecond)
				return nil
			}}
			ctx, cancel := context.WithCancel(t.Context())
			p, done := start(t, ctx, Options{
				Source: &memory{lanes: 2, records: 1_000_000, charge: true, batch: 100, gap: 25 * time.Millisecond},
				Sinks:  []Output{{Name: "out", Sink: out, MaxRecords: 100}}, Drain: time.Minute, StatsEvery: 15 * time.Second,
				Steps: []Step{asks(d, 4, Wait{})},
			})
			time.Sleep(50 * time.Second)
			s := p.Snapshot()
			if s.Bottleneck != where || s.Backpressure != "high" {
				t.Errorf("bottleneck %q, want %q; backpressure %s", s.Bottleneck, where, s.Backpressure)
			}
			if where == "ask" && s.Steps[0].Busy > time.Second {
				t.Errorf("busy for %s", s.Steps[0].Busy)
			}
			cancel()
			if err := <-done; err != nil {
				t.Fatal(where, err)
			}
		})
	}
}
