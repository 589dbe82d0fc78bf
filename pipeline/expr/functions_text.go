package expr

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

var textFunctions = map[string]function{
	"upper": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: onText(toUpper),
		manual: manual{usage: "upper(text)", says: "the text with its letters in upper case",
			examples: []Example{{`upper(customer.name)`, `"ADA LOVELACE"`}}}},
	"lower": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: onText(toLower),
		manual: manual{usage: "lower(text)", says: "the text with its letters in lower case",
			examples: []Example{{`lower(customer.mail)`, `"ada@example.org"`}}}},
	"trim": {params: []mask{mString}, least: 1, most: 2, kinds: mString, call: trimming(bytes.TrimSpace, trimSet),
		manual: manual{usage: "trim(text, characters?)", says: "the text without white space at both ends, or without these characters",
			examples: []Example{{`trim("  eu ")`, `"eu"`}, {`trim("--eu-", "-")`, `"eu"`}}}},
	"trimPrefix": {params: []mask{mString}, least: 2, most: 2, kinds: mString, call: trimming(nil, linear(bytes.TrimPrefix)),
		manual: manual{usage: "trimPrefix(text, prefix)", says: "the text without this prefix; without the prefix it stays as it is",
			examples: []Example{{`trimPrefix(order.id, "A-")`, `"17"`}, {`trimPrefix(order.id, "B-")`, `"A-17"`}}}},
	"trimSuffix": {params: []mask{mString}, least: 2, most: 2, kinds: mString, call: trimming(nil, linear(bytes.TrimSuffix)),
		manual: manual{usage: "trimSuffix(text, suffix)", says: "the text without this suffix; without the suffix it stays as it is",
			examples: []Example{{`trimSuffix("report.csv", ".csv")`, `"report"`}}}},
	"hasPrefix": {params: []mask{mString}, least: 2, most: 2, kinds: mBool, call: onPair(func(a, b []byte) value { return vBool(bytes.HasPrefix(a, b)) }),
		manual: manual{usage: "hasPrefix(text, prefix)", says: "whether the text begins with the prefix, as the operator startsWith does, but a missing text is an error",
			examples: []Example{{`hasPrefix(order.id, "A-")`, `true`}}}},
	"hasSuffix": {params: []mask{mString}, least: 2, most: 2, kinds: mBool, call: onPair(func(a, b []byte) value { return vBool(bytes.HasSuffix(a, b)) }),
		manual: manual{usage: "hasSuffix(text, suffix)", says: "whether the text ends with the suffix, as the operator endsWith does, but a missing text is an error",
			examples: []Example{{`hasSuffix(customer.mail, ".org")`, `true`}}}},
	"indexOf": {params: []mask{mString}, least: 2, most: 2, kinds: mInt, call: onPair(func(a, b []byte) value { return characterIndex(a, bytes.Index(a, b)) }),
		manual: manual{usage: "indexOf(text, part)", says: "the number of the character at which the part stands first, from 0; -1 when it does not",
			examples: []Example{{`indexOf("abcabc", "c")`, `2`}, {`indexOf("abc", "x")`, `-1`}}}},
	"lastIndexOf": {params: []mask{mString}, least: 2, most: 2, kinds: mInt, call: onPair(func(a, b []byte) value { return characterIndex(a, bytes.LastIndex(a, b)) }),
		manual: manual{usage: "lastIndexOf(text, part)", says: "the number of the character at which the part stands last, from 0; -1 when it does not",
			examples: []Example{{`lastIndexOf("abcabc", "c")`, `5`}}}},
	"replace": {params: []mask{mString, mString, mString, mInt}, least: 3, most: 4, kinds: mString, call: replace,
		manual: manual{usage: "replace(text, old, new, most?)", says: "the text with every old part replaced, or with at most so many",
			examples: []Example{{`replace(customer.name, " ", "_")`, `"Ada_Lovelace"`}, {`replace("aaa", "a", "b", 2)`, `"bba"`}}}},
	"split": {params: []mask{mString, mString, mInt}, least: 2, most: 3, kinds: 1 << kList, call: split,
		manual: manual{usage: "split(text, separator, most?)", says: "the parts between the separators; with a number at most so many, the last with the rest",
			examples: []Example{{`split("a,b,c", ",")`, `["a","b","c"]`}, {`split("a,b,c", ",", 2)`, `["a","b,c"]`}}}},
	"join": {params: []mask{mArray, mString}, least: 1, most: 2, kinds: mString, call: join,
		manual: manual{usage: "join(array, glue?)", says: "the texts of the array as one, with the glue between them", fails: "an element is no text",
			examples: []Example{{`join(tags, "-")`, `"new-eu"`}, {`join(map(items, .price))`, `error: element 0 is a number, not a string`}}}},
	"string": {params: []mask{mAny &^ mNil}, least: 1, most: 1, kinds: mString, call: toText,
		manual: manual{usage: "string(value)", says: "the value as text: a text itself, the JSON text of anything else; of a date and a duration without quotes",
			examples: []Example{{`string(order.total) + " EUR"`, `"129.50 EUR"`}, {`string(tags)`, `"[\"new\",\"eu\"]"`}, {`string(note)`, `error: string: argument 1 is missing`}}}},
	"toJSON": {params: []mask{mAny &^ mNil}, least: 1, most: 1, kinds: mString, call: toJSON,
		manual: manual{usage: "toJSON(value)", says: "the JSON text of the value",
			examples: []Example{{`toJSON(tags)`, `"[\"new\",\"eu\"]"`}, {`toJSON("a")`, `"\"a\""`}}}},
	"fromJSON": {params: []mask{mString}, least: 1, most: 1, kinds: mJSON, call: fromJSON,
		manual: manual{usage: "fromJSON(text)", says: "the value of which the text is the JSON", fails: "the text is not valid JSON",
			examples: []Example{{`fromJSON("{\"a\": [1.50]}").a[0]`, `1.50`}, {`fromJSON(order.id)`, `error: the text is not valid JSON`}}}},
	"len": {params: []mask{mString | mArray | mObject}, least: 1, most: 1, kinds: mInt, call: length,
		manual: manual{usage: "len(value)", says: "the number of characters of a text, of elements of an array, of members of an object",
			examples: []Example{{`len(customer.name)`, `12`}, {`len(items)`, `3`}, {`len({"a": 1})`, `1`}, {`len(note)`, `error: len: argument 1 is missing`}}}},
	"type": {params: []mask{mAny}, least: 1, most: 1, kinds: mString, call: typeOf,
		manual: manual{usage: "type(value)", says: "the type of the value: nil, bool, int, float, string, array, map, date or duration",
			examples: []Example{{`type(items)`, `"array"`}, {`type(order)`, `"map"`}, {`type(note)`, `"nil"`}}}},
}

