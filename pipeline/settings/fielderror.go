package settings

import (
	"errors"
	"fmt"
)

// A FieldError is what the method Validate of a component's settings returns for a
// value that is wrong in itself or beside another: Field is the yaml name ("table.key"
// for one in a nested struct, "keep[1]" for an item, "set.user.id" for the entry of a mapping),
// so that the configuration can point at it. errors.Join reports several.
type FieldError struct {
	Field string
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// Problems collect what is wrong with settings, for their method Validate. The zero value has none.
type Problems struct{ errs []error }

// Add adds what is wrong with a field, as a FieldError. The rest is of fmt.Errorf.
func (p *Problems) Add(field, format string, args ...any) {
	p.errs = append(p.errs, &FieldError{Field: field, Err: fmt.Errorf(format, args...)})
}

// Check adds err as what is wrong with a field, if there is an error.
func (p *Problems) Check(field string, err error) {
	if err != nil {
		p.Add(field, "%w", err)
	}
}

// Join adds an error that names its fields itself, if there is one.
func (p *Problems) Join(err error) { p.errs = append(p.errs, err) }

// Err joins them. nil: nothing is wrong.
func (p *Problems) Err() error { return errors.Join(p.errs...) }
