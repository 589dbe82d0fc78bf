package stages

import (
	"context"
	"errors"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/expr"
)

// FilterSettings are the settings of a Filter.
type FilterSettings struct {
	When expr.Condition `yaml:"when" required:"true" doc:"condition under which a record goes on"`
}

// A Filter lets a record pass when its condition holds, and filters it when it does not. A
// missing field counts as false, and so does every field of a tombstone. When a field is read of
// a value that is no object, the record is rejected with not_object.
type Filter struct{ when expr.Condition }

// NewFilter makes a Filter.
func NewFilter(s FilterSettings) (*Filter, error) {
	if s.When.IsZero() {
		return nil, errors.New("making a filter: it has no condition")
	}
	return &Filter{when: s.When}, nil
}

// Process implements pipeline.Stage.
func (f *Filter) Process(_ context.Context, rec *pipeline.Record) error {
	ok, err := f.when.Condition(rec)
	if err == nil && !ok {
		return pipeline.Filtered
	}
	return err
}
