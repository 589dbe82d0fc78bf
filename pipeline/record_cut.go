package pipeline

import (
	"slices"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// This file has edits below the top level: cuts of the text of a top-level field. As a field's
// edits wait to be spliced into the value, its cuts wait to be put into its text, in one go.

// A cut puts a text in the place of some bytes of a top-level field: it sets a value that is there,
// adds a member to an object, or drops an item of an object or array. Cuts of one text do not
// overlap, and each is right whichever of the others there are: what would not be is done by
// putting in those that there are before (settle).
type cut struct {
	edit    int32 // whose text it is about
	kind    cutKind
	first   bool   // the member that is added has none before it
	at, end int    // the bytes
	in      int    // adds, drops: the opening bracket of the object or array
	name    string // of the member that is added
	text    []byte
}

type cutKind uint8

const (
	sets cutKind = iota
	adds
	drops
)

const (
	fewCuts  = 4  // the least room that is made for them
	manyCuts = 64 // from here on they are put in before there is another: looking through them would cost more
)

// cutToSet gives the cut that sets the one value that path leads to in text; what is missing on
// the way begins with rest. ok says whether it is done with one cut.
func cutToSet(text []byte, path jsontext.Path, value []byte) (c cut, rest jsontext.Path, ok bool) {
	p := jsontext.Locate(text, path)
	switch {
	case p.Twice:
		return c, nil, false
	case p.Done == len(path):
		return cut{at: p.At, end: p.End, text: value}, nil, true
	case text[p.At] == 'n' && p.Done > 0:
		return cut{at: p.At, end: p.End}, path[p.Done:], true
	case text[p.At] == '{' && path[p.Done].Kind == jsontext.Named:
		return cut{kind: adds, first: p.Empty, at: p.Tail, end: p.Tail, in: p.At, name: path[p.Done].Name, text: value}, path[p.Done+1:], true
	}
	return c, nil, false
}

// cutToRemove gives the cut that drops the item at p, with one comma, as jsontext.Remove does.
func cutToRemove(p *jsontext.Place) cut {
	c := cut{kind: drops, in: p.In, at: p.Begin, end: p.End}
	if p.Before >= 0 {
		c.at = p.Before
	} else if p.Next >= 0 {
		c.end = p.Next
	}
	return c
}

// meet holds c, which follows path, against the cuts of edit i. ok says whether c can stand beside
// them; same is the one that is about the very same value, -1: none is.
func (x *extras) meet(i int, c *cut, path jsontext.Path) (same int, ok bool) {
	for j := range x.cuts {
		p := &x.cuts[j]
		switch {
		case int(p.edit) != i:
		case p.kind == drops && x.numbers(p, path):
			return -1, false
		case p.kind == adds && c.kind == adds && p.in == c.in:
			if p.name == c.name {
				return j, true
			}
			c.first = false
		case p.kind == sets && c.kind == sets && p.at == c.at:
			return j, true
		case p.kind != sets && c.kind != sets && p.in == c.in && p.kind != c.kind, c.at < p.end && p.at < c.end:
			return -1, false
		}
	}
	return -1, true
}

// hides says whether the cuts of edit i may have changed what path leads to, which led as far as p
// and no further without them.
func (x *extras) hides(i int, p *jsontext.Place, path jsontext.Path) bool {
	for j := range x.cuts {
		c := &x.cuts[j]
		switch {
		case int(c.edit) != i:
		case c.kind == drops && x.numbers(c, path):
			return true
		case c.kind == adds && c.in == p.At && path[p.Done].Kind == jsontext.Named && c.name == path[p.Done].Name:
			return true
		case c.at <= p.At && p.End <= c.end:
			return true
		}
	}
	return false
}

// numbers says whether the elements have other numbers behind c, which drops one, and path has a
// number.
func (x *extras) numbers(c *cut, path jsontext.Path) bool {
	if x.edits[c.edit].text[c.in] != '[' {
		return false
	}
	return slices.ContainsFunc(path, func(s jsontext.Step) bool { return s.Kind == jsontext.Indexed })
}

// readPast gives what path leads to when it leads into a text with cuts, and they need not be put
// in for that.
func (x *extras) readPast(path jsontext.Path) (text []byte, ok bool) {
	i := editOf(x.edits, path[0].Name)
	if i < 0 || !x.edits[i].cut || path.Many() {
		return nil, false
	}
	text, path = x.edits[i].text, path[1:]
	p := jsontext.Locate(text, path)
	if p.Done < len(path) {
		return nil, !x.hides(i, &p, path)
	}
	c := cut{at: p.At, end: p.End}
	switch same, ok := x.meet(i, &c, path); {
	case !ok:
		return nil, false
	case same >= 0:
		return x.cuts[same].text, true
	}
	return text[p.At:p.End:p.End], true
}

// cut adds a cut to the text of a top-level field, whose edit is i; -1: it has none yet.
func (r *Record) cut(x *extras, i int, name string, text []byte, c cut) {
	if i < 0 {
		i = len(x.edits)
		x.add(edit{name: name, text: text, came: true})
	}
	x.edits[i].cut, r.touched = true, true
	c.edit = int32(i)
	if len(x.cuts) == cap(x.cuts) {
		room := make([]cut, len(x.cuts), max(fewCuts, 2*len(x.cuts)))
		x.owed += int64(cap(room)-cap(x.cuts)) * cutSize
		copy(room, x.cuts)
		x.cuts = room
	}
	at := len(x.cuts)
	for at > 0 && (x.cuts[at-1].edit > c.edit || x.cuts[at-1].edit == c.edit && x.cuts[at-1].at > c.at) {
		at--
	}
	x.cuts = slices.Insert(x.cuts, at, c)
}

// appendEdit appends the text of edit i, cuts put in.
func (x *extras) appendEdit(out []byte, i int) []byte {
	e := &x.edits[i]
	if !e.cut {
		return append(out, e.text...)
	}
	copied := 0
	for j := range x.cuts {
		c := &x.cuts[j]
		if int(c.edit) != i {
			continue
		}
		out = append(out, e.text[copied:c.at]...)
		if c.kind == adds {
			if !c.first {
				out = append(out, ',')
			}
			out = append(jsontext.AppendName(out, c.name), ':')
		}
		out, copied = append(out, c.text...), c.end
	}
	return append(out, e.text[copied:]...)
}

// settled gives the text of edit i after its cuts have been put in.
func (r *Record) settled(x *extras, i int) []byte {
	if x.edits[i].cut {
		return r.settle(x, i)
	}
	return x.edits[i].text
}

// settle puts the cuts of edit i into its text.
func (r *Record) settle(x *extras, i int) []byte {
	n := len(x.edits[i].text)
	for j := range x.cuts {
		if c := &x.cuts[j]; int(c.edit) == i {
			n += len(c.name) + len(c.text) + len(`,"":`)
		}
	}
	text := x.appendEdit(make([]byte, 0, n), i)
	x.replace(i, text)
	r.touched = true
	return text
}

// settleAll puts all cuts into the texts of their edits.
func (r *Record) settleAll() {
	if !r.live || len(r.beside.cuts) == 0 {
		return
	}
	x := r.own()
	for i := range x.edits {
		r.settled(x, i)
	}
}

func (x *extras) dropCuts(i int) {
	x.cuts = slices.DeleteFunc(x.cuts, func(c cut) bool { return int(c.edit) == i })
}

// twice says whether several members of the object have that name.
func (r *Record) twice(name string) bool {
	n := 0
	for it := r.members(); it.next() && n < 2; {
		if it.is(r.value, name) {
			n++
		}
	}
	return n > 1
}
