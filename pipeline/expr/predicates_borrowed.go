package expr

import (
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser/lexer"
)

// borrowedPredicates are predicates that the parser does not know, which have the name of one that
// it does while it reads them: see borrowed.
var borrowedPredicates = map[string]predicateFunction{
	"mapValues": {can: 1 << kMap, member: func(_ *machine, out *built, name string, _, r value) error {
		out.set(name, r)
		return nil
	},
		manual: manual{usage: "mapValues(object, expression)", says: "the object with what the expression gives for each member: `#` is its value, `#key` its name", fails: "the object is missing",
			examples: []Example{{`mapValues({"a": 1, "b": 2}, # * 10)`, `{"a":10,"b":20}`}, {`mapValues(customer.address, #key + "=" + #)`, `{"city":"city=London","zip":"zip=N1"}`}}}},
	"mapKeys": {can: 1 << kMap, member: func(m *machine, out *built, _ string, item, r value) error {
		if r.kind != kString {
			return faultf("a name is %s, not a string", r.kind)
		}
		name, err := m.text(r)
		out.set(string(name), item)
		return err
	},
		manual: manual{usage: "mapKeys(object, expression)", says: "the object with the name that the expression gives for each member: `#key` is its name, `#` its value; of equal names the last counts",
			fails:    "the object is missing, or the expression gives no text",
			examples: []Example{{`mapKeys(customer.address, upper(#key))`, `{"CITY":"London","ZIP":"N1"}`}, {`mapKeys({"a": 1}, #)`, `error: a name is a number, not a string`}}}},
	"filterValues": {truth: true, can: 1 << kMap, member: func(_ *machine, out *built, name string, item, r value) error {
		if r.num != 0 {
			out.set(name, item)
		}
		return nil
	},
		manual: manual{usage: "filterValues(object, condition)", says: "the object with the members for which the condition holds: `#` is the value, `#key` the name", fails: "the object is missing, or the condition gives neither true, false nor nil",
			examples: []Example{{`filterValues({"a": 1, "b": 20}, # > 10)`, `{"b":20}`}, {`filterValues(customer.address, #key != "zip")`, `{"city":"London"}`}}}},
	"uniqBy": {can: 1 << kList, open: func() collector { return new(firsts) },
		manual: manual{usage: "uniqBy(array, expression)", says: "the array with the first of the elements for which the expression gives the same", fails: "the array is missing",
			examples: []Example{{`map(uniqBy(items, .count > 1), .sku)`, `["a1","b2"]`}}}},
}

// A memberCollector adds to out what comes of one member: item is its value and r what the
// predicate gives.
type memberCollector func(m *machine, out *built, name string, item, r value) error

// borrowed gives text with the name of each predicate that the parser does not know replaced by
// that of one that it reads the same way, with spaces behind: every place stays where it is. What
// was called is found again in the text; see called.
func borrowed(text string) string {
	if !namesBorrowed(text) {
		return text
	}
	tokens, err := lexer.Lex(file.NewSource(text))
	if err != nil {
		return text // the parser says why
	}
	out := []byte(text)
	for i, t := range tokens {
		_, known := borrowedPredicates[t.Value]
		if !known || t.Kind != lexer.Identifier || i+1 == len(tokens) || !tokens[i+1].Is(lexer.Bracket, "(") {
			continue
		}
		if i > 0 && (tokens[i-1].Is(lexer.Operator, ".") || tokens[i-1].Is(lexer.Operator, "?.")) {
			continue // a method, which no value has
		}
		from := column(text, t.From) - 1
		copy(out[from:], "map"+strings.Repeat(" ", len(t.Value)-len("map")))
	}
	return string(out)
}

func namesBorrowed(text string) bool {
	for name := range borrowedPredicates {
		if strings.Contains(text, name) {
			return true
		}
	}
	return false
}

// called gives the name of the function that n calls as it stands in the text, of which borrowed
// was parsed.
func called(text string, n *ast.BuiltinNode) string {
	if n.Name == "map" {
		rest := text[column(text, n.Location().From)-1:]
		for name := range borrowedPredicates {
			if strings.HasPrefix(rest, name) {
				return name
			}
		}
	}
	return n.Name
}

// collectMembers evaluates a predicate for each member of an object.
func collectMembers(m *machine, name string, v value, at scope, result eval, add memberCollector) (value, error) {
	if v.kind == kNil {
		return vNil, ofNil{fault(name + " of a missing object")}
	}
	if !v.is(mObject) {
		return vNil, faultf("%s of %s, not an object", name, v.kind)
	}
	o, err := object(m, v)
	if err != nil {
		return vNil, err
	}
	if err := m.grow(valueBytes * len(o.items)); err != nil {
		return vNil, err
	}
	out := new(built)
	for i, key := range o.names {
		if err := m.step(at.cost); err != nil {
			return vNil, err
		}
		m.vars[at.element], m.vars[at.index], m.vars[at.key] = o.items[i], vInt(int64(i)), vString(key)
		r, err := result(m)
		if err == nil {
			err = add(m, out, key, o.items[i], r)
		}
		if err != nil {
			return vNil, err
		}
	}
	return newMap(out), nil
}

// firsts is uniqBy.
type firsts struct {
	set   *valueSet
	items []value
}

func (f *firsts) each(m *machine, _ int64, e, r value) (bool, error) {
	if f.set == nil {
		f.set = newSet(m)
	}
	fresh, err := f.set.add(r)
	if fresh {
		f.items = append(f.items, e)
	}
	return false, err
}

func (f *firsts) end(*machine) (value, error) { return newList(f.items), nil }
