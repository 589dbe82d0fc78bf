package stages

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

const (
	maxFailures = 3   // that an error names; the others are counted
	maxDetails  = 20  // that its detail names
	maxPlace    = 200 // characters of a path
)

// A schemaError says where a value does not fit its schema. It quotes nothing of the value but the
// names of members on the way.
type schemaError struct {
	failures []failure
}

// A failure is a place in the value, and the rule that it breaks.
type failure struct {
	place  string
	text   string
	rule   string   // file#/place/of/the/keyword
	more   string   // names that the value has, for the detail
	within []string // what kept it from fitting each of several
}

func (f failure) String() string { return fmt.Sprintf("%s %s (%s)", f.place, f.text, f.rule) }

// Error names the first failures.
func (e *schemaError) Error() string {
	var parts []string
	for _, f := range e.failures[:min(len(e.failures), maxFailures)] {
		parts = append(parts, f.String())
	}
	text := "validating: " + strings.Join(parts, "; ")
	if more := len(e.failures) - maxFailures; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// Detail implements pipeline.Detailer: all failures, with the names of members that are not
// allowed, and with what kept a value from fitting each of several schemas.
func (e *schemaError) Detail() string {
	if len(e.failures) <= maxFailures && !slices.ContainsFunc(e.failures, func(f failure) bool { return f.more != "" || len(f.within) > 0 }) {
		return ""
	}
	var lines []string
	for _, f := range e.failures {
		lines = append(lines, f.String()+f.more)
		lines = append(lines, f.within...)
	}
	return strings.Join(lines[:min(len(lines), maxDetails)], "\n")
}

// explain makes an error of what the validator says, in an order that does not change.
func (c *compiledSchema) explain(e *jsonschema.ValidationError, value any, before jsontext.Path) *schemaError {
	var all []failure
	c.collect(e, value, before, &all)
	slices.SortFunc(all, func(a, b failure) int { return strings.Compare(a.String(), b.String()) })
	all = slices.CompactFunc(all, func(a, b failure) bool { return a.String() == b.String() })
	return &schemaError{failures: all}
}

// collect goes to the failures that say something: those below a group, a reference or allOf.
func (c *compiledSchema) collect(e *jsonschema.ValidationError, value any, before jsontext.Path, all *[]failure) {
	switch e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, cause := range e.Causes {
			c.collect(cause, value, before, all)
		}
		return
	}
	keyword, text := describeRule(e.ErrorKind)
	f := failure{place: locate(e, value, before), text: text, rule: c.rule(e.SchemaURL, keyword)}
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		f.more = ": " + memberNames(k.Properties)
	case *kind.PropertyNames:
		f.more = ": " + memberNames([]string{k.Property})
	case *kind.AnyOf, *kind.OneOf:
		var within []failure
		for _, cause := range e.Causes {
			c.collect(cause, value, before, &within)
		}
		slices.SortFunc(within, func(a, b failure) int { return strings.Compare(a.rule+a.place, b.rule+b.place) })
		for _, w := range within {
			f.within = append(f.within, "  "+w.String())
		}
	}
	*all = append(*all, f)
}

func memberNames(list []string) string {
	list = slices.Sorted(slices.Values(list))
	var quoted []string
	for _, name := range list[:min(len(list), 5)] {
		quoted = append(quoted, clipText(name))
	}
	if len(list) > 5 {
		quoted = append(quoted, "…")
	}
	return strings.Join(quoted, ", ")
}

// locate names the place of a failure, as a path.
func locate(e *jsonschema.ValidationError, value any, before jsontext.Path) string {
	path := slices.Clone(before)
	names, ok := e.ErrorKind.(*kind.PropertyNames)
	for _, token := range e.InstanceLocation {
		switch v := value.(type) {
		case map[string]any:
			path, value = append(path, jsontext.Step{Name: token}), v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return unknownPlace
			}
			path, value = append(path, jsontext.Step{Kind: jsontext.Indexed, Index: i}), v[i]
		default:
			return unknownPlace
		}
	}
	if ok {
		// The library goes on writing in the location of this error: it may be that of a neighbour.
		m, _ := value.(map[string]any)
		if _, stands := m[names.Property]; !stands {
			return unknownPlace
		}
	}
	return placeIn(path)
}

const unknownPlace = "an object in the value"

func placeIn(path jsontext.Path) string {
	if len(path) == 0 {
		return "the value"
	}
	return clipText(path.String())
}

