package config

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
)

// An UnmadeError says why a component of a file that is right could not be made: of what is outside
// the process, mostly. Its text begins with file:line:column and holds no secret of the file.
type UnmadeError struct {
	problem Problem
	err     error
}

func (e *UnmadeError) Error() string { return e.problem.String() }
func (e *UnmadeError) Unwrap() error { return e.err }

// Detail is Problem.Detail: the error, and below it the line of the file with a caret.
func (e *UnmadeError) Detail() string { return e.problem.Detail() }

// Unmade makes the error of the component at a path, "stages[2].http". When err is about a file that a
// setting names, its place is that of the setting.
func (p *Pipeline) Unmade(path string, c Component, name string, err error) error {
	what := fmt.Sprintf("making the %s %s: %v", c.Kind.Section, name, err)
	at := path
	if file := (*fs.PathError)(nil); errors.As(err, &file) {
		if setting := settingOf(reflect.ValueOf(c.Settings), file.Path); setting != "" {
			at = join(path, setting)
		}
	}
	if p.decoder == nil {
		return fmt.Errorf("%s: %s%w", p.Place(at), what[:len(what)-len(err.Error())], err)
	}
	n := p.decoder.where(path)
	if at != path {
		n = p.decoder.at(at)
	}
	one := Problems{n.problem(SeverityError, n.conceal(what), "")}
	one.concealAll(p.secrets, secretTexts(p.decoder.hidden))
	return &UnmadeError{one[0], err}
}

// settingOf gives the path of the setting within v that is the name of a file; "": there is none, or
// what names it is no single setting.
func settingOf(v reflect.Value, file string) string {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || isText(v.Type()) {
		return ""
	}
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		if fv.Type() == pathType {
			if fv.String() == file && file != "" {
				return f.name
			}
			continue
		}
		if within := settingOf(fv, file); within != "" {
			return join(f.name, within)
		}
	}
	return ""
}