// onText makes a function of one string from f, whose result is at most three times as long as
// its string: only the string's length is counted.
func onText(f func([]byte) []byte) func(*machine, []value) (value, error) {
	return func(m *machine, args []value) (value, error) {
		s, err := m.text(args[0])
		if err != nil {
			return vNil, err
		}
		if err := m.grow(len(s)); err != nil {
			return vNil, err
		}
		return vText(f(s)), m.step(len(s) / 8)
	}
}

// texts gives the characters of two strings.
func texts(m *machine, a, b value) (x, y []byte, err error) {
	if x, err = m.text(a); err != nil {
		return nil, nil, err
	}
	y, err = m.text(b)
	return x, y, err
}

func onPair(f func(a, b []byte) value) func(*machine, []value) (value, error) {
	return func(m *machine, args []value) (value, error) {
		a, b, err := texts(m, args[0], args[1])
		if err != nil {
			return vNil, err
		}
		return f(a, b), m.step(len(a) / 16)
	}
}

// trimming makes a function that gives a part of a string: with one argument, and with two.
func trimming(withOne func([]byte) []byte, withTwo func(m *machine, a, b []byte) (value, error)) func(*machine, []value) (value, error) {
	return func(m *machine, args []value) (value, error) {
		if len(args) == 1 {
			s, err := m.text(args[0])
			if err != nil {
				return vNil, err
			}
			return vText(withOne(s)), m.step(len(s) / 64)
		}
		a, b, err := texts(m, args[0], args[1])
		if err != nil {
			return vNil, err
		}
		if err := m.grow(len(b)); err != nil {
			return vNil, err
		}
		if err := m.step(len(a) / 16); err != nil {
			return vNil, err
		}
		return withTwo(m, a, b)
	}
}

// linear makes the second function of trimming of one whose work is linear in its string,
// which trimming counts.
func linear(f func(a, b []byte) []byte) func(*machine, []byte, []byte) (value, error) {
	return func(_ *machine, a, b []byte) (value, error) { return vText(f(a, b)), nil }
}

// trimSet cuts the characters of set off both ends of s.
func trimSet(m *machine, s, set []byte) (value, error) {
	if err := m.stepSet(s, set); err != nil {
		return vNil, err
	}
	return vText(bytes.Trim(s, string(set))), nil
}

// stepSet counts cutting the characters of set off s. In a set that is not ASCII every character
// of s is looked for from its start on.
func (m *machine) stepSet(s, set []byte) error {
	if slices.ContainsFunc(set, func(c byte) bool { return c >= utf8.RuneSelf }) {
		return m.step(len(s) / 64 * len(set))
	}
	return nil
}

// characterIndex turns a byte index into one of characters.
func characterIndex(s []byte, i int) value {
	if i < 0 {
		return vInt(-1)
	}
	return vInt(int64(utf8.RuneCount(s[:i])))
}

