// SPDX-License-Identifier: Apache-2.0

// Package ring keeps the mark of a log whose records are done in any order: the offset before
// which all of them are.
//
// What it guarantees. The mark never passes a record that is not done, nor one that was lost
// (I5), and it never goes back. It is the offset of a record or the end of a batch, so that it can
// be committed and read from again, whatever gaps the log has.
//
// How. The ring holds an [Entry] for each run of up to [MaxSize] records that the mark has not
// passed, in the order of the log. An entry counts how many of its records are not done, and has
// a bit for each record, which is needed only when they are not done all at once. So a run whose
// records are done together is one subtraction, whatever its size. The mark passes the first
// entry when its count is 0. It also stands within the first entry, as far as that is done from
// its beginning: else a stop within a batch would repeat its beginning.
//
// Offsets have gaps, from compaction and control records. While an entry has none it keeps its
// first offset alone, and counts on; from the first gap on it lists them. A [Batch] is what the
// log hands over at once: behind its last record the mark moves to the batch's end, over
// whatever stands there. Offsets may also be from elsewhere, as those in a recording, and say
// nothing of the log: then the mark passes such a batch only as a whole.
//
// Why so. The usual ways were measured with 16,000 records under way, in nanoseconds for each
// record that is done: a map 81, a list 27, a heap 96 to 195, a ring of bits 2.5; a whole run of
// 256 at once costs 0.05 for each, with a mutex. Dropped: a counter for each batch alone, since the
// mark could then not stand within one; and a ring without locks, 5.5, since outcomes of several
// kinds have to be booked together under one lock in any case
// (docs/decisions/0033-marks-as-rings.md).
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

// A Batch is a range of the log's offsets, of which records are made in order.
type Batch struct {
	end    int64 // the offset behind it
	last   int64 // the offset of the last record that was made; one below the batch when none was
	opaque bool  // the offsets of its records are not the log's
}

// NewBatch gives the batch of the offsets from start up to, but without, end. opaque says that
// the offsets of its records are not the log's.
func NewBatch(start, end int64, opaque bool) Batch {
	return Batch{end: end, last: start - 1, opaque: opaque}
}

// HasTail says whether the mark has to be moved further than the last record, to the batch's
// end. That takes an entry of its own, without records.
func (b *Batch) HasTail() bool { return b.opaque || b.last+1 != b.end }

// Next gives the offset from which on no record of the batch has been made.
func (b *Batch) Next() int64 { return b.last + 1 }

// An Entry is a run of records of one batch. Its owner embeds it in what it keeps for the run.
type Entry struct {
	// What is looked at when all records are done at once stands first: it is then in the same
	// cache line as what its owner looks at (BenchmarkP15 of the engine).
	left    int   // how many records are neither done nor lost
	next    int64 // the mark once the entry is passed; -1: the mark stays where it is
	blocked bool  // one of its records was lost: the mark never passes it
	open    bool  // the mark has not passed it

	seq  uint64               // its number in the ring
	done [MaxSize / 64]uint64 // a bit for each record that was noted as done
	size int                  // how many records have been added
	// The offsets of the records: first and the next ones, or with gaps those in at.
	first int64   // -1: the offsets are not the log's
	gaps  bool    // the offsets do not follow one another
	at    []int64 // one for each record, with gaps
}

// Reset makes the entry empty. It keeps the memory of its list of offsets.
func (e *Entry) Reset() { *e = Entry{next: -1, first: -1, at: e.at[:0]} }

