package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/fifo"
	"github.com/penstockio/penstock/pipeline/engine/internal/ring"
)

// This file is the way of a lane's batches from when they are handed over until their
// records are under way.

// A laneBatch is one batch as the source handed it over. Guarded by the lane.
type laneBatch struct {
	batch  *pipeline.Batch
	charge *charge
	own    charge     // the room of charge, when it is owed
	size   int64      // bytes that wait until it is filled
	opens  int64      // bytes that filling it takes; the filler's, like
	made   int64      // bytes of the records that have been made of it
	pieces int        // with records on their way
	open   bool       // there may be more records in it
	owed   bool       // it came without a charge: what its records weigh is charged as they are made
	next   *laneBatch // another that is given back with it
	marks  ring.Batch
}

// release gives back what a batch holds. Nobody has any of its records.
func (in *laneBatch) release() {
	if in.charge != nil {
		in.charge.Release()
	}
	if in.batch.Free != nil {
		in.batch.Free()
	}
}

// recycleBatches gives back what batches hold of which all records are done, and keeps the intakes
// for others.
func (l *lane) recycleBatches(c *settlement) {
	for in := c.freed; in != nil; in = in.next {
		in.release()
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

// newBatch gives an empty intake. The lane's lock is held.
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
	in.marks = ring.NewBatch(l.read, in.batch.Next, in.batch.Opaque)
	l.read = in.batch.Next
	l.waiting.Push(in)
	l.unfilled.Add(in.size)
	return true
}

// enter says that the filler is at the lane, which has its block then.
func (l *lane) enter() {
	l.mu.Lock()
	l.busy = true
	l.mu.Unlock()
}

// next gives the first batch that waits and holds it: a lane that ends meanwhile leaves
// it to the filler. It gives nil when none waits.
func (l *lane) next() *laneBatch {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.filling = nil
	if l.waiting.Len() > 0 {
		l.filling = l.waiting.Peek()
	}
	return l.filling
}

// leave says that the filler has left the lane.
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

// wish is how many records are worth making at once.
func (l *lane) wish() int {
	n := chunkRecords
	if l.each > 0 {
		n = min(n, chunkBytes/l.each)
	}
	return max(n, 1)
}

// places gives the block to fill next. With nothing of the lane under way it is used
// from its beginning again: at low load the same places serve all records.
func (l *lane) places() *block {
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

// releaseBlock gives the lane's block to the pieces that have records in it. The lane's lock is
// held.
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

// admit makes records of a block, which are the next of their batch, records of the lane
// and of a piece, fresh or made for those before them. It fails when the lane takes no
// more: then they are nobody's.
func (l *lane) admit(pc *piece, fresh bool, b *block, at, n int) bool {
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
	l.p.meter.enter(int64(n))
	return true
}

// filled ends a batch of which all records have been made: the mark may pass it.
func (l *lane) filled(in *laneBatch, now time.Time) {
	c := settlement{now: now}
	l.mu.Lock()
	l.takeOff(in)
	if !l.shut && in.marks.HasTail() {
		pc := l.piece(in, now) // for what is behind the last record
		pc.Tail(&in.marks)
		l.ring.Push(&pc.Entry, pc)
	}
	if in.open = false; in.pieces == 0 {
		c.free(in)
	}
	l.settle(&c)
	l.p.budget.regrant() // fewer bytes of the lane wait
}

// takeOff ends the waiting of a batch, which the filler has no longer: a lane that ends from
// here on must not put it back, as it may be another's by then. The lane's lock is held.
func (l *lane) takeOff(in *laneBatch) {
	if l.filling == in {
		l.filling = nil
	}
	if l.waiting.Len() > 0 && l.waiting.Peek() == in {
		l.waiting.Pop()
		l.unfilled.Add(-in.size)
	}
}

// drop ends a batch that the filler has, though not all of it has been read.
func (l *lane) drop(in *laneBatch) {
	l.mu.Lock()
	l.takeOff(in)
	free := in.open && in.pieces == 0
	in.open = false
	l.mu.Unlock()
	if free {
		in.release()
	}
}

// unread gives back what waits, but for the batch that the filler has.
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
		in.release()
	}
	l.p.above.lookAgain()
}
