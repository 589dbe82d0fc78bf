package script

import (
	"go.starlark.net/starlark"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/stages/script/internal/bounded"
)

// This file has what stands behind a dot: record.key, record.get("name").

// A method of a record.
type method func(r *record, name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error)

var recordMethods = map[string]*starlark.Builtin{
	"get": recordMethod("get", func(r *record, name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var k starlark.Value
		var otherwise starlark.Value = starlark.None
		if err := starlark.UnpackPositionalArgs(name, args, kwargs, 1, &k, &otherwise); err != nil {
			return nil, err
		}
		v, ok, err := r.Get(k)
		if err == nil && !ok {
			v = otherwise
		}
		return v, err
	}),
	"pop": recordMethod("pop", func(r *record, name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var k starlark.Value
		var otherwise starlark.Value = starlark.None
		if err := starlark.UnpackPositionalArgs(name, args, kwargs, 1, &k, &otherwise); err != nil {
			return nil, err
		}
		v, ok, err := r.Get(k)
		if err != nil || !ok {
			return otherwise, err
		}
		return v, r.set(k, nil)
	}),
	"keys": recordMethod("keys", func(r *record, name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if err := starlark.UnpackPositionalArgs(name, args, kwargs, 0); err != nil {
			return nil, err
		}
		return r.names()
	}),
	"header": recordMethod("header", func(r *record, name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var of string
		if err := starlark.UnpackPositionalArgs(name, args, kwargs, 1, &of); err != nil {
			return nil, err
		}
		for _, h := range r.headersNow() {
			if h.Name == of {
				return r.ofBytes(h.Value)
			}
		}
		return starlark.None, nil
	}),
	"set_header": recordMethod("set_header", func(r *record, name string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var of string
		var v starlark.Value
		if err := starlark.UnpackPositionalArgs(name, args, kwargs, 2, &of, &v); err != nil {
			return nil, err
		}
		return starlark.None, r.setHeader(of, v)
	}),
}

func recordMethod(name string, do method) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		return do(b.Receiver().(*record), name, args, kwargs)
	})
}

var recordAttrs = []string{"bytes", "get", "header", "headers", "key", "keys", "offset", "partition", "pop", "set_header", "time", "topic", "value"}

// AttrNames implements starlark.HasAttrs.
func (r *record) AttrNames() []string { return recordAttrs }

// Attr implements starlark.HasAttrs.
func (r *record) Attr(name string) (starlark.Value, error) {
	switch name {
	case "value":
		return r.value()
	case "bytes":
		text := r.rec.Value()
		return starlark.Bytes(text), r.run.Take(int64(len(text)) + 64)
	case "key":
		if r.key != nil {
			return r.key, nil
		}
		return r.ofBytes(r.rec.Key())
	case "headers":
		return r.listHeaders()
	case "time":
		if r.time != nil {
			return r.time, nil
		}
		if r.rec.Time == pipeline.NoTime {
			return starlark.None, nil
		}
		return starlark.MakeInt64(r.rec.Time), r.run.Take(64)
	case "topic":
		return starlark.String(r.rec.Topic), nil
	case "partition":
		return starlark.MakeInt(int(r.rec.Partition)), nil
	case "offset":
		return starlark.MakeInt64(r.rec.Offset), r.run.Take(64)
	}
	if m := recordMethods[name]; m != nil {
		return m.BindReceiver(r), nil
	}
	return nil, nil
}

// ofBytes gives bytes that are likely a text; None for nil.
func (r *record) ofBytes(b []byte) (starlark.Value, error) {
	if b == nil {
		return starlark.None, nil
	}
	return starlark.String(b), r.run.Take(int64(len(b)) + 32)
}

// toBytes is the reverse of ofBytes. It gives a copy.
func (r *record) toBytes(what string, v starlark.Value) ([]byte, error) {
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.String:
		return append([]byte{}, v...), r.run.Take(int64(len(v)))
	case starlark.Bytes:
		return append([]byte{}, v...), r.run.Take(int64(len(v)))
	}
	return nil, bounded.Say("%s is a text, bytes or None, not a %s: write str(x)", what, v.Type())
}

// SetField implements starlark.HasSetField.
func (r *record) SetField(name string, v starlark.Value) error {
	switch name {
	case "value":
		if v == r { // it is that already, with the edits that were made
			return nil
		}
		r.whole, r.text, r.fields, r.edited = v, nil, nil, true
		return nil
	case "key":
		if _, err := r.toBytes("record.key", v); err != nil {
			return err
		}
		r.key = v
		return nil
	case "time":
		if n, ok := v.(starlark.Int); ok {
			if _, ok := n.Int64(); ok {
				r.time = v
				return nil
			}
		} else if v == starlark.None {
			r.time = v
			return nil
		}
		return bounded.Say("record.time is an int, in milliseconds since 1970, or None")
	case "headers":
		return bounded.Say("record.headers is not set as a whole: write record.set_header(name, value), with None to remove it")
	case "bytes":
		return bounded.Say("record.bytes is not set: write record.value = bytes")
	case "topic", "partition", "offset":
		return bounded.Say("record.%s says where the record comes from, and cannot be set", name)
	}
	return starlark.NoSuchAttrError("record has no ." + name + " field")
}

func (r *record) headersNow() []pipeline.Header {
	if r.head {
		return r.headers
	}
	return r.rec.Headers()
}

func (r *record) listHeaders() (starlark.Value, error) {
	var all []starlark.Value
	for _, h := range r.headersNow() {
		v, err := r.ofBytes(h.Value)
		if err != nil {
			return nil, err
		}
		if err := r.run.Take(int64(len(h.Name)) + 128); err != nil {
			return nil, err
		}
		all = append(all, starlark.Tuple{starlark.String(h.Name), v})
	}
	return starlark.NewList(all), nil
}

// setHeader sets a header in place of all of its name, or removes them when v is None.
func (r *record) setHeader(name string, v starlark.Value) error {
	value, err := r.toBytes("a header", v)
	if err != nil {
		return err
	}
	if err := r.run.Take(int64(len(name)) + int64(len(r.headersNow()))*48 + 64); err != nil {
		return err
	}
	var out []pipeline.Header
	placed := value == nil
	for _, h := range r.headersNow() {
		switch {
		case h.Name != name:
			out = append(out, h)
		case !placed:
			out, placed = append(out, pipeline.Header{Name: name, Value: value}), true
		}
	}
	if !placed {
		out = append(out, pipeline.Header{Name: name, Value: value})
	}
	r.headers, r.head = out, true
	return nil
}
