package bounded

import (
	"math"
	"strings"

	"go.starlark.net/starlark"
)

var errDeep = say("a value is nested deeper than %d, or holds itself", MaxDepth)

// weight is how many bytes a value has at most when it is printed, and more than as many as must be looked at to compare or hash it.
// What stands in several places counts as often. When it is above most, more is given, and nothing further is looked at.
func weight(v starlark.Value, most int64) (int64, error) {
	w := weigher{left: most}
	err := w.add(v, 0)
	return most - w.left, err
}

// weight is that of a value which is about to be printed. One that is more than the run has left ends it.
func (r *Run) weight(v starlark.Value) (int64, error) {
	most := min(r.left(), r.stepsLeft()*64)
	w, err := weight(v, most)
	if err == nil && w > most {
		r.stopped = ErrMemory
		if most < r.left() {
			r.stopped = ErrSteps
		}
		err = r.stopped
	}
	return w, err
}

// bytesWalked is what a list, a tuple or a dict weighs beside what is in it: to walk through many small ones takes longer than to print them.
const bytesWalked = 32

type weigher struct {
	left   int64
	tuples bool // of what stands in tuples alone: what hashing goes through
}

func (w *weigher) add(v starlark.Value, depth int) error {
	if depth > MaxDepth {
		return errDeep
	}
	switch v := v.(type) {
	case starlark.String:
		w.left -= 4*int64(len(v)) + 2 // \x00
	case starlark.Bytes:
		w.left -= 4*int64(len(v)) + 3
	case starlark.Int:
		w.left -= 24
		if _, small := v.Int64(); !small {
			w.left -= int64(v.BigInt().BitLen()) / 3
		}
	case starlark.Tuple:
		return w.all(len(v), depth, v.Index)
	case *starlark.List:
		if !w.tuples {
			return w.all(v.Len(), depth, v.Index)
		}
		w.left -= 24
	case *starlark.Dict:
		return w.entries(v, depth)
	case *starlark.Set:
		return w.members(v, depth)
	case starlark.Float:
		w.left -= 340 // as %f
	case Decimal:
		w.left -= int64(len(v)) + 2
	default:
		w.left -= 64
		w.ofText(v)
	}
	return nil
}

// ofText weighs what s.elems() and the like give: they are printed with all of their text.
func (w *weigher) ofText(v starlark.Value) {
	if !strings.Contains(v.Type(), ".") { // string.elems
		return
	}
	n := int64(starlark.Len(v))
	if it := starlark.Iterate(v); n < 0 && it != nil {
		defer it.Done()
		var x starlark.Value
		for n = 0; n <= w.left && it.Next(&x); n++ {
		}
	}
	w.left -= 16 * max(0, n) // \U0001f600 of four bytes
}

