package pipeline

import (
	"math"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A jsonState is what is known of a value.
type jsonState uint8

const (
	unchecked jsonState = iota // nothing yet
	object                     // it is a JSON object
	noObject                   // it is JSON, and no object
	invalid                    // it is not JSON
)

// A span says where a field stands in the value: its key, without the quotes, from key to
// before keyEnd, and its JSON text from text to before end.
type span struct {
	key, keyEnd, text, end int
	escapes                bool // the key is written with escapes
}

// A fieldIndex holds the spans of the first fields, found while the value is checked.
// It holds no pointers and comes with the record's place, so that finding fields costs
// no allocation and nothing for the collector to look at.
type fieldIndex struct {
	start   uint32         // where the object goes on behind its opening brace
	escapes uint16         // a bit for each key in at that is written with escapes
	n       uint8          // how many fields are in at
	more    bool           // the object has fields that are not in at
	at      [16]packedSpan // of the first fields
}

// A packedSpan is a span within the first 64 KiB.
type packedSpan struct{ key, keyEnd, text, end uint16 }

// check looks at the whole value, once.
func (r *Record) check() error {
	if r.state == unchecked {
		r.inspect()
	}
	if r.state == invalid {
		if jsontext.TooDeep(r.value) {
			return errTooDeep
		}
		return errInvalidJSON
	}
	return nil
}

// readable gives the error with which reading a field fails, nil when it does not.
func (r *Record) readable() error {
	if err := r.check(); err != nil {
		return err
	}
	if r.state != object {
		return errNoFields
	}
	return nil
}

// inspect checks the value as JSON and indexes the fields of an object.
func (r *Record) inspect() {
	v := r.value
	r.state = invalid
	i := jsontext.Space(v, 0)
	if i >= len(v) || len(v) > math.MaxInt32 {
		return
	}
	if v[i] != '{' {
		if jsontext.Valid(v) {
			r.state = noObject
		}
		return
	}
	x := &r.own().index
	x.n, x.more, x.escapes, x.start = 0, false, 0, uint32(i+1)
	if i = jsontext.Space(v, i+1); i < len(v) && v[i] == '}' {
		if jsontext.Space(v, i+1) == len(v) {
			r.state = object
		}
		return
	}
	for {
		keyEnd, text, end, escapes := jsontext.Member(v, i, 1)
		if end < 0 {
			return
		}
		x.add(i+1, keyEnd, text, end, escapes)
		i = jsontext.Space(v, end)
		if i >= len(v) {
			return
		}
		if v[i] == '}' {
			break
		}
		if v[i] != ',' {
			return
		}
		i = jsontext.Space(v, i+1)
	}
	if jsontext.Space(v, i+1) == len(v) {
		r.state = object
	}
}

// add adds a field, unless the index is full, or the field ends beyond what a packedSpan holds.
func (x *fieldIndex) add(key, keyEnd, text, end int, escapes bool) {
	if int(x.n) == len(x.at) || end > math.MaxUint16 || x.more {
		x.more = true
		return
	}
	x.at[x.n] = packedSpan{uint16(key), uint16(keyEnd), uint16(text), uint16(end)}
	if escapes {
		x.escapes |= 1 << x.n
	}
	x.n++
}

func (x *fieldIndex) span(i int) span {
	p := &x.at[i]
	return span{int(p.key), int(p.keyEnd), int(p.text), int(p.end), x.escapes&(1<<i) != 0}
}

// is says whether the key of s in v is name.
func (s span) is(v []byte, name string) bool {
	if s.escapes {
		return jsontext.Unquote(v[s.key-1:s.keyEnd+1]) == name
	}
	return string(v[s.key:s.keyEnd]) == name
}

// find gives where the text of the first field of that name stands. The value must be a
// checked object, and beside the record's own extras.
func (r *Record) find(of *extras, name string) (text, end int, ok bool) {
	x, v := &of.index, r.value
	if x.escapes != 0 {
		return r.findRare(name)
	}
	for i := range x.at[:x.n] {
		p := &x.at[i]
		if int(p.keyEnd-p.key) == len(name) && string(v[p.key:p.keyEnd]) == name {
			return int(p.text), int(p.end), true
		}
	}
	if x.more {
		return r.findRare(name)
	}
	return 0, 0, false
}

// findRare is find for an object that has names with escapes, or fields behind the index: it
// goes through all fields.
func (r *Record) findRare(name string) (text, end int, ok bool) {
	for it := r.members(); it.next(); {
		if it.is(r.value, name) {
			return it.text, it.end, true
		}
	}
	return 0, 0, false
}

// A memberIterator goes through the fields of a checked object. It looks at the record's
// index as it goes: whoever lets others change the record meanwhile gives it a copy.
type memberIterator struct {
	span  // of the field at hand; before the first one its end is behind the opening brace
	value []byte
	index *fieldIndex
	i     int  // which field of the index is next
	done  bool // there are no more fields
}

func (r *Record) members() memberIterator {
	x := &r.own().index
	return memberIterator{value: r.value, index: x, span: span{end: int(x.start)}}
}

func (it *memberIterator) next() bool {
	if it.i < int(it.index.n) {
		it.span = it.index.span(it.i)
		it.i++
		return true
	}
	if !it.index.more || it.done {
		return false
	}
	i := jsontext.Space(it.value, it.end)
	if i < len(it.value) && it.value[i] == ',' {
		i = jsontext.Space(it.value, i+1)
	}
	keyEnd, text, end, escapes := jsontext.Member(it.value, i, 1) // fails at the closing brace
	if end < 0 {
		it.done = true
		return false
	}
	it.span = span{i + 1, keyEnd, text, end, escapes}
	return true
}

// name gives the key of the field at hand, decoded.
func (it *memberIterator) name() string {
	if it.escapes {
		return jsontext.Unquote(it.value[it.key-1 : it.keyEnd+1])
	}
	return string(it.value[it.key:it.keyEnd])
}

// edit gives the index of the edit for the field at hand, or -1.
func (it *memberIterator) edit(edits []edit) int {
	if it.escapes {
		return editOf(edits, it.name())
	}
	key := it.value[it.key:it.keyEnd]
	for i := range edits {
		if e := &edits[i]; len(e.name) == len(key) && !e.fresh && e.name == string(key) {
			return i
		}
	}
	return -1
}
