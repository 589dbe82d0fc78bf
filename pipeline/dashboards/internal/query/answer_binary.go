package query

import (
	"math"
	"slices"
)

// precedence says which operators bind how strongly.
var precedence = map[string]int{"or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, ">": 3, ">=": 3, "<": 3, "<=": 3,
	"+": 4, "-": 4, "*": 5, "/": 5}

// A joined is an operator between two parts.
type joined struct {
	op          string
	left, right node
	on          *grouped // nil: all labels
	many        bool     // group_left: several on the left for one on the right
}

// binary reads parts with operators between them that bind at least so strongly.
func (p *metrics) binary(least int) node {
	left := p.primary()
	for p.err == nil {
		t := p.peek()
		if (t.kind != operator && t.kind != word) || precedence[t.text] == 0 || precedence[t.text] < least {
			break
		}
		p.next()
		n := &joined{op: t.text, left: left}
		if p.peek().text == "on" || p.peek().text == "ignoring" {
			n.on = &grouped{without: p.next().text == "ignoring"}
			if !p.take("(") {
				p.fail("%s stands where ( belongs", p.peek())
			}
			n.on.labels = p.names(")")
		}
		if p.take("group_left") {
			n.many = true
			if p.take("(") && !p.take(")") {
				p.fail("labels of group_left are not answered here")
			}
		}
		n.right = p.binary(precedence[t.text] + 1)
		left = n
	}
	return left
}

func (n *joined) key(s Sample) string {
	if n.on == nil {
		return key(s.Labels)
	}
	return key(n.on.of(s.Labels))
}

func (n *joined) eval(l moment) (values, error) {
	left, err := n.left.eval(l)
	if err != nil {
		return values{}, err
	}
	right, err := n.right.eval(l)
	if err != nil {
		return values{}, err
	}
	switch {
	case n.op == "and" || n.op == "or" || n.op == "unless":
		return values{samples: n.set(left.samples, right.samples)}, nil
	case left.isScalar && right.isScalar:
		f, _ := n.compute(left.scalar, right.scalar)
		return values{isScalar: true, scalar: f}, nil
	case left.isScalar || right.isScalar:
		return values{samples: n.withScalar(left, right)}, nil
	}
	return n.match(left.samples, right.samples)
}

// set keeps samples by whether the other side has their labels.
func (n *joined) set(left, right []Sample) (out []Sample) {
	has := func(all []Sample, s Sample) bool {
		return slices.ContainsFunc(all, func(o Sample) bool { return n.key(o) == n.key(s) })
	}
	for _, s := range left {
		if n.op == "or" || has(right, s) == (n.op == "and") {
			out = append(out, s)
		}
	}
	for _, s := range right {
		if n.op == "or" && !has(left, s) {
			out = append(out, s)
		}
	}
	return out
}

func (n *joined) withScalar(left, right values) (out []Sample) {
	for _, s := range append(left.samples, right.samples...) {
		a, b := s.Value, right.scalar
		if left.isScalar {
			a, b = left.scalar, s.Value
		}
		f, keep := n.compute(a, b)
		if comparison(n.op) != nil {
			f = s.Value
		}
		if keep {
			out = append(out, Sample{s.Labels, f})
		}
	}
	return out
}

// match computes with each sample of the left and the one of the right that has its labels.
func (n *joined) match(left, right []Sample) (v values, err error) {
	others, seen := map[string]Sample{}, map[string]bool{}
	for _, s := range right {
		if _, twice := others[n.key(s)]; twice {
			return v, errManyToMany
		}
		others[n.key(s)] = s
	}
	for _, s := range left {
		k := n.key(s)
		other, ok := others[k]
		if !ok {
			continue
		}
		if seen[k] && !n.many {
			return v, errManyToMany
		}
		seen[k] = true
		f, keep := n.compute(s.Value, other.Value)
		if !keep {
			continue
		}
		if n.on != nil && !n.many {
			s.Labels = n.on.of(s.Labels)
		}
		v.samples = append(v.samples, Sample{s.Labels, f})
	}
	return v, nil
}

// compute gives a figure, and whether it is kept. A comparison keeps the left one. Loki divides by 0 to no number.
func (n *joined) compute(a, b float64) (f float64, keep bool) {
	if is := comparison(n.op); is != nil {
		return a, is(a, b)
	}
	switch n.op {
	case "+":
		return a + b, true
	case "-":
		return a - b, true
	case "*":
		return a * b, true
	}
	if b == 0 {
		return math.NaN(), true
	}
	return a / b, true
}
