package expr

import (
	"strings"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

var objectFunctions = map[string]function{
	"get": {params: []mask{mAny, mString | mInt, mAny}, least: 2, most: 3, kinds: mAny, compile: (*compiler).get,
		manual: manual{usage: "get(value, path, default?)", says: "what the path leads to, or the element of that number; nil, or the default, when there is nothing, and of a missing value. With `[*]` or `*` in the path it is an array of all that is there. A name that has a dot in it, or comes from the record, is value[name]",
			fails: "the path is none",
			examples: []Example{{`get(customer, "address.city")`, `"London"`}, {`get(items, "[0].sku")`, `"a1"`}, {`get(items, "[*].sku")`, `["a1","b2","c3"]`},
				{`get(tags, -1)`, `"eu"`}, {`get(customer, "phone", "none")`, `"none"`}, {`get(note, "id")`, `null`}, {`get(order, "a..b")`, `error: empty`}}}},
	"with": {params: []mask{mObject | mArray, mString, mAny}, least: 3, most: 3, kinds: mObject | mArray, bind: onPaths(1, 1, with),
		manual: manual{usage: "with(value, path, new)", says: "the object with another value at the path. Objects that are missing on the way are made, elements are not; with `[*]` or `*` each place that is there is set",
			fails: "something on the way is no object or no array, or has no such element",
			examples: []Example{{`with(customer.address, "zip", "N2")`, `{"city": "London", "zip": "N2"}`}, {`with({"a": 1}, "b.c", 2)`, `{"a":1,"b":{"c":2}}`},
				{`with(order, "id.part", 1)`, `error: is no object`}}}},
	"without": {params: []mask{mObject | mArray, mString}, least: 2, most: -1, kinds: mObject | mArray, bind: onPaths(1, -1, without),
		manual: manual{usage: "without(value, path, ...)", says: "the object without what the paths lead to; what is not there is no error",
			examples: []Example{{`without(order, "paid")`, `{"id": "A-17", "total": 129.50}`}, {`without(items[0:1], "[*].sku", "[*].count")`, `[{"price":5}]`}}}},
	"pick": {params: []mask{mObject | mArray, mString}, least: 2, most: -1, kinds: mObject | mArray, bind: onPaths(1, -1, pick),
		manual: manual{usage: "pick(value, path, ...)", says: "the object with what the paths lead to and nothing else; what is not there is no error",
			examples: []Example{{`pick(order, "id", "note")`, `{"id":"A-17"}`}, {`pick(customer, "name", "address.city")`, `{"name":"Ada Lovelace","address":{"city":"London"}}`},
				{`pick(items, "[*].sku")`, `[{"sku":"a1"},{"sku":"b2"},{"sku":"c3"}]`}}}},
	"merge": {params: []mask{mObject | mArray}, least: 1, most: -1, kinds: 1 << kMap, call: merging(false),
		manual: manual{usage: "merge(object, ...)", says: "an object with the members of all objects, and of those in arrays; of a name that several have the last counts", fails: "an element of an array is no object",
			examples: []Example{{`merge({"a": 1, "b": {"c": 2}}, {"b": {"d": 3}})`, `{"a":1,"b":{"d":3}}`}, {`merge(order, {"paid": false}).paid`, `false`}, {`merge([{"a": 1}, {"b": 2}])`, `{"a":1,"b":2}`}, {`merge(tags)`, `error: element 0 is a string, not an object`}}}},
	"mergeDeep": {params: []mask{mObject | mArray}, least: 1, most: -1, kinds: 1 << kMap, call: merging(true),
		manual: manual{usage: "mergeDeep(object, ...)", says: "as merge, but what are objects in both are merged too", fails: "an element of an array is no object, or the objects are nested deeper than 1,000 levels",
			examples: []Example{{`mergeDeep({"a": 1, "b": {"c": 2}}, {"b": {"d": 3}})`, `{"a":1,"b":{"c":2,"d":3}}`}}}},
	"explode": {params: []mask{mObject | mArray, mString}, least: 2, most: 2, kinds: 1 << kList, bind: onPaths(1, 1, explode),
		manual: manual{usage: "explode(value, path)", says: "an array with the value once for each element of the array at the path, in whose place the element stands", fails: "there is no array at the path, or it leads to many",
			examples: []Example{{`explode({"id": 1, "tags": tags}, "tags")`, `[{"id":1,"tags":"new"},{"id":1,"tags":"eu"}]`}, {`explode(order, "id")`, `error: there is no array at the path`}}}},
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
	"flattenKeys": {params: []mask{mObject, mString}, least: 1, most: 2, kinds: 1 << kMap, call: flattenKeys,
		manual: manual{usage: "flattenKeys(object, separator?)", says: "the object with the members of the objects within it, whose names are joined by a dot or the separator; arrays and empty objects stay as they are",
			fails:    "the objects are nested deeper than 1,000 levels",
			examples: []Example{{`flattenKeys({"a": {"b": 1, "c": {"d": 2}}})`, `{"a.b":1,"a.c.d":2}`}, {`flattenKeys(customer.address, "_")`, `{"city":"London","zip":"N1"}`}, {`flattenKeys({"a": {"b": tags}}, "_")`, `{"a_b":["new","eu"]}`}}}},
	"nestKeys": {params: []mask{mObject, mString}, least: 1, most: 2, kinds: 1 << kMap, call: nestKeys,
		manual: manual{usage: "nestKeys(object, separator?)", says: "the reverse of flattenKeys: objects within objects for names that hold a dot or the separator",
			fails:    "a name leads into a member that is no object, the separator is empty, or a name has more than 1,000 levels",
			examples: []Example{{`nestKeys({"a.b": 1, "a.c.d": 2})`, `{"a":{"b":1,"c":{"d":2}}}`}, {`nestKeys({"a_b": 1, "a_c": 2}, "_")`, `{"a":{"b":1,"c":2}}`}, {`nestKeys({"a": 1, "a.b": 2})`, `error: a name leads into a member that is no object`}}}},
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
			return newMap(out), nil
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

// newMap makes an object that the expression has built.
func newMap(of *built) value { return value{kind: kMap, built: of} }

// merging is merge, and mergeDeep when deep is set.
func merging(deep bool) func(*machine, []value) (value, error) {
	return func(m *machine, args []value) (value, error) {
		out := new(built)
		for _, a := range args {
			if a.is(mObject) {
				if err := mergeInto(m, out, a, deep, 0); err != nil {
					return vNil, err
				}
				continue
			}
			it := elements(m, a)
			for i := 0; ; i++ {
				e, ok, err := it.next()
				if err == nil && ok && !e.is(mObject) {
					err = faultf("element %d is %s, not an object", i, e.kind)
				}
				if err == nil && ok {
					err = mergeInto(m, out, e, deep, 0)
				}
				if err != nil {
					return vNil, err
				}
				if !ok {
					break
				}
			}
		}
		return newMap(out), nil
	}
}

// explode gives the first argument once for each element at the path.
func explode(m *machine, args []value, paths []jsontext.Path) (value, error) {
	if paths[1].Many() {
		return vNil, fault("the path leads to many")
	}
	at, err := lead(m, args[0], paths[1])
	if err != nil {
		return vNil, err
	}
	if !at.is(mArray) {
		return vNil, fault("there is no array at the path")
	}
	var out []value
	for it := elements(m, at); ; {
		e, ok, err := it.next()
		if err != nil || !ok {
			return newList(out), err
		}
		one, err := put(m, args[0], paths[1], e)
		if err == nil {
			err = m.grow(valueBytes)
		}
		if err != nil {
			return vNil, err
		}
		out = append(out, one)
	}
}

// mergeInto sets the members of v in out, which nobody else has.
func mergeInto(m *machine, out *built, v value, deep bool, depth int) error {
	if depth > maxDepth {
		return m.limit("more than 1,000 levels")
	}
	o, err := object(m, v)
	if err != nil {
		return err
	}
	if err := m.grow(valueBytes * len(o.items)); err != nil {
		return err
	}
	for i, name := range o.names {
		item := o.items[i]
		if j, there := out.find(name); there && deep && item.is(mObject) && out.items[j].is(mObject) {
			both, err := copiedMap(m, out.items[j])
			if err == nil {
				err = mergeInto(m, both, item, deep, depth+1)
			}
			if err != nil {
				return err
			}
			item = newMap(both)
		}
		out.set(name, item)
	}
	return nil
}

// between gives what stands between the names of flattenKeys and nestKeys.
func between(m *machine, args []value) (string, error) {
	if len(args) < 2 {
		return ".", nil
	}
	text, err := m.text(args[1])
	return string(text), err
}

func flattenKeys(m *machine, args []value) (value, error) {
	by, err := between(m, args)
	if err != nil {
		return vNil, err
	}
	out := new(built)
	var add func(prefix string, v value, depth int) error
	add = func(prefix string, v value, depth int) error {
		if depth > maxDepth {
			return m.limit("more than 1,000 levels")
		}
		o, err := object(m, v)
		if err != nil {
			return err
		}
		for i, name := range o.names {
			item := o.items[i]
			if err := m.grow(valueBytes + len(prefix) + len(name) + len(by)); err != nil {
				return err
			}
			if item.is(mObject) {
				inner, err := object(m, item)
				if err != nil {
					return err
				}
				if len(inner.items) > 0 {
					if err := add(prefix+name+by, newMap(inner), depth+1); err != nil {
						return err
					}
					continue
				}
			}
			out.set(prefix+name, item)
		}
		return nil
	}
	return newMap(out), add("", args[0], 0)
}

func nestKeys(m *machine, args []value) (value, error) {
	by, err := between(m, args)
	if err != nil {
		return vNil, err
	}
	if by == "" {
		return vNil, fault("an empty separator")
	}
	o, err := object(m, args[0])
	if err != nil {
		return vNil, err
	}
	out, made := new(built), map[*built]bool{}
	for i, name := range o.names {
		names := strings.Split(name, by)
		if len(names) > maxDepth {
			return vNil, m.limit("more than 1,000 levels")
		}
		if err := m.grow(valueBytes*len(names) + len(name)); err != nil {
			return vNil, err
		}
		at := out
		for _, n := range names[:len(names)-1] {
			j, there := at.find(n)
			if !there {
				within := new(built)
				made[within] = true
				at.set(n, newMap(within))
				at = within
				continue
			}
			if at = at.items[j].built; at == nil || !made[at] {
				return vNil, fault("a name leads into a member that is no object")
			}
		}
		last := names[len(names)-1]
		if _, there := at.find(last); there {
			return vNil, fault("a name leads into a member that is no object")
		}
		at.set(last, o.items[i])
	}
	return newMap(out), nil
}
