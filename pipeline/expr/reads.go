package expr

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// This file says which places of a record an expression names. It is for telling people, and works
// on the text alone: a path that depends on the record ends where that begins.

// A Read is a place of the record's value that an expression names.
type Read struct {
	Path    jsontext.Path // of an element of an array that a predicate goes through: items[*].price
	Columns []int         // of each step, from 1 in bytes, within the text
	// Optional is how many of the first steps may lead to nothing: the expression itself reckons with
	// that, as it gives another value by ??, compares with nil, or reads it in a branch of a ? b : c.
	Optional int
	// Nil says that the place is compared with nil: that it may be missing is meant.
	Nil bool

	call int // column of the call that reads it by a path in a text; 0: none
}

// Reads gives the places that e names, in the order of the text.
func (e *Expr) Reads() []Read {
	if e.prog == nil {
		return nil
	}
	config := conf.CreateNew()
	config.MaxNodes = maxNodes
	tree, err := parser.ParseWithConfig(borrowed(e.text), config)
	if err != nil {
		return nil // it has compiled before
	}
	r := &reader{text: e.text, lets: map[string]*Read{}}
	r.use(r.read(tree.Node), false)
	slices.SortStableFunc(r.reads, func(a, b Read) int {
		return cmp.Or(cmp.Compare(a.Columns[len(a.Columns)-1], b.Columns[len(b.Columns)-1]), cmp.Compare(len(a.Path), len(b.Path)))
	})
	return r.reads
}

// A Part is an expression within a template.
type Part struct {
	Expr   *Expr
	Offset int // bytes of the template before the expression's text
}

// Parts gives the expressions of t, in the order of the text.
func (t *Template) Parts() []Part {
	var parts []Part
	for _, p := range t.pieces {
		if p.part != nil {
			parts = append(parts, Part{p.part, p.offset})
		}
	}
	return parts
}

// HostParts gives the expressions of a URL that give its host, or a part of it: one with which the template begins may give the URL
// as a whole, and then those that follow it up to the path may be of the host too.
func (t *Template) HostParts() []Part {
	var parts []Part
	open := len(t.pieces) > 0 && t.pieces[0].part != nil
	for _, p := range t.pieces {
		switch {
		case p.part == nil:
			_, behind, found := strings.Cut(p.static, "://")
			if !found {
				behind = p.static
			}
			open = open && !strings.ContainsAny(behind, "/?#")
		case open || p.inHost:
			parts = append(parts, Part{p.part, p.offset})
		}
	}
	return parts
}

// A reader goes through the tree of an expression. A place that is on its way to a deeper one is
// handed up; what uses it as it is notes it.
type reader struct {
	text     string
	reads    []Read
	lets     map[string]*Read // nil: of something else
	trying   int              // calls of try around
	elements []*Read          // of the predicates around, innermost last
}

// use notes a place that is read as it is.
func (r *reader) use(at *Read, optional bool) {
	if at == nil || len(at.Path) == 0 {
		return
	}
	if optional || r.trying > 0 {
		at = at.allOptional()
	}
	r.reads = append(r.reads, *at)
}

// allOptional gives the place with all its steps optional.
func (at *Read) allOptional() *Read {
	return &Read{Path: at.Path, Columns: at.Columns, Optional: len(at.Path), call: at.call}
}

// useAll reads parts that are used as they are.
func (r *reader) useAll(nodes ...ast.Node) {
	for _, n := range nodes {
		if n != nil {
			r.use(r.read(n), false)
		}
	}
}

// step gives the place one level below at.
func (r *reader) step(at *Read, s jsontext.Step, n ast.Node) *Read {
	if at == nil {
		return nil
	}
	return &Read{
		Path: append(slices.Clip(at.Path), s), Columns: append(slices.Clip(at.Columns), column(r.text, n.Location().From)),
		Optional: at.Optional,
	}
}

// root is the value itself.
var root = &Read{}

// read goes through n, and gives the place of the record that n is; nil when it is something else.
func (r *reader) read(n ast.Node) *Read {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return r.name(n)
	case *ast.MemberNode:
		return r.member(n)
	case *ast.ChainNode:
		return r.read(n.Node)
	case *ast.PointerNode:
		if n.Name == "" && len(r.elements) > 0 {
			return r.elements[len(r.elements)-1]
		}
	case *ast.SliceNode:
		r.useAll(n.From, n.To)
		return r.read(n.Node)
	case *ast.UnaryNode:
		r.useAll(n.Node)
	case *ast.BinaryNode:
		if n.Operator == "??" {
			return r.otherwise(n)
		}
		r.binary(n)
	case *ast.ConditionalNode:
		r.useAll(n.Cond)
		r.trying++ // as in a try: the condition may be there because some records lack what a branch reads
		r.useAll(n.Exp1, n.Exp2)
		r.trying--
	case *ast.VariableDeclaratorNode:
		of := r.read(n.Value)
		r.use(of, true) // what the body reads of it says more
		around := maps.Clone(r.lets)
		r.lets[n.Name] = of
		out := r.read(n.Expr)
		r.lets = around
		return out
	case *ast.SequenceNode:
		r.useAll(n.Nodes[:len(n.Nodes)-1]...)
		return r.read(n.Nodes[len(n.Nodes)-1])
	case *ast.ArrayNode:
		r.useAll(n.Nodes...)
	case *ast.MapNode:
		for _, p := range n.Pairs {
			r.useAll(p.(*ast.PairNode).Key, p.(*ast.PairNode).Value)
		}
	case *ast.PredicateNode:
		return r.read(n.Node)
	case *ast.BuiltinNode:
		return r.call(n, called(r.text, n), n.Arguments)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			return r.call(n, callee.Value, n.Arguments)
		}
	}
	return nil
}

