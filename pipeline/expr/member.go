package expr

import "github.com/expr-lang/expr/ast"

// member compiles a.b, a["b"] and a[0]. All of them are nil when there is nothing.
func (c *compiler) member(n *ast.MemberNode) code {
	base := n.Node
	if chain, ok := base.(*ast.ChainNode); ok {
		base = chain.Node
	}
	if id, ok := base.(*ast.IdentifierNode); ok && !c.isLet(id.Value) {
		name, literal := n.Property.(*ast.StringNode)
		switch {
		case id.Value == "$env" && literal:
			return c.field(name.Value)
		case id.Value == "$env" && c.isField(n.Property):
			c.fail(n.Property, "the name of a field must stand in quotes", `write $env["flight number"]; for the field whose name another one holds, let all = $env; all[name]`)
		case id.Value == "meta" && literal:
			return c.meta(n.Property, name.Value)
		}
	}
	if name, literal := n.Property.(*ast.StringNode); literal && c.isMetaHeaders(base) {
		header := []byte(name.Value)
		return code{kinds: mString | mNil, run: func(m *machine) (value, error) { return oneHeader(m, header) }}
	}
	of, key := c.node(n.Node), c.node(n.Property)
	c.mustFit(of, mArray|mObject|mString|mNil, "a field or an index")
	c.mustFit(key, mString|mInt|mNil, "an index")
	if key.constant != nil && key.constant.kind == kString {
		c.mustFit(of, mObject|mNil, "a field")
		return c.namedMember(of, string(key.constant.text))
	}
	return c.fold(n, code{kinds: memberKinds(of, key), run: func(m *machine) (value, error) {
		v, err := of.run(m)
		if err != nil {
			return vNil, err
		}
		k, err := key.run(m)
		if err != nil {
			return vNil, err
		}
		return get(m, v, k)
	}}, of, key)
}

// memberKinds is what a member can be: anything, unless it is one of a string.
func memberKinds(of, key code) mask {
	if of.kinds&(mArray|mObject) == 0 {
		return mString | mNil
	}
	return mAny
}

func (c *compiler) namedMember(of code, name string) code {
	return code{kinds: mAny, run: func(m *machine) (value, error) {
		v, err := of.run(m)
		if err != nil {
			return vNil, err
		}
		out, _, err := field(m, v, name)
		return out, err
	}}
}

// isField says whether n is a name that reads a field.
func (c *compiler) isField(n ast.Node) bool {
	id, ok := n.(*ast.IdentifierNode)
	return ok && !c.isLet(id.Value)
}

func (c *compiler) isLet(name string) bool {
	for _, v := range c.lets {
		if v.name == name {
			return true
		}
	}
	return false
}

// slice compiles a[from:to].
func (c *compiler) slice(n *ast.SliceNode) code {
	of := c.node(n.Node)
	c.mustFit(of, mArray|mString|mNil, "[:]")
	end := func(n ast.Node) eval {
		if n == nil {
			return nil
		}
		k := c.node(n)
		c.mustFit(k, mInt, "[:]")
		return k.run
	}
	from, to := end(n.From), end(n.To)
	return code{kinds: of.kinds&(mString|mNil) | sliceKinds(of.kinds), run: func(m *machine) (value, error) {
		v, err := of.run(m)
		if err != nil {
			return vNil, err
		}
		a, err := sliceEnd(m, from)
		if err != nil {
			return vNil, err
		}
		b, err := sliceEnd(m, to)
		if err != nil {
			return vNil, err
		}
		return slice(m, v, a, b)
	}}
}

func sliceKinds(of mask) mask {
	if of&mArray != 0 {
		return 1 << kList
	}
	return 0
}

func sliceEnd(m *machine, end eval) (*int64, error) {
	if end == nil {
		return nil, nil
	}
	v, err := end(m)
	if err != nil {
		return nil, err
	}
	if v.kind != kInt {
		return nil, faultf("cutting with [:] at %s, not an integer", v.kind)
	}
	return &v.num, nil
}
