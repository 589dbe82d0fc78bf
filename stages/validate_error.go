package stages

import (
	"cmp"
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

// A schemaError says where a value does not fit its schema. It quotes nothing of the value: names of
// members on the way that the schema does not have are of the data, as the keys of a map are, and
// stand in the detail alone.
type schemaError struct {
	failures []failure
}

// A failure is a place in the value, and the rule that it breaks.
type failure struct {
	place  string // with * for names that the schema does not have
	exact  string // with all names, for the detail
	text   string
	rule   string   // file#/place/of/the/keyword
	more   string   // names that the value has, for the detail
	within []string // what kept it from fitting each of several
}

func (f failure) String() string { return fmt.Sprintf("%s %s (%s)", f.place, f.text, f.rule) }

func (f failure) detail() string { return fmt.Sprintf("%s %s (%s)", f.exact, f.text, f.rule) }

// Error names the first failures, those that read the same once.
func (e *schemaError) Error() string {
	var parts []string
	more := 0
	for _, f := range e.failures {
		switch part := f.String(); {
		case slices.Contains(parts, part):
		case len(parts) == maxFailures:
			more++
		default:
			parts = append(parts, part)
		}
	}
	text := "validating: " + strings.Join(parts, "; ")
	if more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// Detail implements pipeline.Detailer: all failures, with the names on the way to them, those of
// members that are not allowed, and what kept a value from fitting each of several schemas.
func (e *schemaError) Detail() string {
	says := func(f failure) bool { return f.more != "" || len(f.within) > 0 || f.exact != f.place }
	if len(e.failures) <= maxFailures && !slices.ContainsFunc(e.failures, says) {
		return ""
	}
	var lines []string
	for _, f := range e.failures {
		lines = append(lines, f.detail()+f.more)
		lines = append(lines, f.within...)
	}
	return strings.Join(lines[:min(len(lines), maxDetails)], "\n")
}

// explain makes an error of what the validator says, in an order that does not change.
func (c *compiledSchema) explain(e *jsonschema.ValidationError, value any, before jsontext.Path) *schemaError {
	var all []failure
	c.collect(e, value, before, &all)
	slices.SortFunc(all, func(a, b failure) int {
		return cmp.Or(strings.Compare(a.String(), b.String()), strings.Compare(a.exact, b.exact))
	})
	all = slices.CompactFunc(all, func(a, b failure) bool { return a.detail() == b.detail() })
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
	f := failure{text: text, rule: c.rule(e.SchemaURL, keyword)}
	f.place, f.exact = c.locate(e, value, before)
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
		slices.SortFunc(within, func(a, b failure) int { return strings.Compare(a.rule+a.exact, b.rule+b.exact) })
		for _, w := range within {
			f.within = append(f.within, "  "+w.detail())
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

// locate names the place of a failure, as a path, and as one without the names of the data.
func (c *compiledSchema) locate(e *jsonschema.ValidationError, value any, before jsontext.Path) (place, exact string) {
	path := slices.Clone(before)
	names, ok := e.ErrorKind.(*kind.PropertyNames)
	for _, token := range e.InstanceLocation {
		switch v := value.(type) {
		case map[string]any:
			path, value = append(path, jsontext.Step{Name: token}), v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return unknownPlace, unknownPlace
			}
			path, value = append(path, jsontext.Step{Kind: jsontext.Indexed, Index: i}), v[i]
		default:
			return unknownPlace, unknownPlace
		}
	}
	if ok {
		// The library goes on writing in the location of this error: it may be that of a neighbour.
		m, _ := value.(map[string]any)
		if _, stands := m[names.Property]; !stands {
			return unknownPlace, unknownPlace
		}
	}
	return placeIn(c.shown(path, len(before))), placeIn(path)
}

// shown gives path with * for each name from the step from on that the schema does not have.
func (c *compiledSchema) shown(path jsontext.Path, from int) jsontext.Path {
	path = slices.Clone(path)
	for i := from; i < len(path); i++ {
		if path[i].Kind == jsontext.Named && !c.names[path[i].Name] {
			path[i] = jsontext.Step{Kind: jsontext.EveryMember}
		}
	}
	return path
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