func clipText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if utf8.RuneCountInString(s) > maxPlace {
		return string([]rune(s)[:maxPlace]) + "…"
	}
	return s
}

// describeRule says which keyword is broken, and how, in words that quote the schema alone.
//
// Reason for its size: it is one case after another, for each kind of error of the library.
func describeRule(k jsonschema.ErrorKind) (keyword, text string) {
	switch k := k.(type) {
	case *kind.Type:
		return "type", "is " + article(k.Got) + ", not " + strings.Join(k.Want, " or ")
	case *kind.Enum:
		return "enum", "is none of " + wantedValues(k.Want)
	case *kind.Const:
		return "const", "is not " + wantedValues([]any{k.Want})
	case *kind.Format:
		return "format", "is no " + clipText(k.Want)
	case *kind.Required:
		return "required", "has no " + memberNames(k.Missing)
	case *kind.Dependency:
		return "dependencies", fmt.Sprintf("has %s and no %s", clipText(k.Prop), memberNames(k.Missing))
	case *kind.DependentRequired:
		return "dependentRequired", fmt.Sprintf("has %s and no %s", clipText(k.Prop), memberNames(k.Missing))
	case *kind.AdditionalProperties:
		return "additionalProperties", "has " + count(len(k.Properties), "member") + " that may not stand there"
	case *kind.PropertyNames:
		return "", "has a member whose name does not fit"
	case *kind.AdditionalItems:
		return "additionalItems", "has " + count(k.Count, "element") + " too many"
	case *kind.MinProperties:
		return "minProperties", "has fewer than " + count(k.Want, "member")
	case *kind.MaxProperties:
		return "maxProperties", "has more than " + count(k.Want, "member")
	case *kind.MinItems:
		return "minItems", "has fewer than " + count(k.Want, "element")
	case *kind.MaxItems:
		return "maxItems", "has more than " + count(k.Want, "element")
	case *kind.UniqueItems:
		return "uniqueItems", fmt.Sprintf("has equal elements, [%d] and [%d]", k.Duplicates[0], k.Duplicates[1])
	case *kind.Contains:
		return "contains", "has no element that fits"
	case *kind.MinContains:
		return "minContains", "has fewer than " + count(k.Want, "element") + " that fit"
	case *kind.MaxContains:
		return "maxContains", "has more than " + count(k.Want, "element") + " that fit"
	case *kind.MinLength:
		return "minLength", "is shorter than " + count(k.Want, "character")
	case *kind.MaxLength:
		return "maxLength", "is longer than " + count(k.Want, "character")
	case *kind.Pattern:
		return "pattern", "does not match " + clipText(k.Want)
	case *kind.Minimum:
		return "minimum", "is below " + decimal(k.Want)
	case *kind.Maximum:
		return "maximum", "is above " + decimal(k.Want)
	case *kind.ExclusiveMinimum:
		return "exclusiveMinimum", "is not above " + decimal(k.Want)
	case *kind.ExclusiveMaximum:
		return "exclusiveMaximum", "is not below " + decimal(k.Want)
	case *kind.MultipleOf:
		return "multipleOf", "is no multiple of " + decimal(k.Want)
	case *kind.Not:
		return "not", "fits what it must not fit"
	case *kind.AnyOf:
		return "anyOf", "fits none of anyOf"
	case *kind.OneOf:
		if len(k.Subschemas) > 0 {
			return "oneOf", "fits more than one of oneOf"
		}
		return "oneOf", "fits none of oneOf"
	case *kind.FalseSchema:
		return "", "may not stand there"
	case *kind.RefCycle:
		return "$ref", "cannot be validated: references lead back to themselves"
	}
	return strings.Join(k.KeywordPath(), "/"), "does not fit"
}

func article(kind string) string {
	switch kind {
	case "array", "object", "integer":
		return "an " + kind
	case "null":
		return kind
	}
	return "a " + kind
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// wantedValues shows values of the schema.
func wantedValues(values []any) string {
	var parts []string
	for _, v := range values[:min(len(values), 8)] {
		b, err := json.Marshal(v)
		if err != nil || len(b) > 60 {
			return "the values that the schema has"
		}
		parts = append(parts, string(b))
	}
	if len(values) > 8 {
		parts = append(parts, "…")
	}
	return strings.Join(parts, ", ")
}

// decimal writes a number of the schema.
func decimal(r *big.Rat) string {
	if r.IsInt() && len(r.Num().String()) <= 40 {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}
