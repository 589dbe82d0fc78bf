package pipeline

import "unsafe"

// extras are what only some records need: those whose fields are read or edited, and
// those that a stage has changed. They stay with the place of the record when the next
// one comes into it, so that a pipeline whose records need them allocates them once for
// each place.
type extras struct {
	of       *Record    // whose they are; a copy by assignment points to those of the original until it makes its own
	original            // what the source gave
	edits    []edit     // not put into the value yet
	cuts     []cut      // not put into the texts of edits yet, in the order of edits and places
	written  int        // bytes that AppendValue gave last, edits applied; 0: it was not called
	room     []byte     // memory for texts that are set; its length is what is in use
	owed     int64      // bytes of the extras that have not been charged yet
	changing bool       // the value was changed since the record has left a step (Grown)
	changed  bool       // and before that
	spread   int        // bytes that paths to many places have added, see maxSpread
	index    fieldIndex // where the first fields stand, when the record's state is object
}

// original holds what has been replaced of a record's key, value, headers and time, as the source
// gave it: the record's dead letter has it.
type original struct {
	key, value                            []byte
	headers                               []Header
	time                                  int64
	hasKey, hasValue, hasHeaders, hasTime bool // which of them were replaced
}

// or gives what the source gave: the original of what has been replaced, and of the rest what
// the record has, which the caller passes.
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
	cutSize    = int64(unsafe.Sizeof(cut{}))

	// keptExtrasSize is charged for extras that have stayed with a place, whatever they hold: it is
	// what most of them come to when they serve edits, and to measure each would cost more.
	keptExtrasSize = extrasSize + fewEdits*editSize + smallRoom
)

// own gives the record's extras, and makes them if it has none.
func (r *Record) own() *extras {
	if x := r.extras; r.live && x.of == r {
		return x
	}
	return r.begin()
}

// begin gives a record extras of its own when it has none, or points to those of another.
func (r *Record) begin() *extras {
	if r.live {
		return r.separate()
	}
	if x := r.extras; x != nil && x.of == r { // of an earlier record in this place
		x.forget()
	} else {
		r.extras = &extras{of: r, owed: extrasSize}
	}
	r.live, r.touched = true, true
	return r.extras
}

// separate gives a record that was copied by assignment extras of its own.
func (r *Record) separate() *extras {
	x := *r.extras
	x.of, x.owed, x.room = r, extrasSize, nil // texts in the room stay where they are
	x.edits, x.cuts = append([]edit(nil), x.edits...), append([]cut(nil), x.cuts...)
	r.extras, r.touched = &x, true
	return r.extras
}

// copyTo makes c a record of its own with all that r has. Texts in the room of r serve both
// from now on, so r gives that memory up: it is not overwritten when r is initialized again.
func (r *Record) copyTo(c *Record) {
	*c = *r
	if !r.live {
		return
	}
	c.separate()
	if x := r.extras; x.of == r {
		x.room = x.room[len(x.room):]
	}
}

// leave takes the extras off a record that ends in a step, for the next record there: they are
// in the cache, which those in the next record's own place are not. When most records are
// filtered, a few extras serve them all (BenchmarkExtras). It gives nil when there are none.
func (r *Record) leave() *extras {
	x := r.extras
	if x == nil || x.of != r {
		return nil
	}
	if r.live {
		x.release()
	}
	r.extras, r.live, x.of = nil, false, nil
	return x
}

// lend gives a record without extras those that another one has left. They count as not
// charged: they were charged to the batch of that one.
func (r *Record) lend(x *extras) {
	x.of, x.owed, r.extras = r, extrasSize+int64(cap(x.edits))*editSize+int64(cap(x.cuts))*cutSize+int64(cap(x.room)), x
}

// release is forget that lets go of what edits point to, too.
func (x *extras) release() {
	clear(x.edits)
	clear(x.cuts)
	x.forget()
}

// forget empties the extras and keeps their memory. What the lists of edits and cuts point to
// stays reachable until it is overwritten.
func (x *extras) forget() {
	if x.hasKey || x.hasValue || x.hasHeaders || x.hasTime {
		x.original = original{}
	}
	x.edits, x.cuts, x.room, x.written, x.spread = x.edits[:0], x.cuts[:0], x.room[:0], 0, 0
	x.changing, x.changed = false, false
}

const (
	// smallRoom is the least room that is made for texts. Where one was too small the next is twice
	// as large, up to manyBytes.
	smallRoom = 64
	// manyBytes is what a record keeps and copies of texts at the most where it need not.
	manyBytes = 1 << 10
)

// Room gives an empty slice with room for n bytes, which is the record's until it has its
// outcome: a text that is appended to it, and then set, needs no memory of its own
// (BenchmarkLateFlights). Appending more than n bytes allocates, as with every slice.
func (r *Record) Room(n int) []byte {
	x := r.own()
	from := len(x.room)
	if cap(x.room)-from < n {
		x.room, from = make([]byte, 0, max(n, smallRoom, min(2*cap(x.room), manyBytes))), 0 // texts set before stay in the old one
		x.owed += int64(cap(x.room))
		r.touched = true
	}
	x.room = x.room[:from+n]
	return x.room[from : from : from+n]
}

// cameFrom makes r, a part of rec, have the original of rec.
func (r *Record) cameFrom(rec *Record) {
	x := r.own()
	x.key, x.value, x.headers = rec.Original()
	x.hasKey, x.hasValue, x.hasHeaders = true, true, true
	x.time, x.hasTime = rec.OriginalTime(), true
}

// edits gives the edits of the record.
func (r *Record) edits() []edit {
	if !r.live {
		return nil
	}
	return r.own().edits
}

// clear lets go of everything that the record points to. The extras stay with its place, as
// memory for the next record.
func (r *Record) clear() {
	x := r.extras
	if x != nil && x.of != r {
		x = nil
	}
	if x != nil && r.live {
		x.release()
	}
	*r = Record{extras: x}
}
