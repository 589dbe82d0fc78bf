package stages

import (
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/penstockio/penstock/pipeline/settings"
)

// This file finds members of a schema that are no keywords: a rule whose keyword is misspelt lets
// everything pass.

// An UnknownKeyword is a member of a schema that is a keyword of no draft.
type UnknownKeyword struct {
	Name  string
	Field string // the setting, as in settings.FieldError
	Place string // file:line:column; "": the schema is inline
}

// UnknownKeywords gives those of the schema, which is read for it, in an order that stays. A schema
// that cannot be used has none: that is an error elsewhere.
func (s *ValidateSettings) UnknownKeywords() []UnknownKeyword {
	c, err := compileSchema(s)
	if err != nil {
		return nil
	}
	return c.unknown
}

// What stands below a keyword.
const (
	holdsNothing = iota // of rules
	holdsSchema         // or a list of them
	holdsNamed          // schemas by names
)

// schemaKeywords are the keywords of all drafts, and what tools write beside them, with what stands
// below each.
var schemaKeywords = func() map[string]int {
	all := map[string]int{}
	for holds, names := range map[int][]string{
		holdsNothing: append([]string{
			"$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$recursiveRef", "$vocabulary", "$comment", "title", "description", "default", "examples", "deprecated",
			"readOnly", "writeOnly", "example", "nullable", "discriminator", "xml", "externalDocs",
		}, plainRules...),
		holdsSchema: schemaRules,
		holdsNamed:  {"$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "dependencies"},
	} {
		for _, name := range names {
			all[name] = holds
		}
	}
	return all
}()

var (
	plainRules = []string{
		"$ref", "$dynamicRef", "type", "enum", "const", "format", "required", "dependentRequired", "minProperties", "maxProperties", "minItems", "maxItems", "uniqueItems", "minContains", "maxContains",
		"minLength", "maxLength", "pattern", "contentEncoding", "contentMediaType", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
	}
	schemaRules = []string{
		"not", "if", "then", "else", "allOf", "anyOf", "oneOf", "items", "prefixItems", "additionalItems", "unevaluatedItems", "contains", "additionalProperties", "propertyNames",
		"unevaluatedProperties", "contentSchema",
	}
)

// SchemaRules are the keywords that make a rule: to misspell one of them is to have none.
func SchemaRules() []string {
	return slices.Concat(plainRules, schemaRules, []string{"properties", "patternProperties", "dependentSchemas", "dependencies"})
}

// noteUnknown notes the members of a schema at a place that are no keywords, and those of the schemas
// within it.
func (c *compiledSchema) noteUnknown(address string, at []string, schema any) {
	if list, ok := schema.([]any); ok {
		for i, inner := range list {
			c.noteUnknown(address, below(at, strconv.Itoa(i)), inner)
		}
		return
	}
	members, _ := schema.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		holds, known := schemaKeywords[name]
		switch {
		case !known:
			u := UnknownKeyword{Name: name}
			var field *settings.FieldError
			if errors.As(c.fieldError(address, below(at, name), errors.New("")), &field) {
				u.Field, u.Place = field.Field, c.place(address, below(at, name))
			}
			c.unknown = append(c.unknown, u)
		case holds == holdsSchema:
			c.noteUnknown(address, below(at, name), members[name])
		case holds == holdsNamed:
			named, _ := members[name].(map[string]any)
			for _, key := range slices.Sorted(maps.Keys(named)) {
				c.noteUnknown(address, below(at, name, key), named[key])
			}
		}
	}
}

func below(at []string, names ...string) []string { return append(at[:len(at):len(at)], names...) }
