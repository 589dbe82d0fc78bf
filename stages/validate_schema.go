package stages

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

const (
	maxSchema      = 4 << 20 // bytes of one file of a schema
	maxSchemaFiles = 100
	inlineSchema   = "inline:///schema"
)

var drafts = map[string]*jsonschema.Draft{
	"2020-12": jsonschema.Draft2020, "2019-09": jsonschema.Draft2019, "draft-07": jsonschema.Draft7, "draft-06": jsonschema.Draft6, "draft-04": jsonschema.Draft4,
}

// A compiledSchema is a schema with what is needed to name places in it.
type compiledSchema struct {
	compiled *jsonschema.Schema
	dir      string            // folder of the file, with a slash at its end; "": it is inline
	name     string            // of the file in dir
	texts    map[string][]byte // what was read, by address
	docs     map[string]any
	names    map[string]bool // of members, that it has
	unknown  []UnknownKeyword
	root     *os.Root // while it is compiled
}

// compileSchema reads and compiles the schema of s. It opens files in the folder of the schema's
// file and below, and no address. Errors are settings.FieldErrors.
func compileSchema(s *ValidateSettings) (*compiledSchema, error) {
	c := &compiledSchema{texts: map[string][]byte{}, docs: map[string]any{}, names: map[string]bool{}}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(drafts[s.Draft])
	compiler.UseLoader(c)
	if s.Formats {
		compiler.AssertFormat()
	}
	at := inlineSchema
	if s.Schema.File != "" {
		file := string(s.Schema.File)
		c.dir, c.name = filepath.Dir(file)+string(filepath.Separator), filepath.Base(file)
		root, err := os.OpenRoot(filepath.Dir(file))
		if err != nil {
			return nil, &settings.FieldError{Field: "schema.file", Err: fmt.Errorf("reading %s: %w", c.name, reasonOf(err))}
		}
		c.root = root
		defer func() {
			_ = root.Close() // nothing was written
			c.root, c.texts, c.docs = nil, nil, nil
		}()
		at = (&url.URL{Scheme: "file", Path: filepath.ToSlash(file)}).String()
		if _, err := c.Load(at); err != nil {
			return nil, &settings.FieldError{Field: "schema.file", Err: err}
		}
	} else {
		c.docs[at] = s.Schema.Inline
	}
	if err := compiler.AddResource(at, c.docs[at]); err != nil {
		return nil, c.fieldError(at, nil, err)
	}
	compiled, err := compiler.Compile(at)
	if err != nil {
		return nil, c.compileError(at, err)
	}
	c.compiled = compiled
	for _, address := range slices.Sorted(maps.Keys(c.docs)) {
		c.noteNames(c.docs[address])
		c.noteUnknown(address, nil, c.docs[address])
	}
	return c, nil
}

// noteNames notes the names of members that a schema has: in properties, required and what depends
// on a member.
func (c *compiledSchema) noteNames(doc any) {
	switch doc := doc.(type) {
	case []any:
		for _, inner := range doc {
			c.noteNames(inner)
		}
	case map[string]any:
		for keyword, inner := range doc {
			switch keyword {
			case "properties", "dependentSchemas", "dependentRequired", "dependencies", "required":
				c.noteNamed(inner)
			}
			c.noteNames(inner)
		}
	}
}

// noteNamed notes the names that a keyword is about: the members of an object, the texts of a list.
func (c *compiledSchema) noteNamed(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			c.names[name] = true
			if list, ok := inner.([]any); ok { // required with that member
				c.noteNamed(list)
			}
		}
	case []any:
		for _, name := range v {
			if name, ok := name.(string); ok {
				c.names[name] = true
			}
		}
	}
}

// Load implements jsonschema.URLLoader.
func (c *compiledSchema) Load(address string) (any, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "inline" {
		return nil, errors.New("an inline schema refers to parts of itself alone: write it into a file that stands beside what it refers to")
	}
	path, inside := strings.CutPrefix(filepath.FromSlash(u.Path), c.dir)
	switch {
	case u.Scheme != "file":
		return nil, errors.New("no address is opened: put a copy beside the schema and refer to it by its file name; an $id in the schema makes addresses of file names, then leave it out")
	case !inside || c.root == nil:
		return nil, errors.New("a schema refers to files in its own folder and below")
	case len(c.docs) >= maxSchemaFiles:
		return nil, fmt.Errorf("the schema has more than %d files", maxSchemaFiles)
	}
	text, err := c.read(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, reasonOf(err))
	}
	if err := checkSchemaText(path, text); err != nil {
		return nil, err
	}
	value, tooMuch := decodeValue(text[jsontext.Space(text, 0):])
	if tooMuch != nil {
		return nil, fmt.Errorf("%s: %s %s", path, placeIn(tooMuch.path), tooMuch.why)
	}
	c.texts[address], c.docs[address] = text, value
	return value, nil
}

// read gives a file within the folder of the schema.
func (c *compiledSchema) read(path string) ([]byte, error) {
	info, err := c.root.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no plain file")
	}
	f, err := c.root.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSchema+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(text) > maxSchema {
		return nil, fmt.Errorf("it has more than %d MiB", maxSchema>>20)
	}
	return bytes.TrimPrefix(text, []byte("\ufeff")), nil
}

func reasonOf(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// checkSchemaText says where a file is no JSON.
func checkSchemaText(name string, text []byte) error {
	if !utf8.Valid(text) {
		return fmt.Errorf("%s is no valid UTF-8", name)
	}
	if jsontext.TooDeep(text) {
		return fmt.Errorf("%s is nested deeper than 10,000", name)
	}
	var any json.RawMessage
	err := json.Unmarshal(text, &any)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		line, col := lineOf(text, max(int(syntax.Offset)-1, 0))
		return fmt.Errorf("%s:%d:%d: it is no JSON: %s", name, line, col, syntax.Error())
	case err != nil:
		return fmt.Errorf("%s is no JSON: %w", name, err)
	case !jsontext.Valid(text):
		return fmt.Errorf("%s is no JSON", name)
	}
	return nil
}

// lineOf gives line and column, in characters, of a byte.
func lineOf(text []byte, at int) (line, col int) {
	before := text[:min(at, len(text))]
	return 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
}

// rule names a keyword of the schema: file#/properties/id/type.
func (c *compiledSchema) rule(address, keyword string) string {
	file, fragment := c.split(address)
	if keyword != "" {
		fragment += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(keyword)
	}
	return clipText(file + "#" + fragment)
}

// split gives the file of an address, as seen from the folder of the schema, and what is behind #.
func (c *compiledSchema) split(address string) (file, fragment string) {
	address, fragment, _ = strings.Cut(address, "#")
	if text, err := url.PathUnescape(fragment); err == nil {
		fragment = text
	}
	if u, err := url.Parse(address); err == nil && u.Scheme == "file" {
		return strings.TrimPrefix(filepath.FromSlash(u.Path), c.dir), fragment
	}
	return strings.TrimPrefix(strings.TrimPrefix(address, inlineSchema), "inline:///"), fragment
}

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
