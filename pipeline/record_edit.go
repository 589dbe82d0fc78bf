package pipeline

import "github.com/penstockio/penstock/pipeline/jsontext"

// An edit sets a top-level field to JSON text, or removes it when text is nil. There
// is one per name.
type edit struct {
	name  string
	text  []byte
	fresh bool  // the value has no field of that name
	came  bool  // text is what the value has: cuts alone change it
	cut   bool  // there are cuts of text, which are not put in yet
	alone bool  // came: the value has no other field of that name
	at    int32 // came: where the text stands in the value
}

func editOf(edits []edit, name string) int {
	for i := range edits {
		if edits[i].name == name {
			return i
		}
	}
	return -1
}

// SetRaw sets a top-level field to text, which is kept, and which the caller knows to be
// valid JSON: it is not checked, and text that is not valid makes the whole value invalid. It
// is for text that comes from a checked value or was just made; for other text there are
// SetJSON, SetString and the like. On a tombstone it does nothing; on a value that is no object
// it is a permanent error with ReasonNotObject.
func (r *Record) SetRaw(name string, text []byte) error {
	if len(text) == 0 {
		text = null
	}
	ok, err := r.editable()
	if !ok {
		return err
	}
	x := r.own()
	r.touched, x.changing = true, true
	if i := editOf(x.edits, name); i >= 0 {
		x.replace(i, text)
		return nil
	}
	_, _, there := r.find(x, name)
	x.add(edit{name: name, text: text, fresh: !there})
	return nil
}

// Remove removes a top-level field, if it is there. Errors are those of SetRaw.
func (r *Record) Remove(name string) error {
	ok, err := r.editable()
	if !ok {
		return err
	}
	x := r.own()
	r.touched, x.changing = true, true
	if i := editOf(x.edits, name); i >= 0 {
		x.replace(i, nil)
	} else if _, _, there := r.find(x, name); there {
		x.add(edit{name: name})
	}
	return nil
}

// fewEdits is the least room that is made for edits.
const fewEdits = 4

// add adds an edit. Most records with one edit have a few, so there is room for several at
// once: growing from one to two to four was three allocations (BenchmarkExtras).
func (x *extras) add(e edit) {
	if len(x.edits) == cap(x.edits) {
		room := make([]edit, len(x.edits), max(fewEdits, 2*len(x.edits)))
		x.owed += int64(cap(room)-cap(x.edits)) * editSize
		copy(room, x.edits)
		x.edits = room
	}
	x.edits = append(x.edits, e)
}

// editable says whether fields can be set. For a tombstone it gives false without an error.
func (r *Record) editable() (bool, error) {
	if r.value == nil {
		return false, nil
	}
	if err := r.check(); err != nil {
		return false, err
	}
	if r.state != object {
		return false, errNotObject
	}
	return true, nil
}

// replace gives an edit another text; nil: the field is removed. Cuts of the text before it are
// forgotten.
func (x *extras) replace(i int, text []byte) {
	e := &x.edits[i]
	if e.cut {
		x.dropCuts(i)
	}
	e.text, e.came, e.cut, e.alone = text, false, false, false
}

// growth is the most bytes that the edits of r add to its value.
func (r *Record) growth() int {
	if !r.live {
		return 0
	}
	x, n := r.own(), 0
	for i := range x.edits {
		e := &x.edits[i]
		if e.came {
			continue
		}
		n += len(e.name) + len(e.text) + len(`,"":`)
	}
	for i := range x.cuts {
		c := &x.cuts[i]
		n += len(c.name) + len(c.text) + len(`,"":`)
	}
	return n
}

// splice appends the object of r, edits applied, to out. Every byte that no edit is about
// stays: the order of fields, the space between them, the text of values. An edited field
// keeps its place, a new one goes to the end, and a removed one takes one comma with it.
func (r *Record) splice(out []byte) []byte {
	x := r.own()
	it := r.members()
	copied := 0 // the value is copied up to here
	kept := -1  // the end of the last field that stays
	if inPlace(x.edits) && !x.index.more {
		if n := int(x.index.n); n > 0 {
			it.span = x.index.span(n - 1)
			kept = it.end
		}
		out, copied = r.spliceCuts(out)
	} else {
		out, copied, kept = r.spliceFields(out, &it)
	}
	last := it.end // behind the last field, or the opening brace
	out = append(out, r.value[copied:max(copied, last)]...)
	var space []byte
	if kept < 0 && copied > 0 { // nothing stays: what is new comes behind the brace, as in an object that was empty
		first := r.members()
		first.next()
		space = r.value[x.index.start : first.key-1]
		out = out[:len(out)-len(space)]
	}
	for i := range x.edits {
		e := &x.edits[i]
		if !e.fresh || e.text == nil {
			continue
		}
		if kept >= 0 {
			out = append(out, ',')
		}
		out = x.appendEdit(append(jsontext.AppendName(out, e.name), ':'), i)
		kept = last
	}
	return append(append(out, space...), r.value[max(copied, last):]...)
}

// inPlace says whether the edits are cuts alone, and new fields: no field has to be looked for.
func inPlace(edits []edit) bool {
	for i := range edits {
		if !edits[i].fresh && !edits[i].alone {
			return false
		}
	}
	return true
}

// spliceCuts copies the object up to the end of the last cut, cuts put in: that is copied.
func (r *Record) spliceCuts(out []byte) (_ []byte, copied int) {
	x := r.extras
	for {
		next := -1
		for i := range x.edits {
			if e := &x.edits[i]; e.alone && int(e.at) >= copied && (next < 0 || e.at < x.edits[next].at) {
				next = i
			}
		}
		if next < 0 {
			return out, copied
		}
		at := int(x.edits[next].at)
		for i := range x.cuts {
			if c := &x.cuts[i]; int(c.edit) == next {
				out, copied = c.appendTo(append(out, r.value[copied:at+c.at]...)), at+c.end
			}
		}
	}
}

// spliceFields copies the object up to the last field that an edit replaces or removes, with these
// edits applied. Of several fields with an edited name the first stays. copied is the end of
// what has been dealt with, kept the end of the last field that stays; -1: none does. The
// iterator then stands behind the last field.
func (r *Record) spliceFields(out []byte, it *memberIterator) (_ []byte, copied, kept int) {
	v, edits, kept, drop := r.value, r.extras.edits, -1, false
	var few [16]bool
	used := few[:]
	if len(edits) > len(few) {
		used = make([]bool, len(edits))
	}
	for it.next() {
		if drop && kept < 0 {
			copied = it.key - 1 // all fields before it were dropped: it comes first now
		}
		i := it.edit(edits)
		switch {
		case i < 0:
			kept = it.end
		case used[i] || edits[i].text == nil:
			end := kept
			if kept < 0 {
				end = it.key - 1
			}
			out = append(out, v[copied:max(copied, end)]...)
			copied, drop, used[i] = it.end, true, true
		default:
			out = r.extras.appendEdit(append(out, v[copied:it.text]...), i)
			copied, kept, used[i] = it.end, it.end, true
		}
	}
	return out, copied, kept
}
