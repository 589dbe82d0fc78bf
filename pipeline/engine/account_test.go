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

// What a stage has read of a record to say what it wants is charged while the call waits, not when it is done.
func TestWhatIsReadForACallIsCharged(t *testing.T) {
	b := NewBudget(0, 0)
	var before, during int64
	d := &desk{t: t, admit: func(r *pipeline.Record, _ int) (*visit, error) {
		_, before = b.Use()
		_, err := r.Field("a")
		return &visit{do: func(context.Context, *pipeline.Record) error {
			_, during = b.Use()
			return nil
		}}, err
	}}
	p := mustNew(t, Options{
		Source: &memory{lanes: 1, records: 1, value: func(int, int) string { return `{"a":1}` }}, Budget: b,
		Steps: []Step{{Name: "call", Stage: d, Workers: 1, Wait: &Wait{}}},
		Sinks: []Output{{Name: "out", Sink: &collect{}}},
	})
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := during - before; n < 256 {
		t.Errorf("%d bytes are charged for what was read of a record", n)
	}
}

// Headers of a batch that came without a charge take their places too.
func TestPlacesOfHeadersAreCharged(t *testing.T) {
	const many = 1000
	charged := func(headers int) (bytes int64) {
		b := NewBudget(0, 0)
		source := &memory{lanes: 1, records: 1, wrap: func(batch *pipeline.Batch) {
			fill := batch.Fill
			batch.Fill = func(into []pipeline.Record) (int, error) {
				n, err := fill(into)
				for i := range into[:n] {
					r := &into[i]
					r.Init(r.Position, r.Key(), r.Value(), make([]pipeline.Header, headers), r.Time)
				}
				return n, err
			}
		}}
		look := pipeline.StageFunc(func(context.Context, *pipeline.Record) error {
			_, bytes = b.Use()
			return nil
		})
		p := mustNew(t, Options{
			Source: source, Budget: b, Steps: []Step{{Name: "look", Stage: look}}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
		})
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	if n := charged(many) - charged(0); n < many*40 {
		t.Errorf("%d bytes are charged for %d headers", n, many)
	}
}
