package expr

import (
	"sort"

	"github.com/expr-lang/expr/ast"
)

// A predicateFunction runs a piece of expression for each element of an array, or member of an object.
type predicateFunction struct {
	truth    bool // the predicate is a condition
	optional bool // without one the elements themselves count
	can      mask
	open     func() collector
	member   memberCollector // in place of open: it takes an object, and each of its members
	manual
}

// noCondition is when the functions with a condition for the elements of an array fail.
const noCondition = "the array is missing, or the condition gives neither true, false nor nil"

// predicates are the functions that run a piece of expression for each element of an array or, of
// the borrowedPredicates, each member of an object.
var predicates = map[string]predicateFunction{
	"all": {truth: true, can: mBool, open: func() collector { return &verdict{decisive: false, result: true} },
		manual: manual{usage: "all(array, condition)", says: "whether the condition holds for every element; true for an empty array", fails: noCondition,
			examples: []Example{{`all(items, .count > 0)`, `true`}, {`all([], # > 1)`, `true`}}}},
	"any": {truth: true, can: mBool, open: func() collector { return &verdict{decisive: true, result: false} },
		manual: manual{usage: "any(array, condition)", says: "whether the condition holds for an element; false for an empty array", fails: noCondition,
			examples: []Example{{`any(items, .price > 20)`, `true`}, {`any(note, # > 1)`, `error: any of a missing array`}}}},
	"none": {truth: true, can: mBool, open: func() collector { return &verdict{decisive: true, result: true} },
		manual: manual{usage: "none(array, condition)", says: "whether the condition holds for no element; true for an empty array", fails: noCondition,
			examples: []Example{{`none(items, .price > 90)`, `true`}}}},
	"one": {truth: true, can: mBool, open: func() collector { return new(counter) },
		manual: manual{usage: "one(array, condition)", says: "whether the condition holds for exactly one element", fails: noCondition,
			examples: []Example{{`one(items, .price > 20)`, `true`}, {`one(items, .count > 0)`, `false`}}}},
	"count": {truth: true, optional: true, can: mInt, open: func() collector { return &counter{number: true} },
		manual: manual{usage: "count(array, condition?)", says: "the number of elements for which the condition holds, or of those that are true", fails: noCondition,
			examples: []Example{{`count(items, .price > 4)`, `2`}, {`count([true, false, nil])`, `1`}}}},
	"filter": {truth: true, can: 1 << kList, open: func() collector { return new(keeper) },
		manual: manual{usage: "filter(array, condition)", says: "the elements for which the condition holds", fails: noCondition,
			examples: []Example{{`filter(tags, # != "eu")`, `["new"]`}, {`filter(items, .price > 20)`, `[{"sku":"b2","price":30,"count":1}]`}, {`filter(items, .price)`, `error: a condition gives a number, not true or false`}}}},
	"find": {truth: true, can: mAny, open: func() collector { return new(finder) },
		manual: manual{usage: "find(array, condition)", says: "the first element for which the condition holds; nil when there is none", fails: noCondition,
			examples: []Example{{`find(items, .price > 4).sku`, `"a1"`}, {`find(items, .price > 90)`, `null`}}}},
	"findIndex": {truth: true, can: mInt, open: func() collector { return &finder{index: true} },
		manual: manual{usage: "findIndex(array, condition)", says: "the number of the first element for which the condition holds, from 0; -1 when there is none", fails: noCondition,
			examples: []Example{{`findIndex(tags, # == "eu")`, `1`}, {`findIndex(tags, # == "us")`, `-1`}}}},
	"findLast": {truth: true, can: mAny, open: func() collector { return &finder{last: true} },
		manual: manual{usage: "findLast(array, condition)", says: "the last element for which the condition holds; nil when there is none", fails: noCondition,
			examples: []Example{{`findLast(items, .price > 4).sku`, `"b2"`}}}},
	"findLastIndex": {truth: true, can: mInt, open: func() collector { return &finder{last: true, index: true} },
		manual: manual{usage: "findLastIndex(array, condition)", says: "the number of the last element for which the condition holds, from 0; -1 when there is none", fails: noCondition,
			examples: []Example{{`findLastIndex(items, .price > 4)`, `1`}}}},
	"map": {can: 1 << kList, open: func() collector { return new(mapper) },
		manual: manual{usage: "map(array, expression)", says: "what the expression gives for each element", fails: "the array is missing",
			examples: []Example{{`map(items, .price * .count)`, `[10,30,9]`}, {`map(tags, # + "!")`, `["new!","eu!"]`}, {`map(tags, #index)`, `[0,1]`}}}},
	"sum": {optional: true, can: mNumber, open: func() collector { return &summer{total: vInt(0)} },
		manual: manual{usage: "sum(array, expression?)", says: "the sum of what the expression gives for each element, or of the elements; 0 for an empty array", fails: "the array is missing; an element, or what the expression gives, is no number",
			examples: []Example{{`sum(items, .price * .count)`, `49`}, {`sum([1, 2.5])`, `3.5`}, {`sum(tags)`, `error: sum of a string`}}}},
	"groupBy": {can: 1 << kMap, open: func() collector { return new(grouper) },
		manual: manual{usage: "groupBy(array, expression)", says: "an object with an array of the elements for each thing that the expression gives, which becomes its name", fails: "the array is missing; the expression gives nil, an array or an object",
			examples: []Example{{`groupBy([1, 5, 2], # > 3 ? "high" : "low")`, `{"low":[1,2],"high":[5]}`}, {`groupBy(items, .missing)`, `error: grouping by a missing value`}}}},
	"sortBy": {can: 1 << kList, open: func() collector { return new(sorter) },
		manual: manual{usage: "sortBy(array, expression, order?)", says: "the elements ordered by what the expression gives, which is all numbers or all texts; with \"desc\" the greatest first", fails: "the array is missing; the expression gives nil, or values that do not order",
			examples: []Example{{`map(sortBy(items, .price), .sku)`, `["c3","a1","b2"]`}, {`map(sortBy(items, .price, "desc"), .sku)`, `["b2","a1","c3"]`}, {`sortBy(items, .missing)`, `error: sorting a missing value`}}}},
}

