package expr

import (
	"fmt"
	"maps"
	"slices"

	"github.com/expr-lang/expr/ast"
)

// A function is one that expressions may call. It depends on nothing but its arguments, or, when it
// is live, on the time and on chance, and counts what it builds.
type function struct {
	params []mask // the last stands for further ones
	least  int    // arguments
	most   int    // -1: any number
	kinds  mask
	call   caller
	bind   binder // makes call of what is constant; nil: call stands above
	live   bool   // two calls may give two values: it is not evaluated when it is compiled
	manual
}

// A caller is what a function does: its arguments are of the kinds that it takes.
type caller = func(m *machine, args []value) (value, error)

// A binder compiles what must be constant among the arguments, such as a pattern.
type binder func(c *compiler, name string, parts []code) caller

// A manual is what the reference says of a function.
type manual struct {
	usage    string    // a call with names for the arguments, as in round(number, digits?)
	says     string    // what it gives: one sentence without a full stop
	fails    string    // when it is an error, beside an argument that is missing or of another type; "": never
	examples []Example // at least one
}

// An Example is an expression that stands in the reference, with what it gives: JSON text, or
// "error: " and a part of the message.
type Example struct {
	Text, Gives string
}

// functions are all functions but predicates and header.
var functions = map[string]function{}

func init() {
	for _, table := range []map[string]function{
		textFunctions, numberFunctions, arrayFunctions, timeFunctions,
		regexFunctions, hashFunctions, codecFunctions, randomFunctions,
		calendarFunctions, roundingFunctions, wordFunctions, formFunctions,
	} {
		maps.Copy(functions, table)
	}
}

// Functions gives the names of all functions, sorted.
func Functions() []string {
	names := slices.Collect(maps.Keys(functions))
	names = append(names, "header")
	for name := range predicates {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// refused are functions of expr-lang that are left out, with what to do instead.
var refused = map[string]string{
	"reduce": "use sum, map, filter or join",
}

// call compiles name(args…).
func (c *compiler) call(n ast.Node, name string, args []ast.Node) code {
	if name == "header" {
		return c.header(n, args)
	}
	if name == "date" {
		return c.date(n, args)
	}
	if name == "sort" {
		return c.sort(n, args)
	}
	if _, ok := predicates[name]; ok && len(args) > 0 {
		return c.predicate(n, name, args)
	}
	f, ok := functions[name]
	if !ok {
		c.unknown(n, name)
	}
	parts := c.arguments(n, name, f, args)
	if f.bind != nil {
		f.call = f.bind(c, name, parts)
	}
	k := code{kinds: f.kinds, run: func(m *machine) (value, error) {
		return invoke(m, name, f, parts)
	}}
	if f.live {
		return k
	}
	return c.fold(n, k, parts...)
}

func (c *compiler) unknown(n ast.Node, name string) {
	if instead, ok := refused[name]; ok {
		c.fail(n, name+" is not available", instead)
	}
	suggestion := foreignFunctions[name]
	if suggestion != "" {
		c.fail(n, "there is no function "+name, suggestion)
	}
	if near := nearest(name, Functions()); near != "" {
		suggestion = "did you mean " + near + "?"
	}
	c.fail(n, "there is no function "+name, suggestion)
}

// arguments compiles the arguments of a call and checks what is known of them.
func (c *compiler) arguments(n ast.Node, name string, f function, args []ast.Node) []code {
	if len(args) < f.least || f.most >= 0 && len(args) > f.most {
		want := fmt.Sprint(f.least)
		switch {
		case f.most < 0:
			want = "at least " + want
		case f.most > f.least:
			want = fmt.Sprintf("%d to %d", f.least, f.most)
		}
		many := "s"
		if want == "1" || want == "at least 1" {
			many = ""
		}
		c.fail(n, fmt.Sprintf("%s takes %s argument%s, not %d", name, want, many, len(args)), "")
	}
	parts := c.nodes(args)
	for i, p := range parts {
		if want := f.param(i); p.kinds&want == 0 {
			suggestion := ""
			if want == mTime {
				suggestion = name + "(date(created), …): date makes one of a text or of milliseconds"
			}
			c.fail(p.at, fmt.Sprintf("%s needs %s here, this is %s", name, want, p.kinds), suggestion)
		}
	}
	return parts
}

func (f function) param(i int) mask { return f.params[min(i, len(f.params)-1)] }

// invoke evaluates the arguments onto the machine's stack and calls f.
func invoke(m *machine, name string, f function, parts []code) (value, error) {
	base := len(m.stack)
	for i, p := range parts {
		v, err := p.run(m)
		if err == nil && !v.is(f.param(i)) {
			err = wrongArgument(name, i, f.param(i), v)
		}
		if err != nil {
			m.stack = m.stack[:base]
			return vNil, err
		}
		m.stack = append(m.stack, v)
	}
	v, err := f.call(m, m.stack[base:])
	m.stack = m.stack[:base]
	if f, ok := err.(fault); ok {
		err = faultf("%s: %s", name, f)
	}
	return v, err
}

func wrongArgument(name string, i int, want mask, v value) error {
	if v.kind == kNil {
		return faultf("%s: argument %d is missing", name, i+1)
	}
	return faultf("%s: argument %d is %s, not %s", name, i+1, v.kind.name(), want)
}

// header compiles header("name"): the last header of that name, as text.
func (c *compiler) header(n ast.Node, args []ast.Node) code {
	f := function{params: []mask{mString}, least: 1, most: 1}
	name := c.arguments(n, "header", f, args)[0]
	return code{kinds: mString | mNil, run: func(m *machine) (value, error) {
		v, err := name.run(m)
		if err != nil {
			return vNil, err
		}
		if v.kind != kString {
			return vNil, wrongArgument("header", 0, mString, v)
		}
		want, err := m.text(v)
		if err != nil {
			return vNil, err
		}
		if err := m.step(len(m.rec.Headers())); err != nil {
			return vNil, err
		}
		for i := len(m.rec.Headers()) - 1; i >= 0; i-- {
			if h := m.rec.Headers()[i]; h.Name == string(want) {
				if h.Value == nil {
					return vNil, nil
				}
				return vText(h.Value), nil
			}
		}
		return vNil, nil
	}}
}
