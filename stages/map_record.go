package stages

import (
	"fmt"
	"slices"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A recordEdit is what a map edits of a record beside its value: key, time, headers, and whether it
// becomes a tombstone.
type recordEdit struct {
	key, time *expr.Expr
	set       settings.HeaderFields[expr.Expr]
	remove    []settings.HeaderOrAll
	tombstone *expr.Condition
}

// newRecordEdit gives nil when nothing of it is set.
func newRecordEdit(s MapSettings) *recordEdit {
	if s.Key == nil && s.Time == nil && len(s.SetHeaders) == 0 && len(s.RemoveHeaders) == 0 && s.Tombstone == nil {
		return nil
	}
	return &recordEdit{key: s.Key, time: s.Time, set: s.SetHeaders, remove: s.RemoveHeaders, tombstone: s.Tombstone}
}

// recordValues are what a recordEdit gives for one record.
type recordValues struct {
	tombstone bool // the record is one, or becomes one
	key       []byte
	time      int64
	headers   []pipeline.Header // nil: they stay
}

// read evaluates everything for the record as it is.
func (e *recordEdit) read(rec *pipeline.Record) (is recordValues, err error) {
	is = recordValues{tombstone: rec.Tombstone(), key: rec.Key(), time: rec.Time}
	if e.tombstone != nil && !is.tombstone {
		if is.tombstone, err = e.tombstone.Condition(rec); err != nil {
			return is, fmt.Errorf("making a tombstone: %w", err)
		}
	}
	if e.key != nil {
		key, err := e.key.Bytes(rec)
		if err != nil {
			return is, fmt.Errorf("making the key: %w", err)
		}
		if key != nil || !is.tombstone {
			is.key = key
		}
	}
	if e.time != nil {
		ms, ok, err := e.time.Time(rec)
		if err != nil {
			return is, fmt.Errorf("making the time: %w", err)
		}
		if ok {
			is.time = ms
		}
	}
	is.headers, err = e.headers(rec)
	return is, err
}

// headers gives the headers edited, in a list of its own: the dead letter has those of the record
// as it came. nil: they stay as they are.
func (e *recordEdit) headers(rec *pipeline.Record) ([]pipeline.Header, error) {
	if len(e.set) == 0 && !slices.ContainsFunc(rec.Headers(), e.removes) {
		return nil, nil
	}
	edited := make([]pipeline.Header, 0, len(rec.Headers())+len(e.set))
	for _, h := range rec.Headers() {
		if !e.removes(h) {
			edited = append(edited, h)
		}
	}
	for i := range e.set {
		name := string(e.set[i].Name)
		value, err := e.set[i].Value.Bytes(rec)
		if err != nil {
			return nil, fmt.Errorf("setting the header %q: %w", name, err)
		}
		edited = setHeader(edited, name, value)
	}
	return edited, nil
}

func (e *recordEdit) removes(h pipeline.Header) bool {
	return slices.ContainsFunc(e.remove, func(r settings.HeaderOrAll) bool { return r.All || string(r.Name) == h.Name })
}

// setHeader puts a value in the place of the first header of that name, or at the end, and takes
// the others of that name out; nil takes out all of them.
func setHeader(headers []pipeline.Header, name string, value []byte) []pipeline.Header {
	kept, there := headers[:0], value == nil
	for _, h := range headers {
		switch {
		case h.Name != name:
			kept = append(kept, h)
		case !there:
			there = true
			kept = append(kept, pipeline.Header{Name: name, Value: value})
		}
	}
	if !there {
		kept = append(kept, pipeline.Header{Name: name, Value: value})
	}
	return kept
}

// write puts in what read has given.
func (e *recordEdit) write(rec *pipeline.Record, is recordValues) {
	if e.key != nil {
		rec.SetKey(is.key)
	}
	if is.time != rec.Time {
		rec.SetTime(is.time)
	}
	if is.headers != nil {
		rec.SetHeaders(is.headers)
	}
	if is.tombstone && !rec.Tombstone() {
		rec.SetValue(nil)
	}
}