// A collector makes the result of a predicate function.
type collector interface {
	// each takes one element; done ends the walk.
	each(m *machine, i int64, element, result value) (done bool, err error)
	end(m *machine) (value, error)
}

// predicate compiles filter(array, …) and its like.
func (c *compiler) predicate(n ast.Node, name string, args []ast.Node) code {
	p := predicates[name]
	of := c.node(args[0])
	takes, at := mArray, scope{element: c.reserve(), index: c.reserve(), key: -1, kinds: mAny}
	if p.member != nil {
		takes, at.key = mObject, c.reserve()
	}
	if of.kinds&takes == 0 {
		c.fail(of.at, name+" needs "+takes.String()+", this is "+of.kinds.String(), "")
	}
	before := c.count
	result := c.predicateBody(n, name, args, at)
	at.cost = (c.count - before) / 4
	open := p.open
	if name == "sortBy" && len(args) > 2 {
		desc := c.descending(c.node(args[2]), args[2])
		open = func() collector { return &sorter{desc: desc} }
	}
	return code{kinds: p.can, run: func(m *machine) (value, error) {
		over, err := of.run(m)
		switch {
		case err != nil:
			return vNil, err
		case p.member != nil:
			return collectMembers(m, name, over, at, result, p.member)
		}
		return collect(m, name, over, at, result, open())
	}}
}

