package stages

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// This file says what is wrong with a schema, and where it stands in it.

// compileError places an error of the library in the schema.
func (c *compiledSchema) compileError(root string, err error) error {
	var (
		invalid *jsonschema.SchemaValidationError
		failed  *jsonschema.ValidationError
		regex   *jsonschema.InvalidRegexError
		load    *jsonschema.LoadURLError
		pointer *jsonschema.JSONPointerNotFoundError
		anchor  *jsonschema.AnchorNotFoundError
	)
	switch {
	case errors.As(err, &invalid) && errors.As(invalid.Err, &failed):
		address, _, _ := strings.Cut(invalid.URL, "#")
		return c.schemaMistake(address, failed)
	case errors.As(err, &regex):
		address, fragment, _ := strings.Cut(regex.URL, "#")
		if text, err := url.PathUnescape(fragment); err == nil {
			fragment = text
		}
		return c.fieldError(address, tokensOf(fragment), fmt.Errorf("%w%s", regex.Err, whyRE2))
	case errors.As(err, &load):
		file, tokens := c.findReference(load.URL)
		name, _ := c.split(load.URL)
		return c.fieldError(file, tokens, fmt.Errorf("it refers to %s: %w", name, load.Err))
	case errors.As(err, &pointer):
		file, tokens := c.findReference(pointer.URL)
		name, fragment := c.split(pointer.URL)
		return c.fieldError(file, tokens, fmt.Errorf("it refers to %s#%s, where nothing stands", name, fragment))
	case errors.As(err, &anchor):
		file, tokens := c.findReference(anchor.Reference)
		name, fragment := c.split(anchor.Reference)
		return c.fieldError(file, tokens, fmt.Errorf("it refers to %s#%s, and there is no such anchor", name, fragment))
	}
	text := strings.ReplaceAll(err.Error(), (&url.URL{Scheme: "file", Path: filepath.ToSlash(c.dir)}).String(), "")
	return c.fieldError(root, nil, errors.New(strings.ReplaceAll(text, inlineSchema, "")))
}

const whyRE2 = "; patterns are RE2, which has no look-around and no back references"

// schemaMistake places what is no schema: the deepest of what the schema of schemas says.
func (c *compiledSchema) schemaMistake(address string, failed *jsonschema.ValidationError) error {
	worst := failed
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		_, isName := e.ErrorKind.(*kind.PropertyNames) // whose causes are placed within the name
		if isName || len(e.Causes) == 0 {
			if len(worst.Causes) > 0 && worst == failed || better(e, worst) {
				worst = e
			}
			return
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
	}
	walk(failed)
	_, text := describeRule(worst.ErrorKind)
	at := worst.InstanceLocation
	switch k := worst.ErrorKind.(type) {
	case *kind.PropertyNames:
		at = findMember(c.docs[address], k.Property) // the library's location may be that of a neighbour
		text = "is a name that does not fit"
		if _, err := regexp.Compile(k.Property); err != nil {
			text = fmt.Sprintf("is no pattern: %v%s", err, whyRE2)
		}
	case *kind.Format:
		if k.Want == "regex" {
			text = fmt.Sprintf("is no pattern: %v%s", k.Err, whyRE2)
		}
	}
	what := "the schema"
	if n := len(at); n > 0 {
		what = strings.Join(at[max(0, n-3):], "/")
	}
	return c.fieldError(address, at, fmt.Errorf("%s %s", clipText(what), text))
}

// findMember gives the place of a member of that name.
func findMember(doc any, name string) []string {
	switch v := doc.(type) {
	case map[string]any:
		if _, ok := v[name]; ok {
			return []string{name}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if at := findMember(v[key], name); at != nil {
				return append([]string{key}, at...)
			}
		}
	case []any:
		for i, inner := range v {
			if at := findMember(inner, name); at != nil {
				return append([]string{strconv.Itoa(i)}, at...)
			}
		}
	}
	return nil
}

