package expr

import (
	"bytes"
	"regexp/syntax"

	"github.com/expr-lang/expr/ast"
)

func (c *compiler) unary(n *ast.UnaryNode) code {
	of := c.node(n.Node)
	switch n.Operator {
	case "not", "!":
		c.mustFit(of, mBool|mNil, n.Operator)
		test := c.condition(of)
		return c.fold(n, boolean(func(m *machine) (bool, error) {
			ok, err := test(m)
			return !ok, err
		}), of)
	case "-", "+":
		c.mustFit(of, mNumber|mDuration, n.Operator)
		minus := n.Operator == "-"
		return c.fold(n, code{kinds: of.kinds & (mNumber | mDuration), run: func(m *machine) (value, error) {
			v, err := of.run(m)
			if err != nil {
				return vNil, err
			}
			return negate(v, minus)
		}}, of)
	}
	c.fail(n, n.Operator+" is not available", "")
	return code{}
}

func negate(v value, minus bool) (value, error) {
	switch {
	case !v.is(mNumber | mDuration):
		return vNil, faultf("+ or - before %s", v.kind)
	case !minus:
		return v, nil
	case v.kind == kFloat:
		return vFloat(-v.float()), nil
	case v.kind == kBig:
		return vNil, errBig
	}
	n, err := integers("-", 0, v.num)
	return value{kind: v.kind, num: n}, err
}

// boolean makes a code of a test.
func boolean(t test) code {
	return code{kinds: mBool, test: t, run: func(m *machine) (value, error) {
		ok, err := t(m)
		return vBool(ok), err
	}}
}

func (c *compiler) binary(n *ast.BinaryNode) code {
	if n.Operator == ".." {
		return c.span(n)
	}
	switch n.Operator {
	case "==", "!=", "<", "<=", ">", ">=", "in", "contains", "startsWith", "endsWith", "matches":
		c.negated(n)
	}
	a := c.node(n.Left)
	if r, ok := n.Right.(*ast.BinaryNode); ok && n.Operator == "in" && r.Operator == ".." {
		return c.within(a, r)
	}
	b := c.node(n.Right)
	switch n.Operator {
	case "and", "&&", "or", "||":
		return c.logical(n, a, b)
	case "==", "!=":
		return c.fold(n, c.equality(a, b, n.Operator == "!="), a, b)
	case "<", "<=", ">", ">=":
		return c.fold(n, c.ordering(n, a, b), a, b)
	case "??":
		return c.fold(n, code{kinds: a.kinds&^mNil | b.kinds, run: func(m *machine) (value, error) {
			if v, err := a.run(m); err != nil || v.kind != kNil {
				return v, err
			}
			return b.run(m)
		}}, a, b)
	case "in":
		c.mustFit(b, mArray|mObject|mNil, "in")
		return c.fold(n, boolean(pair(a, b, contained)), a, b)
	case "contains", "startsWith", "endsWith":
		c.mustFit(a, mString|mNil, n.Operator)
		c.mustFit(b, mString|mNil, n.Operator)
		return c.fold(n, boolean(pair(a, b, textTest(n.Operator))), a, b)
	case "matches":
		return c.matches(n, a, b)
	case "+", "-", "*", "/", "%", "**", "^":
		return c.fold(n, c.arithmetic(n, a, b), a, b)
	}
	c.fail(n, n.Operator+" is not available", "")
	return code{}
}

// pair makes a test of two values.
func pair(a, b code, f func(m *machine, a, b value) (bool, error)) test {
	return func(m *machine) (bool, error) {
		x, err := a.run(m)
		if err != nil {
			return false, err
		}
		y, err := b.run(m)
		if err != nil {
			return false, err
		}
		return f(m, x, y)
	}
}

func (c *compiler) logical(n *ast.BinaryNode, a, b code) code {
	c.mustFit(a, mBool|mNil, n.Operator)
	c.mustFit(b, mBool|mNil, n.Operator)
	x, y := c.condition(a), c.condition(b)
	stop := n.Operator == "or" || n.Operator == "||"
	k := boolean(func(m *machine) (bool, error) {
		if ok, err := x(m); err != nil || ok == stop {
			return ok, err
		}
		return y(m)
	})
	k.quick = quickLogical(a.quick, b.quick, stop)
	return c.fold(n, k, a, b)
}

// equality is ==, or != when not is set.
func (c *compiler) equality(a, b code, not bool) code {
	if a.constant != nil {
		a, b = b, a
	}
	if b.constant == nil {
		return boolean(pair(a, b, func(m *machine, x, y value) (bool, error) {
			same, err := equal(m, x, y)
			return same != not, err
		}))
	}
	k, run := *b.constant, a.run
	slow := func(m *machine) (bool, error) {
		v, err := run(m)
		switch {
		case err != nil:
			return false, err
		case v.kind == kString && k.kind == kString && v.form != escaped:
			return bytes.Equal(v.text, k.text) != not, nil
		case v.kind == kInt && k.kind == kInt:
			return (v.num == k.num) != not, nil
		}
		same, err := equal(m, v, k)
		return same != not, err
	}
	if c.plainField(a) && k.kind == kString {
		return quickEqual(a.field, k, not).with(slow)
	}
	return boolean(slow)
}

