package expr

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

var arrayFunctions = map[string]function{
	"first": {params: []mask{mArray}, least: 1, most: 1, kinds: mAny, call: func(m *machine, args []value) (value, error) { return element(m, args[0], 0) },
		manual: manual{usage: "first(array)", says: "the first element; nil of an empty array",
			examples: []Example{{`first(tags)`, `"new"`}, {`first([])`, `null`}}}},
	"last": {params: []mask{mArray}, least: 1, most: 1, kinds: mAny, call: func(m *machine, args []value) (value, error) { return element(m, args[0], -1) },
		manual: manual{usage: "last(array)", says: "the last element; nil of an empty array",
			examples: []Example{{`last(tags)`, `"eu"`}}}},
	"get": {params: []mask{mAny}, least: 2, most: 2, kinds: mAny, call: func(m *machine, args []value) (value, error) { return get(m, args[0], args[1]) },
		manual: manual{usage: "get(value, key)", says: "value[key]: a member by its name, an element by its number; nil when there is none, and of a missing value",
			examples: []Example{{`get(order, "id")`, `"A-17"`}, {`get(tags, -1)`, `"eu"`}, {`get(note, "id")`, `null`}}}},
	"take": {params: []mask{mArray, mInt}, least: 2, most: 2, kinds: 1 << kList, call: take,
		manual: manual{usage: "take(array, n)", says: "the first n elements", fails: "n is beyond 64 bits",
			examples: []Example{{`take([1, 2, 3], 2)`, `[1,2]`}}}},
	"reverse": {params: []mask{mArray}, least: 1, most: 1, kinds: 1 << kList, call: reverse,
		manual: manual{usage: "reverse(array)", says: "the elements in the opposite order",
			examples: []Example{{`reverse(tags)`, `["eu","new"]`}}}},
	"concat": {params: []mask{mArray}, least: 1, most: -1, kinds: 1 << kList, call: concatArrays,
		manual: manual{usage: "concat(array, ...)", says: "the elements of all arrays in one",
			examples: []Example{{`concat(tags, ["vip"])`, `["new","eu","vip"]`}}}},
	"flatten": {params: []mask{mArray}, least: 1, most: 1, kinds: 1 << kList, call: flatten,
		manual: manual{usage: "flatten(array)", says: "the elements of nested arrays, however deep, in one", fails: "the arrays are nested deeper than 1,000 levels",
			examples: []Example{{`flatten([1, [2, [3]]])`, `[1,2,3]`}}}},
	"uniq": {params: []mask{mArray}, least: 1, most: 1, kinds: 1 << kList, call: uniq,
		manual: manual{usage: "uniq(array)", says: "the array with the first of equal elements",
			examples: []Example{{`uniq([1, 1.0, "1", 2])`, `[1,"1",2]`}}}},
	"sort": {params: []mask{mArray, mString}, least: 1, most: 2, kinds: 1 << kList, compile: (*compiler).sort,
		manual: manual{usage: "sort(array, order?)", says: "the elements in order, which are all numbers or all texts; with \"desc\" the greatest first",
			fails:    "an element is missing, or two do not order",
			examples: []Example{{`sort([3, 1, 2])`, `[1,2,3]`}, {`sort(tags, "desc")`, `["new","eu"]`}, {`sort([1, note])`, `error: sorting a missing value`}}}},
	"keys": {params: []mask{mObject}, least: 1, most: 1, kinds: 1 << kList, call: keys,
		manual: manual{usage: "keys(object)", says: "the names of the members, in their order",
			examples: []Example{{`keys(customer.address)`, `["city","zip"]`}}}},
	"values": {params: []mask{mObject}, least: 1, most: 1, kinds: 1 << kList, call: values,
		manual: manual{usage: "values(object)", says: "the values of the members, in their order",
			examples: []Example{{`values(customer.address)`, `["London","N1"]`}}}},
	"toPairs": {params: []mask{mObject}, least: 1, most: 1, kinds: 1 << kList, call: toPairs,
		manual: manual{usage: "toPairs(object)", says: "an array with [name, value] for each member",
			examples: []Example{{`toPairs(customer.address)`, `[["city","London"],["zip","N1"]]`}}}},
	"fromPairs": {params: []mask{mArray}, least: 1, most: 1, kinds: 1 << kMap, call: fromPairs,
		manual: manual{usage: "fromPairs(array)", says: "the object of an array of [name, value]; of a name that stands twice the last", fails: "an element is no pair of a name and a value",
			examples: []Example{{`fromPairs([["a", 1], ["b", 2]])`, `{"a":1,"b":2}`}, {`fromPairs(map(items, [.sku, .price]))`, `{"a1":5,"b2":30,"c3":3}`}, {`fromPairs(tags)`, `error: an element is no pair of a name and a value`}}}},
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
func (c *compiler) sort(n ast.Node, name string, args []ast.Node) code {
	f := functions[name]
	parts := c.arguments(n, name, f, args)
	desc := len(args) > 1 && c.descending(parts[1], args[1])
	f.call = func(m *machine, args []value) (value, error) {
		all, err := copied(m, args[0])
		if err != nil {
			return vNil, err
		}
		return newList(all), sortValues(m, all, slices.Clone(all), desc)
	}
	return c.fold(n, code{kinds: f.kinds, run: func(m *machine) (value, error) {
		return invoke(m, name, f, parts[:1])
	}}, parts...)
}
