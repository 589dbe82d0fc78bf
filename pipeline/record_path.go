package pipeline

import (
	"errors"
	"fmt"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// This file reads and edits what stands deeper than the top level of a value.

// At gives the JSON text of what path leads to, the first where it leads to several; nil when
// nothing is there or the value is a tombstone. Errors are those of Field.
func (r *Record) At(path jsontext.Path) ([]byte, error) {
	if name, ok := top(path); ok {
		text, err := r.Field(name)
		if err != nil || text == nil || len(path) == 1 {
			return text, err
		}
		return jsontext.Find(text, path[1:]), nil
	}
	var found []byte
	err := r.Fields(func(_ string, text []byte) bool {
		if path[0].Kind == jsontext.EveryMember {
			found = jsontext.Find(text, path[1:])
		}
		return found == nil
	})
	return found, err
}

// SetRawAt sets what path leads to, in each place where it leads to several, to text, which is
// kept, and which the caller knows to be valid JSON, as with SetRaw. Objects that are missing on
// the way are made, as jsontext.Set says; where something else stands in the way, the record is as
// it was, and the error is permanent, with ReasonNoPath. Other errors are those of SetRaw.
func (r *Record) SetRawAt(path jsontext.Path, text []byte) error {
	if len(path) == 1 && path[0].Kind == jsontext.Named {
		return r.SetRaw(path[0].Name, text)
	}
	if len(text) == 0 {
		text = []byte("null")
	}
	ok, err := r.editable()
	if !ok {
		return err
	}
	if name, ok := top(path); ok {
		return r.setBelow(name, path, text)
	}
	var names []string
	if err := r.Fields(func(name string, _ []byte) bool {
		if path[0].Kind == jsontext.EveryMember {
			names = append(names, name)
		}
		return true
	}); err != nil {
		return err
	}
	before := r.Clone() // of edits
	for _, name := range names {
		if err := r.setBelow(name, path, text); err != nil {
			*r = *before
			return err
		}
	}
	return nil
}

func (r *Record) setBelow(name string, path jsontext.Path, text []byte) error {
	have, err := r.Field(name)
	if err != nil {
		return err
	}
	if have == nil {
		have = []byte("null")
	}
	is, err := jsontext.Set(nil, have, path[1:], text)
	if in := (*jsontext.NoPathError)(nil); errors.As(err, &in) {
		err = &jsontext.NoPathError{Path: path[:1+len(in.Path)], Why: in.Why}
	}
	if err != nil {
		return Reject(ReasonNoPath, fmt.Errorf("setting %s: %w", path, err))
	}
	if string(is) == string(have) {
		return nil // nothing was there to be set
	}
	return r.SetRaw(name, is)
}

// RemoveAt removes what path leads to, in each place where it leads to several. What is not there
// is no error. Errors are those of SetRaw.
func (r *Record) RemoveAt(path jsontext.Path) error {
	if len(path) == 1 && path[0].Kind == jsontext.Named {
		return r.Remove(path[0].Name)
	}
	ok, err := r.editable()
	if !ok {
		return err
	}
	if name, ok := top(path); ok {
		return r.removeBelow(name, path)
	}
	var names []string
	if err := r.Fields(func(name string, _ []byte) bool {
		if path[0].Kind == jsontext.EveryMember {
			names = append(names, name)
		}
		return true
	}); err != nil {
		return err
	}
	for _, name := range names {
		if err := r.removeBelow(name, path); err != nil {
			return err
		}
	}
	return nil
}

func (r *Record) removeBelow(name string, path jsontext.Path) error {
	if len(path) == 1 {
		return r.Remove(name)
	}
	have, err := r.Field(name)
	if err != nil || have == nil {
		return err
	}
	return r.SetRaw(name, jsontext.Remove(nil, have, path[1:]))
}

// top gives the name with which path begins, if it begins with one.
func top(path jsontext.Path) (string, bool) {
	if path[0].Kind != jsontext.Named {
		return "", false
	}
	return path[0].Name, true
}
