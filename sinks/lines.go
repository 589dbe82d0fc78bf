package sinks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/fixture"
	"github.com/penstockio/penstock/pipeline/settings"
)

// ReasonNotOneLine rejects a value that cannot stand on one line.
const ReasonNotOneLine = "not_one_line" // its value is no single line of text, and the output is one of lines

var errNotOneLine = pipeline.Reject(ReasonNotOneLine,
	errors.New("writing a line: the value has line breaks and is no JSON; use as: fixture"))

// lines writes records as one line each.
type lines struct {
	fixtures bool
	sink     string // stamped on fixture lines; "": not
}

func newLines(as, sink string) (lines, error) {
	switch as {
	case "", "value":
		return lines{}, nil
	case "fixture":
		return lines{fixtures: true, sink: sink}, nil
	}
	return lines{}, &settings.FieldError{Field: "as", Err: fmt.Errorf("%q is neither value nor fixture", as)}
}

// add appends the record's line to b. A value stands as it is; JSON with line breaks is
// written without its white space; a tombstone is the line null. An error is
// permanent, and b comes back as it was.
func (l lines) add(b []byte, rec *pipeline.Record) ([]byte, error) {
	if l.fixtures {
		return fixture.Append(b, rec, l.sink), nil
	}
	if rec.Tombstone() {
		return append(b, "null\n"...), nil
	}
	from := len(b)
	b = rec.AppendValue(b) // an edited value is written here, and nowhere else before
	v := b[from:]
	if bytes.IndexByte(v, '\n') < 0 && bytes.IndexByte(v, '\r') < 0 {
		return append(b, '\n'), nil
	}
	var compact bytes.Buffer
	if json.Compact(&compact, v) != nil {
		return b[:from], errNotOneLine
	}
	return append(append(b[:from], compact.Bytes()...), '\n'), nil
}

// stored makes the answer of Write of the records that are not stored.
func stored(failed []pipeline.Failure) error {
	if len(failed) == 0 {
		return nil
	}
	return &pipeline.WriteError{Failed: failed}
}
