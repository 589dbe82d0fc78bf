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

const extrasSize = int64(unsafe.Sizeof(extras{}))

// own gives the record's extras, and makes them if it has none.
func (r *Record) own() *extras {
	if r.live {
		if r.beside.of == r {
			return r.beside
		}
		return r.part()
	}
	if x := r.beside; x != nil && x.of == r { // of an earlier record in this place
		x.original, x.edits, x.written = original{}, x.edits[:0], 0
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
	x.edits = append([]edit(nil), x.edits...)
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
