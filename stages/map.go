package stages

import (
	"context"
	"fmt"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// MapSettings are the settings of a Map. At least one of them is there.
type MapSettings struct {
	Value         *expr.Expr                          `yaml:"value" doc:"expression that gives the whole value; what comes below edits what it gives"`
	Set           settings.Fields[expr.Expr]          `yaml:"set" value:"true" doc:"fields to set, each to an expression over the record as it came; parents that are missing or null are made as objects; with [*] or * what is there is set, and no more than 16 MiB is added in all"`
	Remove        []settings.FieldPath                `yaml:"remove" doc:"fields to remove"`
	Rename        settings.Fields[settings.FieldPath] `yaml:"rename" doc:"fields to rename, old path to new path, all at once; one with [*] or * stays in its place: items[*].sku to items[*].id"`
	Keep          []settings.FieldPath                `yaml:"keep" doc:"fields to keep; all others are removed; objects in which a path goes on with a name stay, and arrays in which one goes on with [ ]; the value is written without white space between its parts"`
	Key           *expr.Expr                          `yaml:"key" doc:"expression that gives the record's key: a text itself, the JSON text of anything else; nil: no key, but that a tombstone keeps its own"`
	Time          *expr.Expr                          `yaml:"time" doc:"expression that gives the record's time: a date, or milliseconds since 1970; nil: it stays"`
	SetHeaders    settings.HeaderFields[expr.Expr]    `yaml:"set_headers" value:"true" doc:"headers to set, each in place of all of that name: a text itself, the JSON text of anything else; nil: none of that name"`
	RemoveHeaders []settings.HeaderOrAll              `yaml:"remove_headers" doc:"headers to remove, before those of set_headers are set; upper and lower case count, and * alone is all of them"`
	Tombstone     *expr.Condition                     `yaml:"tombstone" doc:"condition under which the record becomes a tombstone: it loses its value and keeps the rest, and what edits the value is left out"`
}

// A Map edits a record: its value, fields at any depth, key, time and headers, and can make a
// tombstone of it. All expressions read the record as it came. In the value first value and set
// take place, then remove, rename and keep, each on what the one before has left. The renames take
// place at once, so that two fields may swap their names; a field that is not there is not renamed.
//
// Of a tombstone only key, time and headers are edited. Where fields are edited, a value that is no
// object is rejected with not_object, and one in which something else stands in the way of a path
// with no_path.
type Map struct {
	value  *expr.Expr
	set    []setting
	remove []jsontext.Path // in the order of removeOrder
	rename renames
	keep   *keepNode   // nil: everything
	record *recordEdit // nil: nothing but the value is edited
}

// A setting is a path and what is set there.
type setting struct {
	path  jsontext.Path
	value expr.Expr
}

// NewMap makes a Map.
func NewMap(s MapSettings) (*Map, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	p, _ := s.paths() // Validate has found no errors
	m := &Map{value: s.Value, remove: removeOrder(p.remove), rename: newRenames(p), record: newRecordEdit(s)}
	for i, f := range s.Set {
		m.set = append(m.set, setting{p.set[i], f.Value})
	}
	if s.Keep != nil {
		m.keep = newKeep(p.keep)
	}
	return m, nil
}

// Process implements pipeline.Stage.
func (m *Map) Process(_ context.Context, rec *pipeline.Record) error {
	if m.record == nil {
		if rec.Tombstone() {
			return nil
		}
		return m.edit(rec)
	}
	// What is about the record reads it before the value is edited, and is put in afterwards.
	is, err := m.record.read(rec)
	if err != nil {
		return err
	}
	if !is.tombstone {
		if err := m.edit(rec); err != nil {
			return err
		}
	}
	m.record.write(rec, is)
	return nil
}

// edit edits the value.
func (m *Map) edit(rec *pipeline.Record) error {
	if err := m.setAll(rec); err != nil {
		return err
	}
	for _, path := range m.remove {
		if err := rec.RemoveAt(path); err != nil {
			return err
		}
	}
	if err := m.rename.in(rec); err != nil || m.keep == nil {
		return err
	}
	return m.keep.only(rec)
}

func (m *Map) setAll(rec *pipeline.Record) error {
	var whole []byte
	if m.value != nil {
		var err error
		if whole, err = m.value.JSON(rec); err != nil {
			return fmt.Errorf("making the value: %w", err)
		}
	}
	if len(m.set) > 0 {
		return m.setFields(rec, whole)
	}
	if whole != nil {
		rec.SetValue(whole)
	}
	return nil
}

// setFields sets the fields, in the value whole where it is not nil.
func (m *Map) setFields(rec *pipeline.Record, whole []byte) error {
	// The texts and their slices take no allocation (BenchmarkLateFlights). When room has to grow
	// it moves; slices of the texts before stay valid, in the memory where they were.
	var few [8][]byte
	texts, room := few[:0], rec.Room(24*len(m.set))
	for i := range m.set {
		from := len(room)
		var err error
		if room, err = m.set[i].value.AppendJSON(room, rec); err != nil {
			// That the value is no object is the cause, and says more.
			if cause := rec.CheckObject(); cause != nil && whole == nil {
				return cause
			}
			return fmt.Errorf("setting %q: %w", m.set[i].path, err)
		}
		texts = append(texts, room[from:len(room):len(room)])
	}
	if whole != nil {
		rec.SetValue(whole)
	}
	for i, text := range texts {
		if err := rec.SetRawAt(m.set[i].path, text); err != nil {
			return err
		}
	}
	return nil
}
