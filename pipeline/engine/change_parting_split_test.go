package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// TestASinkPartsWithPartsOfWhichSomeHaveFailed: the failed ones have no outcome until the others have theirs, as they make one dead letter together, and they do not keep the
// pipeline from resting. A step, or another sink, has refused them.
func TestASinkPartsWithPartsOfWhichSomeHaveFailed(t *testing.T) {
	for _, bySink := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			fails := func(r *pipeline.Record) bool { return r.Offset%2 == 0 && r.Part == 2 }
			old, next, dead := newBroken(), &collect{}, &collect{}
			other := &collect{write: func(_ context.Context, recs []*pipeline.Record) error {
				e := &pipeline.WriteError{}
				for i, r := range recs {
					if fails(r) {
						e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: pipeline.Permanent(errors.New("no good"))})
					}
				}
				if len(e.Failed) == 0 {
					return nil
				}
				return e
			}}
			judge := does(func(_ context.Context, r *pipeline.Record) error {
				if !bySink && fails(r) {
					return pipeline.Permanent(errors.New("no good"))
				}
				return nil
			})
			parts := func(out pipeline.Sink) Parts {
				p := sinksOf(Output{Name: "out", Sink: out}, Output{Name: "other", Sink: other})
				if !bySink {
					p.Sinks = p.Sinks[:1]
				}
				p.Steps = []Step{{Name: "split", Splitter: fan(func(*pipeline.Record) int { return 3 })}, {Name: "judge", Stage: judge}}
				p.DeadLetter = DeadLetter{Sink: dead}
				return p
			}
			src := &memory{lanes: 2, records: 12, gap: time.Millisecond, reopens: true}
			p, done := start(t, t.Context(), withParts(Options{Source: src}, parts(old)))
			time.Sleep(time.Second)
			c, err := changeWithin(t, p, parts(next))
			if err != nil {
				old.away.Store(false)
				<-done
				t.Fatal(err)
			}
			c.Commit()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			balanced(t, p)
			want := 2 * (12*3 - 6)
			if bySink {
				want = 2 * 12 * 3
			}
			if len(old.all()) != 0 || len(next.all()) != want || len(dead.all()) != 12 || src.mark(0) != 12 || src.mark(1) != 12 {
				t.Errorf("by a sink %v: %d and %d stored, %d letters; marks %d, %d", bySink, len(old.all()), len(next.all()), len(dead.all()), src.mark(0), src.mark(1))
			}
			if records, bytes := p.budget.Use(); records != 0 || bytes != 0 {
				t.Errorf("%d records and %d bytes of the budget are still in use", records, bytes)
			}
		})
	}
}

// TestALaneEndsWhileItsWriterParks: whoever comes first, none of its records stays with the sink.
func TestALaneEndsWhileItsWriterParks(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			src := &memory{lanes: 64, records: 40, endless: true, charge: true}
			ctx, cancel := context.WithCancel(t.Context())
			p, done := start(t, ctx, withParts(Options{Source: src}, sinksOf(Output{Name: "out", Sink: newBroken()})))
			time.Sleep(time.Second)
			s := p.chain().sinks[0]
			r := &rest{parted: []parted{{s, s}}}
			over, end := context.WithCancel(context.Background())
			end()
			go r.part()
			for i := range src.lanes {
				go func() { _, _ = src.lane(i).End(over) }()
			}
			synctest.Wait()
			if n := s.meter.read().InFlight; n != 0 {
				t.Errorf("the sink has %d records of lanes that are over", n)
			}
			if records, _ := p.budget.Use(); records != 0 {
				t.Errorf("%d records of the budget are in use", records)
			}
			cancel()
			<-done
		})
		if t.Failed() {
			return
		}
	}
}
