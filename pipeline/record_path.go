package pipeline

import (
	"errors"
	"fmt"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// This file reads and edits what stands deeper than the top level of a value.

// At gives the JSON text of what path leads to, edits applied, the first where it leads to
// several; nil when nothing is there or the value is a tombstone. The empty path leads to the
// value. Errors are those of Field.
func (r *Record) At(path jsontext.Path) ([]byte, error) {
	if len(path) == 0 || path[0].Kind != jsontext.Named {
		if r.value == nil {
			return nil, nil
		}
		if err := r.readable(); err != nil {
			return nil, err
		}
		return jsontext.Find(r.Value(), path), nil
	}
	if len(path) > 1 && r.live && len(r.extras.cuts) > 0 {
		if text, ok := r.extras.readPast(path); ok {
			return text, nil
		}
	}
	text, err := r.Field(path[0].Name)
	if err != nil || text == nil || len(path) == 1 {
		return text, err
	}
	return jsontext.Find(text, path[1:]), nil
}

// SetRawAt sets what path leads to, in each place where it leads to several, to text, which is
// kept, and which the caller knows to be valid JSON, as with SetRaw. Objects that are missing on
// the way are made, as jsontext.Set says; where something else stands in the way, the record is as
// it was, and the error is permanent, with ReasonNoPath. The empty path sets the value. All that
// paths to several places add to a record is 16 MiB at the most: one that would add more leaves it
// as it was, before the memory is taken, and the error is permanent, with ReasonTooLarge. Other
// errors are those of SetRaw.
//
// Several edits within a field cost little more than one: like those at the top they are put in
// once, when the bytes are asked for. A path that leads to many copies the field at once, and one
// that begins with * the value.
func (r *Record) SetRawAt(path jsontext.Path, text []byte) error {
	if len(path) == 1 && path[0].Kind == jsontext.Named {
		return r.SetRaw(path[0].Name, text)
	}
	if len(text) == 0 {
		text = null
	}
	ok, err := r.editable()
	switch {
	case !ok:
		return err
	case len(path) == 0:
		r.SetValue(text)
		return nil
	case path[0].Kind != jsontext.Named:
		have := r.Value()
		if err := r.mayAdd(have, path, path, text); err != nil {
			return err
		}
		value, err := jsontext.Set(nil, have, path, text)
		if err != nil {
			return noPath(path, 0, err)
		}
		r.adds(path, len(value)-len(have))
		r.SetValue(value)
		return nil
	case path.Many():
		return r.setThroughout(path, text)
	}
	return r.setBelow(path, text)
}

// RemoveAt removes what path leads to, in each place where it leads to several, and, as
// jsontext.Remove says, every member of a name that stands several times. What is not there is no
// error, and changes nothing; the empty path removes nothing. It costs what SetRawAt does. Errors
// are those of SetRaw.
func (r *Record) RemoveAt(path jsontext.Path) error {
	if len(path) == 1 && path[0].Kind == jsontext.Named {
		return r.Remove(path[0].Name)
	}
	ok, err := r.editable()
	switch {
	case !ok || len(path) == 0:
		return err
	case path[0].Kind != jsontext.Named:
		r.removeFromAll(path)
	default:
		r.removeBelow(path)
	}
	return nil
}

var null = []byte("null")

// noPath is the error of setting what path leads to; err is about the steps behind the first done.
func noPath(path jsontext.Path, done int, err error) error {
	if e := (*jsontext.NoPathError)(nil); errors.As(err, &e) {
		err = &jsontext.NoPathError{Path: path[:done+len(e.Path)], Why: e.Why}
	}
	return Reject(ReasonNoPath, fmt.Errorf("setting %s: %w", path, err))
}

// setThroughout sets what path leads to in a new text of its top-level field.
func (r *Record) setThroughout(path jsontext.Path, text []byte) error {
	have, err := r.Field(path[0].Name)
	if err != nil {
		return err
	}
	if have == nil {
		have = null
	}
	if err := r.mayAdd(have, path, path[1:], text); err != nil {
		return err
	}
	is, err := jsontext.Set(nil, have, path[1:], text)
	if err != nil {
		return noPath(path, 1, err)
	}
	r.adds(path, len(is)-len(have))
	if len(is) == len(have) && string(is) == string(have) {
		return nil // nothing was there to be set
	}
	return r.SetRaw(path[0].Name, is)
}

// maxSpread is how many bytes paths that lead to many places may add to a record in all. A text of a
// record that is set beside each of its elements grows with the square of the record, past what the
// budget has charged for it; 16 MiB is far above what a record is written with, and what all the
// expressions of a map may build.
const maxSpread = 16 << 20

// mayAdd says whether text may be set in have in each place where below leads, which are the steps
// of path that lead on from there.
func (r *Record) mayAdd(have []byte, path, below jsontext.Path, text []byte) error {
	if !path.Many() {
		return nil
	}
	left := maxSpread - r.own().spread
	if (len(have)/2+1)*(len(text)+6*sizeOf(path)) <= left { // an element and its comma take two bytes
		return nil
	}
	if n := jsontext.Growth(have, below, len(text)); n > left {
		return Reject(ReasonTooLarge, fmt.Errorf("setting %s: paths with [*] or * would add more than %d MiB to the record: set once what is long", path, maxSpread>>20))
	}
	return nil
}

// adds counts what setting the places of path has added.
func (r *Record) adds(path jsontext.Path, n int) {
	if n > 0 && path.Many() {
		r.own().spread += n
	}
}

// setBelow sets the one value that path leads to with a cut. Where that is not done with one, or
// meets the cuts that there are, these are put in first, and then the text is written anew.
func (r *Record) setBelow(path jsontext.Path, text []byte) error {
	x, name, below := r.own(), path[0].Name, path[1:]
	i := editOf(x.edits, name)
	for {
		have := r.field(x, i, name)
		settled := i < 0 || !x.edits[i].cut
		if settled && (have.text == nil || string(have.text) == "null") {
			made, err := r.made(below, text)
			if err != nil {
				return noPath(path, 1, err)
			}
			return r.SetRaw(name, made)
		}
		c := r.spare(x)
		rest, ok := c.setAt(have.text, below, text)
		if settled && !ok {
			return r.setThroughout(path, text)
		}
		if !settled {
			same := -1
			if ok = ok && len(x.cuts) < manyCuts; ok {
				same, ok = x.meet(i, c, below)
			}
			if ok && same >= 0 {
				if ok = r.setWithin(&x.cuts[same], rest, text); ok {
					return nil
				}
			}
			if !ok {
				r.settle(x, i)
				continue
			}
		}
		if len(rest) > 0 {
			var err error
			if c.text, err = r.made(rest, text); err != nil {
				return noPath(path, len(path)-len(rest), err)
			}
		}
		r.keep(x, i, name, &have)
		return nil
	}
}

// setWithin sets what path leads to in the text of a cut. It gives false when that is not to be
// done: something is in the way, or the text is long, and to copy it each time would cost more than
// to settle.
func (r *Record) setWithin(c *cut, path jsontext.Path, text []byte) bool {
	if len(path) == 0 {
		c.text = text
		r.touched, r.extras.changing = true, true
		return true
	}
	if len(c.text) > manyBytes {
		return false
	}
	is, err := jsontext.Set(r.memory(len(c.text)+sizeOf(path)+len(text)), c.text, path, text)
	if err == nil {
		c.text, r.touched, r.extras.changing = is, true, true
	}
	return err == nil
}

// made gives text within an object for each step of path; an error is a NoPathError.
func (r *Record) made(path jsontext.Path, text []byte) ([]byte, error) {
	return jsontext.Set(r.memory(sizeOf(path)+len(text)), null, path, text)
}

// sizeOf is how many bytes the objects take that are made for path, unless names need escapes.
func sizeOf(path jsontext.Path) (n int) {
	for i := range path {
		n += len(path[i].Name) + len(`,{"":}`)
	}
	return n
}

// memory gives room for n bytes: the record's own when they are few, which stays with its place.
func (r *Record) memory(n int) []byte {
	if n > manyBytes {
		return make([]byte, 0, n)
	}
	return r.Room(n)
}

// removeBelow removes what path leads to, with a cut where it is one value.
func (r *Record) removeBelow(path jsontext.Path) {
	x, name, below := r.own(), path[0].Name, path[1:]
	i := editOf(x.edits, name)
	for {
		have := r.field(x, i, name)
		if have.text == nil {
			return
		} else if !have.alone {
			r.removeFromAll(path)
			return
		}
		settled := i < 0 || !x.edits[i].cut
		if path.Many() {
			if !settled {
				have.text = r.settle(x, i)
			}
			r.removeThroughout(name, have.text, below)
			return
		}
		var p jsontext.Place
		p.Follow(have.text, below)
		there := p.Done == len(below)
		c := r.spare(x)
		c.removeAt(&p)
		if !settled {
			ok := len(x.cuts) < manyCuts && !p.Twice
			if ok && there {
				same := -1
				same, ok = x.meet(i, c, below)
				ok = ok && same < 0
			} else if ok {
				_, hidden := x.hides(i, &p, below)
				ok = !hidden
			}
			if !ok {
				r.settle(x, i)
				continue
			}
		}
		switch {
		case p.Twice:
			r.removeThroughout(name, have.text, below)
		case there:
			r.keep(x, i, name, &have)
		}
		return
	}
}

// removeThroughout removes what path leads to in a new text of a top-level field, unless it leads
// to nothing.
func (r *Record) removeThroughout(name string, have []byte, path jsontext.Path) {
	if is := jsontext.Remove(make([]byte, 0, len(have)), have, path); len(is) < len(have) {
		_ = r.SetRaw(name, is) // fields can be set: that is checked
	}
}

// removeFromAll removes what path leads to in a new text of the value, unless it leads to nothing.
func (r *Record) removeFromAll(path jsontext.Path) {
	have := r.Value()
	if is := jsontext.Remove(make([]byte, 0, len(have)), have, path); len(is) < len(have) {
		r.SetValue(is)
	}
}
