package expr

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

var arrayFunctions = map[string]function{
	"first":     {params: []mask{mArray}, least: 1, most: 1, kinds: mAny, call: func(m *machine, args []value) (value, error) { return element(m, args[0], 0) }},
	"last":      {params: []mask{mArray}, least: 1, most: 1, kinds: mAny, call: func(m *machine, args []value) (value, error) { return element(m, args[0], -1) }},
	"get":       {params: []mask{mAny}, least: 2, most: 2, kinds: mAny, call: func(m *machine, args []value) (value, error) { return get(m, args[0], args[1]) }},
	"take":      {params: []mask{mArray, mInt}, least: 2, most: 2, kinds: 1 << kList, call: take},
	"reverse":   {params: []mask{mArray}, least: 1, most: 1, kinds: 1 << kList, call: reverse},
	"concat":    {params: []mask{mArray}, least: 1, most: -1, kinds: 1 << kList, call: concatArrays},
	"flatten":   {params: []mask{mArray}, least: 1, most: 1, kinds: 1 << kList, call: flatten},
	"uniq":      {params: []mask{mArray}, least: 1, most: 1, kinds: 1 << kList, call: uniq},
	"keys":      {params: []mask{mObject}, least: 1, most: 1, kinds: 1 << kList, call: keys},
	"values":    {params: []mask{mObject}, least: 1, most: 1, kinds: 1 << kList, call: values},
	"toPairs":   {params: []mask{mObject}, least: 1, most: 1, kinds: 1 << kList, call: toPairs},
	"fromPairs": {params: []mask{mArray}, least: 1, most: 1, kinds: 1 << kMap, call: fromPairs},
}

func take(m *machine, args []value) (value, error) {
	if args[1].kind != kInt {
		return vNil, errBig
	}
	n := max(args[1].num, 0)
	return slice(m, args[0], nil, &n)
}

func reverse(m *machine, args []value) (value, error) {
	all, err := copied(m, args[0])
	slices.Reverse(all)
	return newList(all), err
}

// copied gives the elements of an array, to be changed.
func copied(m *machine, array value) ([]value, error) {
	all, err := list(m, array)
	if err != nil {
		return nil, err
	}
	return slices.Clone(all), m.grow(valueBytes * len(all))
}

func concatArrays(m *machine, args []value) (value, error) {
	var out []value
	for _, a := range args {
		all, err := list(m, a)
		if err != nil {
			return vNil, err
		}
		if err := m.grow(valueBytes * len(all)); err != nil {
			return vNil, err
		}
		out = append(out, all...)
	}
	return newList(out), nil
}

// flatten puts the elements of nested arrays, however deep, into one.
func flatten(m *machine, args []value) (value, error) {
	var out []value
	var add func(array value, depth int) error
	add = func(array value, depth int) error {
		if depth > maxDepth {
			return fault("more than 1,000 levels")
		}
		for it := elements(m, array); ; {
			e, ok, err := it.next()
			if err != nil || !ok {
				return err
			}
			if e.is(mArray) {
				if err := add(e, depth+1); err != nil {
					return err
				}
				continue
			}
			if err := m.grow(valueBytes); err != nil {
				return err
			}
			out = append(out, e)
		}
	}
	err := add(args[0], 0)
	return newList(out), err
}

// uniq keeps the first of equal elements.
func uniq(m *machine, args []value) (value, error) {
	var out []value
	it := elements(m, args[0])
next:
	for {
		e, ok, err := it.next()
		if err != nil || !ok {
			return newList(out), err
		}
		for _, have := range out {
			same, err := equal(m, e, have)
			if err != nil {
				return vNil, err
			}
			if same {
				continue next
			}
		}
		if err := m.grow(valueBytes); err != nil {
			return vNil, err
		}
		out = append(out, e)
	}
}

func keys(m *machine, args []value) (value, error) {
	o, err := object(m, args[0])
	if err != nil {
		return vNil, err
	}
	out := make([]value, len(o.names))
	for i, name := range o.names {
		out[i] = vString(name)
	}
	return newList(out), m.grow(valueBytes * len(out))
}

func values(m *machine, args []value) (value, error) {
	o, err := object(m, args[0])
	if err != nil {
		return vNil, err
	}
	return newList(o.items), nil
}

func toPairs(m *machine, args []value) (value, error) {
	o, err := object(m, args[0])
	if err != nil {
		return vNil, err
	}
	if err := m.grow(3 * valueBytes * len(o.names)); err != nil {
		return vNil, err
	}
	out := make([]value, len(o.names))
	for i, name := range o.names {
		out[i] = newList([]value{vString(name), o.items[i]})
	}
	return newList(out), nil
}

func fromPairs(m *machine, args []value) (value, error) {
	out := new(built)
	it := elements(m, args[0])
	for {
		e, ok, err := it.next()
		if err != nil {
			return vNil, err
		}
		if !ok {
			return value{kind: kMap, built: out}, nil
		}
		if !e.is(mArray) {
			return vNil, fault("an element is no pair of a name and a value")
		}
		p, err := list(m, e)
		if err != nil {
			return vNil, err
		}
		if len(p) != 2 || p[0].kind != kString {
			return vNil, fault("an element is no pair of a name and a value")
		}
		name, err := m.text(p[0])
		if err != nil {
			return vNil, err
		}
		if err := m.grow(valueBytes + len(name)); err != nil {
			return vNil, err
		}
		out.set(string(name), p[1])
	}
}

// sort compiles sort(array) and sort(array, "desc").
func (c *compiler) sort(n ast.Node, args []ast.Node) code {
	f := function{params: []mask{mArray, mString}, least: 1, most: 2, kinds: 1 << kList}
	parts := c.arguments(n, "sort", f, args)
	desc := len(args) > 1 && c.descending(parts[1], args[1])
	f.call = func(m *machine, args []value) (value, error) {
		all, err := copied(m, args[0])
		if err != nil {
			return vNil, err
		}
		return newList(all), sortValues(m, all, slices.Clone(all), desc)
	}
	return c.fold(n, code{kinds: f.kinds, run: func(m *machine) (value, error) {
		return invoke(m, "sort", f, parts[:1])
	}}, parts...)
}
