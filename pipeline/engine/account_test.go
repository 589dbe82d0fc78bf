package engine

import (
	"context"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// A hoarder is a sink that holds memory beside records.
type hoarder struct {
	collect
	budget *Budget
	add    func(int64)
	seen   int64
}

func (h *hoarder) Account(add func(int64)) { h.add = add }

func (h *hoarder) Write(ctx context.Context, recs []*pipeline.Record) error {
	_, before := h.budget.Use()
	h.add(1000)
	_, after := h.budget.Use()
	if after-before >= 1000 {
		h.seen++
	}
	return h.collect.Write(ctx, recs)
}

// What a component holds is part of what the budget has given out, and is given back
// when the pipeline ends.
func TestWhatComponentsHoldIsCharged(t *testing.T) {
	b := NewBudget(0, 0)
	h := &hoarder{budget: b}
	p := mustNew(t, Options{Source: &memory{lanes: 1, records: 30}, Budget: b, Sinks: []Output{{Name: "out", Sink: h}}})
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.seen == 0 {
		t.Error("what the sink holds is not charged")
	}
	if n, bytes := b.Use(); n != 0 || bytes != 0 {
		t.Errorf("%d records and %d bytes are still charged", n, bytes)
	}
}
