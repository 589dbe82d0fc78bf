package stages

import (
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// problems collects what is wrong with settings.
type problems struct{ settings.Problems }

// place checks the path of a field of a value that is an object, which leads to one place; "" is none.
func (p *problems) place(field string, path settings.FieldPath) jsontext.Path {
	if path == "" {
		return nil
	}
	steps, err := path.Place()
	p.Check(field, err)
	return steps
}
