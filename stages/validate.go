package stages

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// ReasonSchema is the reason of a record whose value does not fit the schema of a Validate.
const ReasonSchema = "schema" // the value, or what stands in its field, does not fit the schema

// ValidateSettings are the settings of a Validate.
type ValidateSettings struct {
	Schema  SchemaSettings     `yaml:"schema" required:"true" doc:"the JSON Schema: a file, or inline"`
	Field   settings.FieldPath `yaml:"field" doc:"what is validated, one place within the value; where nothing stands there, the record is rejected; left out: the value as it stands"`
	Draft   string             `yaml:"draft" enum:"2020-12|2019-09|draft-07|draft-06|draft-04" doc:"draft of a schema that says none with $schema"`
	Formats bool               `yaml:"formats" doc:"check format: too where its draft takes it as a remark alone, as 2019-09 and 2020-12 do; draft 7 and those before check it anyway"`
}

// SchemaSettings say where the schema of a Validate stands.
type SchemaSettings struct {
	File   settings.Path `yaml:"file" read:"start" doc:"file with the schema, as JSON; it may refer to files in its folder and those below, never to an address; it is read at the start"`
	Inline any           `yaml:"inline" shown:"a schema" doc:"the schema itself, which may refer to parts of itself"`
}

// DefaultValidate gives the settings of a Validate before a file is read.
func DefaultValidate() ValidateSettings { return ValidateSettings{Draft: "2020-12"} }

// Validate implements the check of settings.
func (s *ValidateSettings) Validate() error {
	var p problems
	switch {
	case s.Schema.File == "" && s.Schema.Inline == nil:
		p.Add("schema", "there is none: write schema: {file: event.schema.json}, or schema: {inline: {…}}")
	case s.Schema.File != "" && s.Schema.Inline != nil:
		p.Add("schema.inline", "there is one schema: a file, or inline")
	}
	if s.Field != "" {
		if _, err := s.Field.One(); err != nil {
			p.Add("field", "%w", err)
		}
	}
	if drafts[s.Draft] == nil {
		p.Add("draft", "%q is no draft: write one of %s", s.Draft, strings.Join(slices.Sorted(maps.Keys(drafts)), ", "))
	}
	return p.Err()
}

// Check reads the schema, to find out whether it is good. Errors name the place in its file, or
// the setting within schema.inline.
func (s *ValidateSettings) Check() error {
	_, err := compileSchema(s)
	return err
}

// A Validate lets a record pass whose value fits a JSON Schema, unchanged, and rejects every other
// with the reason schema. The error names places in the value and rules of the schema, and never
// what stands there. Numbers are compared exactly, whatever their size; of a name that stands twice
// the first counts. With a field, what stands there is validated, and a record in which nothing
// does is rejected. A value that is no JSON is rejected with invalid_json; tombstones pass.
type Validate struct {
	schema *compiledSchema
	field  jsontext.Path
}

// NewValidate makes a Validate. It reads the files of the schema, and nothing else ever.
func NewValidate(s ValidateSettings) (*Validate, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	schema, err := compileSchema(&s)
	if err != nil {
		return nil, err
	}
	v := &Validate{schema: schema}
	if s.Field != "" {
		if v.field, err = s.Field.One(); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// Process implements pipeline.Stage.
func (v *Validate) Process(_ context.Context, rec *pipeline.Record) error {
	if rec.Tombstone() {
		return nil
	}
	text, err := v.text(rec)
	if err != nil {
		return err
	}
	value, tooMuch := decodeValue(text)
	if tooMuch != nil {
		tooMuch.path = append(v.field[:len(v.field):len(v.field)], tooMuch.path...)
		tooMuch.shown = v.schema.shown(tooMuch.path, len(v.field))
		return pipeline.Reject(ReasonSchema, tooMuch)
	}
	var invalid *jsonschema.ValidationError
	switch err := v.schema.compiled.Validate(value); {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return pipeline.Reject(ReasonSchema, v.schema.explain(invalid, value, v.field))
	default:
		return pipeline.Reject(ReasonSchema, errors.New("validating: the schema cannot be applied"))
	}
}

// text gives the JSON text to validate.
func (v *Validate) text(rec *pipeline.Record) ([]byte, error) {
	if v.field == nil {
		if err := rec.CheckJSON(); err != nil {
			return nil, err
		}
		text := rec.Value()
		return text[jsontext.Space(text, 0):], nil
	}
	text, err := rec.At(v.field)
	if err == nil && text == nil {
		err = pipeline.Reject(ReasonSchema, fmt.Errorf("validating: %s is not there", v.field))
	}
	return text, err
}
