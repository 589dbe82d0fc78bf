package stages

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// MapSettings are the settings of a Map. At least one of them is there.
type MapSettings struct {
	Set    settings.Fields[expr.Expr]          `yaml:"set" value:"true" nested:"set is for fields at the top: set the whole of FIRST, to an object, as in FIRST: '{\"LAST\": 1}'" doc:"fields to set, each to an expression over the record as it came"`
	Remove []settings.FieldName                `yaml:"remove" nested:"what is within a field is taken out by redact: {fields: ['PATH'], how: remove}" doc:"fields to remove"`
	Rename settings.Fields[settings.FieldName] `yaml:"rename" nested:"rename is for fields at the top; what is within one is copied there by set: {LAST: READ}" doc:"fields to rename, old name to new name"`
	Keep   []settings.FieldName                `yaml:"keep" nested:"keep is for fields at the top: set: {LAST: READ}, and keep LAST" doc:"fields to keep; all others are removed"`
}

// Validate implements the check of settings.
func (s *MapSettings) Validate() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &settings.FieldError{Field: field, Err: fmt.Errorf(format, args...)})
	}
	if len(s.Set) == 0 && len(s.Remove) == 0 && len(s.Rename) == 0 && s.Keep == nil {
		errs = append(errs, errors.New("a map does nothing: write at least one of set, remove, rename, keep"))
	}
	for _, f := range s.Set {
		if slices.Contains(s.Remove, settings.FieldName(f.Name)) {
			wrong("remove", "field %q is set and removed: set comes first, so it would never be there", f.Name)
		}
	}
	var from, to []string
	for _, f := range s.Rename {
		if f.Value == "" {
			wrong("rename", "field %q has no new name", f.Name)
		}
		if slices.Contains(to, string(f.Value)) {
			wrong("rename", "two fields are renamed to %q", f.Value)
		}
		if slices.Contains(from, f.Name) {
			wrong("rename", "field %q is renamed twice", f.Name)
		}
		from, to = append(from, f.Name), append(to, string(f.Value))
	}
	return errors.Join(errs...)
}

// A Map edits the top-level fields of a record. All expressions of set read the record
// as it came; then come remove, rename and keep. The renames take place at once, so that two
// fields may swap their names; a field that is not there is not renamed. Tombstones pass
// unchanged; a value that is no object is rejected with not_object.
type Map struct {
	set     settings.Fields[expr.Expr]
	remove  []settings.FieldName
	rename  settings.Fields[settings.FieldName]
	keep    []kept
	hasKeep bool
}

// kept is a name with its JSON text.
type kept struct {
	name string
	text []byte
}

// NewMap makes a Map.
func NewMap(s MapSettings) (*Map, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	m := &Map{set: s.Set, remove: s.Remove, rename: s.Rename, hasKeep: s.Keep != nil}
	for i, name := range s.Keep {
		if slices.Contains(s.Keep[:i], name) {
			continue
		}
		m.keep = append(m.keep, kept{string(name), jsontext.AppendString(nil, string(name))})
	}
	return m, nil
}

// Process implements pipeline.Stage.
func (m *Map) Process(_ context.Context, rec *pipeline.Record) error {
	if rec.Tombstone() {
		return nil
	}
	if err := m.setAll(rec); err != nil {
		return err
	}
	for _, name := range m.remove {
		if err := rec.Remove(string(name)); err != nil {
			return err
		}
	}
	if err := m.renameAll(rec); err != nil || !m.hasKeep {
		return err
	}
	return m.keepOnly(rec)
}

func (m *Map) setAll(rec *pipeline.Record) error {
	if len(m.set) == 0 {
		return nil
	}
	// The texts and their slices take no allocation (BenchmarkLateFlights). When room has to grow
	// it moves; slices of the texts before stay valid, in the memory where they were.
	var few [8][]byte
	texts, room := few[:0], rec.Room(24*len(m.set))
	for i := range m.set {
		from := len(room)
		var err error
		if room, err = m.set[i].Value.AppendJSON(room, rec); err != nil {
			// That the value is no object is the cause, and says more.
			if cause := rec.CheckObject(); cause != nil {
				return cause
			}
			return fmt.Errorf("setting %q: %w", m.set[i].Name, err)
		}
		texts = append(texts, room[from:len(room):len(room)])
	}
	for i, text := range texts {
		if err := rec.SetRaw(m.set[i].Name, text); err != nil {
			return err
		}
	}
	return nil
}

func (m *Map) renameAll(rec *pipeline.Record) error {
	if len(m.rename) == 0 {
		return nil
	}
	texts := make([][]byte, len(m.rename))
	for i, f := range m.rename {
		var err error
		if texts[i], err = rec.Field(f.Name); err != nil {
			return err
		}
	}
	// A field that is not there is removed too: that finds out when the value is no object.
	for _, f := range m.rename {
		if err := rec.Remove(f.Name); err != nil {
			return err
		}
	}
	for i, f := range m.rename {
		if texts[i] == nil {
			continue
		}
		if err := rec.SetRaw(string(f.Value), texts[i]); err != nil {
			return err
		}
	}
	return nil
}

// keepOnly writes the object anew, in its own order: removing the others one by one
// would cost the square of their number.
func (m *Map) keepOnly(rec *pipeline.Record) error {
	if err := rec.CheckObject(); err != nil {
		return err
	}
	out := []byte{'{'}
	done := make([]bool, len(m.keep))
	err := rec.Fields(func(name string, text []byte) bool {
		for i, k := range m.keep {
			if k.name == name && !done[i] {
				done[i] = true
				out = appendField(out, k.text, text)
				break
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	rec.SetValue(append(out, '}'))
	return nil
}