// predicateBody compiles what a predicate function evaluates for each element: the element
// itself, where there is nothing.
func (c *compiler) predicateBody(n ast.Node, name string, args []ast.Node, at scope) eval {
	p := predicates[name]
	body := code{kinds: mAny, at: args[0], run: func(m *machine) (value, error) { return m.vars[at.element], nil }}
	if len(args) > 1 {
		pred, ok := args[1].(*ast.PredicateNode)
		if !ok {
			c.fail(args[1], name+" needs a predicate", name+"(items, .price > 3)")
		}
		c.predicates = append(c.predicates, at)
		body = c.node(pred.Node)
		c.predicates = c.predicates[:len(c.predicates)-1]
		body.at = pred.Node
		if p.truth {
			c.mustFit(body, mBool|mNil, "the predicate of "+name)
		}
	} else if !p.optional {
		c.fail(n, name+" needs a predicate", name+"(items, .price > 3)")
	}
	if !p.truth {
		return body.run
	}
	test := c.condition(body)
	return func(m *machine) (value, error) {
		ok, err := test(m)
		return vBool(ok), err
	}
}

func collect(m *machine, name string, array value, at scope, result eval, out collector) (value, error) {
	if array.kind == kNil {
		return vNil, ofNil{fault(name + " of a missing array")}
	}
	if !array.is(mArray) {
		return vNil, faultf("%s of %s, not an array", name, array.kind)
	}
	it := elements(m, array)
	for i := int64(0); ; i++ {
		e, ok, err := it.next()
		if err != nil {
			return vNil, err
		}
		if !ok {
			return out.end(m)
		}
		if err := m.step(at.cost); err != nil {
			return vNil, err
		}
		m.vars[at.element], m.vars[at.index] = e, vInt(i)
		r, err := result(m)
		if err != nil {
			return vNil, err
		}
		done, err := out.each(m, i, e, r)
		if err != nil {
			return vNil, err
		}
		if done {
			return out.end(m)
		}
	}
}

// pointer compiles # and #index.
func (c *compiler) pointer(n *ast.PointerNode) code {
	if len(c.predicates) == 0 {
		c.fail(n, "# stands outside of a predicate", "")
	}
	at := c.predicates[len(c.predicates)-1]
	switch n.Name {
	case "":
		return code{kinds: at.kinds, run: func(m *machine) (value, error) { return m.vars[at.element], nil }}
	case "index":
		return code{kinds: mInt, run: func(m *machine) (value, error) { return m.vars[at.index], nil }}
	case "key":
		if at.key < 0 {
			c.fail(n, "there is no #key of an element", "an element has #index; #key is the name of a member in mapValues, mapKeys and filterValues")
		}
		return code{kinds: mString, run: func(m *machine) (value, error) { return m.vars[at.key], nil }}
	}
	c.fail(n, "there is no #"+n.Name, "a predicate has # and #index")
	return code{}
}

// descending reads the order of sort and sortBy.
func (c *compiler) descending(k code, n ast.Node) bool {
	if k.constant != nil && k.constant.kind == kString {
		switch string(k.constant.text) {
		case "asc":
			return false
		case "desc":
			return true
		}
	}
	c.fail(n, "the order must be asc or desc", `write "asc" or "desc"`)
	return false
}

// verdict is all, any and none: the first result of an element that equals decisive settles it.
type verdict struct {
	decisive bool
	result   bool // when no element settles it
}

func (v *verdict) each(_ *machine, _ int64, _, r value) (bool, error) {
	if (r.num != 0) == v.decisive {
		v.result = !v.result
		return true, nil
	}
	return false, nil
}

func (v *verdict) end(*machine) (value, error) { return vBool(v.result), nil }

// counter is count and one.
type counter struct {
	n      int64
	number bool
}

func (c *counter) each(_ *machine, _ int64, _, r value) (bool, error) {
	ok, err := truth(r)
	if ok {
		c.n++
	}
	return !c.number && c.n > 1, err
}

func (c *counter) end(*machine) (value, error) {
	if c.number {
		return vInt(c.n), nil
	}
	return vBool(c.n == 1), nil
}

