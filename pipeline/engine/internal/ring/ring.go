// Package ring counts how far a log is done, whose records are done in any order.
//
// Records of a lane get their outcomes in any order, and what is committed is one number:
// a mark before which every record has one (I5). The ring holds what the mark has not
// passed, an entry for each run of up to [MaxSize] records. An entry counts its records
// down, and remembers which are done only when they do not end all at once; the mark passes
// an entry when its count is 0, and stands within the first one as far as that is done
// from its beginning. So a run that ends whole is one subtraction, whatever its size.
//
// Offsets have gaps, from compaction and control records. An entry keeps the first one and
// counts on while there are none, and lists them from the first gap on. A [Batch] is what
// the log hands over at once: behind its last record the mark moves to the batch's end, over
// whatever stands there. Its offsets may also be from elsewhere, as those of a fixture: then
// the mark passes it as a whole.
//
// Nothing here locks: a ring, its entries and its batches belong to whoever guards them.
package ring

import (
	"iter"
	"math/bits"

	"github.com/penstockio/penstock/pipeline/engine/internal/fifo"
)

// MaxSize is the most records of an entry.
const MaxSize = 256

// A Batch is a range of offsets of which records are made, in order.
type Batch struct {
	end    int64
	last   int64 // offset of the last record that was made
	opaque bool
}

// NewBatch gives the batch of the offsets from start to before end. With opaque its records
// have offsets from elsewhere, whatever they are.
func NewBatch(start, end int64, opaque bool) Batch {
	return Batch{end: end, last: start - 1, opaque: opaque}
}

// HasTail says whether there is something behind the last record that the mark has to
// pass by an entry of its own, without records.
func (b *Batch) HasTail() bool { return b.opaque || b.last+1 != b.end }

// An Entry is a run of records of one batch. It is part of what its owner has of them.
type Entry struct {
	// What the end of them all looks at stands first (BenchmarkP15 of the engine).
	left int
	next int64 // the mark once it and all before it are done; -1: none of its own
	lost bool
	open bool

	seq  uint64
	done [MaxSize / 64]uint64 // which are done, unless all are
	size int
	// Where its records stand, when that is known: counted on from first, or listed in at.
	first int64
	gaps  bool
	at    []int64
}

// Reset makes the entry empty. It keeps its room.
func (e *Entry) Reset() { *e = Entry{next: -1, first: -1, at: e.at[:0]} }

// Add counts a further record in, of a batch.
func (e *Entry) Add(b *Batch, offset int64) {
	switch {
	case offset <= b.last || offset >= b.end:
		b.opaque = true // whatever was said
	case e.size == 0:
		e.first = offset
	case offset != b.last+1 && !e.gaps:
		e.gaps = true
		for i := range e.size {
			e.at = append(e.at, e.first+int64(i))
		}
	}
	if e.gaps {
		e.at = append(e.at, offset)
	}
	b.last = offset
	e.size++
	e.left++
}

// Close says that those that were added are all, as far as anybody knows.
func (e *Entry) Close(b *Batch) {
	if e.next = b.last + 1; b.opaque {
		e.next, e.first, e.gaps = -1, -1, false
	}
}

// Tail has the entry stand for what is behind the last record of a batch.
func (e *Entry) Tail(b *Batch) { e.next = b.end }

// Size is how many records have been added.
func (e *Entry) Size() int { return e.size }

// Left is how many records are not done.
func (e *Entry) Left() int { return e.left }

// Lost says whether a record of the entry was lost.
func (e *Entry) Lost() bool { return e.lost }

// Open says whether the mark has not passed the entry.
func (e *Entry) Open() bool { return e.open }

// Seq counts the entries of the ring.
func (e *Entry) Seq() uint64 { return e.seq }

// Lose says that a record ends without an outcome: the mark never passes the entry.
func (e *Entry) Lose() { e.lost = true }

// Note remembers that one of the records, counted from 0, is done. It may be left out when
// the call of Done that follows leaves none.
func (e *Entry) Note(i uint8) { e.done[i/64] |= 1 << (i % 64) }

// Done counts n records out, which are done or lost, and gives how many are left.
func (e *Entry) Done(n int) (left int) {
	e.left -= n
	return e.left
}

// prefix gives the mark that stands in the entry: before its first record that is not done.
func (e *Entry) prefix() (next int64, ok bool) {
	n := 0
	for _, word := range e.done {
		ones := bits.TrailingZeros64(^word)
		n += ones
		if ones < 64 {
			break
		}
	}
	switch {
	case n == 0 || n >= e.size || e.next < 0:
		return 0, false
	case e.gaps:
		return e.at[n], true
	case e.first >= 0:
		return e.first + int64(n), true
	}
	return 0, false
}

// A Ring holds the entries that the mark has not passed, in order, each with what its owner
// has of it.
type Ring[T any] struct {
	open fifo.Queue[place[T]]
	seq  uint64
	mark int64
}

// A place has both, so that passing an entry needs no call to find it.
type place[T any] struct {
	e  *Entry
	of T
}

// Start sets the mark of a ring without entries.
func (r *Ring[T]) Start(mark int64) { r.mark = mark }

// Push puts an entry behind the others, and what its owner has of it.
func (r *Ring[T]) Push(e *Entry, of T) {
	e.seq, e.open = r.seq, true
	r.seq++
	r.open.Push(place[T]{e, of})
}

// CanPass says whether the first entry is done. It is apart from Pass so that a call of it
// costs nothing where there is nothing to pass.
func (r *Ring[T]) CanPass() bool {
	if r.open.Len() == 0 {
		return false
	}
	e := r.open.Peek().e
	return e.left == 0 && !e.lost
}

// Pass moves the mark past the first entry, which is done, and gives what its owner has of
// it. moved says whether the mark is another one.
func (r *Ring[T]) Pass() (of T, moved bool) {
	p := r.open.Pop()
	p.e.open = false
	if moved = p.e.next > r.mark; moved {
		r.mark = p.e.next
	}
	return p.of, moved
}

// Mark is where the mark stands, between entries.
func (r *Ring[T]) Mark() int64 { return r.mark }

// Within is where the mark stands if it may stand within the first entry.
func (r *Ring[T]) Within() int64 {
	if r.open.Len() > 0 {
		if within, ok := r.open.Peek().e.prefix(); ok {
			return max(r.mark, within)
		}
	}
	return r.mark
}

// First gives what there is of the first entry that the mark has not passed.
func (r *Ring[T]) First() (of T, ok bool) {
	if r.open.Len() == 0 {
		return of, false
	}
	return r.open.Peek().of, true
}

// All gives what there is of the entries that the mark has not passed, in order. The ring
// stays as it is meanwhile.
func (r *Ring[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, p := range r.open.Rest() {
			if !yield(p.of) {
				return
			}
		}
	}
}

// Oldest gives what there is of the first entry with records that are not done.
func (r *Ring[T]) Oldest() (of T, ok bool) {
	for _, p := range r.open.Rest() {
		if p.e.left > 0 {
			return p.of, true
		}
	}
	return of, false
}
