package script

import (
	"go.starlark.net/starlark"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/stages/script/internal/bounded"
)

// A record is what a script sees of a pipeline.Record: a dict of its fields, read when they are asked for, with what is beside the value as
// attributes. Edits are kept until the script has returned.
type record struct {
	run *bounded.Run
	rec *pipeline.Record

	fields []field        // read or set, while whole is nil
	whole  starlark.Value // the value, once it was asked for as a whole
	text   []byte         // of which whole was made; nil: it is not of the record
	edited bool           // a field was set or removed

	key     starlark.Value // as set; nil: it was not
	time    starlark.Value // likewise
	headers []pipeline.Header
	head    bool // headers are set

	scratch []byte // for texts that are written
	edits   []edit // memory for those of an outcome
}

// begin makes r the record of a further call. The memory of the last one is used again: no script can keep a record.
func (r *record) begin(rec *pipeline.Record) {
	clear(r.fields)
	clear(r.edits)
	*r = record{run: r.run, rec: rec, fields: r.fields[:0], edits: r.edits[:0], scratch: r.scratch}
}

// json writes a value.
func (r *record) json(v starlark.Value) ([]byte, error) {
	text, err := r.run.AppendJSON(r.scratch[:0], v)
	return r.keep(text), err
}

// keep gives a text that was written into scratch as one that stays with the record.
func (r *record) keep(text []byte) []byte {
	if len(text) > fewBytes {
		r.scratch = nil
		return text
	}
	r.scratch = text
	return append(r.rec.Room(len(text)), text...)
}

// fewBytes is up to where a text is copied into the record's own memory.
const fewBytes = 1 << 10

// A field is one at the top of the value.
type field struct {
	name  string
	text  []byte         // as it stands in the record; nil: it does not
	value starlark.Value // nil: it is removed, or missing
	set   bool           // the script has set or removed it
}

var (
	_ starlark.Mapping     = (*record)(nil)
	_ starlark.HasSetKey   = (*record)(nil)
	_ starlark.Container   = (*record)(nil)
	_ starlark.HasSetField = (*record)(nil)
)

func (r *record) String() string      { return "record" }
func (*record) Type() string          { return "record" }
func (*record) Freeze()               {}
func (*record) Truth() starlark.Bool  { return true }
func (*record) Hash() (uint32, error) { return 0, bounded.Say("unhashable: record") }

// Get implements starlark.Mapping: record["name"].
func (r *record) Get(k starlark.Value) (starlark.Value, bool, error) {
	name, ok := starlark.AsString(k)
	if !ok {
		return nil, false, bounded.Say("a field is named by a text, not by a %s", k.Type())
	}
	if err := r.crowded(); err != nil {
		return nil, false, err
	}
	if r.whole != nil {
		d, ok := r.whole.(*starlark.Dict)
		if !ok {
			return nil, false, bounded.Say("the value of the record is a %s, and has no fields", r.whole.Type())
		}
		return r.run.Get(d, k)
	}
	f, err := r.field(name)
	if err != nil || f.value == nil {
		return nil, false, err
	}
	return f.value, true, nil
}

// Has implements starlark.Container: "name" in record.
func (r *record) Has(k starlark.Value) (bool, error) {
	_, ok, err := r.Get(k)
	return ok, err
}

// fewFields is how many fields are looked for one by one. Each is a walk through the value, which no step counts.
const fewFields = 64

// crowded reads the value as a whole when many of its fields were asked for.
func (r *record) crowded() error {
	if r.whole != nil || len(r.fields) < fewFields {
		return nil
	}
	_, err := r.value()
	return err
}

// field reads a field, once.
func (r *record) field(name string) (*field, error) {
	for i := range r.fields {
		if r.fields[i].name == name {
			return &r.fields[i], nil
		}
	}
	text, err := r.rec.Field(name)
	if err != nil {
		return nil, err
	}
	f := field{name: name, text: text}
	if text != nil {
		if f.value, err = r.run.FromJSON(text); err != nil {
			return nil, err
		}
	}
	if err := r.run.Take(int64(len(name)) + 128); err != nil {
		return nil, err
	}
	r.fields = append(r.fields, f)
	return &r.fields[len(r.fields)-1], nil
}

// SetKey implements starlark.HasSetKey: record["name"] = v.
func (r *record) SetKey(k, v starlark.Value) error { return r.set(k, v) }

// set sets a field, or removes it when v is nil.
func (r *record) set(k, v starlark.Value) error {
	name, ok := starlark.AsString(k)
	if !ok {
		return bounded.Say("a field is named by a text, not by a %s", k.Type())
	}
	r.edited = true
	if err := r.crowded(); err != nil {
		return err
	}
	if r.whole != nil {
		d, ok := r.whole.(*starlark.Dict)
		switch {
		case !ok:
			return bounded.Say("the value of the record is a %s, and has no fields", r.whole.Type())
		case v == nil:
			return r.run.Delete(d, k)
		}
		return r.run.SetKey(d, k, v)
	}
	if err := r.rec.CheckObject(); err != nil {
		return err
	}
	f, err := r.field(name)
	if err != nil {
		return err
	}
	f.value, f.set = v, true
	return nil
}

// value gives the value as a whole.
func (r *record) value() (starlark.Value, error) {
	if r.whole != nil {
		return r.whole, nil
	}
	if err := r.rec.CheckJSON(); err != nil {
		return nil, err
	}
	text := r.rec.Value()
	text = text[jsontext.Space(text, 0):]
	v, err := r.run.FromJSON(text)
	if err != nil {
		return nil, err
	}
	if d, ok := v.(*starlark.Dict); ok {
		// What the script has of a field already stays one and the same.
		for _, f := range r.fields {
			switch {
			case f.value != nil:
				err = d.SetKey(starlark.String(f.name), f.value)
			case f.set:
				_, _, err = d.Delete(starlark.String(f.name))
			}
			if err != nil {
				return nil, err
			}
		}
	}
	r.whole, r.text, r.fields = v, text, nil
	return v, nil
}

// names gives the names of the fields.
func (r *record) names() (starlark.Value, error) {
	v, err := r.value()
	if err != nil {
		return nil, err
	}
	d, ok := v.(*starlark.Dict)
	if !ok {
		return nil, bounded.Say("the value of the record is a %s, and has no fields", v.Type())
	}
	if err := r.run.Take(int64(d.Len())*16 + 64); err != nil {
		return nil, err
	}
	return starlark.NewList(d.Keys()), nil
}
