package stages

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Reasons for which a Split rejects a record.
const (
	ReasonNotArray     = "not_array"      // what is to be split is no array
	ReasonTooManyParts = "too_many_parts" // the array to split has more elements than max_parts
)

// SplitSettings are the settings of a Split.
type SplitSettings struct {
	Field    settings.FieldPath `yaml:"field" doc:"array field to take apart; left out: the value itself is the array"`
	Into     settings.FieldPath `yaml:"into" doc:"field that takes the element, beside all of the record but the array; left out: the element becomes the value"`
	MaxParts int                `yaml:"max_parts" min:"1" doc:"most elements; an array with more rejects the record"`
	MaxBytes settings.Size      `yaml:"max_bytes" min:"1B" doc:"most bytes of all parts together; more reject the record"`
}

// DefaultSplit gives the settings of a Split before a file is read.
func DefaultSplit() SplitSettings { return SplitSettings{MaxParts: 10_000, MaxBytes: 64 << 20} }

// Validate implements the check of settings.
func (s *SplitSettings) Validate() error {
	var p problems
	if s.Into != "" && s.Field == "" {
		p.Add("into", "an array has no other fields to keep: name the field to take apart, or leave into out")
	}
	p.place("field", s.Field)
	p.place("into", s.Into)
	if s.MaxParts < 1 {
		p.Add("max_parts", "below one")
	}
	if s.MaxBytes < 1 {
		p.Add("max_bytes", "below one byte")
	}
	return p.Err()
}

// A Split makes one record of each element of an array, in order, with the key, headers
// and time of the record. An array that is empty, missing or null filters the record;
// anything else is rejected with not_array. A value that is no object is rejected with
// not_object when a field is to be taken apart, and with no_path when something else stands in the
// way of into. Tombstones pass unchanged.
type Split struct {
	s           SplitSettings
	field, into jsontext.Path // nil: not set
	name        []byte        // as JSON text, when both are fields at the top and a part is made by appending
}

// NewSplit makes a Split.
func NewSplit(s SplitSettings) (*Split, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	p := &Split{s: s}
	for _, at := range []struct {
		path settings.FieldPath
		into *jsontext.Path
	}{{s.Field, &p.field}, {s.Into, &p.into}} {
		if at.path == "" {
			continue
		}
		var err error
		if *at.into, err = at.path.Place(); err != nil {
			return nil, err
		}
	}
	if len(p.field) == 1 && len(p.into) == 1 {
		p.name = jsontext.AppendString(nil, p.into[0].Name)
	}
	return p, nil
}

// Split implements pipeline.Splitter.
func (s *Split) Split(_ context.Context, rec *pipeline.Record, emit func(*pipeline.Record)) error {
	if rec.Tombstone() {
		emit(rec)
		return nil
	}
	array, err := s.array(rec)
	if err != nil || array == nil {
		return err
	}
	size, n := int64(0), 0
	jsontext.Elements(array, func(e []byte) bool {
		size += int64(len(e))
		n++
		return true
	})
	var rest []byte
	if s.into != nil {
		empty := 0 // bytes of a part without its element
		if rest, empty, err = s.rest(rec); err != nil {
			return err
		}
		size += int64(n) * int64(empty)
	}
	if n > s.s.MaxParts {
		return pipeline.Reject(ReasonTooManyParts, fmt.Errorf("splitting: the array has %d elements, max_parts is %d", n, s.s.MaxParts))
	}
	if size > int64(s.s.MaxBytes) {
		return pipeline.Reject(pipeline.ReasonTooLarge, fmt.Errorf("splitting: the parts have %d bytes, max_bytes is %v", size, s.s.MaxBytes))
	}
	jsontext.Elements(array, func(e []byte) bool {
		if s.into != nil {
			if e, err = s.part(rest, e); err != nil {
				return false
			}
		}
		var part pipeline.Record
		part.Init(rec.Position, rec.Key(), e, rec.Headers(), rec.Time)
		emit(&part)
		return true
	})
	return err
}

// text gives what stands where the array is to be, nil when nothing does.
func (s *Split) text(rec *pipeline.Record) ([]byte, error) {
	if s.field != nil {
		return rec.At(s.field)
	}
	if err := rec.CheckJSON(); err != nil {
		return nil, err
	}
	text := rec.Value()
	return text[jsontext.Space(text, 0):], nil
}

// array gives the array to take apart, nil when there is none.
func (s *Split) array(rec *pipeline.Record) ([]byte, error) {
	text, err := s.text(rec)
	if err != nil {
		return nil, err
	}
	switch {
	case text == nil || text[0] == 'n':
		return nil, nil
	case text[0] != '[':
		return nil, pipeline.Reject(ReasonNotArray, errors.New("splitting: what is to be taken apart is no array"))
	}
	return text, nil
}

// rest gives what the parts have in common, and the bytes that a part has without its element. With
// fields at the top that is the record's object without its end, and without the field that is split
// and the one that takes the element; else the whole object without the field that is split.
func (s *Split) rest(rec *pipeline.Record) (rest []byte, empty int, err error) {
	v := rec.Value()
	if s.name == nil {
		rest = v
		if !slices.Equal(s.field, s.into) {
			rest = jsontext.Remove(make([]byte, 0, len(v)), v, s.field)
		}
		part, err := s.part(rest, nil)
		return rest, len(part), err
	}
	v = v[jsontext.Space(v, 0):]
	rest = append(make([]byte, 0, len(v)), '{')
	jsontext.Members(v, func(name, value []byte) bool {
		if n := jsontext.Unquote(name); n != s.field[0].Name && n != s.into[0].Name {
			rest = appendField(rest, name, value)
		}
		return true
	})
	return rest, len(rest) + len(s.name) + 3, nil
}

// part gives the value of the part with that element.
func (s *Split) part(rest, element []byte) ([]byte, error) {
	if s.name != nil {
		part := append(make([]byte, 0, len(rest)+len(s.name)+len(element)+3), rest...)
		return append(appendField(part, s.name, element), '}'), nil
	}
	part, err := jsontext.Set(nil, rest, s.into, element)
	if err != nil {
		return nil, pipeline.Reject(pipeline.ReasonNoPath, fmt.Errorf("splitting into %s: %w", s.into, err))
	}
	return part, nil
}