func replace(m *machine, args []value) (value, error) {
	s, old, err := texts(m, args[0], args[1])
	if err != nil {
		return vNil, err
	}
	by, err := m.text(args[2])
	if err != nil {
		return vNil, err
	}
	n, err := atMost(args, 3)
	if err != nil {
		return vNil, err
	}
	times := bytes.Count(s, old)
	if n >= 0 {
		times = min(times, n)
	}
	// A division, because the product of the two may not fit an int.
	if len(by) > 0 && times > maxResult/len(by) {
		return vNil, m.tooLarge()
	}
	if err := m.grow(max(len(s)+times*(len(by)-len(old)), 0)); err != nil {
		return vNil, err
	}
	return vText(bytes.Replace(s, old, by, n)), m.step(len(s) / 16)
}

// atMost reads an optional count; without one it is -1.
func atMost(args []value, i int) (int, error) {
	if len(args) <= i {
		return -1, nil
	}
	if args[i].kind != kInt {
		return 0, errBig
	}
	return int(max(-1, min(args[i].num, 1<<31))), nil
}

func split(m *machine, args []value) (value, error) {
	s, by, err := texts(m, args[0], args[1])
	if err != nil {
		return vNil, err
	}
	n, err := atMost(args, 2)
	if err != nil {
		return vNil, err
	}
	parts := bytes.Count(s, by) + 1
	if n >= 0 {
		parts = min(parts, n)
	}
	if err := m.grow(parts * (valueBytes + 24)); err != nil {
		return vNil, err
	}
	items := make([]value, 0, parts)
	for _, part := range bytes.SplitN(s, by, n) {
		items = append(items, vText(part))
	}
	return newList(items), m.step(len(s)/16 + parts)
}

func join(m *machine, args []value) (value, error) {
	var glue, out []byte
	if len(args) > 1 {
		var err error
		if glue, err = m.text(args[1]); err != nil {
			return vNil, err
		}
	}
	it := elements(m, args[0])
	for i := 0; ; i++ {
		e, ok, err := it.next()
		if err != nil {
			return vNil, err
		}
		if !ok {
			return vText(out), nil
		}
		if e.kind != kString {
			return vNil, faultf("element %d is %s, not a string", i, e.kind)
		}
		text, err := m.text(e)
		if err != nil {
			return vNil, err
		}
		if i > 0 {
			out = append(out, glue...)
		}
		if len(out)+len(text) > maxResult {
			return vNil, m.tooLarge()
		}
		out = append(out, text...)
		if err := m.grow(len(glue) + len(text)); err != nil {
			return vNil, err
		}
	}
}

func toText(m *machine, args []value) (value, error) {
	if v := args[0]; v.kind == kString {
		return v, nil
	}
	out, err := plainForm(m, nil, args[0])
	if err != nil {
		return vNil, err
	}
	return vText(out), m.grow(len(out))
}

func toJSON(m *machine, args []value) (value, error) {
	out, err := appendJSON(m, nil, args[0])
	if err != nil {
		return vNil, err
	}
	return vText(out), m.grow(len(out))
}

func fromJSON(m *machine, args []value) (value, error) {
	text, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	if err := m.step(len(text) / 8); err != nil {
		return vNil, err
	}
	if !json.Valid(text) {
		if jsontext.TooDeep(text) {
			return vNil, fault("the text is nested deeper than 10,000 levels")
		}
		return vNil, fault("the text is not valid JSON")
	}
	v, ok := parse(text)
	if !ok {
		return vNil, fault("the text is not valid JSON")
	}
	return v, nil
}

func length(m *machine, args []value) (value, error) {
	switch v := args[0]; v.kind {
	case kString:
		text, err := m.text(v)
		if err != nil {
			return vNil, err
		}
		return vInt(int64(utf8.RuneCount(text))), m.step(len(text) / 64)
	case kList, kMap:
		return vInt(int64(len(v.built.items))), nil
	case kObject:
		o, err := object(m, v)
		if err != nil {
			return vNil, err
		}
		return vInt(int64(len(o.items))), nil
	default:
		it, n := elements(m, v), int64(0)
		for ; ; n++ {
			if _, ok, err := it.next(); err != nil || !ok {
				return vInt(n), err
			}
		}
	}
}

func typeOf(_ *machine, args []value) (value, error) {
	name := "nil"
	switch v := args[0]; {
	case v.kind == kBool:
		name = "bool"
	case v.is(mInt):
		name = "int"
	case v.kind == kFloat:
		name = "float"
	case v.kind == kString:
		name = "string"
	case v.is(mArray):
		name = "array"
	case v.is(mObject):
		name = "map"
	case v.kind == kTime:
		name = "date"
	case v.kind == kDuration:
		name = "duration"
	}
	return vString(name), nil
}
