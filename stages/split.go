package stages

import (
	"bytes"
	"context"
	"errors"
	"fmt"

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
	Field    settings.FieldName `yaml:"field" nested:"split takes a field at the top: before it, map: {set: {LAST: READ}}, then split: LAST" doc:"array field to take apart; left out: the value itself is the array"`
	Into     settings.FieldName `yaml:"into" nested:"into is a field at the top, like LAST" doc:"field that takes the element, beside the other fields of the record; left out: the element becomes the value"`
	MaxParts int                `yaml:"max_parts" min:"1" doc:"most elements; an array with more rejects the record"`
	MaxBytes settings.Size      `yaml:"max_bytes" min:"1B" doc:"most bytes of all parts together; more reject the record"`
}

// DefaultSplit gives the settings of a Split before a file is read.
func DefaultSplit() SplitSettings { return SplitSettings{MaxParts: 10_000, MaxBytes: 64 << 20} }

// Validate implements the check of settings.
func (s *SplitSettings) Validate() error {
	var errs []error
	wrong := func(field, text string) {
		errs = append(errs, &settings.FieldError{Field: field, Err: errors.New(text)})
	}
	if s.Into != "" && s.Field == "" {
		wrong("into", "an array has no other fields to keep: name the field to take apart, or leave into out")
	}
	if s.MaxParts < 1 {
		wrong("max_parts", "below one")
	}
	if s.MaxBytes < 1 {
		wrong("max_bytes", "below one byte")
	}
	return errors.Join(errs...)
}

// A Split makes one record of each element of an array, in order, with the key, headers
// and time of the record. An array that is empty, missing or null filters the record;
// anything else is rejected with not_array. A value that is no object is rejected with
// not_object when a field is to be taken apart. Tombstones pass unchanged.
type Split struct {
	s    SplitSettings
	into []byte // as JSON text
}

// NewSplit makes a Split.
func NewSplit(s SplitSettings) (*Split, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return &Split{s: s, into: jsontext.AppendString(nil, string(s.Into))}, nil
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
	if s.s.Into != "" {
		rest = s.rest(rec)
		size += int64(n) * int64(len(rest)+len(s.into)+3)
	}
	if n > s.s.MaxParts {
		return pipeline.Reject(ReasonTooManyParts, fmt.Errorf("splitting: the array has %d elements, max_parts is %d", n, s.s.MaxParts))
	}
	if size > int64(s.s.MaxBytes) {
		return pipeline.Reject(pipeline.ReasonTooLarge, fmt.Errorf("splitting: the parts have %d bytes, max_bytes is %v", size, s.s.MaxBytes))
	}
	jsontext.Elements(array, func(e []byte) bool {
		if s.s.Into != "" {
			part := append(make([]byte, 0, len(rest)+len(s.into)+len(e)+3), rest...)
			e = append(appendField(part, s.into, e), '}')
		}
		var part pipeline.Record
		part.Init(rec.Position, rec.Key(), e, rec.Headers(), rec.Time)
		emit(&part)
		return true
	})
	return nil
}

// array gives the array to take apart, nil when there is none.
func (s *Split) array(rec *pipeline.Record) ([]byte, error) {
	var text []byte
	err := rec.CheckJSON()
	if s.s.Field != "" {
		text, err = rec.Field(string(s.s.Field))
	} else if err == nil {
		text = bytes.TrimLeft(rec.Value(), " \t\r\n")
	}
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

// rest gives the beginning of each part: the record's object without its end, and without the
// field that is split and the one that takes the element.
func (s *Split) rest(rec *pipeline.Record) []byte {
	v := bytes.TrimLeft(rec.Value(), " \t\r\n")
	rest := append(make([]byte, 0, len(v)), '{')
	jsontext.Members(v, func(name, value []byte) bool {
		if n := settings.FieldName(jsontext.Unquote(name)); n != s.s.Field && n != s.s.Into {
			rest = appendField(rest, name, value)
		}
		return true
	})
	return rest
}
