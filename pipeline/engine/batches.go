package engine

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/fifo"
	"github.com/penstockio/penstock/pipeline/engine/internal/ring"
)

// This file follows the batches of a lane from when the source hands them over until the last
// record of each is done.
//
// What it guarantees. Batches are made records in the order in which they came. What a batch
// holds, its charge and its bytes, is given back once: when its last record has its outcome, or
// when the lane ends before records were made of it. A batch that is being filled while its lane
// ends is left to the filler.
//
// How. A batch waits in a queue of its lane. The filler holds the first one (filling) while it
// makes records of it. When the batch has no more records it leaves the queue, and only its pieces in
// the ring of marks are left. The last piece that is done gives the batch back. A laneBatch is used
// again then, so it leaves filling and the queue in one step under the lane's lock.
//
// Dropped. Leaving filling first and the queue a moment later: a lane that ended between the two
// put the laneBatch back into the queue while another batch had it (TestAnEndBetweenTwoBatches).

// A laneBatch is one batch of a lane, as the source handed it over. Guarded by the lane, but
// for opens and made, which are the filler's.
type laneBatch struct {
	batch  *pipeline.Batch
	charge *charge    // what was taken for it; nil: it came without a charge, and has no records
	own    charge     // where charge points when the batch came without one
	size   int64      // bytes of it that count as unfilled while it waits
	opens  int64      // bytes that its next Fill will take beside the places of its records
	made   int64      // bytes of the records that have been made of it
	pieces int        // its pieces with records that are not done, and the runs of records that it is to be told of still
	open   bool       // more records may be made of it
	owed   bool       // it came without a charge: what its records weigh is charged as they are made
	next   *laneBatch // the next one of a list that is given back together
	marks  ring.Batch // its range of offsets
	came   time.Time  // when the source handed it over
}

// release gives back what a batch holds. None of its records is in use.
func (in *laneBatch) release(p *shared) {
	if in.charge != nil {
		in.charge.Release()
	}
	p.free(in.batch)
}

// free calls a batch's Free. A panic in it stops the pipeline, and nothing else: whoever gives a
// batch back has more to give back, and to count.
func (p *shared) free(b *pipeline.Batch) {
	defer func() {
		if v := recover(); v != nil {
			p.stop(fmt.Errorf("freeing a batch: %w", &pipeline.PanicError{Value: v, Stack: debug.Stack()}))
		}
	}()
	if b.Free != nil {
		b.Free()
	}
}

// recycleBatches gives back what the batches of a settlement hold, all of whose records are
// done, and keeps the laneBatches for other batches.
func (l *lane) recycleBatches(c *settlement) {
	for in := c.freed; in != nil; in = in.next {
		in.release(l.p)
	}
	l.mu.Lock()
	for in := c.freed; in != nil; {
		next := in.next
		*in = laneBatch{}
		if len(l.spareBatches) < sparePieces {
			l.spareBatches = append(l.spareBatches, in)
		}
		in = next
	}
	l.mu.Unlock()
}

// newBatch gives an empty laneBatch. The lane's lock is held.
func (l *lane) newBatch() *laneBatch {
	if n := len(l.spareBatches); n > 0 {
		in := l.spareBatches[n-1]
		l.spareBatches = l.spareBatches[:n-1]
		return in
	}
	return new(laneBatch)
}

// enqueue lets a batch wait. It fails when the lane takes no more.
func (l *lane) enqueue(in *laneBatch) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending {
		return false
	}
	if l.p.opts.Transactor == nil && (in.batch.Sending != nil || in.batch.Ended != nil) {
		l.p.follows.Store(true)
	}
	in.marks = ring.NewBatch(l.read, in.batch.Next, in.batch.Opaque)
	l.read = in.batch.Next
	l.waiting.Push(in)
	l.unfilled.Add(in.size)
	return true
}

// enter says that the filler is at the lane. From here on the lane's block is the filler's.
func (l *lane) enter() {
	l.mu.Lock()
	l.busy = true
	l.mu.Unlock()
}

// next gives the filler the first batch that waits, nil when none does. Until the filler asks
// for another or leaves the lane, a lane that ends leaves that batch to it.
func (l *lane) next() *laneBatch {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.filling = nil
	if l.waiting.Len() > 0 {
		l.filling = l.waiting.Peek()
	}
	return l.filling
}

// leave says that the filler has left the lane. What a lane that is shut could not give back
// meanwhile is given back now.
func (l *lane) leave() {
	l.mu.Lock()
	l.filling, l.busy = nil, false
	over := l.shut
	l.mu.Unlock()
	if over {
		l.unread()
	}
}

