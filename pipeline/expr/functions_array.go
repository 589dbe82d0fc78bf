package expr

import (
	"slices"
	"unicode/utf8"
)

var arrayFunctions = map[string]function{
	"first": {params: []mask{mArray}, least: 1, most: 1, kinds: mAny, call: func(m *machine, args []value) (value, error) { return element(m, args[0], 0) },
		manual: manual{usage: "first(array)", says: "the first element; nil of an empty array",
			examples: []Example{{`first(tags)`, `"new"`}, {`first([])`, `null`}}}},
	"last": {params: []mask{mArray}, least: 1, most: 1, kinds: mAny, call: func(m *machine, args []value) (value, error) { return element(m, args[0], -1) },
		manual: manual{usage: "last(array)", says: "the last element; nil of an empty array",
			examples: []Example{{`last(tags)`, `"eu"`}}}},
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
	"uniq": {params: []mask{mArray}, least: 1, most: 1, kinds: 1 << kList, call: union,
		manual: manual{usage: "uniq(array)", says: "the array with the first of equal elements",
			examples: []Example{{`uniq([1, 1.0, "1", 2])`, `[1,"1",2]`}}}},
	"append": {params: []mask{mArray, mAny}, least: 2, most: -1, kinds: 1 << kList, call: appended,
		manual: manual{usage: "append(array, value, ...)", says: "the array with the values behind its elements",
			examples: []Example{{`append(tags, "vip")`, `["new","eu","vip"]`}, {`append([], note, 1)`, `[null,1]`}}}},
	"toArray": {params: []mask{mAny}, least: 1, most: 1, kinds: mArray, call: toArray,
		manual: manual{usage: "toArray(value)", says: "an array as it is, and anything else as the only element of one; of nil an array without elements",
			examples: []Example{{`toArray(tags)`, `["new","eu"]`}, {`toArray(order.id)`, `["A-17"]`}, {`toArray(note)`, `[]`}}}},
	"range": {params: []mask{mInt}, least: 2, most: 3, kinds: 1 << kList, call: span,
		manual: manual{usage: "range(from, to, step?)", says: "an array of the integers from from to before to, in steps of step (1), which goes down when it is negative; at most 10,000. 1..3, of constants, includes its end",
			fails:    "step is 0, there are more than 10,000, or a number is beyond 64 bits",
			examples: []Example{{`range(0, len(items))`, `[0,1,2]`}, {`range(10, 0, -4)`, `[10,6,2]`}, {`range(2, 2)`, `[]`}, {`map(range(1, order.total > 100 ? 3 : 2), # * 10)`, `[10,20]`}, {`range(0, 5, order.total > 100 ? 0 : 1)`, `error: range: the step is 0`}}}},
	"chunk": {params: []mask{mArray | mString, mInt}, least: 2, most: 2, kinds: 1 << kList, call: chunk,
		manual: manual{usage: "chunk(value, n)", says: "the elements of an array in arrays of n, or the characters of a text in texts of n, the last with what is left", fails: "n is below 1",
			examples: []Example{{`chunk([1, 2, 3, 4, 5], 2)`, `[[1,2],[3,4],[5]]`}, {`chunk("Zürich", 4)`, `["Züri","ch"]`}, {`chunk(tags, 0)`, `error: at least 1 element`}}}},
	"zip": {params: []mask{mArray}, least: 2, most: -1, kinds: 1 << kList, call: zip,
		manual: manual{usage: "zip(array, array, ...)", says: "an array with the first elements, one with the second, and so on, as many as the shortest array has elements",
			examples: []Example{{`zip(["a", "b"], [1, 2])`, `[["a",1],["b",2]]`}, {`fromPairs(zip(map(items, .sku), map(items, .count)))`, `{"a1":2,"b2":1,"c3":3}`}}}},
	"union": {params: []mask{mArray}, least: 2, most: -1, kinds: 1 << kList, call: union,
		manual: manual{usage: "union(array, array, ...)", says: "the elements of all arrays, each once",
			examples: []Example{{`union(tags, ["eu", "vip"])`, `["new","eu","vip"]`}}}},
	"intersect": {params: []mask{mArray}, least: 2, most: -1, kinds: 1 << kList, call: intersect,
		manual: manual{usage: "intersect(array, array, ...)", says: "the elements of the first array that all others have too, each once",
			examples: []Example{{`intersect(tags, ["eu", "vip"])`, `["eu"]`}, {`intersect([1, 2, 2], [2.0])`, `[2]`}}}},
	"difference": {params: []mask{mArray}, least: 2, most: -1, kinds: 1 << kList, call: difference,
		manual: manual{usage: "difference(array, array, ...)", says: "the elements of the first array that none of the others has",
			examples: []Example{{`difference(tags, ["eu", "vip"])`, `["new"]`}}}},
	"compact": {params: []mask{mArray | mObject, mString}, least: 1, most: 2, kinds: 1<<kList | 1<<kMap, bind: bindCompact,
		manual: manual{usage: "compact(value, depth?)", says: "the array or the object without what is nil in it; with \"deep\" also without what is nil within its elements or members", fails: "it is nested deeper than 1,000 levels",
			examples: []Example{{`compact([1, nil, 2])`, `[1,2]`}, {`compact({"a": 1, "b": note})`, `{"a":1}`}, {`compact({"a": {"b": nil, "c": [nil, 1]}}, "deep")`, `{"a":{"c":[1]}}`}}}},
	"tally": {params: []mask{mArray}, least: 1, most: 1, kinds: 1 << kMap, call: tally,
		manual: manual{usage: "tally(array)", says: "an object with the number of times that each element is there; the element becomes the name", fails: "an element is nil, an array or an object",
			examples: []Example{{`tally(["a", "b", "a"])`, `{"a":2,"b":1}`}}}},
	"sort": {params: []mask{mArray, mString}, least: 1, most: 2, kinds: 1 << kList, bind: bindSort,
		manual: manual{usage: "sort(array, order?)", says: "the elements in order, which are all numbers or all texts; with \"desc\" the greatest first",
			fails:    "an element is missing, or two do not order",
			examples: []Example{{`sort([3, 1, 2])`, `[1,2,3]`}, {`sort(tags, "desc")`, `["new","eu"]`}, {`sort([1, note])`, `error: sorting a missing value`}}}},
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
			return m.limit("more than 1,000 levels")
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

// bindSort makes sort(array) and sort(array, "desc").
func bindSort(c *compiler, _ string, parts []code) caller {
	desc := len(parts) > 1 && c.descending(parts[1], parts[1].at)
	return func(m *machine, args []value) (value, error) {
		all, err := copied(m, args[0])
		if err != nil {
			return vNil, err
		}
		return newList(all), sortValues(m, all, slices.Clone(all), desc)
	}
}

func appended(m *machine, args []value) (value, error) {
	all, err := list(m, args[0])
	if err != nil {
		return vNil, err
	}
	if err := m.grow(valueBytes * (len(all) + len(args))); err != nil {
		return vNil, err
	}
	return newList(slices.Concat(all, args[1:])), nil
}

func toArray(m *machine, args []value) (value, error) {
	switch v := args[0]; {
	case v.is(mArray):
		return v, nil
	case v.kind == kNil:
		return newList(nil), nil
	default:
		return newList([]value{v}), m.grow(valueBytes)
	}
}

func chunk(m *machine, args []value) (value, error) {
	if args[1].kind != kInt {
		return vNil, errBig
	}
	if args[1].num < 1 {
		return vNil, fault("at least 1 element or character must be in a chunk")
	}
	if args[0].kind == kString {
		return chunkText(m, args[0], args[1].num)
	}
	all, err := list(m, args[0])
	if err != nil {
		return vNil, err
	}
	n := int(min(args[1].num, int64(max(len(all), 1))))
	if err := m.grow(2 * valueBytes * (len(all)/n + 1)); err != nil {
		return vNil, err
	}
	var out []value
	for part := range slices.Chunk(all, n) {
		out = append(out, newList(part))
	}
	return newList(out), nil
}

// chunkText is chunk of a text. A byte that is not UTF-8 is a character, as it is for len.
func chunkText(m *machine, v value, n int64) (value, error) {
	text, err := m.text(v)
	if err != nil {
		return vNil, err
	}
	if err := m.step(len(text) / 16); err != nil {
		return vNil, err
	}
	var out []value
	for len(text) > 0 {
		size := 0
		for i := int64(0); i < n && size < len(text); i++ {
			_, width := utf8.DecodeRune(text[size:])
			size += width
		}
		if err := m.grow(valueBytes); err != nil {
			return vNil, err
		}
		out, text = append(out, vText(text[:size:size])), text[size:]
	}
	return newList(out), nil
}

// maxSpan is how many integers range gives.
const maxSpan = 10_000

// span is range.
func span(m *machine, args []value) (value, error) {
	if err := allSmall(args); err != nil {
		return vNil, err
	}
	from, to, step := args[0].num, args[1].num, int64(1)
	if len(args) > 2 {
		step = args[2].num
	}
	// The distance, which may not fit an int64, and the width of a step, which may be that of the
	// least one.
	var distance, width uint64
	switch {
	case step == 0:
		return vNil, fault("the step is 0")
	case step > 0 && to > from:
		distance, width = uint64(to)-uint64(from), uint64(step)
	case step < 0 && to < from:
		distance, width = uint64(from)-uint64(to), -uint64(step)
	default:
		return newList(nil), nil
	}
	count := (distance-1)/width + 1
	if count > maxSpan {
		return vNil, m.limit("more than 10,000 integers")
	}
	if err := m.grow(valueBytes * int(count)); err != nil {
		return vNil, err
	}
	if err := m.step(int(count)); err != nil {
		return vNil, err
	}
	items := make([]value, count)
	for i := range items {
		items[i] = vInt(from + int64(i)*step)
	}
	return newList(items), nil
}

func zip(m *machine, args []value) (value, error) {
	lists := make([][]value, len(args))
	shortest := -1
	for i, a := range args {
		all, err := list(m, a)
		if err != nil {
			return vNil, err
		}
		if lists[i] = all; shortest < 0 || len(all) < shortest {
			shortest = len(all)
		}
	}
	if err := m.grow(valueBytes * shortest * (len(args) + 1)); err != nil {
		return vNil, err
	}
	out := make([]value, shortest)
	for i := range out {
		row := make([]value, len(lists))
		for j := range lists {
			row[j] = lists[j][i]
		}
		out[i] = newList(row)
	}
	return newList(out), nil
}

// bindCompact makes compact(value) and compact(value, "deep").
func bindCompact(c *compiler, name string, parts []code) caller {
	deep := len(parts) > 1
	if deep {
		if k := parts[1].constant; k == nil || string(k.text) != "deep" {
			c.fail(parts[1].at, "the depth of "+name+" must be \"deep\" or left out", "")
		}
	}
	return func(m *machine, args []value) (value, error) { return compacted(m, args[0], deep, 0) }
}

func compacted(m *machine, v value, deep bool, depth int) (value, error) {
	if depth > maxDepth {
		return vNil, m.limit("more than 1,000 levels")
	}
	items, names := []value(nil), []string(nil)
	if v.is(mObject) {
		o, err := object(m, v)
		if err != nil {
			return vNil, err
		}
		items, names = o.items, o.names
	} else {
		all, err := list(m, v)
		if err != nil {
			return vNil, err
		}
		items = all
	}
	if err := m.grow(valueBytes * len(items)); err != nil {
		return vNil, err
	}
	out := new(built)
	for i, item := range items {
		if item.kind == kNil {
			continue
		}
		if deep && item.is(mArray|mObject) {
			var err error
			if item, err = compacted(m, item, deep, depth+1); err != nil {
				return vNil, err
			}
		}
		if names != nil {
			out.set(names[i], item)
		} else {
			out.items = append(out.items, item)
		}
	}
	if v.is(mObject) {
		return newMap(out), nil
	}
	return newList(out.items), nil
}
