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

// setAt makes c the cut that sets the one value that path leads to in text; what is missing on the
// way begins with rest. ok says whether it is done with one cut.
func (c *cut) setAt(text []byte, path jsontext.Path, value []byte) (rest jsontext.Path, ok bool) {
	var p jsontext.Place
	switch p.Follow(text, path); {
	case p.Twice:
		return nil, false
	case p.Done == len(path):
		c.at, c.end, c.text = p.At, p.End, value
		return nil, true
	case text[p.At] == 'n' && p.Done > 0:
		c.at, c.end = p.At, p.End
		return path[p.Done:], true
	case text[p.At] == '{' && path[p.Done].Kind == jsontext.Named:
		c.kind, c.first, c.at, c.end, c.in, c.name, c.text = adds, p.Empty, p.Tail, p.Tail, p.At, path[p.Done].Name, value
		return path[p.Done+1:], true
	}
	return nil, false
}

// removeAt makes c the cut that drops the item at p, with one comma, as jsontext.Remove does.
func (c *cut) removeAt(p *jsontext.Place) {
	c.kind, c.in, c.at, c.end = drops, p.In, p.Begin, p.End
	if p.Before >= 0 {
		c.at = p.Before
	} else if p.Next >= 0 {
		c.end = p.Next
	}
}

// meet holds c, which follows path, against the cuts of edit i. ok says whether c can stand beside
// them; same is the one that is about the very same value, -1: none is.
func (x *extras) meet(i int, c *cut, path jsontext.Path) (same int, ok bool) {
	for j := range x.cuts {
		p := &x.cuts[j]
		switch {
		case int(p.edit) != i:
		case p.kind == drops && x.renumbers(p, path):
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
// and no further without them. by is the one that adds the member that comes next, -1: none does.
func (x *extras) hides(i int, p *jsontext.Place, path jsontext.Path) (by int, hidden bool) {
	by = -1
	for j := range x.cuts {
		c := &x.cuts[j]
		switch {
		case int(c.edit) != i:
		case c.kind == drops && x.renumbers(c, path), c.at <= p.At && p.End <= c.end:
			return -1, true
		case c.kind == adds && c.in == p.At && path[p.Done].Kind == jsontext.Named && c.name == path[p.Done].Name:
			by = j
		}
	}
	return by, by >= 0
}

// renumbers says whether c drops an element of an array, and path has a number, which may now mean
// another.
func (x *extras) renumbers(c *cut, path jsontext.Path) bool {
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
	var p jsontext.Place
	p.Follow(text, path)
	if p.Done < len(path) {
		by, hidden := x.hides(i, &p, path)
		if by >= 0 {
			return jsontext.Find(x.cuts[by].text, path[p.Done+1:]), true
		}
		return nil, !hidden
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

// spare gives an empty cut, which is not one of x yet: keep makes it one. Only one is given at a
// time.
func (r *Record) spare(x *extras) *cut {
	n := len(x.cuts)
	if n == cap(x.cuts) {
		room := make([]cut, n, max(fewCuts, 2*n))
		x.owed += int64(cap(room)-n) * cutSize
		copy(room, x.cuts)
		x.cuts, r.touched = room, true
	}
	c := &x.cuts[:n+1][n]
	*c = cut{}
	return c
}

// keep makes the spare cut one of the text of a top-level field, whose edit is i; -1: it has none
// yet.
func (r *Record) keep(x *extras, i int, name string, have *field) {
	if i < 0 {
		i = len(x.edits)
		x.add(edit{name: name, text: have.text, came: true, at: int32(have.at), alone: have.alone})
	}
	x.edits[i].cut, r.touched, x.changing = true, true, true
	at := len(x.cuts)
	x.cuts = x.cuts[:at+1]
	x.cuts[at].edit = int32(i)
	for ; at > 0 && x.cuts[at].before(&x.cuts[at-1]); at-- {
		x.cuts[at], x.cuts[at-1] = x.cuts[at-1], x.cuts[at]
	}
}

func (c *cut) before(d *cut) bool { return c.edit < d.edit || c.edit == d.edit && c.at < d.at }

// appendEdit appends the text of edit i, cuts put in.
func (x *extras) appendEdit(out []byte, i int) []byte {
	e := &x.edits[i]
	if !e.cut {
		return append(out, e.text...)
	}
	copied := 0
	for j := range x.cuts {
		if c := &x.cuts[j]; int(c.edit) == i {
			out, copied = c.appendTo(append(out, e.text[copied:c.at]...)), c.end
		}
	}
	return append(out, e.text[copied:]...)
}

// appendTo appends what c puts in.
func (c *cut) appendTo(out []byte) []byte {
	if c.kind == adds {
		if !c.first {
			out = append(out, ',')
		}
		out = append(jsontext.AppendName(out, c.name), ':')
	}
	return append(out, c.text...)
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
	if !r.live || len(r.extras.cuts) == 0 {
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

// A field is a top-level field as the value has it, or as an edit has set it.
type field struct {
	text  []byte // nil: it is not there
	at    int    // where that stands in the value
	alone bool   // there is no other of that name
}

// field gives the text of a top-level field whose edit is i, -1: it has none. Cuts are not put in.
func (r *Record) field(x *extras, i int, name string) (f field) {
	if i >= 0 {
		return field{text: x.edits[i].text, alone: true}
	}
	f.alone = true
	if x.index.escapes == 0 && !x.index.more {
		for i := range x.index.at[:x.index.n] {
			p := &x.index.at[i]
			if int(p.keyEnd-p.key) == len(name) && string(r.value[p.key:p.keyEnd]) == name {
				f.meet(r.value, int(p.text), int(p.end))
			}
		}
		return f
	}
	for it := r.members(); it.next(); {
		if it.is(r.value, name) {
			f.meet(r.value, it.text, it.end)
		}
	}
	return f
}

func (f *field) meet(value []byte, text, end int) {
	if f.text != nil {
		f.alone = false
		return
	}
	f.text, f.at = value[text:end:end], text
}
