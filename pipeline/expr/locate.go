package expr

import (
	"errors"
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"

	"github.com/penstockio/penstock/pipeline"
)

// This file finds the place within an expression at which evaluating it failed. The programs that
// records go through know nothing of places, which would cost them: the text is compiled once
// more, so that every node says where it stands when it fails, and is evaluated again.

// Locate evaluates e once more on a record on which that failed, and gives the place of what
// failed; nil when it does not fail now. It compiles e again, which takes much longer than evaluating. The message never quotes
// values of the record.
func (e *Expr) Locate(rec *pipeline.Record) *Error {
	return e.locate(rec, mAny, func(m *machine, p *program) error {
		v, err := p.run(m)
		if err == nil {
			_, err = appendJSON(m, nil, v)
		}
		return err
	})
}

// Locate is that of an Expr, for evaluating c as a condition.
func (c *Condition) Locate(rec *pipeline.Record) *Error {
	return c.locate(rec, mBool|mNil, func(m *machine, p *program) error {
		_, err := p.cond(m)
		return err
	})
}

func (e *Expr) locate(rec *pipeline.Record, want mask, evaluate func(*machine, *program) error) (found *Error) {
	if e.prog == nil {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			found = &Error{Column: 1, Message: fmt.Sprintf("internal error (%T)", r)}
		}
	}()
	p, err := compileWith(e.text, want, newPlaces(e.text))
	if err != nil {
		return &Error{Column: 1, Message: err.Error()} // it has compiled before
	}
	m, err := e.start(rec)
	if err != nil {
		return nil
	}
	defer m.free()
	m.vars = slices.Grow(m.vars[:0], p.vars)[:p.vars]
	clear(m.vars)
	if err = evaluate(m, p); err == nil {
		return nil
	}
	found = &Error{Column: 1, Message: err.Error()} // of a result that is too large
	var at *placed
	if errors.As(err, &at) {
		found.Column = at.column
	}
	var missing ofNil
	if errors.As(err, &missing) {
		found.Suggestion = "what is not there is nil; give it another value with ??, as in name ?? \"\""
	}
	return found
}

// A placed is an error of an evaluation with the column of what failed.
type placed struct {
	column int
	err    error
}

func (p *placed) Error() string { return p.err.Error() }
func (p *placed) Unwrap() error { return p.err }

// places makes the nodes of one program say where they stand when they fail. Of a nil one nothing
// is watched. A program with places is for one goroutine.
type places struct {
	text    string
	gave    map[ast.Node]kind // what each node gave last
	reached map[int]bool      // by columns: whether a node there was evaluated; constants are not watched
}

func newPlaces(text string) *places {
	return &places{text: text, gave: map[ast.Node]kind{}, reached: map[int]bool{}}
}

// A Trace finds which places an expression comes to, when it is evaluated over records: of
// a and b, b is evaluated only where a holds. It is for one goroutine.
type Trace struct {
	expr   *Expr
	prog   *program
	places *places
}

// Trace compiles e once more, for watching it. Evaluating is slower than that of e.
func (e *Expr) Trace() *Trace {
	t := &Trace{expr: e, places: newPlaces(e.text)}
	if e.prog != nil {
		t.prog, _ = compileWith(e.text, mAny, t.places) // it has compiled before
	}
	return t
}

// Evaluate evaluates the expression on a record. What it gives, and that it fails, is e's to say.
func (t *Trace) Evaluate(rec *pipeline.Record) {
	if t.prog == nil {
		return
	}
	m, err := t.expr.start(rec)
	if err != nil {
		return
	}
	defer t.expr.end(m, &err)
	m.vars = slices.Grow(m.vars[:0], t.prog.vars)[:t.prog.vars]
	clear(m.vars)
	_, err = t.prog.run(m)
}

// Reached says whether a place that the expression names was read on one of the records, or
// may have been.
func (t *Trace) Reached(r Read) bool {
	at := r.call
	if at == 0 {
		at = r.Columns[len(r.Columns)-1]
	}
	reached, watched := t.places.reached[at]
	return reached || !watched
}

