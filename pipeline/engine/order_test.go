package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/penstockio/penstock/pipeline"
)

func TestOrderThroughSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 3, records: 5000, batch: 700}
		out := &collect{}
		stage := does(func(_ context.Context, r *pipeline.Record) error {
			if r.Offset%7 == 3 {
				return pipeline.Filtered
			}
			return nil
		})
		p, err := run(t, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}},
			Steps: []Step{{Name: "a", Stage: stage, Workers: 4}, {Name: "b", Stage: does(func(context.Context, *pipeline.Record) error { return nil }), Workers: 3}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for lane := range int32(3) {
			last := int64(-1)
			for _, o := range out.offsets(lane) {
				if o <= last || o%7 == 3 {
					t.Fatalf("lane %d: %d after %d (I1)", lane, o, last)
				}
				last = o
			}
			if m := src.mark(int(lane)); m != 5000 {
				t.Errorf("lane %d: mark %d, want 5000", lane, m)
			}
		}
		c := p.Snapshot().Counts
		if c.In != 15000 || c.Out+c.Filtered != 15000 || c.InFlight != 0 {
			t.Errorf("counts: %+v", c)
		}
		if src.freed != src.given {
			t.Errorf("%d batches freed of %d", src.freed, src.given)
		}
	})
}

func TestRejectedStopsWithoutDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 1000, batch: 300}
		out := &collect{}
		_, err := run(t, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}},
			Steps: []Step{{Name: "check", Workers: 3, Stage: does(func(_ context.Context, r *pipeline.Record) error {
				if r.Offset == 555 {
					return errors.New("reading a field: bad")
				}
				return nil
			})}},
		})
		if err == nil || err.Error() != "check: t/0@555: reading a field: bad" {
			t.Fatalf("error %v", err)
		}
		ascending(t, "lane 0", out.offsets(0), 555)
		if m := src.mark(0); m != 555 {
			t.Errorf("mark %d", m)
		}
	})
}
