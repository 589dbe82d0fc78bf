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
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

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
