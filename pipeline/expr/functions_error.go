package expr

import (
	"errors"

	"github.com/expr-lang/expr/ast"
)

// errorFunctions are about what fails.
var errorFunctions = map[string]function{
	"try": {params: []mask{mAny}, least: 2, most: -1, kinds: mAny, compile: (*compiler).try, manual: manual{
		usage: "try(value, otherwise, ...)",
		says: "the first of the arguments that can be evaluated; those behind it are not evaluated. nil is a value: `??` puts something in its place. A limit, and a value that is no JSON " +
			"(invalid_json) or no object (not_object), are about the record as a whole and fail here as everywhere: of a text that may be JSON say try(fromJSON(meta.value), meta.value)",
		fails: "none of them can be, with the error of the last", examples: []Example{
			{`try(int(order.id), 0)`, `0`}, {`try(int("42"), 0)`, `42`}, {`try(note.text, "none")`, `null`}, {`try(date(order.id), date(created), nil)`, `"2026-03-01T12:30:00Z"`},
			{`try(fromJSON(order.id), {id: order.id})`, `{"id":"A-17"}`}, {`try(upper(note), lower(note))`, `error: lower: argument 1 is missing`},
		}}},
}

// try compiles try(value, otherwise, …).
func (c *compiler) try(n ast.Node, name string, args []ast.Node) code {
	f := functions[name]
	if len(args) < f.least {
		c.arguments(n, name, f, args) // says so
	}
	parts := make([]code, len(args))
	var kinds mask
	for i, arg := range args {
		last := i == len(args)-1
		if !last {
			c.trying++
		}
		parts[i] = c.node(arg)
		if !last {
			c.trying--
		}
		kinds |= parts[i].kinds
	}
	first, last := parts[:len(parts)-1], parts[len(parts)-1]
	return c.fold(n, code{kinds: kinds, run: func(m *machine) (value, error) {
		depth := len(m.stack)
		for _, p := range first {
			v, err := p.run(m)
			if err == nil {
				return v, nil
			}
			var failed fault // and not an error of reading the record, which has a reason of its own
			if !errors.As(err, &failed) || m.spent() {
				return vNil, err
			}
			m.stack = m.stack[:depth]
		}
		return last.run(m)
	}}, parts...)
}
