package pipeline

import "unsafe"

// extras are what only some records need: those whose fields are read or edited, and
// those that a stage has changed. They stay with the place of the record when the next
// one comes into it, so that a pipeline whose records need them allocates them once for
// each place.
type extras struct {
	of *Record // another than who looks: that one is a copy of it, and takes its own
	original
	edits   []edit
	written int        // bytes that the value took with its edits when it was appended last; 0: it was not
	room    []byte     // for texts that are set, as far as it is used
	owed    int64      // bytes of the extras that are not charged with the place yet
	index   fieldIndex // where the first fields stand, when the record's state is object
}

// original is what a dead letter needs of the record as the source gave it: what has
// been replaced since.
type original struct {
	key, value                   []byte
	headers                      []Header
	hasKey, hasValue, hasHeaders bool
}

// or gives what came: what has been kept of it, and else what is there still.
func (o *original) or(key, value []byte, headers []Header) ([]byte, []byte, []Header) {
	if o.hasKey {
		key = o.key
	}
	if o.hasValue {
		value = o.value
	}
	if o.hasHeaders {
		headers = o.headers
	}
	return key, value, headers
}

const (
	extrasSize = int64(unsafe.Sizeof(extras{}))
	editSize   = int64(unsafe.Sizeof(edit{}))

	// besideSize is charged for extras that have stayed with a place: what most come to
	// hold when they serve edits, as nobody looks at each.
	besideSize = extrasSize + fewEdits*editSize + smallRoom
)

// own gives the record's extras, and makes them if it has none.
func (r *Record) own() *extras {
	if x := r.beside; r.live && x.of == r {
		return x
	}
	return r.begin()
}

// begin gives extras to a record that has none, or those of another.
func (r *Record) begin() *extras {
	if r.live {
		return r.part()
	}
	if x := r.beside; x != nil && x.of == r { // of an earlier record in this place
		x.forget()
	} else {
		r.beside = &extras{of: r, owed: extrasSize}
	}
	r.live, r.touched = true, true
	return r.beside
}

// part gives a copy of a record extras of its own.
func (r *Record) part() *extras {
	x := *r.beside
	x.of, x.owed, x.room = r, extrasSize, nil // texts in the room stay where they are
	x.edits = append([]edit(nil), x.edits...)
	r.beside, r.touched = &x, true
	return r.beside
}

// copyTo makes c a record of its own with all that r has. Texts in the room of r are c's
// too from now on: they stay, also when r is initialized again.
func (r *Record) copyTo(c *Record) {
	*c = *r
	if !r.live {
		return
	}
	c.part()
	if x := r.beside; x.of == r {
		x.room = x.room[len(x.room):]
	}
}

// leave takes the extras off a record that has come to its end in a step, for the next
// record there: they are warm, and those in its own place are not. When most records are
// filtered, a few extras serve them all (BenchmarkExtras). It gives nil when there are none.
func (r *Record) leave() *extras {
	x := r.beside
	if x == nil || x.of != r {
		return nil
	}
	if r.live {
		clear(x.edits)
		x.forget()
	}
	r.beside, r.live, x.of = nil, false, nil
	return x
}

// lend gives a record without extras those that another has left.
func (r *Record) lend(x *extras) {
	x.of, x.owed, r.beside = r, extrasSize+int64(cap(x.edits))*editSize+int64(cap(x.room)), x
}

// forget has the extras say nothing of a record any more. What the edits point to stays
// in their room.
func (x *extras) forget() {
	if x.hasKey || x.hasValue || x.hasHeaders {
		x.original = original{}
	}
	x.edits, x.room, x.written = x.edits[:0], x.room[:0], 0
}

// smallRoom is the least room that is made for texts.
const smallRoom = 64

// Room gives room for n bytes, empty, which is the record's until it has its outcome: a
// text that is appended there, and then Set, needs no memory of its own
// (BenchmarkLateFlights). What goes beyond moves elsewhere, as with every append.
func (r *Record) Room(n int) []byte {
	x := r.own()
	from := len(x.room)
	if cap(x.room)-from < n {
		x.room, from = make([]byte, 0, max(n, smallRoom)), 0 // texts stay in the one before
		x.owed += int64(cap(x.room))
		r.touched = true
	}
	x.room = x.room[:from+n]
	return x.room[from : from : from+n]
}

// cameFrom makes what the source gave for rec the original of r too, which is a part of
// it.
func (r *Record) cameFrom(rec *Record) {
	x := r.own()
	x.key, x.value, x.headers = rec.Original()
	x.hasKey, x.hasValue, x.hasHeaders = true, true, true
}

// edits gives the overlay.
func (r *Record) edits() []edit {
	if !r.live {
		return nil
	}
	return r.own().edits
}

// clear lets go of everything that the record points to. Its place keeps its extras as
// room for the next.
func (r *Record) clear() {
	x := r.beside
	if x != nil && x.of != r {
		x = nil
	}
	if x != nil && r.live {
		clear(x.edits)
		x.forget()
	}
	*r = Record{beside: x}
}
