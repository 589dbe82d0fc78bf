package engine

import (
	"context"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// writes is a sink made of a function on each record.
type writes func(r *pipeline.Record)

func (w writes) Write(_ context.Context, recs []*pipeline.Record) error {
	for _, r := range recs {
		w(r)
	}
	return nil
}

func (writes) Close(context.Context) error { return nil }

// bytes_out counts what the sink was given, edits applied, whether it asked for the value or
// appended it to memory of its own.
func TestBytesOutAreThoseWritten(t *testing.T) {
	edits := does(func(_ context.Context, r *pipeline.Record) error {
		switch r.Offset % 4 {
		case 0:
			return nil
		case 1:
			return r.SetRaw("added", []byte(`"and some more of it"`))
		case 2:
			return r.Remove("b")
		}
		_ = r.SetRaw("c", []byte("[1,2,3]"))
		if err := r.Remove("c"); err != nil { // an edit that writes nothing
			return err
		}
		return r.SetRaw("b", []byte("1"))
	})
	values := map[string]func(*pipeline.Record) int64{
		"kept": func(r *pipeline.Record) int64 { return int64(len(r.Value())) },
		"appended": func(r *pipeline.Record) int64 {
			return int64(len(r.AppendValue([]byte("before it"))) - len("before it"))
		},
		"twice": func(r *pipeline.Record) int64 { r.AppendValue(nil); return int64(len(r.Value())) },
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			want := int64(0)
			sink := writes(func(r *pipeline.Record) { want += value(r) + int64(len(r.Key())) })
			source := &memory{
				lanes: 1, records: 400,
				value: func(int, int) string { return `{"a": 1, "b": "two of them"}` },
				key:   func(int, int) string { return "key" },
			}
			p := mustNew(t, Options{Source: source, Steps: []Step{{Name: "edits", Stage: edits}}, Sinks: []Output{{Name: "out", Sink: sink}}})
			if err := p.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := p.Snapshot().BytesOut; got != want || want == 0 {
				t.Errorf("%d bytes count as written, %d were", got, want)
			}
		})
	}
}
