package engine

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// lognormal draws a latency with a median of 5 ms and a 99th percentile of 100 ms.
func lognormal(r *rand.Rand) time.Duration {
	return time.Duration(5e6 * math.Exp(1.288*r.NormFloat64()))
}

func TestWaitingStepKeepsOrder(t *testing.T) {
	for _, order := range []Order{OrderPartition, OrderKey, OrderNone} {
		synctest.Test(t, func(t *testing.T) {
			src := &memory{lanes: 2, records: 3000, batch: 500, key: func(_, n int) string { return string(rune('a' + n%5)) }}
			out := &collect{}
			var running, most atomic.Int32
			stage := does(func(ctx context.Context, r *pipeline.Record) error {
				if n := running.Add(1); n > most.Load() {
					most.Store(n)
				}
				defer running.Add(-1)
				pause(ctx, lognormal(rand.New(rand.NewPCG(uint64(r.Offset), uint64(r.Partition)))))
				if r.Offset%11 == 4 {
					return pipeline.Filtered
				}
				return ctx.Err()
			})
			_, err := run(t, Options{
				Source: src, Sinks: []Output{{Name: "out", Sink: out}}, Order: order,
				Steps: []Step{{Name: "ask", Stage: stage, Wait: &Wait{Window: 256}, Workers: 16}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if most.Load() != 16 {
				t.Errorf("%d calls at a time, want all 16 slots", most.Load())
			}
			last := map[string]int64{}
			inversions := 0
			seen := int64(-1)
			for _, s := range out.all() {
				name := string(rune('0' + s.Partition))
				if order == OrderKey {
					name += s.key
				}
				if s.Partition == 0 {
					if s.Offset < seen {
						inversions++
					}
					seen = s.Offset
				}
				if order != OrderNone {
					if before, ok := last[name]; ok && s.Offset <= before {
						t.Fatalf("order %d: %d after %d (I1)", order, s.Offset, before)
					}
				}
				last[name] = s.Offset
			}
			if order != OrderPartition && inversions == 0 {
				t.Errorf("order %d: nothing overtook anything", order)
			}
			for lane := range 2 {
				if m := src.mark(lane); m != 3000 {
					t.Errorf("order %d: mark %d, want 3000", order, m)
				}
			}
		})
	}
}

func TestRetryInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 400, batch: 100}
		out, dead := &collect{}, &collect{}
		var calls atomic.Int32
		stage := does(func(ctx context.Context, r *pipeline.Record) error {
			calls.Add(1)
			if err := r.SetRaw("tried", []byte("true")); err != nil {
				return err
			}
			switch {
			case r.Offset == 50:
				return errors.New("asking: never answers")
			case r.Offset%20 == 0 && rand.N(2) == 0:
				return pipeline.RetryAfter(time.Second, errors.New("asking: too many requests"))
			}
			return nil
		})
		p, err := run(t, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
			Steps: []Step{{
				Name: "ask", Stage: stage, Wait: &Wait{Window: 64, Deadline: time.Hour, Retry: Retry{Attempts: 50, Backoff: time.Millisecond}}, Workers: 4}},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := out.offsets(0)
		if len(got) != 399 {
			t.Fatalf("%d records", len(got))
		}
		for i := 1; i < len(got); i++ {
			if got[i] <= got[i-1] {
				t.Fatalf("%d after %d", got[i], got[i-1])
			}
		}
		letters := dead.all()
		if len(letters) != 1 || letters[0].Offset != 50 || letters[0].value != `{"lane":0,"n":50}` {
			t.Fatalf("dead letters: %+v", letters)
		}
		h := letters[0].headers
		if h["penstock-reason"] != "attempts" || h["penstock-attempts"] != "50" || h["penstock-step"] != "ask" || h["penstock-offset"] != "50" {
			t.Errorf("headers: %v", h)
		}
		if c := p.Snapshot().Counts; c.Rejected != 1 || c.Out != 399 {
			t.Errorf("counts: %+v", c)
		}
		if m := src.mark(0); m != 400 {
			t.Errorf("mark %d", m)
		}
	})
}
