package expr

import "bytes"

// ordered orders a against b. ok is false when one of them is nil: no ordering holds
// then.
func ordered(m *machine, a, b value) (c int, ok bool, err error) {
	switch {
	case a.kind == kNil || b.kind == kNil:
		return 0, false, nil
	case a.is(mNumber) && b.is(mNumber):
		c, err = compareNumbers(a, b)
	case a.kind == kString && b.kind == kString:
		var x, y []byte
		if x, err = m.text(a); err != nil {
			return 0, false, err
		}
		if y, err = m.text(b); err != nil {
			return 0, false, err
		}
		if err = m.step(min(len(x), len(y)) / 64); err != nil {
			return 0, false, err
		}
		c = bytes.Compare(x, y)
	case a.kind == b.kind && a.is(mTime|mDuration):
		c = order(a.num, b.num)
	default:
		err = faultf("ordering %s against %s", a.kind, b.kind)
	}
	return c, err == nil, err
}

// equal says whether a and b are the same JSON value. Values of different types are
// not; numbers are compared by what they stand for.
func equal(m *machine, a, b value) (bool, error) {
	if err := m.step(0); err != nil {
		return false, err
	}
	switch {
	case a.is(mNumber) && b.is(mNumber):
		c, err := compareNumbers(a, b)
		return c == 0, err
	case a.kind == kString && b.kind == kString:
		return equalText(m, a, b)
	case a.is(mArray) && b.is(mArray):
		return equalArrays(m, a, b)
	case a.is(mObject) && b.is(mObject):
		return equalObjects(m, a, b)
	case a.kind != b.kind:
		return false, nil
	}
	return a.num == b.num, nil
}

func equalText(m *machine, a, b value) (bool, error) {
	if a.form != escaped && b.form != escaped {
		return bytes.Equal(a.text, b.text), m.step(min(len(a.text), len(b.text)) / 64)
	}
	x, err := m.text(a)
	if err != nil {
		return false, err
	}
	y, err := m.text(b)
	return bytes.Equal(x, y), err
}

func equalArrays(m *machine, a, b value) (bool, error) {
	x, y := elements(m, a), elements(m, b)
	for {
		p, okP, err := x.next()
		if err != nil {
			return false, err
		}
		q, okQ, err := y.next()
		if err != nil {
			return false, err
		}
		if !okP || !okQ {
			return okP == okQ, nil
		}
		if same, err := equal(m, p, q); err != nil || !same {
			return false, err
		}
	}
}

func equalObjects(m *machine, a, b value) (bool, error) {
	x, err := object(m, a)
	if err != nil {
		return false, err
	}
	y, err := object(m, b)
	if err != nil || len(x.names) != len(y.names) {
		return false, err
	}
	for i, name := range x.names {
		j, ok := y.find(name)
		if !ok {
			return false, nil
		}
		if same, err := equal(m, x.items[i], y.items[j]); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// contained is the operator in: an element of an array, or a field name of an object.
func contained(m *machine, v, in value) (bool, error) {
	switch {
	case in.kind == kNil:
		return false, nil
	case in.is(mArray):
		it := elements(m, in)
		for {
			e, ok, err := it.next()
			if err != nil || !ok {
				return false, err
			}
			if same, err := equal(m, v, e); err != nil || same {
				return same, err
			}
		}
	case in.is(mObject):
		if v.kind != kString {
			return false, nil
		}
		name, err := m.text(v)
		if err != nil {
			return false, err
		}
		_, ok, err := field(m, in, string(name))
		return ok, err
	}
	return false, faultf("in needs an array or an object behind it, not %s", in.kind)
}