func (r *reader) name(n *ast.IdentifierNode) *Read {
	if at, ok := r.lets[n.Value]; ok {
		return at
	}
	switch n.Value {
	case "meta", "header":
		return nil
	case "$env":
		return root
	}
	return r.step(root, jsontext.Step{Name: n.Value}, n)
}

func (r *reader) member(n *ast.MemberNode) *Read {
	of := r.read(n.Node)
	if n.Optional && of != nil && len(of.Path) > 0 {
		of = of.allOptional()
	}
	switch key := n.Property.(type) {
	case *ast.StringNode:
		return r.step(of, jsontext.Step{Name: key.Value}, key)
	case *ast.IntegerNode:
		return r.step(of, jsontext.Step{Kind: jsontext.Indexed, Index: key.Value}, key)
	case *ast.UnaryNode:
		if i, ok := key.Node.(*ast.IntegerNode); ok && key.Operator == "-" {
			return r.step(of, jsontext.Step{Kind: jsontext.Indexed, Index: -i.Value}, key)
		}
	}
	r.use(of, false)
	r.useAll(n.Property)
	return nil
}

// otherwise reads a ?? b: either may be missing. It is a when b is no place, as in items ?? [].
func (r *reader) otherwise(n *ast.BinaryNode) *Read {
	left, right := r.read(n.Left), r.read(n.Right)
	if left != nil && right == nil && len(left.Path) > 0 {
		return left.allOptional()
	}
	r.use(left, true)
	r.use(right, true)
	return nil
}

// try reads a call of try: any place in it may be missing. It is its first argument when the others
// are no places, as in try(items, []).
func (r *reader) try(args []ast.Node) *Read {
	r.trying++
	defer func() { r.trying-- }()
	all := make([]*Read, len(args))
	for i, arg := range args {
		all[i] = r.read(arg)
	}
	if all[0] != nil && len(all[0].Path) > 0 && !slices.ContainsFunc(all[1:], func(at *Read) bool { return at != nil }) {
		return all[0].allOptional()
	}
	for _, at := range all {
		r.use(at, true)
	}
	return nil
}

func (r *reader) binary(n *ast.BinaryNode) {
	isNil := func(n ast.Node) bool { _, ok := n.(*ast.NilNode); return ok }
	switch n.Operator {
	case "==", "!=":
		r.compared(r.read(n.Left), isNil(n.Right))
		r.compared(r.read(n.Right), isNil(n.Left))
	case "in": // "k" in o asks whether it is there
		of := r.read(n.Right)
		r.use(of, false)
		if name, ok := n.Left.(*ast.StringNode); !ok || of == nil {
			r.useAll(n.Left)
		} else if len(of.Path) == 0 {
			r.use(r.step(of, jsontext.Step{Name: name.Value}, name), true)
		}
	default:
		r.useAll(n.Left, n.Right)
	}
}

// compared notes a place that is compared with something.
func (r *reader) compared(at *Read, withNil bool) {
	before := len(r.reads)
	r.use(at, withNil)
	for i := range r.reads[before:] {
		r.reads[before+i].Nil = withNil
	}
}

// keepers are functions whose result has the elements of their first argument.
var keepers = map[string]bool{
	"filter": true, "sortBy": true, "sort": true, "reverse": true, "take": true, "uniq": true, "uniqBy": true, "compact": true,
}

// pickers are functions that give an element of their first argument.
var pickers = map[string]bool{"find": true, "findLast": true, "first": true, "last": true}

// call reads the arguments of a call.
func (r *reader) call(n ast.Node, name string, args []ast.Node) *Read {
	if len(args) == 0 {
		return nil
	}
	if at, ok := r.withPaths(n, name, args); ok {
		return at
	}
	if name == "try" {
		return r.try(args)
	}
	if name == "type" {
		r.use(r.read(args[0]), true)
		return nil
	}
	of := r.read(args[0])
	element := r.step(of, jsontext.Step{Kind: jsontext.EveryElement}, args[0])
	inside := element
	if predicates[name].member != nil {
		inside = r.step(of, jsontext.Step{Kind: jsontext.EveryMember}, args[0])
	}
	for _, arg := range args[1:] {
		pred, ok := arg.(*ast.PredicateNode)
		if !ok {
			r.useAll(arg)
			continue
		}
		r.elements = append(r.elements, inside)
		r.useAll(pred.Node)
		r.elements = r.elements[:len(r.elements)-1]
	}
	r.use(of, false)
	switch {
	case keepers[name]:
		return of
	case pickers[name]:
		return element
	}
	return nil
}

// withPaths reads a call whose arguments are paths within the first: get(order, "user.mail").
func (r *reader) withPaths(n ast.Node, name string, args []ast.Node) (at *Read, ok bool) {
	if name != "get" && name != "pick" && name != "without" {
		return nil, false
	}
	of := r.read(args[0])
	if name != "get" {
		r.use(of, false)
	}
	rest := args[1:]
	if name == "get" {
		rest = args[1:min(2, len(args))]
		r.useAll(args[min(2, len(args)):]...)
	}
	for _, arg := range rest {
		text, constant := arg.(*ast.StringNode)
		if !constant {
			if name == "get" {
				r.use(of, false)
			}
			r.useAll(arg)
			at = nil
			continue
		}
		path, err := jsontext.ParsePath(text.Value)
		if err != nil || of == nil {
			at = nil
			continue
		}
		at = of
		for _, s := range path {
			at = r.step(at, s, arg)
		}
		if len(path) > 0 {
			at.call = column(r.text, n.Location().From)
		}
		if name == "get" {
			if len(args) > 2 {
				at = at.allOptional()
			}
			return at, true
		}
		r.use(at, name == "without")
	}
	return nil, true
}
