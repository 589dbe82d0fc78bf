package bounded

import (
	"fmt"

	"go.starlark.net/syntax"
)

// Names of the functions that rewritten code calls. None of them is an identifier, so that the code cannot have them.
const (
	nameIndex    = "x[y]"
	nameSetIndex = "=x[y]"
	nameSlice    = "x[:]"
	nameAttr     = "x.y"
	nameMethod   = "x.y()"
	nameTuple    = "(,)"
	nameCharge   = "charge"
	nameElement  = "[x for]"
	nameKey      = "{x:}"
	nameDict     = "{: for}"
	nameEntry    = "{x: y for}"
	nameMade     = "made"
	nameStar     = "*x"
	nameStarStar = "**x"
	nameParams   = "def(*x)"
	nameThen     = "x; y"
	namePlace    = "place x[y]"
	nameField    = "place x.y"
	namePut      = "put"
	nameUnary    = "unary "
)

// Bytes that things take, at most.
const (
	bytesList    = 64
	bytesSlot    = 16
	bytesElement = 64 // a slot of a list that has grown, and a small value of its own in it
	bytesDict    = 640
	bytesEntry   = 160
	bytesFunc    = 256
	bytesName    = 32 // a variable that a function keeps
	bytesSmall   = 48 // an integer that is no small one, a header of a text
)

// A rewriter puts calls of this package into code in place of what may make or go through something large.
//
// What it leaves as it is: literals, names, calls of functions, and, or and not, comparisons with a literal, indexing by a
// literal, and, of what has an if of its own, everything but its parts.
type rewriter struct {
	temps  int
	inside int // functions around
	err    *CodeError
}

func (r *rewriter) refuse(at syntax.Position, format string, args ...any) {
	if r.err == nil {
		r.err = &CodeError{Line: int(at.Line), Column: int(at.Col), Message: fmt.Sprintf(format, args...)}
	}
}

func ident(name string, at syntax.Position) *syntax.Ident {
	return &syntax.Ident{Name: name, NamePos: at}
}

func call(name string, at syntax.Position, args ...syntax.Expr) *syntax.CallExpr {
	return &syntax.CallExpr{Fn: ident(name, at), Lparen: at, Args: args, Rparen: at}
}

func text(s string, at syntax.Position) *syntax.Literal {
	return &syntax.Literal{Token: syntax.STRING, TokenPos: at, Raw: s, Value: s}
}

func number(n int64, at syntax.Position) *syntax.Literal {
	return &syntax.Literal{Token: syntax.INT, TokenPos: at, Value: n}
}

func (r *rewriter) stmts(list []syntax.Stmt) []syntax.Stmt {
	var out []syntax.Stmt
	for _, s := range list {
		out = append(out, r.stmt(s)...)
	}
	return out
}

func (r *rewriter) stmt(s syntax.Stmt) []syntax.Stmt {
	switch s := s.(type) {
	case *syntax.AssignStmt:
		return r.assign(s)
	case *syntax.DefStmt:
		return r.def(s)
	case *syntax.ExprStmt:
		s.X = r.expr(s.X)
	case *syntax.ForStmt:
		s.X = r.expr(s.X)
		var after []syntax.Stmt
		s.Vars, after = r.target(s.Vars)
		s.Body = append(after, r.stmts(s.Body)...)
	case *syntax.WhileStmt:
		s.Cond, s.Body = r.expr(s.Cond), r.stmts(s.Body)
	case *syntax.IfStmt:
		s.Cond, s.True, s.False = r.expr(s.Cond), r.stmts(s.True), r.stmts(s.False)
	case *syntax.LoadStmt:
		r.refuse(s.Load, "load is not there: a script is one text; json and math need no load")
	case *syntax.ReturnStmt:
		if s.Result != nil {
			s.Result = r.expr(s.Result)
		}
	}
	return []syntax.Stmt{s}
}

