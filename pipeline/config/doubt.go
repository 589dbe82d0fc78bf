package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A Warning is what a Kind finds doubtful in its settings.
type Warning struct {
	Field      string // as in settings.FieldError; "": the settings as a whole
	Text       string
	Suggestion string
}

// A written is an expression or a template of the file.
type written struct {
	n      *node
	path   string
	v      any // *expr.Expr, *expr.Condition or *expr.Template
	value  bool
	prefix int // bytes at the beginning of the text in v that the file does not have
}

// doubts warns of expressions that are valid and hardly mean what their writer meant. A rule must
// not warn of a file that means what it says: docs/decisions/0021-warnings.md.
func (d *decoder) doubts(p *Pipeline) {
	known := d.evidence()
	for _, w := range d.written {
		if found := w.v.(interface{ Doubts() []*expr.Error }).Doubts(); len(found) > 0 {
			for _, e := range found {
				if e.Column > w.prefix {
					d.report(d.placed(SeverityWarning, w.n, label(w.path), &expr.Error{Column: e.Column - w.prefix, Message: e.Message, Suggestion: e.Suggestion}))
				}
			}
			continue
		}
		switch v := w.v.(type) {
		case *expr.Condition:
			d.doubtAlone(w, v, known)
		case *expr.Expr:
			if w.value {
				d.doubtText(w, v, known)
			}
		}
	}
	d.doubtPaths(p, known)
	d.eachComponent(p, func(c Component, path string) {
		if c.Kind.Warn == nil {
			return
		}
		for _, w := range c.Kind.Warn(c.Settings, p) {
			at := d.where(path)
			if w.Field != "" {
				at = d.at(join(path, w.Field))
			}
			d.warn(at, label(path)+": "+at.conceal(w.Text), at.conceal(w.Suggestion))
		}
	})
}

// evidence is what a file tells of the fields of its records, which the rules go by.
type evidence struct {
	reads      map[string]bool // fields that are read by more than a bare value
	bareValues map[string]int  // fields that are bare values without quotes, how often
	boolean    map[string]bool // fields that the file itself sets to true or false
	set        map[string]bool // fields that the file itself sets
	quoting    bool            // expressions stand in quotes that none of them needs
}

func (d *decoder) evidence() evidence {
	e := evidence{reads: map[string]bool{}, bareValues: map[string]int{}, boolean: map[string]bool{}, set: map[string]bool{}}
	for _, w := range d.written {
		name := ""
		if key := d.keys[w.path]; key != nil && w.value {
			name = key.text
			e.set[name] = true
		}
		v, isExpr := w.v.(*expr.Expr)
		if isExpr && w.value && v.Boolean() {
			e.boolean[name] = true
		}
		if isExpr && w.value && bareName.MatchString(w.n.text) {
			if w.n.style == plainStyle {
				e.bareValues[w.n.text]++
			}
			e.quoting = e.quoting || w.n.style == quotedStyle && shareWord(name, w.n.text)
			continue
		}
		for _, f := range w.v.(interface{ Fields() []string }).Fields() {
			e.reads[f] = true
			e.quoting = e.quoting || isExpr && w.value && w.n.style == quotedStyle && !textLike.MatchString(w.n.text) && !needsQuotes(w.n)
		}
	}
	return e
}

var (
	bareName  = regexp.MustCompile(`^[A-Za-z_]\w*$`)
	textLike  = regexp.MustCompile(`^[A-Za-z_]\w*([-/]\w+)*$`)
	upperName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*[A-Z][A-Z0-9_]*$`)
	isoDay    = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)
	zeroFirst = regexp.MustCompile(`^0[0-9]+$`)
	indicator = regexp.MustCompile("^[-?:,\\[\\]{}#&*!|>'\"%@`]|: | #|:$")
)

// needsQuotes says whether YAML would not read the text of n as it stands.
func needsQuotes(n *node) bool {
	return indicator.MatchString(n.raw) || n.flow && strings.ContainsAny(n.raw, ",[]{}") || strings.ContainsAny(n.raw, "\n\\")
}

