// SPDX-License-Identifier: Apache-2.0

// Package lines writes a record as one line of text, for the sinks whose output is lines.
package lines

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

// A Form says what stands on the line of a record.
type Form struct {
	Fixtures bool   // the whole record as a fixture line, not its value alone
	sink     string // stamped on fixture lines; "": not
}

// New makes the form of a setting `as`. sink, when not "", is stamped on fixture lines.
func New(as, sink string) (Form, error) {
	switch as {
	case "", "value":
		return Form{}, nil
	case "fixture":
		return Form{Fixtures: true, sink: sink}, nil
	}
	return Form{}, &settings.FieldError{Field: "as", Err: fmt.Errorf("%q is neither value nor fixture", as)}
}

// Append appends the record's line to b. A value stands as it is; JSON with line breaks is
// written without its white space; a tombstone is the line null. An error is
// permanent, and b comes back as it was.
func (l Form) Append(b []byte, rec *pipeline.Record) ([]byte, error) {
	if l.Fixtures {
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