// note makes mark say that n was evaluated. A member stands where its name does.
func (p *places) note(n ast.Node) (mark func()) {
	at := column(p.text, n.Location().From)
	if member, ok := n.(*ast.MemberNode); ok {
		at = column(p.text, member.Property.Location().From)
	}
	if !p.reached[at] {
		p.reached[at] = false
	}
	return func() { p.reached[at] = true }
}

// watch makes k place its failures, those of its parts aside, which are placed already.
func (p *places) watch(k code) code {
	if p == nil {
		return k
	}
	n := k.at
	if k.constant != nil {
		p.gave[n] = k.constant.kind
		return k
	}
	run, mark := k.run, p.note(n)
	k.run = func(m *machine) (value, error) {
		mark()
		v, err := run(m)
		if err != nil {
			return vNil, p.place(n, err)
		}
		p.gave[n] = v.kind
		return v, nil
	}
	if test := k.test; test != nil {
		k.test = func(m *machine) (bool, error) {
			mark()
			ok, err := test(m)
			if err != nil {
				return false, p.place(n, err)
			}
			p.gave[n] = kBool
			return ok, nil
		}
	}
	k.quick, k.joins = nil, nil
	return k
}

// watchTest makes a test of k's value place what that fails with: the value is no boolean.
func (p *places) watchTest(k code, t test) test {
	if p == nil {
		return t
	}
	return func(m *machine) (bool, error) {
		ok, err := t(m)
		if err != nil {
			err = p.at(k.at, err)
		}
		return ok, err
	}
}

// place gives err, with which n failed, the place that is to blame, if it has none.
func (p *places) place(n ast.Node, err error) error {
	var f fault
	if errors.As(err, &f) && f != errSteps && f != errMemory && f != errResult {
		return p.at(p.blame(n), err)
	}
	return p.at(n, err)
}

func (p *places) at(n ast.Node, err error) error {
	var have *placed
	if errors.As(err, &have) {
		return err
	}
	return &placed{column(p.text, n.Location().From), err}
}

// blame gives the part of n that is of the wrong type; n itself when it is none of them alone.
func (p *places) blame(n ast.Node) ast.Node {
	unfit := func(part ast.Node, good mask) bool {
		k, known := p.gave[part]
		return known && good&(1<<k) == 0
	}
	switch n := n.(type) {
	case *ast.UnaryNode:
		return n.Node
	case *ast.BinaryNode:
		good := mAny &^ mNil
		switch n.Operator {
		case "in":
			return n.Right
		case "matches":
			return n.Left
		case "contains", "startsWith", "endsWith":
			good = mString | mNil
		}
		if left, right := unfit(n.Left, good), unfit(n.Right, good); left != right {
			if left {
				return n.Left
			}
			return n.Right
		}
	case *ast.SliceNode:
		for _, end := range []ast.Node{n.From, n.To} {
			if end != nil && unfit(end, 1<<kInt) {
				return end
			}
		}
	case *ast.MapNode:
		for _, pair := range n.Pairs {
			if key := pair.(*ast.PairNode).Key; unfit(key, mString) {
				return key
			}
		}
	case *ast.BuiltinNode:
		return p.blameArgument(n, called(p.text, n), n.Arguments, unfit)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			return p.blameArgument(n, callee.Value, n.Arguments, unfit)
		}
	}
	return n
}

// blameArgument gives the first argument that does not fit.
func (p *places) blameArgument(n ast.Node, name string, args []ast.Node, unfit func(ast.Node, mask) bool) ast.Node {
	if _, ok := predicates[name]; ok && len(args) > 0 {
		good := mArray
		if predicates[name].member != nil {
			good = mObject
		}
		if unfit(args[0], good) {
			return args[0]
		}
		if body, ok := args[len(args)-1].(*ast.PredicateNode); ok { // it gave what cannot be summed, sorted and so on
			return body.Node
		}
		return n
	}
	f, ok := functions[name]
	if !ok || len(f.params) == 0 {
		return n
	}
	if i := slices.IndexFunc(args, func(arg ast.Node) bool {
		i := slices.Index(args, arg)
		return unfit(arg, f.param(i))
	}); i >= 0 {
		return args[i]
	}
	return n
}
