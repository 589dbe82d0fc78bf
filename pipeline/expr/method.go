package expr

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// methodsElsewhere are functions that other languages call as methods of something of their own.
var methodsElsewhere = map[string]string{"JSON.parse": "fromJSON", "JSON.stringify": "toJSON", "Math.min": "min", "Math.max": "max"}

// method refuses a.b(…), and says which function does that.
func (c *compiler) method(n *ast.CallNode) {
	const message = "methods cannot be called"
	member, ok := n.Callee.(*ast.MemberNode)
	if chain, is := n.Callee.(*ast.ChainNode); is {
		member, ok = chain.Node.(*ast.MemberNode)
	}
	var name *ast.StringNode
	if ok {
		name, ok = member.Property.(*ast.StringNode)
	}
	if !ok {
		c.fail(n, message, "use a function: lower(name), not name.lower()")
	}
	of := alone(member.Node)
	instead, known := methodsElsewhere[of+"."+name.Value]
	switch {
	case known || of == "Math" && isFunction(name.Value):
		if !known {
			instead = name.Value
		}
		c.fail(n, message, "write "+instead+"("+written(n.Arguments)+")")
	case of == "":
		of = "x"
	}
	switch name.Value {
	case "contains", "startsWith", "endsWith", "matches":
		c.fail(n, message, "it is an operator: write "+of+" "+name.Value+" "+written(n.Arguments))
	}
	switch {
	case isFunction(name.Value) && len(n.Arguments) > 0:
		c.fail(n, message, "write "+name.Value+"("+of+", "+written(n.Arguments)+")")
	case isFunction(name.Value):
		c.fail(n, message, "write "+name.Value+"("+of+")")
	case foreignFunctions[name.Value] != "":
		c.fail(n, message, foreignFunctions[name.Value])
	}
	c.fail(n, message, "use a function: lower(name), not name.lower()")
}

func isFunction(name string) bool {
	_, function := functions[name]
	_, predicate := predicates[name]
	return function || predicate
}

// written gives arguments as they may be written: fields, short texts and numbers, else ….
func written(args []ast.Node) string {
	var parts []string
	for _, arg := range args {
		text := alone(arg)
		switch arg := arg.(type) {
		case *ast.StringNode:
			if text = "…"; len(arg.Value) < 40 {
				text = strconv.Quote(arg.Value)
			}
		case *ast.IntegerNode:
			text = fmt.Sprint(arg.Value)
		}
		if text == "" {
			text = "…"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}