// Add adds a record of a batch. Its offset must be above the last one and below the batch's
// end; else the batch is taken for opaque.
func (e *Entry) Add(b *Batch, offset int64) {
	switch {
	case offset <= b.last || offset >= b.end:
		b.opaque = true
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

// Close sets where the mark stands once the entry is passed: behind the last record that was
// added. Records may still be added, and the entry closed again, until the mark passes it.
func (e *Entry) Close(b *Batch) {
	if e.next = b.last + 1; b.opaque {
		e.next, e.first, e.gaps = -1, -1, false
	}
}

// Tail makes an entry without records one that moves the mark to the end of a batch.
func (e *Entry) Tail(b *Batch) { e.next = b.end }

// Size is how many records have been added.
func (e *Entry) Size() int { return e.size }

// Left is how many records are not done.
func (e *Entry) Left() int { return e.left }

// Blocked says whether a record of the entry was lost.
func (e *Entry) Blocked() bool { return e.blocked }

// Open says whether the mark has not passed the entry.
func (e *Entry) Open() bool { return e.open }

// Seq is the number of the entry in its ring, from 0 on.
func (e *Entry) Seq() uint64 { return e.seq }

// Block says that a record ends without an outcome: the mark never passes the entry.
func (e *Entry) Block() { e.blocked = true }

// Note remembers which record is done, by its index. It is not needed for records with which
// Done leaves none.
func (e *Entry) Note(i uint8) { e.done[i/64] |= 1 << (i % 64) }

// Done counts down n records, which are done or lost, and gives how many are left.
func (e *Entry) Done(n int) (left int) {
	e.left -= n
	return e.left
}

// prefix gives the mark within the entry: the offset of its first record that is not done. It
// gives false when that is its first record, or not known.
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

// Undone gives the index of the first record that is not noted as done, and its offset; -1: the offset is not
// known. One that was lost is not noted either. It is for an entry of which records are left.
func (e *Entry) Undone() (index int, offset int64) {
	for _, word := range e.done {
		ones := bits.TrailingZeros64(^word)
		if index += ones; ones < 64 {
			break
		}
	}
	switch {
	case e.gaps && index < len(e.at):
		return index, e.at[index]
	case e.first >= 0:
		return index, e.first + int64(index)
	}
	return index, -1
}

// A Ring holds the entries that the mark has not passed, in order, each with what its owner
// keeps for it.
type Ring[T any] struct {
	open fifo.Queue[place[T]]
	seq  uint64 // the number of the next entry
	mark int64  // between entries
}

// A place holds an entry and what its owner keeps for it, so that neither has to be found by
// way of the other: that would be a call for each entry that is passed.
type place[T any] struct {
	e  *Entry
	of T
}

// Start sets the mark of a ring without entries.
func (r *Ring[T]) Start(mark int64) { r.mark = mark }

// Push puts an entry behind the others, with what its owner keeps for it.
func (r *Ring[T]) Push(e *Entry, of T) {
	e.seq, e.open = r.seq, true
	r.seq++
	r.open.Push(place[T]{e, of})
}

// CanPass says whether the mark can pass the first entry. It is apart from Pass, and small
// enough to be inlined: mostly there is nothing to pass.
func (r *Ring[T]) CanPass() bool {
	if r.open.Len() == 0 {
		return false
	}
	e := r.open.Peek().e
	return e.left == 0 && !e.blocked
}

// Pass moves the mark past the first entry, which CanPass has allowed, and gives what its owner
// keeps for it. moved says whether the mark has another value now.
func (r *Ring[T]) Pass() (of T, moved bool) {
	p := r.open.Pop()
	p.e.open = false
	if moved = p.e.next > r.mark; moved {
		r.mark = p.e.next
	}
	return p.of, moved
}

// Passed is where the mark stands, between entries.
func (r *Ring[T]) Passed() int64 { return r.mark }

// Committable is where the mark stands when it may stand within the first entry too: this is what is
// committed.
func (r *Ring[T]) Committable() int64 {
	if r.open.Len() > 0 {
		if within, ok := r.open.Peek().e.prefix(); ok {
			return max(r.mark, within)
		}
	}
	return r.mark
}

// First gives what the owner keeps for the first entry that the mark has not passed.
func (r *Ring[T]) First() (of T, ok bool) {
	if r.open.Len() == 0 {
		return of, false
	}
	return r.open.Peek().of, true
}

// All gives what the owner keeps for each entry that the mark has not passed, in order. The
// ring must not be changed meanwhile.
func (r *Ring[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, p := range r.open.Rest() {
			if !yield(p.of) {
				return
			}
		}
	}
}

// Oldest gives what the owner keeps for the first entry with records that are not done.
func (r *Ring[T]) Oldest() (of T, ok bool) {
	for _, p := range r.open.Rest() {
		if p.e.left > 0 {
			return p.of, true
		}
	}
	return of, false
}
