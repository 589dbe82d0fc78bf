package stages

import (
	"errors"
	"fmt"

	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// problems collects what is wrong with settings.
type problems struct{ errs []error }

// add adds what is wrong with the setting field, as a *settings.FieldError.
func (p *problems) add(field, format string, args ...any) {
	p.errs = append(p.errs, &settings.FieldError{Field: field, Err: fmt.Errorf(format, args...)})
}

// place checks the path of a field of a value that is an object, which leads to one place; "" is none.
func (p *problems) place(field string, path settings.FieldPath) jsontext.Path {
	if path == "" {
		return nil
	}
	steps, err := path.Place()
	if err != nil {
		p.add(field, "%w", err)
	}
	return steps
}

// err joins them; nil: nothing is wrong.
func (p *problems) err() error { return errors.Join(p.errs...) }
