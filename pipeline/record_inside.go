package pipeline

import (
	"bytes"
	"slices"
	"unsafe"

	"github.com/penstockio/penstock/pipeline/internal/inside"
)

// This file is what the engine sees of a record beside its methods.

func init() { inside.Of = &forEngine }

var forEngine = inside.Records[Record]{
	TouchedAt:    unsafe.Offsetof(Record{}.touched),
	Grown:        (*Record).grown,
	Left:         (*Record).left,
	Sent:         sentOf,
	TakeOff:      (*Record).takeOff,
	Shown:        (*Record).shown,
	CopyTo:       (*Record).copyTo,
	CameFrom:     (*Record).cameFrom,
	Clear:        (*Record).clear,
	WithExtras:   withExtras,
	HasExtras:    func(r *Record) bool { return r.extras != nil },
	Leave:        leave,
	Lend:         func(r *Record, x inside.Extras) { r.lend(x.(*extras)) },
	ExtrasSize:   keptExtrasSize,
	NewSavepoint: func() inside.Savepoint[Record] { return new(savepoint) },
}

// sentOf is inside.Records.Sent.
func sentOf(recs []*Record) (n int64) {
	for _, r := range recs {
		n += int64(r.sent() + len(r.key))
	}
	return n
}

// shown is inside.Records.Shown. To put the edits into a value that is far too long would cost more than the part that is wanted.
func (r *Record) shown(most int) (value []byte, size int) {
	if !r.Edited() {
		return bytes.Clone(r.value[:min(len(r.value), most)]), len(r.value)
	}
	if size = len(r.value) + r.growth(); size > 4*most {
		return nil, size
	}
	value = r.splice(make([]byte, 0, size))
	return value[:min(len(value), most)], len(value)
}

// withExtras is inside.Records.WithExtras.
func withExtras(recs []Record) (n int) {
	for i := range recs {
		if recs[i].extras != nil {
			n++
		}
	}
	return n
}

// leave gives no extras as nil, not as a nil pointer in an interface.
func leave(r *Record) inside.Extras {
	if x := r.leave(); x != nil {
		return x
	}
	return nil
}

// grown is inside.Records.Grown. From here on the record is not touched, and owes nothing.
func (r *Record) grown() (added, growing, owed int64) {
	r.touched = false
	if r.live {
		x := r.own()
		x.changed, x.changing = x.changed || x.changing, false
	}
	return r.added(), int64(r.growth()), r.owes()
}

// left is inside.Records.Left.
func (r *Record) left() (value []byte, ok bool) {
	if x := r.extras; !r.live || !x.changed || x.changing {
		return nil, false
	}
	return r.Value(), true
}

// takeOff is inside.Records.TakeOff. The other headers go into a slice of their own: those of the
// record may be the source's.
func (r *Record) takeOff(name string) (value []byte, ok bool) {
	for i := range r.headers {
		if r.headers[i].Name != name {
			continue
		}
		kept := append([]Header(nil), r.headers[:i]...)
		value, ok = r.headers[i].Value, true
		for _, h := range r.headers[i+1:] {
			if h.Name == name {
				value = h.Value
				continue
			}
			kept = append(kept, h)
		}
		r.headers = kept[:len(kept):len(kept)]
		return value, ok
	}
	return nil, false
}

// owes gives the bytes of the record's extras that have not been charged, and counts them as
// charged. They are no part of the record's weight, as they are not written to a sink.
func (r *Record) owes() (n int64) {
	if r.live {
		x := r.own()
		n, x.owed = x.owed, 0
	}
	return n
}

// added is how many bytes the record holds on top of what it came with. What was replaced
// counts on, as it stays in memory for the dead letter.
func (r *Record) added() int64 {
	if !r.live {
		return 0
	}
	x := r.own()
	n := r.growth()
	if x.hasValue {
		n += len(r.value)
	}
	if x.hasKey {
		n += len(r.key)
	}
	if x.hasHeaders && !r.sameHeaders(x.headers) {
		n += len(r.headers) * headerSize
		for i := range r.headers {
			n += len(r.headers[i].Value)
		}
	}
	return int64(n)
}

const headerSize = int(unsafe.Sizeof(Header{}))

// sameHeaders says whether the record has these headers, not others that are equal.
func (r *Record) sameHeaders(h []Header) bool {
	return len(h) == len(r.headers) && (len(h) == 0 || &h[0] == &r.headers[0])
}

// savepoint is a record as it was before an attempt.
type savepoint struct {
	rec    Record
	extras extras   // its extras, if it had any
	edits  []edit   // a copy of its edits
	cuts   []cut    // a copy of its cuts
	heads  []Header // a copy of its headers
}

// Save remembers r so that Restore can undo what an attempt did to it.
func (s *savepoint) Save(r *Record) {
	s.rec = *r
	if r.live {
		s.extras = *r.own()
		s.edits = append(s.edits[:0], s.extras.edits...)
		s.cuts = append(s.cuts[:0], s.extras.cuts...)
	}
	s.heads = append(s.heads[:0], r.headers...)
}

// Forget lets go of what the record points to, and keeps the lists for another one.
func (s *savepoint) Forget() {
	clear(s.edits)
	clear(s.cuts)
	clear(s.heads)
	*s = savepoint{edits: s.edits[:0], cuts: s.cuts[:0], heads: s.heads[:0]}
}

// Restore makes r what it was when Save was called. What its extras owe stays: the memory is
// there.
func (s *savepoint) Restore(r *Record) {
	x := r.extras
	*r = s.rec
	r.extras, r.touched = x, true
	if r.live {
		own := r.own()
		owed := own.owed
		*own = s.extras
		own.owed, own.edits = owed, slices.Clone(s.edits)
		if len(s.cuts) > 0 {
			own.cuts = slices.Clone(s.cuts)
		}
	}
	if len(s.heads) > 0 {
		r.headers = slices.Clone(s.heads)
	}
}
