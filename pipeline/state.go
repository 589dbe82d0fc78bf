package pipeline

import (
	"slices"
	"time"
	"unsafe"
)

// engineState is what the engine remembers of a record on its way. It is written by
// the record's owner (I2); refs, queued and the family under the lock of the lane.
type engineState struct {
	// First what every record needs in every step.
	piece  *piece   // the entry of the mark ring that the record belongs to
	fail   *failure // why it is rejected; it then travels on in its place
	weight int32    // bytes, with
	grown  int32    // those beyond what came, as charged
	origin *Record  // of a copy for one of several sinks, and of a dead letter
	family *family  // of a part of a split
	undo   *passage // the last step that has to hear when it comes to nothing
	key    uint64   // hash of its key, when an order or a serial step asks for it
	index  uint8    // in its piece
	refs   int16    // sinks, dead letters included, that have not finished with it; 0: one
	dead   bool     // it is a dead letter
	queued bool     // its dead letter is under way or written
	lost   bool     // one of its sinks has abandoned it
}

// A failure is why a record is rejected, and by whom.
type failure struct {
	step     string
	reason   string
	err      error
	attempts int
	part     int32 // the failing part, 0 when the record was not split
	parts    int   // how many parts failed
	stop     bool  // OnErrorStop: the pipeline ends with it
	at       time.Time
}

// recordSize is what a record costs in memory beside its bytes.
const recordSize = int64(unsafe.Sizeof(Record{}))

// measure notes how large a record is before the first step.
func (r *Record) measure() int64 {
	n := r.size()
	r.eng.weight, r.eng.grown = int32(n), 0
	return n
}

// size is that of key, value and headers, edits not applied.
func (r *Record) size() int64 {
	n := len(r.key) + len(r.value)
	for i := range r.headers {
		n += len(r.headers[i].Name) + len(r.headers[i].Value)
	}
	return int64(n)
}

// weight is the size of a record's key, value and headers as they came, and of what
// steps have added. It is at least what its value takes when written.
func (r *Record) weight() int64 { return int64(r.eng.weight) }

// regrow notes what a step has added to a record and gives the difference to charge.
func (r *Record) regrow() int64 {
	if !r.touched {
		return 0
	}
	return r.measureAgain()
}

func (r *Record) measureAgain() int64 {
	n := r.added()
	d := int32(n) - r.eng.grown
	r.eng.grown += d
	r.eng.weight += d
	return int64(d)
}

// added is what the record holds beside what came, in bytes: what it was given stays in
// memory beside what it was given in its place.
func (r *Record) added() int64 {
	if !r.live {
		return 0
	}
	x := r.own()
	n := growth(x.edits)
	if x.hasValue {
		n += len(r.value)
	}
	if x.hasKey {
		n += len(r.key)
	}
	if x.hasHeaders {
		for i := range r.headers {
			n += len(r.headers[i].Value)
		}
	}
	return int64(n)
}

// savepoint is a record as it was before an attempt.
type savepoint struct {
	rec    Record
	beside extras
	edits  []edit
	heads  []Header
}

// save remembers r so that restore can undo what an attempt did to it.
func (s *savepoint) save(r *Record) {
	s.rec = *r
	if r.live {
		s.beside = *r.own()
		s.edits = append(s.edits[:0], s.beside.edits...)
	}
	s.heads = append(s.heads[:0], r.headers...)
}

// forget lets go of the record's bytes and keeps the room for others.
func (s *savepoint) forget() {
	clear(s.edits)
	clear(s.heads)
	*s = savepoint{edits: s.edits[:0], heads: s.heads[:0]}
}

// restore makes r what it was when save was called. The engine's state stays.
func (s *savepoint) restore(r *Record) {
	eng, x := r.eng, r.beside
	*r = s.rec
	r.eng, r.beside, r.touched = eng, x, true
	if r.live {
		own := r.own()
		*own = s.beside
		own.edits = slices.Clone(s.edits)
	}
	if len(s.heads) > 0 {
		r.headers = slices.Clone(s.heads)
	}
}

// share gives a copy of r that another sink may read at the same time.
func (r *Record) share(to *Record) {
	*to = *r
	to.eng.origin = r
}