func (w *weigher) all(n, depth int, at func(int) starlark.Value) error {
	w.left -= bytesWalked
	for i := 0; i < n && w.left >= 0; i++ {
		w.left -= 2
		if err := w.add(at(i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *weigher) entries(d *starlark.Dict, depth int) error {
	w.left -= bytesWalked
	if w.tuples {
		return nil
	}
	for k, v := range d.Entries() {
		if w.left < 0 {
			break
		}
		w.left -= 4
		if err := w.add(k, depth+1); err != nil {
			return err
		}
		if err := w.add(v, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *weigher) members(s *starlark.Set, depth int) error {
	w.left -= bytesWalked
	if w.tuples {
		return nil
	}
	for k := range s.Elements() {
		if w.left < 0 {
			break
		}
		w.left -= 2
		if err := w.add(k, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// scalar says whether looking at a value costs no more than its own bytes.
func scalar(v starlark.Value) bool {
	switch v.(type) {
	case starlark.Tuple, *starlark.List, *starlark.Dict, *starlark.Set:
		return false
	}
	return true
}

// bytesOf is how many bytes a text has that is compared or hashed; 0 for what is no text.
func bytesOf(v starlark.Value) int64 {
	switch v := v.(type) {
	case starlark.String:
		return int64(len(v))
	case starlark.Bytes:
		return int64(len(v))
	case Decimal:
		return int64(len(v))
	}
	return 0
}

// compare counts what it takes to compare two values: no more than the smaller of the two.
func (r *Run) compare(x, y starlark.Value) error {
	if scalar(x) || scalar(y) {
		return r.Work(bytesOf(x) >> 6)
	}
	most := r.stepsLeft() * 16
	w, err := weight(x, most)
	if err != nil || w > most {
		if w, err = weight(y, most); err != nil {
			return err
		}
		if w > most {
			r.stopped = ErrSteps
			return ErrSteps
		}
	}
	return r.Work(w >> 4)
}

func (r *Run) stepsLeft() int64 { return max(0, r.limits.Steps-int64(r.thread.Steps)) }

// print counts what a value takes when it is printed.
func (r *Run) print(v starlark.Value) (int64, error) {
	if s, ok := v.(starlark.String); ok { // as most are
		return 4*int64(len(s)) + 2, r.both(4*int64(len(s)) + 2)
	}
	w, err := r.weight(v)
	if err != nil {
		return 0, err
	}
	return w, r.both(w)
}

// tuple looks at a tuple that was just made. Hashing goes through all of it, and through what stands in it several times as often; so
// no tuple is larger than what may be in memory. Lists and dicts in it are not hashed.
func (r *Run) tuple(t starlark.Tuple) error {
	plain := true
	for _, v := range t {
		switch v.(type) {
		case starlark.Tuple, starlark.String, starlark.Bytes:
			plain = false
		}
	}
	if plain {
		return nil
	}
	most := min(r.limits.Memory, r.stepsLeft()*64)
	w := weigher{left: most, tuples: true}
	if err := w.add(t, 0); err != nil {
		return err
	}
	if w.left < 0 {
		r.stopped = ErrMemory
		return ErrMemory
	}
	return r.Work((most - w.left) >> 6)
}

// key counts what it takes to look a key up.
func (r *Run) key(v starlark.Value) error {
	switch v := v.(type) {
	case starlark.String:
		if len(v) < 1<<10 {
			return nil
		}
		return r.both(4 * int64(len(v))) // an error may quote it
	case starlark.Tuple, starlark.Bytes:
		w, err := r.weight(v)
		if err != nil {
			return err
		}
		return r.both(w)
	}
	return nil
}

// hashed counts what it takes to hash each element of an iterable, or with pairs the first of each.
func (r *Run) hashed(v starlark.Value, pairs bool) error {
	it := starlark.Iterate(v)
	if it == nil {
		return nil // the error is that of whoever wants the elements
	}
	defer it.Done()
	if _, ok := v.(*starlark.Dict); ok {
		pairs = false
	}
	var x starlark.Value
	for it.Next(&x) {
		if pair, ok := x.(starlark.Indexable); ok && pairs && pair.Len() > 0 {
			x = pair.Index(0)
		}
		n := int64(1)
		if t, ok := x.(starlark.Tuple); ok {
			w, err := r.weight(t)
			if err != nil {
				return err
			}
			n += w >> 6
		}
		if err := r.Work(n + bytesOf(x)>>6); err != nil {
			return err
		}
	}
	return nil
}

// count gives how many elements an iterable has. Those without a length are gone through.
func (r *Run) count(v starlark.Value) (int64, error) {
	if n := starlark.Len(v); n >= 0 {
		return int64(n), nil
	}
	it := starlark.Iterate(v)
	if it == nil {
		return 0, nil // the error is that of whoever wants the elements
	}
	defer it.Done()
	var x starlark.Value
	n := int64(0)
	for it.Next(&x) {
		if n++; n%1024 == 0 {
			if err := r.Work(1024); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// each is how many bytes an element of an iterable takes in a list: one that is made by going on takes more than its slot.
func each(v starlark.Value) int64 {
	if scalar(v) {
		return bytesElement
	}
	return bytesSlot
}

// made counts an integer or another small value that was made.
func (r *Run) made(v starlark.Value) (starlark.Value, error) {
	i, ok := v.(starlark.Int)
	if !ok {
		return v, r.Take(bytesSlot)
	}
	n, small := i.Int64()
	if small {
		if n >= math.MinInt32 && n <= math.MaxInt32 {
			return v, nil
		}
		return v, r.Take(bytesSmall)
	}
	bits := i.BigInt().BitLen()
	if bits > maxBits {
		return nil, say("an integer of more than %d bits", maxBits)
	}
	return v, r.Take(bytesSmall + int64(bits/4))
}
