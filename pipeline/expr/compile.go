package expr

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
)

// What a text may be.
const (
	maxText  = 16 << 10 // bytes
	maxNodes = 1000
	maxRange = 1000 // elements of a range that is built
)

// An eval is one piece of an expression, ready to run.
type eval func(m *machine) (value, error)

// A test is one that gives a condition: nil is false.
type test func(m *machine) (bool, error)

// A program is a compiled expression. It is never changed after compile.
type program struct {
	run    eval
	cond   test
	vars   int         // slots of machine.vars
	fields []string    // top-level fields that are read
	field  string      // the name, when bare
	bare   bool        // the expression is a field and nothing else
	quick  quick       // of a condition, when it can be known from the text of fields
	joins  []quickPart // what it joins, when it is a sum of fields and strings
	kinds  mask
	alone  string  // see Expr.Alone
	whole  *string // the text, when the expression is one and nothing else
	doubts []*Error

	keys     []string // constant keys of hmac
	keyTexts []string // the same as they stand in the text, with their quotes
}

// A code is one compiled node.
type code struct {
	run      eval
	test     test // when the node has a form that gives a condition without a value
	kinds    mask // what it may give
	constant *value
	field    string // of a field read
	bare     bool
	quick    quick       // of a test, when there is such a way
	joins    []quickPart // of a + b, when it may be joined without evaluating
	at       ast.Node
}

// A compiler turns the tree of one expression into closures, innermost first. Every
// name and every operation gets its meaning here: nothing of expr-lang runs later.
type compiler struct {
	text       string
	places     *places // nil, but where an evaluation is located
	fields     map[string]bool
	lets       []variable // in scope, innermost last
	predicates []scope    // predicates around the node, innermost last
	slots      int
	count      int // nodes compiled
	trying     int // calls of try around the node that have another argument behind it
	doubts     []*Error
	letValues  []ast.Node // of all let so far
	keys       []string   // see program
	keyTexts   []string
}

type variable struct {
	name  string
	slot  int
	kinds mask
}

// A scope is the predicate of filter(array, …): where its element and index are, and
// the steps that it takes.
type scope struct {
	element, index, cost int
	key                  int // of a member's name; -1: the elements are those of an array
	kinds                mask
}

// compile gives a program whose result can be one of want.
func compile(text string, want mask) (*program, error) { return compileWith(text, want, nil) }

func compileWith(text string, want mask, places *places) (p *program, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				e = &Error{Column: 1, Message: fmt.Sprintf("the expression cannot be compiled (%T)", r)}
			}
			p, err = nil, e
		}
	}()
	if strings.TrimSpace(text) == "" {
		return nil, &Error{Column: 1, Message: "an empty expression", Suggestion: "a text that starts with # or ! needs quotes in YAML"}
	}
	if len(text) > maxText {
		return nil, &Error{Column: maxText, Message: "the expression is longer than 16 KiB"}
	}
	config := conf.CreateNew()
	config.MaxNodes = maxNodes
	source, err := prepared(text)
	if err != nil {
		return nil, err
	}
	tree, err := parser.ParseWithConfig(borrowed(source), config)
	if err != nil {
		return nil, syntaxError(text, err)
	}
	c := &compiler{text: text, fields: map[string]bool{}, places: places}
	k := c.node(tree.Node)
	if k.kinds&want == 0 {
		c.fail(tree.Node, fmt.Sprintf("the expression gives %s, a condition must give true or false", k.kinds),
			"compare it with something, as in delay >= 15")
	}
	p = &program{
		run: k.run, cond: c.condition(k), vars: c.slots,
		fields: slices.Sorted(maps.Keys(c.fields)), field: k.field, bare: k.bare, joins: k.joins, quick: k.quick,
		kinds: k.kinds, alone: fieldAlone(tree.Node), doubts: c.doubts, keys: c.keys, keyTexts: c.keyTexts,
	}
	if s, ok := tree.Node.(*ast.StringNode); ok {
		p.whole = &s.Value
	}
	return p, nil
}

// fail ends the compilation with an error at n.
func (c *compiler) fail(n ast.Node, message, suggestion string) {
	panic(&Error{Column: column(c.text, n.Location().From), Message: message, Suggestion: suggestion})
}

// node compiles n.
func (c *compiler) node(n ast.Node) code {
	var k code
	c.count++
	switch n := n.(type) {
	case *ast.NilNode:
		k = constant(vNil)
	case *ast.BoolNode:
		k = constant(vBool(n.Value))
	case *ast.IntegerNode:
		k = constant(vInt(int64(n.Value)))
	case *ast.FloatNode:
		k = constant(vFloat(n.Value))
	case *ast.StringNode:
		k = constant(literal(n.Value))
	case *ast.BytesNode:
		c.fail(n, `b"…" is not available`, `write "…"`)
	case *ast.IdentifierNode:
		k = c.name(n)
	case *ast.MemberNode:
		k = c.member(n)
	case *ast.ChainNode:
		k = c.node(n.Node)
	case *ast.SliceNode:
		k = c.slice(n)
	case *ast.UnaryNode:
		k = c.unary(n)
	case *ast.BinaryNode:
		k = c.binary(n)
	case *ast.ConditionalNode:
		k = c.conditional(n)
	case *ast.VariableDeclaratorNode:
		k = c.let(n)
	case *ast.SequenceNode:
		k = c.sequence(n)
	case *ast.ArrayNode:
		k = c.array(n)
	case *ast.MapNode:
		k = c.mapping(n)
	case *ast.PointerNode:
		k = c.pointer(n)
	case *ast.BuiltinNode:
		k = c.call(n, called(c.text, n), n.Arguments)
	case *ast.CallNode:
		callee, ok := n.Callee.(*ast.IdentifierNode)
		if !ok {
			c.fail(n, "methods cannot be called", "use a function: lower(name), not name.lower()")
		}
		k = c.call(n, callee.Value, n.Arguments)
	default:
		c.fail(n, "this is not available", "")
	}
	k.at = n
	return c.places.watch(k)
}