// better says which of two mistakes is told: the deeper one, and of equals always the same.
func better(a, b *jsonschema.ValidationError) bool {
	if len(a.InstanceLocation) != len(b.InstanceLocation) {
		return len(a.InstanceLocation) > len(b.InstanceLocation)
	}
	return strings.Join(a.InstanceLocation, "/")+a.SchemaURL < strings.Join(b.InstanceLocation, "/")+b.SchemaURL
}

func tokensOf(pointer string) []string {
	if pointer == "" {
		return nil
	}
	tokens := strings.Split(pointer[1:], "/")
	for i, t := range tokens {
		tokens[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(t)
	}
	return tokens
}

// findReference gives the place of the reference that leads to an address: of several the first by
// name, so that it is always the same.
func (c *compiledSchema) findReference(address string) (file string, tokens []string) {
	target, fragment, _ := strings.Cut(address, "#")
	var found []string
	var walk func(v any, at []string) bool
	walk = func(v any, at []string) bool {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				inner := v[name]
				text, isText := inner.(string)
				here := append(at[:len(at):len(at)], name)
				if isText && strings.HasPrefix(name, "$") && leadsTo(text, target, fragment) {
					found = here
					return true
				}
				if walk(inner, here) {
					return true
				}
			}
		case []any:
			for i, inner := range v {
				if walk(inner, append(at[:len(at):len(at)], strconv.Itoa(i))) {
					return true
				}
			}
		}
		return false
	}
	first := ""
	for _, name := range slices.Sorted(maps.Keys(c.docs)) {
		if walk(c.docs[name], nil) {
			return name, found
		}
		if first == "" || name == inlineSchema || strings.HasSuffix(name, "/"+c.name) {
			first = name
		}
	}
	return first, nil
}

// leadsTo says whether a reference, as it is written, may be the one to an address.
func leadsTo(ref, target, fragment string) bool {
	file, part, _ := strings.Cut(ref, "#")
	if text, err := url.PathUnescape(part); err == nil {
		part = text
	}
	if text, err := url.PathUnescape(fragment); err == nil {
		fragment = text
	}
	return (part == fragment || fragment == "") && (file == "" && part != "" || file != "" && strings.HasSuffix(target, strings.TrimLeft(file, "./")))
}

// fieldError is an error at a place in the schema: of a file its line and column, of an inline
// one the setting.
func (c *compiledSchema) fieldError(address string, tokens []string, err error) error {
	if c.dir != "" {
		return &settings.FieldError{Field: "schema.file", Err: fmt.Errorf("%s: %w", c.place(address, tokens), err)}
	}
	_, field := c.lead(inlineSchema, tokens)
	return &settings.FieldError{Field: field, Err: err}
}

// lead follows a pointer into a schema, and gives where it leads as a path, and as the setting of
// an inline schema.
func (c *compiledSchema) lead(address string, tokens []string) (at jsontext.Path, field string) {
	field = "schema.inline"
	value := c.docs[address]
	for _, t := range tokens {
		switch v := value.(type) {
		case map[string]any:
			at, field, value = append(at, jsontext.Step{Name: t}), field+"."+t, v[t]
		case []any:
			if i, e := strconv.Atoi(t); e == nil && i >= 0 && i < len(v) {
				at, field, value = append(at, jsontext.Step{Kind: jsontext.Indexed, Index: i}), field+"["+t+"]", v[i]
			}
		}
	}
	return at, field
}

// place gives file, line and column of a place in the schema; "" when it is inline.
func (c *compiledSchema) place(address string, tokens []string) string {
	if c.dir == "" {
		return ""
	}
	name, _ := c.split(address)
	if text, ok := c.texts[address]; ok {
		at, _ := c.lead(address, tokens)
		var place jsontext.Place
		place.Follow(text, at)
		line, col := lineOf(text, place.At)
		name = fmt.Sprintf("%s:%d:%d", name, line, col)
	}
	return name
}