// doubtText warns of a value that reads fields and looks like a text: to YAML, "DE" and
// DE are the same; to its writer, what stands in quotes is a text.
func (d *decoder) doubtText(w written, v *expr.Expr, known evidence) {
	text, key := w.n.text, d.keys[w.path]
	list, _, listed := strings.Cut(w.path[strings.LastIndexByte(w.path, '.')+1:], "[")
	listed = listed && key == nil
	if listed {
		key = d.keys[w.path[:strings.LastIndexByte(w.path, '.')+1]+list]
	}
	if key == nil {
		return
	}
	quotes := `'"` + text + `"'`
	switch {
	case len(w.n.pieces) > 0:
	case isoDay.MatchString(text):
		d.warn(w.n, label(w.path)+" is no date, but a number: "+text+" is a subtraction", "write "+quotes)
	case zeroFirst.MatchString(text):
		d.warn(w.n, label(w.path)+" is a number here: the zero before it is lost", "write "+quotes+" for the text; for the number leave out the zero")
	case w.n.style == plainStyle || key.style == quotedStyle || known.quoting:
		if d.doubtfulUpper(text, lastName(key.text), known) {
			d.warn(w.n, fmt.Sprintf("%s reads the field %s, and no other field of this file has capital letters alone", label(w.path), text),
				"write "+quotes+" for the text; the field is also $env[\""+text+"\"]")
		}
	case w.n.style != quotedStyle || !textLike.MatchString(text) || strings.EqualFold(lastName(key.text), text):
	case listed && bareName.MatchString(text) && !upperName.MatchString(text): // a list in JSON's style; a constant stands in the query
	case bareName.MatchString(text) && len(v.Fields()) == 1 && !known.reads[text]:
		d.warn(w.n, fmt.Sprintf("%s reads the field %s: the quotes are YAML's, and do not make it a text", label(w.path), text),
			"write "+quotes+" for the text; for the field leave out the quotes")
	case !bareName.MatchString(text) && !slices.ContainsFunc(v.Fields(), func(f string) bool { return known.reads[f] && !d.onlyHere(f, w) }):
		d.warn(w.n, fmt.Sprintf("%s calculates with the fields %s: the quotes are YAML's, and do not make it a text", label(w.path), strings.Join(v.Fields(), ", ")),
			"write "+quotes+" for the text; to calculate leave out the quotes")
	}
}

// lastName gives the name of the field that a path leads to.
func lastName(path string) string {
	steps, err := settings.FieldPath(path).Path()
	if err != nil {
		return path
	}
	return steps[len(steps)-1].Name
}

// onlyHere says whether no other expression than w reads a field.
func (d *decoder) onlyHere(field string, w written) bool {
	return !slices.ContainsFunc(d.written, func(o written) bool {
		return o.path != w.path && slices.Contains(o.v.(interface{ Fields() []string }).Fields(), field)
	})
}

// doubtfulUpper says whether a name without quotes is more likely a code like DE or EUR
// than a field: it is the only one of capital letters, among others that are not.
func (d *decoder) doubtfulUpper(text, key string, known evidence) bool {
	if !upperName.MatchString(text) || strings.EqualFold(text, key) || known.bareValues[text] > 1 {
		return false
	}
	hasOthers := false
	isUpperField := func(f string) (upper bool) {
		if f == text || known.set[f] {
			return f == text && known.reads[f]
		}
		hasOthers = true
		return strings.ToUpper(f) == f
	}
	for _, names := range []map[string]bool{known.reads, keysOf(known.bareValues)} {
		for f := range names {
			if isUpperField(f) {
				return false
			}
		}
	}
	return hasOthers
}

func keysOf(m map[string]int) map[string]bool {
	keys := make(map[string]bool, len(m))
	for k := range m {
		keys[k] = true
	}
	return keys
}

// doubtAlone warns of a condition that is a field and nothing else, unless the field is
// known, or called, to be true or false.
func (d *decoder) doubtAlone(w written, v *expr.Condition, known evidence) {
	path, ok := v.Alone()
	if !ok || known.boolean[path] || saysYesOrNo(path) {
		return
	}
	path = w.n.conceal(path)
	d.warn(w.n, fmt.Sprintf("%s is the field %s alone: a record in which it is neither true nor false is rejected", label(w.path), path),
		fmt.Sprintf("compare it: %s == true, %s != nil, %s >= 1", path, path, path))
}

// eachComponent calls f for every component without a mistake in it.
func (d *decoder) eachComponent(p *Pipeline, f func(c Component, path string)) {
	visit := func(c Component, path string) {
		if c.Kind != nil && !d.hasProblem(path+"."+c.Kind.Name) {
			f(c, path+"."+c.Kind.Name)
		}
	}
	visit(p.Source, "source")
	for i := range p.Stages {
		visit(p.Stages[i].Component, fmt.Sprintf("stages[%d]", i))
	}
	for i := range p.Sinks {
		visit(p.Sinks[i].Component, fmt.Sprintf("sinks[%d]", i))
	}
	if p.DeadLetter != nil {
		visit(p.DeadLetter.Component, "dead_letter")
	}
}

func (d *decoder) noteExpression(n *node, v reflect.Value, t tags, path string, moved int) {
	d.written = append(d.written, written{n: n, path: path, v: v.Addr().Interface(), value: t.value, prefix: moved})
}
