package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A decoder fills structs from nodes, and goes on after every mistake.
type decoder struct {
	*reading
	dir    string           // folder that paths are relative to
	places map[string]*node // values by path, "stages[2].http.url"
	keys   map[string]*node // and their keys
	bad    map[string]bool  // components with a mistake in them, by path

	kind     *Kind  // of the component whose settings are decoded, or were last
	kindPath string // where it stands

	written    []written // expressions and templates, in order
	repeatable bool      // see Loader
	private    private
	shown      []shown
	rates      []string // names in limits.rates of the file
	noRate     bool     // a rate that there is none of has been named
	known      []string // texts to hide, of all files, when all of them have been read
}

// A nodeDecoder reads itself from a node, as the types of this package do that are no plain
// structs.
type nodeDecoder interface {
	decodeNode(d *decoder, n *node, path string) bool
}

func (d *decoder) errorAt(n *node, text, suggestion string) bool {
	d.report(n.problem(SeverityError, text, suggestion))
	return false
}

// where gives the node at which a problem of a path as a whole is reported: that of its key, else
// of its value, else of what it stands in.
func (d *decoder) where(path string) *node {
	for {
		if n := d.keys[path]; n != nil {
			return n
		}
		if n := d.places[path]; n != nil {
			return n
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return d.places[""]
		}
		path = path[:i]
	}
}

// at gives the node of the value at a path, or of what it would stand in.
func (d *decoder) at(path string) *node {
	if n := d.places[path]; n != nil {
		return n
	}
	return d.where(path)
}

// given says whether a value stands in the file.
func (d *decoder) given(path string) bool { return d.places[path] != nil }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// label is the name of the value at path in a message.
func label(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[i+1:]
	}
	return path
}

// value decodes n into v and says whether all of it was right.
func (d *decoder) value(n *node, v reflect.Value, t tags, path string) bool {
	d.places[path] = n
	if n.kind == brokenNode || len(d.problems) > maxProblems {
		return false
	}
	if nd, ok := v.Addr().Interface().(nodeDecoder); ok {
		return nd.decodeNode(d, n, path)
	}
	if v.Kind() == reflect.Pointer {
		if saysOff(n) && v.Type().Elem().Kind() == reflect.Struct && !isText(v.Type().Elem()) {
			return d.errorAt(n, fmt.Sprintf("%s takes a mapping, not %s", label(path), n.shown()), "there is none where the line is not there: remove it")
		}
		if v.IsNil() {
			v.Set(fresh(v.Type().Elem()).Addr())
		}
		return d.value(n, v.Elem(), t, path)
	}
	if _, ok := isOrdered(v.Type()); ok {
		return d.ordered(n, v, t, path)
	}
	if isText(v.Type()) || isScalarKind(v.Type()) {
		return d.scalarValue(n, v, t, path)
	}
	switch v.Kind() {
	case reflect.Struct:
		if i, ok := canBeOff(v.Type()); ok && n.kind == scalarNode && !n.null {
			return d.off(n, v.Field(i), path)
		}
		if f := shortField(v.Type()); f != nil && n.kind == scalarNode && !n.null {
			if !d.value(n, v.FieldByIndex(f.index), f.tags, path) {
				return false
			}
			d.places[join(path, f.name)] = n
			return d.validate(v, path, nil)
		}
		return d.structure(n, v, path, container{what: label(path)})
	case reflect.Slice:
		return d.list(n, v, t, path)
	case reflect.Map:
		return d.dictionary(n, v, t, path)
	case reflect.Interface:
		if t.shown != "" {
			d.shown = append(d.shown, shown{n, t.shown})
		}
		x, ok := d.anything(n, path)
		if ok && x != nil {
			v.Set(reflect.ValueOf(x))
		}
		return ok
	}
	panic(fmt.Sprintf("config: settings have a field of type %s, which no file can hold", v.Type()))
}

// off reads the word off in place of a mapping. Readers of YAML 1.1 write it as false.
func (d *decoder) off(n *node, v reflect.Value, path string) bool {
	if saysOff(n) {
		v.SetBool(true)
		return true
	}
	suggestion := ""
	if n.text == "on" || n.text == "true" {
		suggestion = "it is on where it does not say off: remove the line"
	}
	return d.errorAt(n, fmt.Sprintf("%s takes a mapping or off, not %s", label(path), n.shown()), suggestion)
}

func saysOff(n *node) bool { return n.kind == scalarNode && (n.text == "off" || n.text == "false") }

// longForm gives what to write for a scalar in place of a mapping: the mapping with the one thing
// that it must hold, when the scalar is of that form.
func longForm(n *node, what string, fields []field) string {
	var must []field
	for _, f := range fields {
		if f.tags.required {
			must = append(must, f)
		}
	}
	if len(must) == 1 && n.kind == scalarNode && !n.null && !n.hidden() {
		_, err := time.ParseDuration(n.text)
		fits := must[0].name == "listen" && isEndpoint(n.text) || must[0].typ == durationType && err == nil || must[0].typ == rateType && new(settings.Rate).UnmarshalText([]byte(n.text)) == nil
		if fits {
			return "write " + what + ": {" + must[0].name + ": " + n.text + "}"
		}
	}
	return known(fields)
}

func isScalarKind(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	}
	return false
}

// A container says what a mapping is, for messages about its keys.
type container struct {
	what      string            // "http", "a stage"
	elsewhere map[string]string // keys that belong elsewhere, with what to say about them
}

