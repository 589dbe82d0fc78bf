package pipeline

import (
	"math"
	"unsafe"
)

// extras are what only some records need: those whose fields are read or edited, and
// those that a stage has changed. They stay with the place of the record when the next
// one comes into it, so that a pipeline whose records need them allocates them once for
// each place.
type extras struct {
	of *Record // another than who looks: that one is a copy of it, and takes its own
	original
	edits []edit
	index fieldIndex // where the first fields stand, when the record's state is object
	room  uint16     // of edits, in edits: as much as is charged with the place
}

// original is what a dead letter needs of the record as the source gave it: what has
// been replaced since.
type original struct {
	key, value                   []byte
	headers                      []Header
	hasKey, hasValue, hasHeaders bool
}

// overlay is what the edits take, but for room that is charged with the place.
func (x *extras) overlay() int { return growth(x.edits) + (cap(x.edits)-int(x.room))*int(editSize) }

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
)

// size is what the extras take, with the room for edits. It counts as charged with the
// place from here on.
func (x *extras) size() int64 {
	n := min(cap(x.edits), math.MaxUint16)
	x.room = uint16(n)
	return extrasSize + int64(n)*editSize
}

// own gives the record's extras, and makes them if it has none.
func (r *Record) own() *extras {
	if r.live {
		if r.beside.of == r {
			return r.beside
		}
		return r.part()
	}
	if x := r.beside; x != nil && x.of == r { // of an earlier record in this place
		x.original, x.edits = original{}, x.edits[:0]
	} else {
		r.beside, r.fresh = &extras{of: r}, true
	}
	r.live, r.touched = true, true
	return r.beside
}

// part gives a copy of a record extras of its own.
func (r *Record) part() *extras {
	x := *r.beside
	x.of = r
	x.edits, x.room = append([]edit(nil), x.edits...), 0
	r.beside, r.fresh = &x, true
	return r.beside
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
		x.original, x.edits = original{}, x.edits[:0]
	}
	*r = Record{beside: x}
}
