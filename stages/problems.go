package stages

import (
	"fmt"

	"github.com/penstockio/penstock/pipeline/settings"
)

// problems collects what is wrong with settings.
type problems struct{ errs []error }

// add adds what is wrong with the setting field, as a *settings.FieldError.
func (p *problems) add(field, format string, args ...any) {
	p.errs = append(p.errs, &settings.FieldError{Field: field, Err: fmt.Errorf(format, args...)})
}
