package bounded

import (
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// This file reads and sets what stands at a place: an element, a member, a part, a field.

// index gives x[y].
func (r *Run) index(x, y starlark.Value) (starlark.Value, error) {
	switch x := x.(type) {
	case starlark.Mapping:
		if err := r.key(y); err != nil {
			return nil, err
		}
		if err := r.find(x, y); err != nil {
			return nil, err
		}
		v, found, err := x.Get(y)
		if err == nil && !found {
			err = &saying{what: "a key is not in the " + x.Type(), quoted: "key " + shown(y) + " not in " + x.Type()}
		}
		return v, err
	case starlark.Indexable:
		i, err := at(x, y)
		if err != nil {
			return nil, err
		}
		return x.Index(i), nil
	}
	return nil, say("unhandled index operation %s[%s]", x.Type(), y.Type())
}

// shown quotes a key that is a short text.
func shown(v starlark.Value) string {
	switch v := v.(type) {
	case starlark.String:
		if len(v) < 200 {
			return v.String()
		}
	case starlark.Int:
		return v.String()
	}
	return "of type " + v.Type()
}

// at gives the index y of an element of x.
func at(x starlark.Indexable, y starlark.Value) (int, error) {
	i, err := starlark.AsInt32(y)
	if err != nil {
		return 0, say("%s index: got %s, want int", x.Type(), y.Type())
	}
	n := x.Len()
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return 0, say("an index is out of range: the %s has %d elements", x.Type(), n)
	}
	return i, nil
}

// setIndex sets x[y] to z.
func (r *Run) setIndex(x, y, z starlark.Value) error {
	switch x := x.(type) {
	case starlark.HasSetKey:
		if err := r.key(y); err != nil {
			return err
		}
		if err := r.Take(bytesEntry); err != nil {
			return err
		}
		r.changed = true
		if d, ok := x.(*starlark.Dict); ok {
			return r.SetKey(d, y, z)
		}
		return x.SetKey(y, z)
	case starlark.HasSetIndex:
		i, err := at(x, y)
		if err != nil {
			return err
		}
		r.changed = true
		return x.SetIndex(i, z)
	}
	return say("%s value does not support item assignment", x.Type())
}

// slice gives x[lo:hi:step].
func (r *Run) slice(x, lo, hi, step starlark.Value) (starlark.Value, error) {
	s, ok := x.(starlark.Sliceable)
	if !ok {
		return nil, say("invalid slice operand %s", x.Type())
	}
	n, by := s.Len(), 1
	if step != starlark.None {
		var err error
		if by, err = starlark.AsInt32(step); err != nil {
			return nil, say("invalid slice step: got %s, want int", step.Type())
		}
		if by == 0 {
			return nil, say("zero is not a valid slice step")
		}
	}
	from, to := 0, n
	if by < 0 {
		from, to = n-1, -1
	}
	from, err := bound("start", lo, from, n, by)
	if err != nil {
		return nil, err
	}
	if to, err = bound("end", hi, to, n, by); err != nil {
		return nil, err
	}
	count := 0
	switch {
	case by > 0 && to > from:
		count = (to-from-1)/by + 1
	case by < 0 && to < from:
		count = (from-to-1)/-by + 1
	}
	switch x.(type) {
	case starlark.String, starlark.Bytes:
		size := int64(bytesSmall) // the bytes are those of the text
		if by != 1 {
			size += 6 * int64(count) // it is made in a buffer that grows
		}
		err = r.both(size)
	default:
		err = r.elements(int64(count), bytesSlot)
	}
	if err != nil {
		return nil, err
	}
	if by > 0 && to < from {
		to = from
	}
	v := s.Slice(from, to, by)
	if t, ok := v.(starlark.Tuple); ok {
		return t, r.tuple(t)
	}
	return v, nil
}

// bound gives one end of a slice, clipped to what there is.
func bound(what string, v starlark.Value, otherwise, n, by int) (int, error) {
	if v == starlark.None {
		return otherwise, nil
	}
	big, ok := v.(starlark.Int)
	if !ok {
		return 0, say("invalid %s index: got %s, want int", what, v.Type())
	}
	least, most := 0, n
	if by < 0 {
		least, most = -1, n-1
	}
	i, fits := big.Int64()
	switch {
	case !fits && big.Sign() < 0, fits && i < -int64(n):
		return least, nil
	case !fits || i > int64(n):
		return most, nil
	}
	if i < 0 {
		i += int64(n)
	}
	return min(max(int(i), least), most), nil
}

// A place is where x[i] op= v, or x.f op= v, puts what comes of it.
type place struct {
	starlark.Value // what stands there
	of             starlark.Value
	index          starlark.Value
	field          string
}

// Hash implements starlark.Value. No place comes to where it is asked for.
func (p *place) Hash() (uint32, error) { return 0, say("unhashable: place") }

func (r *Run) put(p *place, op string, v starlark.Value) error {
	z, err := r.inPlace(inPlaceOps[op], p.Value, v)
	if err != nil {
		return err
	}
	if p.index != nil {
		return r.setIndex(p.of, p.index, z)
	}
	s, ok := p.of.(starlark.HasSetField)
	if !ok {
		return say("can't assign to .%s field of %s", p.field, p.of.Type())
	}
	return s.SetField(p.field, z)
}

var inPlaceOps = map[string]syntax.Token{
	"+=": syntax.PLUS, "-=": syntax.MINUS, "*=": syntax.STAR, "/=": syntax.SLASH, "//=": syntax.SLASHSLASH, "%=": syntax.PERCENT,
	"&=": syntax.AMP, "|=": syntax.PIPE, "^=": syntax.CIRCUMFLEX, "<<=": syntax.LTLT, ">>=": syntax.GTGT,
}
