package expr

import (
	"github.com/expr-lang/expr/ast"
)

// resultKinds gives the kinds that an operator can give for operands of kinds a and b; 0 when it
// takes no such operands.
func resultKinds(op string, a, b mask) (can mask) {
	if a&mNumber != 0 && b&mNumber != 0 {
		can |= 1<<kInt | 1<<kFloat
	}
	switch op {
	case "+":
		if a&mString != 0 && b&mString != 0 {
			can |= mString
		}
		if a&mTime != 0 && b&mDuration != 0 || a&mDuration != 0 && b&mTime != 0 {
			can |= mTime
		}
		if a&mDuration != 0 && b&mDuration != 0 {
			can |= mDuration
		}
	case "-":
		if a&mTime != 0 && b&mTime != 0 || a&mDuration != 0 && b&mDuration != 0 {
			can |= mDuration
		}
		if a&mTime != 0 && b&mDuration != 0 {
			can |= mTime
		}
	case "*":
		if a&mDuration != 0 && b&mInt != 0 || a&mInt != 0 && b&mDuration != 0 {
			can |= mDuration
		}
	}
	return can
}

func (c *compiler) arithmetic(n *ast.BinaryNode, a, b code) code {
	op := n.Operator
	if op == "^" {
		op = "**"
	}
	can := resultKinds(op, a.kinds, b.kinds)
	if can == 0 {
		suggestion := ""
		if op == "+" && (a.kinds|b.kinds)&mString != 0 {
			suggestion = "make it text with string(…)"
		}
		c.fail(n, op+" does not go with "+a.kinds.String()+" and "+b.kinds.String(), suggestion)
	}
	var joins []quickPart
	if op == "+" {
		joins = c.quickParts(a, b)
	}
	return code{kinds: can, joins: joins, run: func(m *machine) (value, error) {
		x, err := a.run(m)
		if err != nil {
			return vNil, err
		}
		y, err := b.run(m)
		if err != nil {
			return vNil, err
		}
		return calculate(m, op, x, y)
	}}
}

func calculate(m *machine, op string, a, b value) (value, error) {
	switch {
	case a.is(mNumber) && b.is(mNumber):
		return arithmetic(op, a, b)
	case op == "+" && a.kind == kString && b.kind == kString:
		return concat(m, a, b)
	case a.is(mTime|mDuration) && resultKinds(op, 1<<a.kind, 1<<b.kind) != 0,
		b.is(mTime|mDuration) && resultKinds(op, 1<<a.kind, 1<<b.kind) != 0 && b.kind != kBig:
		if a.kind == kBig || b.kind == kBig {
			return vNil, errBig
		}
		n, err := integers(op, a.num, b.num)
		if err != nil || timeKind(op, a.kind, b.kind) == kDuration {
			return value{kind: kDuration, num: n}, err
		}
		return moment(n)
	case a.kind == kNil || b.kind == kNil:
		return vNil, faultf("%s on %s", op, kNil)
	}
	return vNil, faultf("%s on %s and %s", op, a.kind, b.kind)
}

func timeKind(op string, a, b kind) kind {
	if a == kTime && b == kTime || a != kTime && b != kTime {
		return kDuration
	}
	return kTime
}

// concat joins two strings.
func concat(m *machine, a, b value) (value, error) {
	x, err := m.text(a)
	if err != nil {
		return vNil, err
	}
	y, err := m.text(b)
	if err != nil {
		return vNil, err
	}
	if err := m.grow(len(x) + len(y)); err != nil {
		return vNil, err
	}
	form := plain
	if a.form == clean && b.form == clean {
		form = clean
	}
	return value{kind: kString, form: form, text: m.join(x, y)}, nil
}
