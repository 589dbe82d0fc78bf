package config

import (
	"encoding"
	"errors"
	"reflect"

	"github.com/penstockio/penstock/pipeline/settings"
)

func isName(err error) bool {
	var e *settings.NameError
	return errors.As(err, &e)
}

// nameError reports the error of a name or a path at n.
func (d *decoder) nameError(n *node, name string, err error) bool {
	var e *settings.NameError
	if !errors.As(err, &e) {
		return d.errorAt(n, name+": "+n.conceal(err.Error()), "")
	}
	suggestion := e.Suggestion
	if len(n.pieces) > 0 { // the text must not show, and a part of it would
		suggestion = `see what the variable holds; a character of a name itself has a \ before it`
	}
	return d.errorAt(n, n.conceal(name+": "+e.Message), suggestion)
}

// readKey reads the key of an ordered mapping whose entries are of type entry. name is what the
// entry is called, same what two keys of the same meaning have in common.
func readKey(entry reflect.Type, text string) (name, same string, err error) {
	f, _ := entry.FieldByName("Name")
	v := reflect.New(f.Type)
	if err := v.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
		return "", "", err
	}
	name = v.Elem().String()
	if path, ok := v.Elem().Interface().(settings.FieldPath); ok {
		steps, err := path.Path()
		return name, steps.String(), err
	}
	return name, name, nil
}

// writeKey is the reverse of readKey.
func writeKey(entry reflect.Value) (string, error) {
	text, err := entry.FieldByName("Name").Interface().(encoding.TextMarshaler).MarshalText()
	return string(text), err
}