// structure decodes a mapping into a struct.
func (d *decoder) structure(n *node, v reflect.Value, path string, c container) bool {
	fields := fieldsOf(v.Type())
	if n.kind == scalarNode && n.null && n.tag == "" {
		n = &node{kind: mappingNode, src: n.src, line: n.line, col: n.col}
	}
	if n.kind != mappingNode {
		return d.errorAt(n, fmt.Sprintf("%s takes a mapping, not %s", c.what, n.describe()), d.hint(path, longForm(n, c.what, fields)))
	}
	ok := true
	wrong := map[string]bool{} // fields without a value that is right
	for i, key := range n.keys {
		f := findField(fields, key.text)
		if f == nil {
			d.unknownValue(key, n.items[i], fields)
			ok = d.unknownKey(key, fields, c, path)
			continue
		}
		at := join(path, f.name)
		d.keys[at] = key
		if !d.value(n.items[i], v.FieldByIndex(f.index), f.tags, at) {
			ok, wrong[f.name] = false, true
		}
	}
	for _, f := range fields {
		if f.tags.required && n.get(f.name) == nil {
			ok, wrong[f.name] = false, true
			if !d.damaged {
				d.missing(n, path, f, c)
			}
		}
	}
	return d.validate(v, path, wrong) && ok
}

func findField(fields []field, name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

func known(fields []field) string {
	if len(fields) == 0 {
		return ""
	}
	return "known here: " + strings.Join(fieldNames(fields), ", ")
}

func (d *decoder) unknownKey(key *node, fields []field, c container, path string) bool {
	if len(d.problems) > maxProblems {
		return false
	}
	suggestion := c.elsewhere[key.text]
	if key.text == "parameters" && c.what == "a pipeline file" {
		suggestion = toInclude
	}
	if key.text == "with" && suggestion == "" {
		suggestion = besideInclude
	}
	if suggestion == "" {
		suggestion = d.hint(join(path, key.text), "")
	}
	if suggestion == "" && topKeys[key.text] {
		suggestion = atMargin(key.text)
	}
	if names := fieldNames(fields); suggestion == "" && nearest(key.text, names) == "" && nearest(key.text, includeName) != "" {
		suggestion = "did you mean include?"
	} else if suggestion == "" {
		suggestion = didYouMean(key.text, names)
	}
	return d.errorAt(key, fmt.Sprintf("unknown key %q in %s", key.text, c.what), suggestion)
}

var includeName = []string{"include"}

// hint gives what the kind of the component at hand says about a place in its settings, else what
// is given.
func (d *decoder) hint(path, otherwise string) string {
	if within, ok := strings.CutPrefix(path, d.kindPath); ok && d.kind != nil {
		if hint := d.kind.Hints[strings.TrimPrefix(within, ".")]; hint != "" {
			return hint
		}
	}
	return otherwise
}

const besideInclude = "with: stands beside include:, and gives the parameters of that file"

// topKeys are the keys that a pipeline file begins with.
var topKeys = func() map[string]bool {
	keys := map[string]bool{}
	for _, f := range fieldsOf(reflect.TypeFor[Pipeline]()) {
		keys[f.name] = true
	}
	return keys
}()

func atMargin(key string) string {
	return key + ": stands at the left margin of the file: is the indentation right?"
}

func (d *decoder) missing(n *node, path string, f field, c container) bool {
	at := d.keys[path]
	if at == nil {
		at = n
	}
	what := c.what
	if path == "" {
		what = "the file"
	}
	suggestion := ""
	if f.tags.doc != "" {
		suggestion = f.name + ": " + f.tags.doc
	}
	return d.errorAt(at, fmt.Sprintf("%s has no %q, which is required", what, f.name), suggestion)
}

// validate calls Validate, when v has it, and reports what it returns. wrong are fields that have
// an error already: then only errors of other fields that stand in the file are reported, as
// the rest may follow from the first.
func (d *decoder) validate(v reflect.Value, path string, wrong map[string]bool) bool {
	checker, ok := v.Addr().Interface().(interface{ Validate() error })
	if !ok {
		return true
	}
	return d.reportErrors(checker.Validate(), path, wrong)
}

// reportErrors reports the errors of Validate or Check about the settings at path, and says
// whether there are none.
func (d *decoder) reportErrors(err error, path string, wrong map[string]bool) bool {
	if err == nil {
		return true
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			d.reportErrors(e, path, wrong)
		}
		return false
	}
	n := d.where(path)
	var at *settings.FieldError
	if errors.As(err, &at) {
		first := at.Field
		if i := strings.IndexAny(first, ".["); i >= 0 {
			first = first[:i]
		}
		if wrong[first] || len(wrong) > 0 && !d.given(join(path, first)) {
			return false
		}
		n = d.at(join(path, at.Field))
		if within := (*expr.Error)(nil); errors.As(err, &within) && d.given(join(path, at.Field)) {
			d.report(d.placed(SeverityError, n, label(path)+": "+at.Field, within))
			return false
		}
	} else if len(wrong) > 0 {
		return false
	}
	suggestion := ""
	if name := (*settings.NameError)(nil); errors.As(err, &name) {
		suggestion = n.conceal(name.Suggestion)
	}
	return d.errorAt(n, n.conceal(label(path)+": "+err.Error()), suggestion)
}

// absolute makes the file name in n absolute; - is no file name.
func (d *decoder) absolute(n *node) string {
	name := n.text
	if name == "" || name == "-" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(n.folder(d.dir), name)
}

// relative is the path of a file as seen from the folder of the pipeline file.
func (d *decoder) relative(path string) string {
	if rel, err := filepath.Rel(d.dir, path); err == nil {
		return rel
	}
	return path
}
