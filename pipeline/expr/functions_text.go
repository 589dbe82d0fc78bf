package expr

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf8"
)

var textFunctions = map[string]function{
	"upper":       {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: onText(toUpper)},
	"lower":       {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: onText(toLower)},
	"trim":        {params: []mask{mString}, least: 1, most: 2, kinds: mString, call: trimming(bytes.TrimSpace, trimSet)},
	"trimPrefix":  {params: []mask{mString}, least: 2, most: 2, kinds: mString, call: trimming(nil, linear(bytes.TrimPrefix))},
	"trimSuffix":  {params: []mask{mString}, least: 2, most: 2, kinds: mString, call: trimming(nil, linear(bytes.TrimSuffix))},
	"hasPrefix":   {params: []mask{mString}, least: 2, most: 2, kinds: mBool, call: onPair(func(a, b []byte) value { return vBool(bytes.HasPrefix(a, b)) })},
	"hasSuffix":   {params: []mask{mString}, least: 2, most: 2, kinds: mBool, call: onPair(func(a, b []byte) value { return vBool(bytes.HasSuffix(a, b)) })},
	"indexOf":     {params: []mask{mString}, least: 2, most: 2, kinds: mInt, call: onPair(func(a, b []byte) value { return characterIndex(a, bytes.Index(a, b)) })},
	"lastIndexOf": {params: []mask{mString}, least: 2, most: 2, kinds: mInt, call: onPair(func(a, b []byte) value { return characterIndex(a, bytes.LastIndex(a, b)) })},
	"replace":     {params: []mask{mString, mString, mString, mInt}, least: 3, most: 4, kinds: mString, call: replace},
	"split":       {params: []mask{mString, mString, mInt}, least: 2, most: 3, kinds: 1 << kList, call: split},
	"join":        {params: []mask{mArray, mString}, least: 1, most: 2, kinds: mString, call: join},
	"string":      {params: []mask{mAny &^ mNil}, least: 1, most: 1, kinds: mString, call: toText},
	"toJSON":      {params: []mask{mAny &^ mNil}, least: 1, most: 1, kinds: mString, call: toJSON},
	"fromJSON":    {params: []mask{mString}, least: 1, most: 1, kinds: mJSON, call: fromJSON},
	"len":         {params: []mask{mString | mArray | mObject}, least: 1, most: 1, kinds: mInt, call: length},
	"type":        {params: []mask{mAny}, least: 1, most: 1, kinds: mString, call: typeOf},
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
		return vNil, errResult
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
			return vNil, faultf("element %d is %s, not a string", i, e.kind.name())
		}
		text, err := m.text(e)
		if err != nil {
			return vNil, err
		}
		if i > 0 {
			out = append(out, glue...)
		}
		if len(out)+len(text) > maxResult {
			return vNil, errResult
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