// assign rewrites an assignment. x[i] = v becomes a call. x += v becomes x = add(x, v), where add changes a list in place, as += does;
// x[i] += v remembers the place, so that x and i are evaluated once, and the element before v.
func (r *rewriter) assign(s *syntax.AssignStmt) []syntax.Stmt {
	if s.Op == syntax.EQ {
		rhs := r.expr(s.RHS)
		if x, ok := unparen(s.LHS).(*syntax.IndexExpr); ok {
			return []syntax.Stmt{&syntax.ExprStmt{X: call(nameSetIndex, x.Lbrack, rhs, r.expr(x.X), r.expr(x.Y))}}
		}
		var after []syntax.Stmt
		s.LHS, after = r.target(s.LHS)
		s.RHS = rhs
		return append([]syntax.Stmt{s}, after...)
	}
	op, at := text(s.Op.String(), s.OpPos), s.OpPos
	switch x := unparen(s.LHS).(type) {
	case *syntax.Ident:
		s.RHS = call(s.Op.String(), at, ident(x.Name, x.NamePos), r.expr(s.RHS))
		s.Op = syntax.EQ
	case *syntax.IndexExpr:
		place := call(namePlace, x.Lbrack, r.expr(x.X), r.expr(x.Y))
		return []syntax.Stmt{&syntax.ExprStmt{X: call(namePut, at, place, op, r.expr(s.RHS))}}
	case *syntax.DotExpr:
		place := call(nameField, x.Dot, r.expr(x.X), text(x.Name.Name, x.NamePos))
		return []syntax.Stmt{&syntax.ExprStmt{X: call(namePut, at, place, op, r.expr(s.RHS))}}
	}
	return []syntax.Stmt{s} // an error of the resolver
}

// target rewrites what is assigned to. An element within a tuple is assigned to a name first, and from there by a statement that
// follows, in the order of the language.
func (r *rewriter) target(e syntax.Expr) (syntax.Expr, []syntax.Stmt) {
	var after []syntax.Stmt
	list := func(all []syntax.Expr) {
		for i := range all {
			var more []syntax.Stmt
			all[i], more = r.target(all[i])
			after = append(after, more...)
		}
	}
	switch x := e.(type) {
	case *syntax.ParenExpr:
		var more []syntax.Stmt
		x.X, more = r.target(x.X)
		return x, more
	case *syntax.TupleExpr:
		list(x.List)
	case *syntax.ListExpr:
		list(x.List)
	case *syntax.DotExpr:
		x.X = r.expr(x.X)
	case *syntax.IndexExpr:
		r.temps++
		name := fmt.Sprintf("$%d", r.temps)
		set := call(nameSetIndex, x.Lbrack, ident(name, x.Lbrack), r.expr(x.X), r.expr(x.Y))
		return ident(name, x.Lbrack), []syntax.Stmt{&syntax.ExprStmt{X: set}}
	}
	return e, after
}

func unparen(e syntax.Expr) syntax.Expr {
	for {
		p, ok := e.(*syntax.ParenExpr)
		if !ok {
			return e
		}
		e = p.X
	}
}

func (r *rewriter) def(s *syntax.DefStmt) []syntax.Stmt {
	stars := r.params(s.Params)
	r.inside++
	kept := names(s.Body)
	s.Body = r.stmts(s.Body)
	r.inside--
	if len(stars) > 0 {
		s.Body = append([]syntax.Stmt{&syntax.ExprStmt{X: call(nameParams, s.Def, stars...)}}, s.Body...)
	}
	if r.inside == 0 {
		return []syntax.Stmt{s}
	}
	made := call(nameCharge, s.Def, ident("None", s.Def), number(bytesFunc+bytesName*int64(kept+len(s.Params)), s.Def))
	return []syntax.Stmt{&syntax.ExprStmt{X: made}, s}
}

// params rewrites defaults, and gives the names of those that take any number of arguments.
func (r *rewriter) params(params []syntax.Expr) (stars []syntax.Expr) {
	for _, p := range params {
		switch p := p.(type) {
		case *syntax.BinaryExpr:
			p.Y = r.expr(p.Y)
		case *syntax.UnaryExpr:
			if id, ok := p.X.(*syntax.Ident); ok {
				stars = append(stars, ident(id.Name, id.NamePos))
			}
		}
	}
	return stars
}

// names counts the names in a function, more than which it cannot keep of those around it.
func names(body []syntax.Stmt) (n int) {
	for _, s := range body {
		syntax.Walk(s, func(node syntax.Node) bool {
			if _, ok := node.(*syntax.Ident); ok {
				n++
			}
			return true
		})
	}
	return n
}
