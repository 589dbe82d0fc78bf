package expr

import "unicode/utf8"

// An iterator goes through the elements of an array, of JSON text or built by the expression.
type iterator struct {
	m     *machine
	raw   walker
	built []value
	inRaw bool
}

func elements(m *machine, array value) iterator {
	if array.kind == kArray {
		return iterator{m: m, raw: walk(array.text), inRaw: true}
	}
	return iterator{m: m, built: array.built.items}
}

func (it *iterator) next() (v value, ok bool, err error) {
	if !it.inRaw {
		if len(it.built) == 0 {
			return vNil, false, nil
		}
		v, it.built = it.built[0], it.built[1:]
		return v, true, it.m.step(0)
	}
	text, ok := it.raw.value()
	if !ok {
		return vNil, false, nil
	}
	v, valid := parse(text)
	if !valid {
		return vNil, false, errText
	}
	return v, true, it.m.step(len(text) / 64)
}

// list gives all elements of an array.
func list(m *machine, array value) ([]value, error) {
	if array.kind == kList {
		return array.built.items, m.step(len(array.built.items) / 8)
	}
	var out []value
	it := elements(m, array)
	for {
		v, ok, err := it.next()
		if err != nil || !ok {
			return out, err
		}
		if len(out) == cap(out) {
			if err := m.grow(valueBytes * max(len(out), 4)); err != nil {
				return nil, err
			}
		}
		out = append(out, v)
	}
}

// valueBytes is what one element of a built array counts for.
const valueBytes = 64

// newList makes an array that the expression has built.
func newList(items []value) value { return value{kind: kList, built: &built{items: items}} }

// object gives the members of an object; of equal names the first.
func object(m *machine, v value) (*built, error) {
	if v.kind == kMap {
		return v.built, m.step(len(v.built.items) / 8)
	}
	out := new(built)
	for w := walk(v.text); ; {
		raw, text, ok := w.member()
		if !ok {
			return out, nil
		}
		if err := m.grow(valueBytes + len(raw)); err != nil {
			return nil, err
		}
		if err := m.step(len(text) / 64); err != nil {
			return nil, err
		}
		name := string(unescape(raw))
		if _, there := out.find(name); there {
			continue
		}
		item, valid := parse(text)
		if !valid {
			return nil, errText
		}
		out.set(name, item)
	}
}

// field reads a member of an object. Anything that has no members gives nil.
func field(m *machine, v value, name string) (value, bool, error) {
	switch v.kind {
	case kObject:
		if err := m.step(len(v.text) / 64); err != nil {
			return vNil, false, err
		}
		text, ok := member(v.text, name)
		if !ok {
			return vNil, false, nil
		}
		out, valid := parse(text)
		if !valid {
			return vNil, false, errText
		}
		return out, true, nil
	case kMap:
		if i, ok := v.built.find(name); ok {
			return v.built.items[i], true, m.step(0)
		}
	}
	return vNil, false, m.step(0)
}

// element reads an element of an array, or a character of a string. A negative index
// counts from the end; out of range is nil.
func element(m *machine, v value, i int64) (value, error) {
	switch v.kind {
	case kArray:
		if i < 0 { // two walks, and no array of all elements
			n, err := length(m, []value{v})
			if i += n.num; err != nil || i < 0 {
				return vNil, err
			}
		}
		for it := elements(m, v); ; i-- {
			e, ok, err := it.next()
			if err != nil || !ok || i == 0 {
				return e, err
			}
		}
	case kList:
		return at(v.built.items, i), m.step(0)
	case kString:
		part, err := sliceString(m, v, &i, nil, true)
		return part, err
	}
	return vNil, m.step(0)
}

func at(items []value, i int64) value {
	if i < 0 {
		i += int64(len(items))
	}
	if i < 0 || i >= int64(len(items)) {
		return vNil
	}
	return items[i]
}

// get is v[key] whatever v and key are.
func get(m *machine, v, key value) (value, error) {
	switch {
	case key.kind == kString && v.is(mObject):
		name, err := m.text(key)
		if err != nil {
			return vNil, err
		}
		out, _, err := field(m, v, string(name))
		return out, err
	case key.kind == kInt:
		return element(m, v, key.num)
	}
	return vNil, m.step(0)
}

// bounds turns from and to, counted from the end when negative, into a range of n.
func bounds(from, to *int64, n int) (int, int) {
	clamp := func(p *int64, missing int) int {
		if p == nil {
			return missing
		}
		i := *p
		if i < 0 {
			i += int64(n)
		}
		return int(max(0, min(i, int64(n))))
	}
	a, b := clamp(from, 0), clamp(to, n)
	return min(a, b), b
}

// slice is v[from:to] of an array or of the characters of a string.
func slice(m *machine, v value, from, to *int64) (value, error) {
	switch {
	case v.kind == kNil:
		return vNil, nil
	case v.is(mArray):
		all, err := list(m, v)
		if err != nil {
			return vNil, err
		}
		a, b := bounds(from, to, len(all))
		return newList(all[a:b:b]), nil
	case v.kind == kString:
		return sliceString(m, v, from, to, false)
	}
	return vNil, faultf("cutting %s with [:]", v.kind)
}

func sliceString(m *machine, v value, from, to *int64, single bool) (value, error) {
	text, err := m.text(v)
	if err != nil {
		return vNil, err
	}
	if err := m.step(len(text) / 16); err != nil {
		return vNil, err
	}
	n := utf8.RuneCount(text)
	if single {
		i := *from
		if i < 0 {
			i += int64(n)
		}
		if i < 0 || i >= int64(n) {
			return vNil, nil
		}
		next := i + 1
		from, to = &i, &next
	}
	a, b := bounds(from, to, n)
	start, end, count := len(text), len(text), 0
	for i := range string(text) {
		if count == a {
			start = i
		}
		if count == b {
			end = i
			break
		}
		count++
	}
	return vText(text[min(start, end):end]), nil
}
