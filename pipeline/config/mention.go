package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A Role says what a Mention does with what it names.
type Role uint8

// The roles.
const (
	Evaluates Role = iota // an expression or a template, which reads
	Reads                 // a path that is read, moved, kept or changed
	TakesOut              // a path that is to be gone: it need not be there
	Writes                // a path that is set
)

// A Mention is a place in a pipeline file that names fields of records.
type Mention struct {
	Setting string // within its component: "set.total", "when"
	Role    Role
	// Value is of one that evaluates an *expr.Expr, an *expr.Condition or an *expr.Template.
	Value any
	// Path is that of the others, and Offsets say where its steps begin in the file's text.
	Path    jsontext.Path
	Offsets []int
	// Through says that arrays on the way are gone through.
	Through bool

	n     *node
	moved int // bytes that stand before the file's text in that of Value
}

// OfValue says whether m is about what a tombstone does not have: a map sets nothing there.
func (m Mention) OfValue() bool {
	return m.Setting == "value" || strings.HasPrefix(m.Setting, "set.")
}

// Conceal takes what may be a secret out of a text of m, and puts the names of variables in place
// of what they gave.
func (p *Pipeline) Conceal(m Mention, text string) string {
	return concealKnown(m.n.conceal(text), p.secrets)
}

// Mentions gives what of the settings at a path of the file, "stages[2].map" or "sinks[0]", names
// fields of records, in the order of the settings. settings is what stands there, a pointer to a
// struct. Where the name of a setting does not say what is done with a field, nothing is given:
// columns of a table are not of the record.
func (p *Pipeline) Mentions(path string, settings any) []Mention {
	m := &mentioner{p: p, root: path}
	if p.decoder != nil {
		m.walk(reflect.ValueOf(settings), path, path)
	}
	return m.found
}

// Warning makes a warning about m: at a column of its text, from 1 in bytes; 0: about all of it.
func (p *Pipeline) Warning(m Mention, column int, text, suggestion string) Problem {
	var problem Problem
	if column > m.moved {
		problem = p.decoder.placed(SeverityWarning, m.n, m.Setting, &expr.Error{Column: column - m.moved, Message: text, Suggestion: suggestion})
	} else {
		problem = m.n.problem(SeverityWarning, m.Setting+": "+m.n.conceal(text), m.n.conceal(suggestion))
	}
	one := Problems{problem}
	one.concealAll(p.secrets, nil)
	return one[0]
}

// WarningAt makes a warning about what stands at a path of the file: "stages[2].map".
func (p *Pipeline) WarningAt(path, text string) Problem {
	one := Problems{p.decoder.where(path).problem(SeverityWarning, text, "")}
	one.concealAll(p.secrets, nil)
	return one[0]
}

// A mentioner walks through settings beside the nodes that they were read from.
type mentioner struct {
	p     *Pipeline
	root  string
	found []Mention
}

// walk visits v, which stands at path; name is the path of the setting whose name says what is
// done.
func (m *mentioner) walk(v reflect.Value, path, name string) {
	switch {
	case v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface:
		if !v.IsNil() {
			m.walk(v.Elem(), path, name)
		}
		return
	case isExpression(v.Type()):
		m.evaluates(v, path)
		return
	case v.Type() == reflect.TypeFor[settings.FieldName]() || v.Type() == reflect.TypeFor[settings.FieldPath]():
		if n := m.p.decoder.places[path]; n != nil && v.Len() > 0 {
			m.names(n, label(name), path)
		}
		return
	}
	if _, ok := isOrdered(v.Type()); ok {
		m.ordered(v, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			at := join(path, f.name)
			m.walk(v.FieldByIndex(f.index), at, at)
		}
	case reflect.Slice:
		for i := range v.Len() {
			m.walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), name)
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		for _, key := range keys {
			elem := reflect.New(v.Type().Elem()).Elem() // an element of a map has no address
			elem.Set(v.MapIndex(key))
			m.walk(elem, join(path, fmt.Sprint(key)), name)
		}
	}
}

func (m *mentioner) evaluates(v reflect.Value, path string) {
	d := m.p.decoder
	n := d.places[path]
	if n == nil || v.IsZero() {
		return
	}
	at := Mention{Setting: m.setting(path), Value: v.Addr().Interface(), n: n}
	for _, w := range d.written {
		if w.n == n {
			at.moved = w.prefix
		}
	}
	m.found = append(m.found, at)
}

// ordered visits a mapping by names. The nodes of its entries go by number: a name may be written
// in several ways.
func (m *mentioner) ordered(v reflect.Value, path string) {
	n := m.p.decoder.places[path]
	for i := range v.Len() {
		if n == nil || i >= len(n.keys) {
			return
		}
		key := n.keys[i]
		switch what := label(path); what {
		case "set":
			m.found = m.pathAt(key, path, Writes, false)
		case "rename":
			m.found = m.pathAt(key, path, Reads, false)
		}
		m.walk(v.Index(i).FieldByName("Value"), join(path, key.text), path)
	}
}

// names notes the path in n, by the name of its setting.
func (m *mentioner) names(n *node, setting, path string) {
	switch setting {
	case "into", "rename":
		m.found = m.pathAt(n, path, Writes, false)
	case "field", "keep":
		m.found = m.pathAt(n, path, Reads, false)
	case "remove":
		m.found = m.pathAt(n, path, TakesOut, false)
	case "fields":
		m.found = m.pathAt(n, path, TakesOut, true)
	}
}

func (m *mentioner) pathAt(n *node, at string, role Role, through bool) []Mention {
	path, begins, err := jsontext.ParseSteps(n.text)
	if err != nil {
		return m.found
	}
	return append(m.found, Mention{
		Setting: m.setting(at), Role: role, Path: path, Offsets: begins, Through: through, n: n,
	})
}

func (m *mentioner) setting(path string) string {
	if s := strings.TrimPrefix(strings.TrimPrefix(path, m.root), "."); s != "" {
		return s
	}
	return label(path)
}
