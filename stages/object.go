package stages

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/penstockio/penstock/pipeline"
)

var errNotObject = pipeline.Reject(pipeline.ReasonNotObject, errors.New("editing a field: the value is no JSON object"))

// editable gives the error that editing the record would give.
func editable(rec *pipeline.Record) error {
	v := rec.Value()
	if v == nil {
		return nil
	}
	if err := rec.CheckJSON(); err != nil {
		return err
	}
	if v = bytes.TrimLeft(v, " \t\r\n"); len(v) > 0 && v[0] == '{' {
		return nil
	}
	return errNotObject
}

// quote gives s as JSON text.
func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always has a text
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// appendField appends a field to an object that has been begun: its name and its value
// as JSON text.
func appendField(object, name, text []byte) []byte {
	if object[len(object)-1] != '{' {
		object = append(object, ',')
	}
	return append(append(append(object, name...), ':'), text...)
}