// literal is a string that is written in the expression.
func literal(s string) value {
	v := vString(s)
	if string(appendEscaped(nil, v.text)) == s {
		v.form = clean
	}
	return v
}

func constant(v value) code {
	return code{run: func(*machine) (value, error) { return v, nil }, kinds: 1 << v.kind, constant: &v}
}

// fold evaluates k now when it depends on no record: when all its parts are constant. A failure is
// a compile error, but within try, which is there for it: what is constant there may come from a
// variable or a parameter of the file.
func (c *compiler) fold(n ast.Node, k code, parts ...code) code {
	for _, p := range parts {
		if p.constant == nil {
			return k
		}
	}
	var m machine
	v, err := k.run(&m)
	if err != nil && c.trying > 0 && !m.spent() {
		return k
	}
	if err != nil {
		c.fail(n, err.Error(), "")
	}
	return constant(v)
}

// sequence refuses a; b: nothing would come of a.
func (c *compiler) sequence(n *ast.SequenceNode) code {
	c.fail(n.Nodes[1], "what stands before the ; comes to nothing", "a value is named by let: let a = …; a + 1; two conditions are joined by and, two texts by +")
	return code{}
}

func (c *compiler) nodes(in []ast.Node) []code {
	out := make([]code, len(in))
	for i, n := range in {
		out[i] = c.node(n)
	}
	return out
}

// condition gives k as a condition.
func (c *compiler) condition(k code) test {
	if k.test != nil {
		return k.test
	}
	run := k.run
	return c.places.watchTest(k, func(m *machine) (bool, error) {
		v, err := run(m)
		if err != nil {
			return false, err
		}
		return truth(v)
	})
}

// truth is v as a condition.
func truth(v value) (bool, error) {
	switch v.kind {
	case kBool:
		return v.num != 0, nil
	case kNil:
		return false, nil
	}
	return false, faultf("a condition gives %s, not true or false", v.kind)
}

// mustFit refuses a part of which it is known that it never gives one of the kinds of want.
func (c *compiler) mustFit(k code, want mask, what string) {
	if k.kinds&want == 0 {
		c.fail(k.at, fmt.Sprintf("%s needs %s, this is %s", what, want&^mNil, k.kinds), "")
	}
}

func (c *compiler) conditional(n *ast.ConditionalNode) code {
	cond, yes, no := c.node(n.Cond), c.node(n.Exp1), c.node(n.Exp2)
	c.mustFit(cond, mBool|mNil, "a condition")
	test := c.condition(cond)
	return code{kinds: yes.kinds | no.kinds, run: func(m *machine) (value, error) {
		ok, err := test(m)
		switch {
		case err != nil:
			return vNil, err
		case ok:
			return yes.run(m)
		}
		return no.run(m)
	}}
}

func (c *compiler) array(n *ast.ArrayNode) code {
	parts := c.nodes(n.Nodes)
	return c.fold(n, code{kinds: 1 << kList, run: func(m *machine) (value, error) {
		if err := m.grow(valueBytes * len(parts)); err != nil {
			return vNil, err
		}
		items := make([]value, len(parts))
		for i, p := range parts {
			v, err := p.run(m)
			if err != nil {
				return vNil, err
			}
			items[i] = v
		}
		return newList(items), nil
	}}, parts...)
}

func (c *compiler) mapping(n *ast.MapNode) code {
	keys, values := make([]code, len(n.Pairs)), make([]code, len(n.Pairs))
	for i, p := range n.Pairs {
		pair := p.(*ast.PairNode)
		keys[i], values[i] = c.node(pair.Key), c.node(pair.Value)
		c.mustFit(keys[i], mString, "a field name")
	}
	return c.fold(n, code{kinds: 1 << kMap, run: func(m *machine) (value, error) {
		if err := m.grow(2 * valueBytes * len(keys)); err != nil {
			return vNil, err
		}
		out := new(built)
		for i := range keys {
			name, err := keys[i].run(m)
			if err != nil {
				return vNil, err
			}
			if name.kind != kString {
				return vNil, faultf("a field name is %s, not a string", name.kind)
			}
			text, err := m.text(name)
			if err != nil {
				return vNil, err
			}
			v, err := values[i].run(m)
			if err != nil {
				return vNil, err
			}
			out.set(string(text), v)
		}
		return value{kind: kMap, built: out}, nil
	}}, append(keys, values...)...)
}