func (c *compiler) ordering(n *ast.BinaryNode, a, b code) code {
	const orderable = mNumber | mString | mTime | mDuration | mNil
	c.mustFit(a, orderable, n.Operator)
	c.mustFit(b, orderable, n.Operator)
	fits := a.kinds&b.kinds&^mNil&orderable != 0 || a.kinds&mNumber != 0 && b.kinds&mNumber != 0
	if !fits && a.kinds&mNil == 0 && b.kinds&mNil == 0 {
		c.fail(n, a.kinds.String()+" cannot be ordered against "+b.kinds.String(), "compare values of one type")
	}
	less, same, more := outcomes(n.Operator)
	if b.constant != nil && b.constant.kind == kInt {
		k, run := *b.constant, a.run
		slow := func(m *machine) (bool, error) {
			v, err := run(m)
			if err != nil {
				return false, err
			}
			return holds(m, v, k, less, same, more)
		}
		if c.plainField(a) {
			return quickOrder(a.field, k.num, less, same, more).with(slow)
		}
		return boolean(slow)
	}
	return boolean(pair(a, b, func(m *machine, x, y value) (bool, error) {
		return holds(m, x, y, less, same, more)
	}))
}

// outcomes says for which results of a comparison the operator holds.
func outcomes(op string) (less, same, more bool) {
	return op[0] == '<', len(op) == 2, op[0] == '>'
}

func holds(m *machine, a, b value, less, same, more bool) (bool, error) {
	c, ok, err := ordered(m, a, b)
	if err != nil || !ok {
		return false, err
	}
	return c < 0 && less || c == 0 && same || c > 0 && more, nil
}

func textTest(op string) func(m *machine, a, b value) (bool, error) {
	f := bytes.Contains
	switch op {
	case "startsWith":
		f = bytes.HasPrefix
	case "endsWith":
		f = bytes.HasSuffix
	}
	return func(m *machine, a, b value) (bool, error) {
		if a.kind == kNil || b.kind == kNil {
			return false, nil
		}
		if a.kind != kString || b.kind != kString {
			return false, faultf("%s needs two strings, not %s and %s", op, a.kind, b.kind)
		}
		x, err := m.text(a)
		if err != nil {
			return false, err
		}
		y, err := m.text(b)
		if err != nil {
			return false, err
		}
		return f(x, y), m.step(len(x) / 64)
	}
}

func (c *compiler) matches(n *ast.BinaryNode, a, b code) code {
	c.mustFit(a, mString|mNil, "matches")
	re, states := c.regex(b, "matches")
	return c.fold(n, boolean(func(m *machine) (bool, error) {
		v, err := a.run(m)
		if err != nil || v.kind == kNil {
			return false, err
		}
		if v.kind != kString {
			return false, faultf("matches needs a string, not %s", v.kind)
		}
		text, err := m.text(v)
		if err != nil {
			return false, err
		}
		if err := m.step(len(text) * states / 64); err != nil {
			return false, err
		}
		return re.Match(text), nil
	}), a)
}

// patternSize is the number of states of a pattern: matching takes at most so many
// operations a byte.
func patternSize(pattern string) int {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return len(pattern)
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return len(pattern)
	}
	return len(prog.Inst)
}

// ends gives the constant bounds of a range.
func (c *compiler) ends(n *ast.BinaryNode) (from, to int64) {
	a, b := c.node(n.Left), c.node(n.Right)
	if a.constant == nil || b.constant == nil || a.constant.kind != kInt || b.constant.kind != kInt {
		c.fail(n, "a range needs two constant integers", "compare instead: x >= a and x <= b; an array of integers is range(a, b + 1)")
	}
	return a.constant.num, b.constant.num
}

// span compiles from..to as an array.
func (c *compiler) span(n *ast.BinaryNode) code {
	from, to := c.ends(n)
	if to >= from && uint64(to)-uint64(from) >= maxRange {
		c.fail(n, "a range of more than 1,000 integers", "compare instead: x >= a and x <= b; an array of up to 10,000 is range(a, b + 1)")
	}
	var items []value
	for i := from; i <= to; i++ {
		items = append(items, vInt(i))
	}
	return constant(newList(items))
}

// within compiles x in from..to, without making the array.
func (c *compiler) within(a code, n *ast.BinaryNode) code {
	from, to := c.ends(n)
	return boolean(func(m *machine) (bool, error) {
		v, err := a.run(m)
		if err != nil {
			return false, err
		}
		switch {
		case v.kind == kInt:
			return v.num >= from && v.num <= to, nil
		case v.kind == kFloat:
			f := v.float()
			return f == float64(int64(f)) && compareFloat(f, from) >= 0 && compareFloat(f, to) <= 0, nil
		}
		return false, nil
	})
}
