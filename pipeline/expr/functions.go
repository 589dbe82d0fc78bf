package expr

import (
	"fmt"
	"maps"
	"slices"

	"github.com/expr-lang/expr/ast"
)

// A function is one that expressions may call. It depends on nothing but its arguments, or, when it
// varies, on the record, the time or random values, and counts what it builds.
//
// It has one of three. Most have call: all arguments are values, which are evaluated before it. One
// with bind needs some of them when it is compiled, as constants, or has something of its own for
// each place where it is called: a pattern, the name of a form, buffers. bind checks them, says what
// is wrong at their place, and gives what is called with the values. One with compile makes the code
// itself, and so also checks and counts the arguments: it evaluates them in another order or not
// all: try, and get with what it gives in place of nil.
type function struct {
	params  []mask // the last stands for further ones
	least   int    // arguments
	most    int    // -1: any number
	kinds   mask
	call    caller
	bind    binder
	compile func(c *compiler, n ast.Node, name string, args []ast.Node) code
	varies  bool // two calls may give two values: it is not evaluated when it is compiled
	manual
}

// A caller is what a function does: its arguments are of the kinds that it takes.
type caller = func(m *machine, args []value) (value, error)

// A binder compiles what must be constant among the arguments, such as a pattern.
type binder func(c *compiler, name string, parts []code) caller

// A manual is what the reference says of a function.
type manual struct {
	usage    string    // a call with names for the arguments, as in round(number, digits?)
	says     string    // what it gives, without a full stop at its end
	fails    string    // when it is an error, beside an argument that is missing or of another type; "": never
	examples []Example // at least one
}

// An Example is an expression that stands in the reference, with what it gives: JSON text, or
// "error: " and a part of the message.
type Example struct {
	Text  string `json:"text"`
	Gives string `json:"gives"`
}

// A group is functions that the reference shows together.
type group struct {
	title  string
	tables []table
}

type table = map[string]function

// groups are all functions but the predicates, in the order of the reference.
var groups = []group{
	{"Text", []table{textFunctions, wordFunctions}},
	{"Regular expressions", []table{regexFunctions}},
	{"Tests of text", []table{checkFunctions}},
	{"Numbers", []table{numberFunctions, roundingFunctions}},
	{"Arrays", []table{arrayFunctions}},
	{"Objects and paths", []table{objectFunctions}},
	{"Time", []table{timeFunctions, calendarFunctions}},
	{"Text formats", []table{formatFunctions}},
	{"Codes and hashes", []table{codecFunctions, charsetFunctions, compressionFunctions, hashFunctions}},
	{"Random values", []table{randomFunctions}},
	{"The record", []table{recordFunctions}},
	{"Errors", []table{errorFunctions}},
}

// recordFunctions read the record.
var recordFunctions = map[string]function{
	"header": {params: []mask{mString}, least: 1, most: 1, kinds: mString | mNil, call: header, varies: true,
		manual: manual{usage: "header(name)", says: "the bytes of the record's last header of that name; nil when there is none. Upper and lower case count",
			examples: []Example{{`header("trace")`, `"t1"`}, {`header("Trace")`, `null`}}}},
}

// functions are all functions but the predicates.
var functions = map[string]function{}

func init() {
	for _, g := range groups {
		for _, t := range g.tables {
			maps.Copy(functions, t)
		}
	}
	maps.Copy(predicates, borrowedPredicates)
}

// Functions gives the names of all functions, sorted.
func Functions() []string {
	names := slices.Collect(maps.Keys(functions))
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
	if _, ok := predicates[name]; ok && len(args) > 0 {
		return c.predicate(n, name, args)
	}
	f, ok := functions[name]
	if !ok {
		c.unknown(n, name)
	}
	if f.compile != nil {
		return f.compile(c, n, name, args)
	}
	parts := c.arguments(n, name, f, args)
	if f.bind != nil {
		f.call = f.bind(c, name, parts)
	}
	k := code{kinds: f.kinds, run: func(m *machine) (value, error) {
		return invoke(m, name, f, parts)
	}}
	if f.varies {
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
	if near := Nearest(name, Functions()); near != "" {
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
			if want&mNumber == mInt && p.kinds == 1<<kFloat {
				suggestion = "round, floor, ceil and int give an integer"
				if power, ok := p.at.(*ast.BinaryNode); ok && (power.Operator == "**" || power.Operator == "^") {
					suggestion = "** gives a number with a fraction: write the integer itself, or int(…)"
				}
				c.fail(p.at, name+" needs an integer here, this is a number with a fraction", suggestion)
			}
			c.fail(p.at, fmt.Sprintf("%s needs %s here, this is %s", name, want, p.kinds), suggestion)
		}
	}
	return parts
}

func (f function) param(i int) mask { return f.params[min(i, len(f.params)-1)] }

// option reads argument i, which is constant and one of names; usual when it is left out.
func (c *compiler) option(what string, parts []code, i int, usual string, names ...string) string {
	if len(parts) <= i {
		return usual
	}
	if k := parts[i].constant; k != nil && k.kind == kString {
		for _, name := range names {
			if string(k.text) == name {
				return name
			}
		}
	}
	list := ""
	for j, name := range names {
		switch {
		case j > 0 && j == len(names)-1:
			list += " or "
		case j > 0:
			list += ", "
		}
		list += `"` + name + `"`
	}
	c.fail(parts[i].at, what+" does not know this", "write "+list)
	return ""
}

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
	return v, within(name, err)
}

func wrongArgument(name string, i int, want mask, v value) error {
	if v.kind == kNil {
		return ofNil{fault(fmt.Sprintf("%s: argument %d is missing", name, i+1))}
	}
	if v.kind == kFloat && want&mNumber == mInt {
		return faultf("%s: argument %d needs an integer, this is a number with a fraction", name, i+1)
	}
	return faultf("%s: argument %d is %s, not %s", name, i+1, v.kind, want)
}

// header gives the last header of a name, as text.
func header(m *machine, args []value) (value, error) {
	name, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	return oneHeader(m, name)
}