// keeper is filter.
type keeper struct{ items []value }

func (k *keeper) each(m *machine, _ int64, e, r value) (bool, error) {
	if r.num == 0 {
		return false, nil
	}
	k.items = append(k.items, e)
	return false, m.grow(valueBytes)
}

func (k *keeper) end(*machine) (value, error) { return newList(k.items), nil }

// mapper is map.
type mapper struct{ items []value }

func (k *mapper) each(m *machine, _ int64, _, r value) (bool, error) {
	k.items = append(k.items, r)
	return false, m.grow(valueBytes)
}

func (k *mapper) end(*machine) (value, error) { return newList(k.items), nil }

// finder is find and its like. Nothing found is nil, or -1 for an index.
type finder struct {
	last, index, found bool
	at                 int64
	element            value
}

func (f *finder) each(_ *machine, i int64, e, r value) (bool, error) {
	if r.num == 0 {
		return false, nil
	}
	f.found, f.at, f.element = true, i, e
	return !f.last, nil
}

func (f *finder) end(*machine) (value, error) {
	switch {
	case f.index && !f.found:
		return vInt(-1), nil
	case f.index:
		return vInt(f.at), nil
	}
	return f.element, nil
}

// summer is sum.
type summer struct{ total value }

func (s *summer) each(_ *machine, _ int64, _, r value) (bool, error) {
	if !r.is(mNumber) {
		return false, faultf("sum of %s", r.kind)
	}
	total, err := arithmetic("+", s.total, r)
	s.total = total
	return false, err
}

func (s *summer) end(*machine) (value, error) { return s.total, nil }

// grouper is groupBy: an object of arrays.
type grouper struct{ groups built }

func (g *grouper) each(m *machine, _ int64, e, r value) (bool, error) {
	if r.is(mArray | mObject | mNil) {
		return false, faultf("grouping by %s", r.kind)
	}
	name := string(appendPlain(nil, r))
	i, ok := g.groups.find(name)
	if !ok {
		g.groups.set(name, newList(nil))
		i = len(g.groups.items) - 1
	}
	group := g.groups.items[i].built
	group.items = append(group.items, e)
	return false, m.grow(valueBytes + len(name))
}

func (g *grouper) end(*machine) (value, error) { return value{kind: kMap, built: &g.groups}, nil }

// sorter is sortBy.
type sorter struct {
	desc        bool
	items, keys []value
}

func (s *sorter) each(m *machine, _ int64, e, r value) (bool, error) {
	s.items, s.keys = append(s.items, e), append(s.keys, r)
	return false, m.grow(2 * valueBytes)
}

func (s *sorter) end(m *machine) (value, error) {
	err := sortValues(m, s.items, s.keys, s.desc)
	return newList(s.items), err
}

// sortValues sorts items by keys, in place and stable. Keys that do not order are an
// error.
func sortValues(m *machine, items, keys []value, desc bool) error {
	by := &bySorting{m: m, items: items, keys: keys, desc: desc}
	if len(keys) == 1 { // which fails as two do
		by.Less(0, 0)
	}
	sort.Stable(by)
	return by.err
}

type bySorting struct {
	m           *machine
	items, keys []value
	desc        bool
	err         error
}

func (s *bySorting) Len() int { return len(s.items) }

func (s *bySorting) Swap(i, j int) {
	s.items[i], s.items[j] = s.items[j], s.items[i]
	s.keys[i], s.keys[j] = s.keys[j], s.keys[i]
}

func (s *bySorting) Less(i, j int) bool {
	if s.err != nil {
		return false
	}
	if s.err = s.m.step(0); s.err != nil {
		return false
	}
	c, ok, err := ordered(s.m, s.keys[i], s.keys[j])
	switch {
	case err != nil:
		s.err = err
	case !ok:
		s.err = faultf("sorting %s", kNil)
	}
	if s.desc {
		return c > 0
	}
	return c < 0
}
