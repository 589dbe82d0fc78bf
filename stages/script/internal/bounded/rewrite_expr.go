package bounded

import "go.starlark.net/syntax"

// isPlain says whether an expression is a literal that compares and indexes at the cost of its own size.
func isPlain(e syntax.Expr) bool {
	switch e := unparen(e).(type) {
	case *syntax.Literal:
		return true
	case *syntax.Ident:
		return e.Name == "None" || e.Name == "True" || e.Name == "False"
	case *syntax.UnaryExpr:
		_, ok := e.X.(*syntax.Literal)
		return ok && e.Op == syntax.MINUS
	}
	return false
}

func (r *rewriter) exprs(list []syntax.Expr) []syntax.Expr {
	for i := range list {
		list[i] = r.expr(list[i])
	}
	return list
}

func (r *rewriter) expr(e syntax.Expr) syntax.Expr {
	switch e := e.(type) {
	case *syntax.BinaryExpr:
		return r.binary(e)
	case *syntax.UnaryExpr:
		if e.X == nil || isPlain(e) {
			return e
		}
		if e.X = r.expr(e.X); e.Op == syntax.NOT {
			return e
		}
		return call(nameUnary+e.Op.String(), e.OpPos, e.X)
	case *syntax.CallExpr:
		return r.call(e)
	case *syntax.Comprehension:
		return r.comprehension(e)
	case *syntax.CondExpr:
		e.Cond, e.True, e.False = r.expr(e.Cond), r.expr(e.True), r.expr(e.False)
	case *syntax.DictExpr, *syntax.ListExpr, *syntax.LambdaExpr:
		at, _ := e.Span()
		size := int64(0)
		made := r.literal(e, &size)
		return call(nameCharge, at, made, number(size, at))
	case *syntax.DotExpr:
		return call(nameAttr, e.Dot, r.expr(e.X), text(e.Name.Name, e.NamePos))
	case *syntax.IndexExpr:
		if e.X = r.expr(e.X); isPlain(e.Y) {
			return e
		}
		return call(nameIndex, e.Lbrack, e.X, r.expr(e.Y))
	case *syntax.ParenExpr:
		e.X = r.expr(e.X)
	case *syntax.SliceExpr:
		args := []syntax.Expr{r.expr(e.X)}
		for _, part := range []syntax.Expr{e.Lo, e.Hi, e.Step} {
			if part == nil {
				part = ident("None", e.Lbrack)
			}
			args = append(args, r.expr(part))
		}
		return call(nameSlice, e.Lbrack, args...)
	case *syntax.TupleExpr:
		return r.tuple(e)
	}
	return e
}

func (r *rewriter) binary(e *syntax.BinaryExpr) syntax.Expr {
	plain := isPlain(e.X) || isPlain(e.Y)
	e.X, e.Y = r.expr(e.X), r.expr(e.Y)
	switch e.Op {
	case syntax.AND, syntax.OR:
		return e
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE:
		if plain {
			return e
		}
	}
	return call(e.Op.String(), e.OpPos, e.X, e.Y)
}

func (r *rewriter) tuple(e *syntax.TupleExpr) syntax.Expr {
	plain := true
	for i := range e.List {
		plain = plain && isPlain(e.List[i])
	}
	if plain {
		return e
	}
	return call(nameTuple, syntax.Start(e), r.exprs(e.List)...)
}

// call rewrites a call. That of a method becomes one call, not one for the method and one of it.
func (r *rewriter) call(e *syntax.CallExpr) syntax.Expr {
	for i, arg := range e.Args {
		switch arg := arg.(type) {
		case *syntax.BinaryExpr:
			if arg.Op == syntax.EQ {
				arg.Y = r.expr(arg.Y)
				continue
			}
		case *syntax.UnaryExpr:
			name := map[syntax.Token]string{syntax.STAR: nameStar, syntax.STARSTAR: nameStarStar}[arg.Op]
			if name != "" {
				arg.X = call(name, arg.OpPos, r.expr(arg.X))
				continue
			}
		}
		e.Args[i] = r.expr(arg)
	}
	if dot, ok := unparen(e.Fn).(*syntax.DotExpr); ok {
		args := []syntax.Expr{r.expr(dot.X), text(dot.Name.Name, dot.NamePos)}
		return &syntax.CallExpr{Fn: ident(nameMethod, dot.NamePos), Lparen: e.Lparen, Args: append(args, e.Args...), Rparen: e.Rparen}
	}
	e.Fn = r.expr(e.Fn)
	return e
}

func (r *rewriter) comprehension(e *syntax.Comprehension) syntax.Expr {
	for _, c := range e.Clauses {
		switch c := c.(type) {
		case *syntax.ForClause:
			c.X = r.expr(c.X)
			if _, after := r.target(c.Vars); len(after) > 0 {
				r.refuse(syntax.Start(c.Vars), "an element of a list cannot be the variable of a comprehension: write a for statement")
			}
		case *syntax.IfClause:
			c.Cond = r.expr(c.Cond)
		}
	}
	if entry, ok := e.Body.(*syntax.DictEntry); ok {
		return r.dict(e, entry)
	}
	e.Body = call(nameElement, syntax.Start(e.Body), r.expr(e.Body))
	return call(nameCharge, e.Lbrack, e, number(bytesList, e.Lbrack))
}

// dict rewrites what makes a dict, as the interpreter would put its keys in unseen: {k: v for x in y} becomes
// made(dict(), [None for x in y if entry(k, v)]), where entry puts k in and is false, so that the list has nothing in it.
func (r *rewriter) dict(e *syntax.Comprehension, body *syntax.DictEntry) syntax.Expr {
	at := syntax.Start(body)
	entry := call(nameEntry, at, r.expr(body.Key), r.expr(body.Value))
	e.Curly, e.Body = false, ident("None", at)
	e.Clauses = append(e.Clauses, &syntax.IfClause{If: at, Cond: entry})
	return call(nameMade, e.Lbrack, call(nameDict, e.Lbrack), e)
}

// literal rewrites a list, a dict or a lambda, and those that stand in it, and adds what they take. It is counted when they are made:
// before that they are as small as the code.
func (r *rewriter) literal(e syntax.Expr, size *int64) syntax.Expr {
	switch e := e.(type) {
	case *syntax.ListExpr:
		*size += bytesList + bytesSlot*int64(len(e.List))
		for i := range e.List {
			e.List[i] = r.literal(e.List[i], size)
		}
		return e
	case *syntax.DictExpr:
		*size += bytesDict + bytesEntry*int64(len(e.List))
		for _, entry := range e.List {
			entry := entry.(*syntax.DictEntry)
			if !isPlain(entry.Key) {
				entry.Key = call(nameKey, syntax.Start(entry.Key), r.expr(entry.Key))
			}
			entry.Value = r.literal(entry.Value, size)
		}
		return e
	case *syntax.LambdaExpr:
		kept := 0
		syntax.Walk(e, func(n syntax.Node) bool {
			if _, ok := n.(*syntax.Ident); ok {
				kept++
			}
			return true
		})
		*size += bytesFunc + bytesName*int64(kept)
		stars := r.params(e.Params)
		r.inside++
		e.Body = r.expr(e.Body)
		r.inside--
		if len(stars) > 0 {
			e.Body = call(nameThen, e.Lambda, call(nameParams, e.Lambda, stars...), e.Body)
		}
		return e
	}
	return r.expr(e)
}
