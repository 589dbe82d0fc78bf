package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// setFieldIn sets a field to a text that stands in the record's room.
func setFieldIn(r *pipeline.Record, name, text string, room int) error {
	return r.SetRaw(name, append(r.Room(room), text...))
}

// Extras go from filtered records to others, and still each record has its own fields, edits
// and texts, and its own original, in its dead letter too.
func TestExtrasOfFilteredRecords(t *testing.T) {
	const n = 5000
	value := func(_, i int) string { return fmt.Sprintf(`{"id":%d,"s":"%d"}`, i, i*i) }
	edit := func(r *pipeline.Record) error {
		id, err := r.Field("id")
		if err != nil {
			return err
		}
		_ = setFieldIn(r, "copy", string(id), 4)
		r.SetKey(bytes.Clone(id))
		return r.Remove("s")
	}
	read := does(func(_ context.Context, r *pipeline.Record) error {
		if r.Offset%7 == 1 { // some have no extras at all
			return nil
		}
		if err := edit(r); err != nil {
			return err
		}
		if r.Offset%3 == 0 {
			return pipeline.Filtered
		}
		return nil
	})
	more := does(func(_ context.Context, r *pipeline.Record) error {
		if r.Offset%11 == 2 {
			return pipeline.Filtered
		}
		if r.Offset%13 == 3 {
			return pipeline.Permanent(errors.New("no"))
		}
		return edit(r)
	})
	out, dead := map[int64]string{}, map[int64]string{}
	into := func(m map[int64]string) writes {
		return func(r *pipeline.Record) { m[r.Offset] = string(r.Key()) + string(r.AppendValue(nil)) }
	}
	_, err := run(t, Options{
		Source: &memory{lanes: 1, records: n, batch: 300, value: value, key: func(int, int) string { return "key" }},
		Steps:  []Step{{Name: "read", Stage: read, Workers: 2}, {Name: "more", Stage: more, Workers: 2}},
		Sinks:  []Output{{Name: "out", Sink: into(out)}}, DeadLetter: DeadLetter{Name: "dead", Sink: into(dead)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(n) {
		o, d := "", ""
		switch {
		case i%7 != 1 && i%3 == 0, i%11 == 2:
		case i%13 == 3:
			d = "key" + value(0, int(i))
		default:
			o = fmt.Sprintf(`%d{"id":%d,"copy":%d}`, i, i, i)
		}
		if out[i] != o || dead[i] != d {
			t.Fatalf("record %d: out %q, want %q; dead letter %q, want %q", i, out[i], o, dead[i], d)
		}
	}
}
