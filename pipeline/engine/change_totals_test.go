package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A rejectsThird rejects every third record.
type rejectsThird struct{}

func (rejectsThird) Process(_ context.Context, r *pipeline.Record) error {
	if r.Offset%3 == 0 {
		return pipeline.Reject(pipeline.ReasonExpression, errors.New("no"))
	}
	return nil
}

// TestTotalsDoNotFallInAChange: what steps and sinks have counted that are gone stays in the totals of the pipeline, also when one of their name
// is there again.
func TestTotalsDoNotFallInAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 2, records: 3000, batch: 37, gap: 5 * time.Millisecond, charge: true}
		parts := func(name string) Parts {
			return Parts{
				Steps:      []Step{{Name: name, Kind: "test", Stage: rejectsThird{}, Workers: 2}},
				Sinks:      []Output{{Name: "out", Kind: "test", Sink: &collect{}}},
				DeadLetter: DeadLetter{Sink: &collect{}}, ConfigHash: name,
			}
		}
		p, done := start(t, t.Context(), withParts(Options{Source: src}, parts("one")))
		before := int64(0)
		for _, name := range []string{"two", "one", "two", "three"} {
			time.Sleep(50 * time.Millisecond)
			before = max(before, p.Snapshot().Errors)
			mustChange(t, p, parts(name))
			if now := p.Snapshot(); now.Errors < before || before == 0 {
				t.Errorf("%s: the errors were %d, and are %d", name, before, now.Errors)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if s := p.Snapshot(); s.Errors != s.Rejected || s.Rejected != 2000 {
			t.Errorf("%d errors, %d rejected, want 2000 of each", s.Errors, s.Rejected)
		}
	})
}