// more says whether batches wait.
func (l *lane) more() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting.Len() > 0
}

// wish is how many records the filler asks places for: those of one chunk, going by the size
// that records of the lane had in the last fill.
func (l *lane) wish() int {
	n := chunkRecords
	if l.recordSize > 0 {
		n = min(n, chunkBytes/l.recordSize)
	}
	return max(n, 1)
}

// nextBlock gives the block whose places are given out next. When no record in it is under
// way any more its first places are given out again, so that at low load the same few places
// serve all records and stay in the cache.
func (l *lane) nextBlock() *block {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.block
	switch {
	case b == nil:
	case b.refs == 1 && b.used > 0:
		b.reset()
		return b
	case b.used < blockRecords && b.bytes < chunkBytes:
		return b
	default:
		l.releaseBlock()
	}
	l.block = l.p.pool.block()
	return l.block
}

// releaseBlock ends the giving out of places in the lane's block: from here on the pieces with
// records in it hold it alone. The lane's lock is held.
func (l *lane) releaseBlock() {
	if b := l.block; b != nil {
		l.block = nil
		if b.refs--; b.refs == 0 {
			l.p.pool.put(b, true)
		}
	}
}

// newPiece gives an empty piece for records of a batch.
func (l *lane) newPiece(in *laneBatch, now time.Time) *piece {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.piece(in, now)
}

// takeIn puts n records under way, which stand in a block from place at on and are the next of
// their batch: the piece, the batch's marks and the lane's counts have them from here on. With
// fresh the piece is new and goes into the ring of marks; else these records join it. admit
// fails when the lane is shut: then the records were never made, and their places are free.
func (l *lane) takeIn(pc *piece, fresh bool, b *block, at, n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := pc.from
	if l.shut {
		l.unreads++
		return false
	}
	if pc.Size() == 0 && n > 0 {
		pc.time = b.recs[at].Time
	}
	for i := at; i < at+n; i++ {
		pc.Add(&in.marks, b.recs[i].Offset)
	}
	pc.Close(&in.marks)
	if pc.end != b {
		if pc.blocks == 0 {
			pc.begin = b
		} else {
			pc.end.next = b
		}
		pc.end = b
		pc.blocks++
		b.refs++
	}
	if fresh {
		l.ring.Push(&pc.Entry, pc)
		in.pieces++
	}
	l.inFlight += int64(n)
	l.made += int64(n)
	l.p.meter.enter(int64(n))
	return true
}

// filled ends the waiting of a batch whose records have all been made. What stands behind its
// last record, such as a gap, gets an entry of its own without records, so that the mark can
// move to the batch's end.
func (l *lane) filled(in *laneBatch, now time.Time) {
	c := settlement{now: now}
	l.mu.Lock()
	l.takeOff(in)
	if !l.shut && in.marks.HasTail() {
		pc := l.piece(in, now)
		pc.Tail(&in.marks)
		l.ring.Push(&pc.Entry, pc)
	}
	if in.open = false; in.pieces == 0 {
		c.free(in)
	}
	l.settle(&c)
	l.p.budget.regrant() // fewer bytes of the lane wait to be filled: it may read more
}

// takeOff takes a batch out of filling and out of the queue, in one step: a lane that ends from
// here on must not put it back, since the laneBatch may hold another batch by then. The lane's
// lock is held.
func (l *lane) takeOff(in *laneBatch) {
	if l.filling == in {
		l.filling = nil
	}
	if l.waiting.Len() > 0 && l.waiting.Peek() == in {
		l.waiting.Pop()
		l.unfilled.Add(-in.size)
	}
}

// drop ends a batch that the filler has, though more records could have been made of it.
func (l *lane) drop(in *laneBatch) {
	l.mu.Lock()
	l.takeOff(in)
	free := in.open && in.pieces == 0
	in.open = false
	l.mu.Unlock()
	if free {
		in.release(l.p)
	}
}

// unread gives back the batches that wait, but for the one that the filler has. They count as
// unread: a source reads them again.
func (l *lane) unread() {
	var free []*laneBatch
	l.mu.Lock()
	for _, in := range l.waiting.Rest() {
		if in == l.filling {
			continue
		}
		if in.open = false; in.pieces == 0 {
			free = append(free, in)
		}
		l.unfilled.Add(-in.size)
		l.unreads++
	}
	l.waiting = fifo.Queue[*laneBatch]{}
	if l.filling != nil {
		l.waiting.Push(l.filling)
	}
	if l.shut && !l.busy {
		l.releaseBlock()
	}
	l.tellIdle()
	l.mu.Unlock()
	for _, in := range free {
		in.release(l.p)
	}
	l.p.hooks.lookAgain()
}
