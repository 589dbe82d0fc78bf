package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file is the way of a lane's batches from when they are handed over until their
// records are under way.

// An intake is one batch as the source handed it over. Guarded by the lane.
type intake struct {
	batch  *pipeline.Batch
	charge *charge
	own    charge  // the room of charge, when it is owed
	size   int64   // bytes that wait until it is filled
	opens  int64   // bytes that filling it takes; the filler's, like
	made   int64   // bytes of the records that have been made of it
	pieces int     // with records on their way
	open   bool    // there may be more records in it
	opaque bool    // its records have offsets from elsewhere: the mark moves behind it as a whole
	owed   bool    // it came without a charge: what its records weigh is charged as they are made
	next   *intake // another that is given back with it
	last   int64   // offset of the last record that was made of it
}

// release gives back what a batch holds. Nobody has any of its records.
func (in *intake) release() {
	if in.charge != nil {
		in.charge.Release()
	}
	if in.batch.Free != nil {
		in.batch.Free()
	}
}

// giveBack gives back what batches hold of which all records are done, and keeps the intakes
// for others.
func (l *lane) giveBack(c *closing) {
	for in := c.freed; in != nil; in = in.next {
		in.release()
	}
	l.mu.Lock()
	for in := c.freed; in != nil; {
		next := in.next
		*in = intake{}
		if len(l.intakes) < sparePieces {
			l.intakes = append(l.intakes, in)
		}
		in = next
	}
	l.mu.Unlock()
}

// intake gives an empty intake. The lane's lock is held.
func (l *lane) intake() *intake {
	if n := len(l.intakes); n > 0 {
		in := l.intakes[n-1]
		l.intakes = l.intakes[:n-1]
		return in
	}
	return new(intake)
}

// enqueue lets a batch wait. It fails when the lane takes no more.
func (l *lane) enqueue(in *intake) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending {
		return false
	}
	in.last = l.read - 1
	l.read = in.batch.Next
	l.waiting.push(in)
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
func (l *lane) next() *intake {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.filling = nil
	if l.waiting.len() > 0 {
		l.filling = l.waiting.peek()
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
	return l.waiting.len() > 0
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
		l.letGo()
	}
	l.block = l.p.roll.block()
	return l.block
}

// letGo gives the lane's block to the pieces that have records in it. The lane's lock is
// held.
func (l *lane) letGo() {
	if b := l.block; b != nil {
		l.block = nil
		if b.refs--; b.refs == 0 {
			l.p.roll.put(b, true)
		}
	}
}

// newPiece gives an empty piece for records of a batch.
func (l *lane) newPiece(in *intake, now time.Time) *piece {
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
	if pc.size == 0 && n > 0 {
		pc.time = b.recs[at].Time
	}
	for i := at; i < at+n; i++ {
		pc.put(b.recs[i].Offset)
	}
	pc.next = in.last + 1
	if in.opaque {
		pc.next, pc.first, pc.gaps = -1, -1, false
	}
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
		l.push(pc)
		in.pieces++
	}
	pc.left += n
	l.inFlight += int64(n)
	l.p.meter.enter(int64(n))
	return true
}

// put notes the offset of the next record of a piece. The lane's lock is held.
func (pc *piece) put(offset int64) {
	in := pc.from
	switch {
	case offset <= in.last || offset >= in.batch.Next:
		in.opaque = true // whatever was said
	case pc.size == 0:
		pc.first = offset
	case offset != in.last+1 && !pc.gaps:
		pc.gaps = true
		for i := range pc.size {
			pc.at = append(pc.at, pc.first+int64(i))
		}
	}
	if pc.gaps {
		pc.at = append(pc.at, offset)
	}
	in.last = offset
	pc.size++
}

// push puts a piece into the ring of marks. The lane's lock is held.
func (l *lane) push(pc *piece) {
	pc.seq, pc.inRing = l.seq, true
	l.seq++
	l.ring.push(pc)
}

// filled ends a batch of which all records have been made: the mark may pass it.
func (l *lane) filled(in *intake, now time.Time) {
	c := closing{now: now}
	l.mu.Lock()
	l.takeOff(in)
	if !l.shut && (in.opaque || in.last+1 != in.batch.Next) {
		pc := l.piece(in, now) // for what is behind the last record
		pc.next = in.batch.Next
		l.push(pc)
	}
	if in.open = false; in.pieces == 0 {
		c.free(in)
	}
	l.settle(&c)
	l.p.budget.regrant() // fewer bytes of the lane wait
}

// takeOff ends the waiting of a batch, which the filler has no longer: a lane that ends from
// here on must not put it back, as it may be another's by then. The lane's lock is held.
func (l *lane) takeOff(in *intake) {
	if l.filling == in {
		l.filling = nil
	}
	if l.waiting.len() > 0 && l.waiting.peek() == in {
		l.waiting.pop()
		l.unfilled.Add(-in.size)
	}
}

// drop ends a batch that the filler has, though not all of it has been read.
func (l *lane) drop(in *intake) {
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
	var free []*intake
	l.mu.Lock()
	for _, in := range l.waiting.rest() {
		if in == l.filling {
			continue
		}
		if in.open = false; in.pieces == 0 {
			free = append(free, in)
		}
		l.unfilled.Add(-in.size)
		l.unreads++
	}
	l.waiting = fifo[*intake]{}
	if l.filling != nil {
		l.waiting.push(l.filling)
	}
	if l.shut && !l.busy {
		l.letGo()
	}
	l.tellIdle()
	l.mu.Unlock()
	for _, in := range free {
		in.release()
	}
	l.p.fill.poke()
}
