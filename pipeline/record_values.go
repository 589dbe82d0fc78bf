package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// This file has the ways to read and set fields that cannot make a value invalid.

// SetJSON sets a top-level field to text, which is kept. Text that is not valid JSON is an
// error, and the field stays as it is. Otherwise it is SetRaw.
func (r *Record) SetJSON(name string, text []byte) error {
	if !jsontext.Valid(text) {
		if jsontext.TooDeep(text) {
			return errors.New("setting a field: the text is nested deeper than 10,000")
		}
		return errors.New("setting a field: the text is not valid JSON; SetString takes any text")
	}
	return r.SetRaw(name, text)
}

// SetString sets a top-level field to a string. Bytes of it that are not UTF-8 become
// U+FFFD. Errors are those of SetRaw.
func (r *Record) SetString(name, s string) error {
	return r.SetRaw(name, jsontext.AppendString(r.Room(len(s)+2), s))
}

// SetInt sets a top-level field to a whole number. Errors are those of SetRaw.
func (r *Record) SetInt(name string, n int64) error {
	return r.SetRaw(name, strconv.AppendInt(r.Room(20), n, 10))
}

// SetFloat sets a top-level field to a number, in the shortest text that reads back as it.
// JSON has no infinity and no NaN: they are errors, and the field stays as it is. Other
// errors are those of SetRaw.
func (r *Record) SetFloat(name string, f float64) error {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return errors.New("setting a field: JSON has no infinity and no NaN")
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return r.SetRaw(name, strconv.AppendFloat(r.Room(24), f, format, -1, 64))
}

// SetBool sets a top-level field to true or false. Errors are those of SetRaw.
func (r *Record) SetBool(name string, b bool) error {
	return r.SetRaw(name, strconv.AppendBool(r.Room(5), b))
}

// Text gives a top-level field as text: a string without its quotes and escapes, everything
// else as its JSON text. "" is given for a field that is missing or null, and for an empty
// string; Field tells them apart. Errors are those of Field.
func (r *Record) Text(name string) (string, error) {
	text, err := r.Field(name)
	if err != nil || text == nil || string(text) == "null" {
		return "", err
	}
	if text[0] == '"' {
		return jsontext.Unquote(text), nil
	}
	return string(text), nil
}

// Decode decodes the value, edits applied, into v, by the rules of encoding/json. A tombstone
// leaves v as it is. A value that does not fit is a permanent error, with ReasonInvalidJSON
// when it is none. It costs many times what reading a few fields does.
func (r *Record) Decode(v any) error {
	value := r.Value()
	if value == nil {
		return nil
	}
	if err := r.check(); err != nil {
		return err
	}
	err := json.Unmarshal(value, v)
	var mismatch *json.UnmarshalTypeError // whose message may quote the value
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mismatch):
		where := "the value"
		if mismatch.Field != "" {
			where = mismatch.Field
		}
		return Permanent(fmt.Errorf("decoding the value: %s does not fit into %s", where, mismatch.Type))
	}
	var wrong *json.InvalidUnmarshalError // v is no pointer
	if errors.As(err, &wrong) {
		return Fatal(fmt.Errorf("decoding the value: %w", err))
	}
	return Permanent(errors.New("decoding the value: a type refuses it")) // whose words may quote it
}
