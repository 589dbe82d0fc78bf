package script

import (
	"errors"
	"strings"

	"go.starlark.net/starlark"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/stages/script/internal/bounded"
)

// This file puts what a script has done into the record, when it has returned.

// An edit is a value to set, or to remove when text is nil.
type edit struct {
	name string        // of a field at the top
	path jsontext.Path // nil: name says it
	text []byte
}

// An outcome is what becomes of the record: everything that can fail is done before the record is touched.
type outcome struct {
	edits     []edit
	value     []byte // the new value; nil: edits
	tombstone bool
	key       []byte
	setKey    bool
	time      int64
	setTime   bool
}

// outcome works out what the script has made of the record. result is what it has returned.
func (r *record) outcome(result starlark.Value) (o outcome, err error) {
	o.edits = r.edits
	defer func() { r.edits = o.edits }()
	if r.key != nil {
		o.setKey = true
		if o.key, err = r.toBytes("record.key", r.key); err != nil {
			return o, err
		}
	}
	if r.time != nil {
		if o.setTime, o.time = true, pipeline.NoTime; r.time != starlark.None {
			o.time, _ = r.time.(starlark.Int).Int64()
		}
	}
	switch {
	case result != starlark.None && result != r:
		err = r.become(&o, result)
	case r.whole != nil && r.text == nil:
		err = r.become(&o, r.whole)
	case r.whole != nil:
		if r.edited || r.run.Changed() {
			err = r.become(&o, r.whole)
		}
	default:
		err = r.editFields(&o)
	}
	return o, err
}

// become makes v the value.
func (r *record) become(o *outcome, v starlark.Value) (err error) {
	switch c := v.(type) {
	case tombstoneValue:
		o.tombstone = true
		return nil
	case starlark.Bytes:
		o.value = append([]byte{}, c...)
		return r.run.Take(int64(len(c)))
	case *record:
		return nil
	}
	if r.text != nil && v == r.whole {
		if d, ok := v.(*starlark.Dict); ok && r.text[0] == '{' {
			if err = r.editObject(o, nil, r.text, d); err != errMany {
				return err
			}
			o.edits = o.edits[:0]
		}
		var same bool
		if o.value, same, err = r.run.AppendLike(nil, r.text, v); same {
			o.value = nil
		}
		return err
	}
	o.value, err = r.json(v)
	return err
}

func (r *record) editFields(o *outcome) error {
	for i := range r.fields {
		f := &r.fields[i]
		switch {
		case f.set && f.value == nil:
			if f.text != nil {
				o.edits = append(o.edits, edit{name: f.name})
			}
		case f.set && f.text == nil:
			text, err := r.json(f.value)
			if err != nil {
				return err
			}
			o.edits = append(o.edits, edit{name: f.name, text: text})
		case f.value != nil && (f.set || r.run.Changed()):
			if err := r.editValue(o, nil, f.name, f.text, f.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// fewEdits is how many edits are put into the value one by one. Each is a walk through it that no step counts and no context ends;
// what has more of them is written anew, which both do.
const fewEdits = 64

// errMany says that an object has too many edits.
var errMany = errors.New("there are too many edits")

// editValue sets the member of that name, within what path leads to, to v, unless it is that already. text is what stands there.
func (r *record) editValue(o *outcome, path jsontext.Path, name string, text []byte, v starlark.Value) error {
	if bounded.Same(text, v) {
		return nil
	}
	if d, ok := v.(*starlark.Dict); ok && text[0] == '{' {
		from := len(o.edits)
		err := r.editObject(o, below(path, name), text, d)
		if err != errMany || len(path) > 0 {
			return err
		}
		o.edits = o.edits[:from]
	}
	is, same, err := r.run.AppendLike(r.scratch[:0], text, v)
	if err == nil && !same {
		o.edits = append(o.edits, editOf(path, name, r.keep(is)))
	}
	return err
}

// editOf is an edit of the member of that name within what path leads to.
func editOf(path jsontext.Path, name string, text []byte) edit {
	if len(path) == 0 {
		return edit{name: name, text: text}
	}
	return edit{path: below(path, name), text: text}
}

func below(path jsontext.Path, name string) jsontext.Path {
	return append(path[:len(path):len(path)], jsontext.Step{Kind: jsontext.Named, Name: name})
}

// editObject sets, within the object that path leads to, what is different in d.
func (r *record) editObject(o *outcome, path jsontext.Path, text []byte, d *starlark.Dict) (err error) {
	if err := r.run.Work(int64(len(text)) >> 6); err != nil {
		return err
	}
	seen := map[string]bool{}
	jsontext.Members(text, func(quoted, value []byte) bool {
		name := strings.Clone(jsontext.Unquote(quoted)) // it stays in the path
		if seen[name] {
			return true
		}
		seen[name] = true
		v, there, _ := d.Get(starlark.String(name))
		if there {
			err = r.editValue(o, path, name, value, v)
		} else {
			o.edits = append(o.edits, editOf(path, name, nil))
		}
		if err == nil && len(o.edits) > fewEdits {
			err = errMany
		}
		if err == nil {
			err = r.run.Take(64)
		}
		if err == nil {
			err = r.run.Work(1)
		}
		return err == nil
	})
	for k, v := range d.Entries() {
		if err != nil {
			return err
		}
		name, ok := starlark.AsString(k)
		if !ok {
			_, err = r.json(d) // which says so
			return err
		}
		if !seen[name] {
			var text []byte
			text, err = r.json(v)
			o.edits = append(o.edits, editOf(path, name, text))
		}
		if err == nil && len(o.edits) > fewEdits {
			err = errMany
		}
	}
	return err
}

// apply puts the outcome into the record.
func (r *record) apply(o *outcome) error {
	rec := r.rec
	for _, e := range o.edits {
		var err error
		switch {
		case e.path == nil && e.text == nil:
			err = rec.Remove(e.name)
		case e.path == nil:
			err = rec.SetRaw(e.name, e.text)
		case e.text == nil:
			err = rec.RemoveAt(e.path)
		default:
			err = rec.SetRawAt(e.path, e.text)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case o.tombstone:
		rec.SetValue(nil)
	case o.value != nil:
		rec.SetValue(o.value)
	}
	if o.setKey {
		rec.SetKey(o.key)
	}
	if o.setTime {
		rec.SetTime(o.time)
	}
	if r.head {
		rec.SetHeaders(r.headers)
	}
	return nil
}
