package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// besideValue says what to write for what a record has beside its value, by the names that an
// expression has for it.
var besideValue = map[string]string{
	"key":       "a map edits it with key: …, and a redact with key: true",
	"time":      "a map edits it with time: …",
	"tombstone": "a map makes one with tombstone: CONDITION",
	"headers":   "a map edits them with set_headers and remove_headers, and a redact with headers: […]; header(\"name\") reads one",
	"value":     "a path begins within the value: leave out meta.value",
}

// doubtPaths warns of paths that begin with what other languages call the record, or with what a
// record has beside its value: they lead to fields of that name, and what was meant stays as it is,
// in silence. A file that says elsewhere that its records have such a field is not warned of.
func (d *decoder) doubtPaths(p *Pipeline, known evidence) {
	type at struct {
		Mention
		path string
	}
	var all []at
	alone := map[string]bool{}
	d.eachComponent(p, func(c Component, path string) {
		m := &mentioner{p: &Pipeline{decoder: d}, root: path}
		m.walk(reflect.ValueOf(c.Settings), path, path)
		for _, found := range m.found {
			if len(found.Path) == 1 {
				alone[found.Path[0].Name] = true
			}
			if len(found.Path) > 0 {
				all = append(all, at{Mention: found, path: path})
			}
		}
	})
	for _, m := range all {
		if len(m.n.pieces) > 0 { // of a variable, which is not shown
			continue
		}
		text, write := doubtfulPath(m.Mention, func(name string) bool {
			return alone[name] || d.hasField(name, known)
		}, func(setting string) bool { return d.places[join(m.path, setting)] != nil })
		if text != "" {
			d.warn(m.n, m.Setting+": "+m.n.conceal(text), m.n.conceal(write))
		}
	}
}

// hasField says whether an expression of the file reads a field of that name, and hardly means
// something else.
func (d *decoder) hasField(name string, known evidence) bool {
	if name != "this" && (known.reads[name] || known.bareValues[name] > 0) {
		return true
	}
	return slices.ContainsFunc(d.written, func(w written) bool { return strings.Contains(w.n.text, `$env["`+name+`"]`) })
}

// doubtfulPath says what is doubtful about a path, and what to write; "" when nothing is. has says
// whether the records have a field of a name, set whether a setting stands beside the path.
func doubtfulPath(m Mention, has, set func(name string) bool) (text, write string) {
	name, rest := m.Path[0].Name, m.Path[1:]
	further := len(rest) > 0 && m.Path[0].Kind == jsontext.Named
	own := `; where records have a field ` + name + `, an expression that reads it says so: filter: '$env["` + name + `"] != nil'`
	switch {
	case m.Path[0].Kind != jsontext.Named || strings.Contains(m.n.text, `\`): // who writes \ knows what has a meaning
	case strings.HasPrefix(name, "$") && len(name) > 1 && !expr.DollarName(name):
		return fmt.Sprintf("it leads to a field whose name begins with $: %s", name),
			"a field is its name alone: " + name[1:] + `; one of this name is written '\` + name + "'"
	case m.Through && strings.Contains(name, "/"):
		return fmt.Sprintf("it leads to a field whose name has a / in it: %s", name),
			"names are parted by dots: " + strings.ReplaceAll(name, "/", ".") + "; one of this name is written '" + strings.ReplaceAll(name, "/", `\/`) + "'"
	case !further || has(name):
	case name == "this" || name == "root":
		if rest[0].Kind == jsontext.Named || rest[0].Kind == jsontext.EveryMember {
			return fmt.Sprintf("it leads to a field %s within the value: it does not stand for the record", name),
				"a path begins within the value: " + rest.String() + own
		}
	case name == "meta" && rest[0].Kind == jsontext.Named && slices.Contains(expr.Meta(), rest[0].Name):
		what := rest[0].Name
		if what == "headers" && (set("headers") || set("set_headers") || set("remove_headers")) || set(what) {
			return "", ""
		}
		write := besideValue[what]
		if write == "" {
			write = "where a record comes from stays as it is"
		}
		return fmt.Sprintf("it leads to a field meta within the value, not to meta.%s of the record", what), write + own
	case name == "headers" && rest[0].Kind == jsontext.Named && !set("headers") && !set("set_headers") && !set("remove_headers"):
		return "it leads to a field headers within the value, not to the headers of the record", besideValue["headers"] + own
	}
	return "", ""
}
