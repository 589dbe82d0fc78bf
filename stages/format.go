package stages

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/pipeline/textformat"
)

// ReasonNotFormatted is the reason of a record that was rejected because its value cannot be
// written in the format.
const ReasonNotFormatted = "not_formatted" // a value cannot be written in the format that is asked for

// FormatSettings are the settings of a Format.
type FormatSettings struct {
	As           TextFormat           `yaml:"as" required:"true" enum:"json|csv|logfmt|key_value|url|query|timestamp|base64|hex|gzip|zstd|text" doc:"what to write. json: JSON without white space; csv: one line of an object or array, RFC 4180; logfmt, key_value: pairs of an object; url: of an object with the parts that parse gives; query: a query string of an object; timestamp: a moment (text of RFC 3339, or milliseconds since 1970) in the layout; base64, hex, gzip, zstd: a string's characters or the value's bytes, coded or compressed; text: a string's characters, the JSON of anything else"`
	Field        settings.FieldPath   `yaml:"field" doc:"field to write; one that is missing or null is left as it is; left out: the value"`
	Into         settings.FieldPath   `yaml:"into" doc:"field that takes the text, beside the others; gzip and zstd stand in a field as base64; left out: in place, and with as: text the characters of field become the value"`
	Columns      []settings.FieldName `yaml:"columns" doc:"fields of the object that csv has, in order; left out: all, in their own order"`
	Separator    string               `yaml:"separator" doc:"what parts the fields of csv (left out: a comma) or the pairs of key_value (left out: a space)"`
	KeySeparator string               `yaml:"key_separator" doc:"what parts key and value of key_value; left out: ="`
	Layout       string               `yaml:"layout" doc:"of timestamp: one that layouts of parse may have; a count like unix is a number in a field"`
	Zone         string               `yaml:"zone" doc:"of timestamp: zone in which it is written, like Europe/Berlin; left out: UTC"`
	Variant      string               `yaml:"variant" enum:"standard|url|raw|rawurl" doc:"of base64, as toBase64 has it: standard, with + and /; url, with - and _; raw and rawurl, the same without = at the end; left out: standard"`
}

var formatFormats = []TextFormat{AsJSON, AsCSV, AsLogfmt, AsKeyValue, AsURL, AsQuery, AsTimestamp, AsBase64, AsHex, AsGzip, AsZstd, AsText}

// Validate implements the check of settings.
func (s *FormatSettings) Validate() error {
	_, err := s.format()
	return err
}

// format makes the stage of the settings, as far as they are right.
func (s *FormatSettings) format() (*Format, error) {
	var p problems
	p.as(s.As, formatFormats, []given{
		{"columns", s.Columns != nil, []TextFormat{AsCSV}},
		{"separator", s.Separator != "", []TextFormat{AsCSV, AsKeyValue}},
		{"key_separator", s.KeySeparator != "", []TextFormat{AsKeyValue}},
		{"layout", s.Layout != "", []TextFormat{AsTimestamp}},
		{"zone", s.Zone != "", []TextFormat{AsTimestamp}},
		{"variant", s.Variant != "", []TextFormat{AsBase64}},
	})
	t := &Format{as: s.As, field: p.place("field", s.Field), into: p.place("into", s.Into)}
	t.write = s.writer(&p, t)
	t.doing = workOn("formatting", t.as, t.field)
	return t, p.Err()
}

func (s *FormatSettings) writer(p *problems, t *Format) func(dst, value []byte) ([]byte, error) {
	separator, pairs := p.separators(s.As, s.Separator, s.KeySeparator)
	zone := p.zone(s.Zone)
	switch s.As {
	case AsJSON:
		return textformat.AppendCompact
	case AsText:
		return textformat.AppendPlain
	case AsCSV:
		return textformat.CSV{Columns: p.columns(s.Columns), Separator: separator}.AppendLine
	case AsLogfmt, AsKeyValue:
		return pairs.AppendPairs
	case AsURL:
		return textformat.AppendURLText
	case AsQuery:
		return textformat.AppendQueryString
	case AsHex:
		return textformat.AppendHex
	case AsGzip:
		return t.codecs.AppendGzip
	case AsZstd:
		return t.codecs.AppendZstd
	case AsBase64:
		coding := textformat.Base64(cmp.Or(s.Variant, "standard"))
		if coding == nil {
			p.Add("variant", "%q is none: write standard, url, raw or rawurl", s.Variant)
			return nil
		}
		return func(dst, data []byte) ([]byte, error) { return coding.AppendEncode(dst, data), nil }
	case AsTimestamp:
		var layouts []string
		if s.Layout != "" {
			layouts = []string{s.Layout}
		}
		stamp, err := textformat.NewTimestamp(layouts, zone)
		if err != nil {
			p.Add("layout", "%w", err)
			return nil
		}
		t.counts = stamp.Counts()
		return stamp.AppendWritten
	}
	return nil // and as is wrong
}

// A Format writes a value, or a field, as text. Without field and into, the text becomes the value;
// stages behind it that read fields reject it unless it is JSON. What cannot
// be written in the format rejects the record with not_formatted, a value that is no JSON with
// invalid_json, but for base64, hex, gzip and zstd, which take any bytes. A field that is missing
// or null is left as it is, unless it is to become the value. Tombstones pass unchanged.
type Format struct {
	as          TextFormat
	field, into jsontext.Path // nil: none
	write       func(dst, value []byte) ([]byte, error)
	counts      bool   // what is written is a number
	doing       string // for errors
	codecs      textformat.Compression
}

// NewFormat makes a Format.
func NewFormat(s FormatSettings) (*Format, error) {
	t, err := s.format()
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Process implements pipeline.Stage.
func (t *Format) Process(_ context.Context, rec *pipeline.Record) error {
	if rec.Tombstone() {
		return nil
	}
	value, err := t.value(rec)
	if err != nil || value == nil {
		return err
	}
	text, err := t.write(roomFor(rec, len(value)), value)
	if err != nil {
		return t.failed(err)
	}
	to := t.into
	if to == nil && t.as != AsText {
		to = t.field
	}
	if to == nil {
		rec.SetValue(notNil(text))
		return nil
	}
	if t.as.compresses() {
		text = base64.StdEncoding.AppendEncode(nil, text)
	}
	if !t.counts {
		if text, err = textformat.AppendText(roomFor(rec, len(text)), text); err != nil {
			return t.failed(fmt.Errorf("the text that is written: %w", err))
		}
	}
	return rec.SetRawAt(to, text)
}

// value gives what is to be written: JSON text, or bytes where the format is one of these; nil
// when there is nothing.
func (t *Format) value(rec *pipeline.Record) ([]byte, error) {
	if t.field == nil {
		if t.as.isBytes() {
			return rec.Value(), nil
		}
		if err := rec.CheckJSON(); err != nil {
			return nil, err
		}
		return rec.Value(), nil
	}
	value, err := rec.At(t.field)
	switch {
	case err != nil:
		return nil, err
	case value == nil || value[0] == 'n':
		if t.as == AsText && t.into == nil {
			return nil, t.failed(errors.New("it is missing or null, and is to become the value"))
		}
		return nil, nil
	case t.as.isBytes() && value[0] == '"':
		value = characters(rec, value)
	}
	return value, nil
}

// characters gives those of a JSON string. They are bytes of the record where none is escaped.
func characters(rec *pipeline.Record, quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	return jsontext.AppendUnquoted(rec.Room(len(quoted)), quoted)
}

func (t *Format) failed(err error) error {
	return pipeline.Reject(ReasonNotFormatted, fmt.Errorf("%s: %w", t.doing, err))
}
