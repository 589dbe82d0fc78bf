package engine

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/fifo"
)

// A filler makes the records of the batches that wait with their lanes, a chunk at a
// time, and sends them on their way. It takes the lanes in turn, and passes over one
// that is held back or has no room in the budget: its batches go on waiting, as bytes,
// and nobody waits for them. It survives a panic in Fill and in the key function.
type filler struct {
	p    *shared
	out  *pipe // to the first step
	seed maphash.Seed
	keys bool          // records need their keys' hash
	wake chan struct{} // capacity 1: something has changed for a lane that was passed over

	mu     sync.Mutex
	lanes  fifo.Queue[*lane] // with batches that wait
	closed bool              // no batch will come

	ready  []*chunk // made, and not sent yet
	hashed int      // records of the first of them that have their key's hash

	// The fill at work.
	lane   *lane
	in     *laneBatch
	inFill bool
	ended  bool // a batch has ended without a record
	now    time.Time
	places int    // taken from the budget, and not used yet
	c      *chunk // being made
	weight int64  // of its records
	pc     *piece // of its last records, while more of the batch may join them
}

func newFiller(p *shared, out *pipe) *filler {
	return &filler{p: p, out: out, seed: maphash.MakeSeed(), keys: p.opts.needKeys(), wake: make(chan struct{}, 1)}
}

// lookAgain has the filler look at the lanes again.
func (f *filler) lookAgain() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// admit lets a batch wait with its lane.
func (f *filler) admit(b *pipeline.Batch) error {
	p := f.p
	l, ok := b.Lane.(*lane)
	if !ok || l.p != p {
		refuse(b)
		return errors.New("the batch is of no lane of this pipeline")
	}
	c, ok := b.Charge.(*charge)
	if b.Charge != nil && (!ok || c.lane != l) {
		refuse(b)
		return errors.New("the bytes of the batch were taken for no lane of this pipeline, or for another lane than its own")
	}
	l.mu.Lock()
	in := l.newBatch()
	l.mu.Unlock()
	*in = laneBatch{batch: b, charge: c, opens: b.Opens, open: true}
	if in.charge == nil && b.Fill != nil {
		p.budget.open(l, &in.own)
		in.charge, in.owed = &in.own, true
	}
	if in.size = b.Size; in.size == 0 && in.charge != nil {
		in.size = in.charge.size()
	}
	if !l.enqueue(in) { // too late: it will be read again
		in.release()
		return nil
	}
	f.add(l)
	return nil
}

// refuse gives back what a batch holds that cannot be taken.
func refuse(b *pipeline.Batch) {
	if b.Charge != nil {
		b.Charge.Release()
	}
	if b.Free != nil {
		b.Free()
	}
}

// add notes that batches wait with a lane.
func (f *filler) add(l *lane) {
	f.mu.Lock()
	f.queue(l)
	f.mu.Unlock()
	f.lookAgain()
}

// queue puts a lane behind the others, once. The lock is held.
func (f *filler) queue(l *lane) {
	if !l.queued {
		l.queued = true
		f.lanes.Push(l)
	}
}

// close says that no batch will come any more.
func (f *filler) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.lookAgain()
}

// work sends what is made, or makes the next chunk of a lane. It gives false when
// everything is made, and when what waits is to be handed back.
func (f *filler) work() bool {
	if len(f.ready) > 0 {
		f.send()
		return true
	}
	if f.p.read.discard.Load() {
		return false
	}
	f.mu.Lock()
	n, closed := f.lanes.Len(), f.closed
	f.mu.Unlock()
	if n == 0 && closed {
		return false
	}
	for range n {
		f.mu.Lock()
		l := f.lanes.Pop()
		l.queued = false
		f.mu.Unlock()
		f.take(l)
		if l.more() {
			f.mu.Lock()
			f.queue(l)
			f.mu.Unlock()
		}
		if len(f.ready) > 0 || f.ended {
			return true
		}
	}
	if n == 0 || !closed || f.waits() {
		f.p.pool.tidy()
		select {
		case <-f.wake:
		case <-f.p.work.over:
			return false
		}
	}
	return true
}

// waits says whether batches wait.
func (f *filler) waits() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lanes.Len() > 0
}

// end drops what has not been made and closes the channel to the first step (I3).
func (f *filler) end() {
	for _, l := range f.p.lanes.all() {
		l.unread()
	}
	f.out.close()
	close(f.p.read.done)
}

// panicked hears of a panic in a Fill, or in the key function on the record at the cursor.
func (f *filler) panicked(err *pipeline.PanicError) {
	if f.inFill {
		f.inFill = false
		f.p.calls.Add(-1)
		f.failed(err)
		f.finish() // the chunk that was being made goes on with what is in it
		return
	}
	if len(f.ready) > 0 && f.hashed < len(f.ready[0].recs) {
		c := f.ready[0]
		f.unkeyed(c, c.recs[f.hashed], pipeline.ReasonPanic, err)
		f.hashed++
		return
	}
	f.p.failRead(fmt.Errorf("reading from the source: in the engine: %w\n%s", err, err.Stack))
}

// take makes the next chunk of a lane, of one batch or of several, if the lane may have
// one.
func (f *filler) take(l *lane) {
	l.enter()
	f.lane, f.in, f.now, f.ended = l, l.next(), time.Now(), false
	f.makeChunk()
	f.finish() // after a panic, panicked does it
}

// makeChunk makes the chunk.
func (f *filler) makeChunk() {
	l := f.lane
	for f.in != nil && f.in.batch.Fill == nil { // it moves the mark, and no more
		f.nextBatch()
	}
	if f.in == nil || l.holds.Load() > 0 {
		return
	}
	f.places = f.p.budget.admit(l, l.wish(), f.in.opens)
	for f.in != nil && f.places > 0 && f.weight < chunkBytes && len(f.ready) == 0 {
		if f.fill() || f.in == nil {
			continue
		}
		f.nextBatch()
		if f.c == nil {
			// What was admitted was for the batch that has ended. The next one asks for
			// itself: it may pass though little is free, or waits and is told of room.
			f.ended = true
			return
		}
		if f.in != nil && !f.p.budget.spare(l, f.in.opens) {
			return
		}
	}
}

// nextBatch ends the batch at work and goes on with the one behind it. A block does not hold
// records of a large batch and of the next: those of the former would go on pointing to its
// bytes, which are counted as gone, until the latter are done.
func (f *filler) nextBatch() {
	f.pc = nil
	if f.in.made > heavyBlock {
		f.lane.mu.Lock()
		f.lane.releaseBlock()
		f.lane.mu.Unlock()
	}
	f.lane.filled(f.in, f.now)
	f.in = f.lane.next()
}

// failed ends the batch at work with an error: nothing behind it in its lane is read, nor
// anything that the source hands over before it hears of it. The mark would pass over what
// is missing.
func (f *filler) failed(err error) {
	f.p.failRead(fmt.Errorf("reading from the source: %w", err))
	f.lane.mu.Lock()
	f.lane.close(true)
	f.lane.mu.Unlock()
	f.lane.unread()
	f.lane.drop(f.in)
	f.in, f.pc = nil, nil
}

// fill makes some of the next records of the batch at work. It gives false when there are
// no more, or none may be.
func (f *filler) fill() bool {
	if f.in.batch.Fill == nil {
		return false
	}
	b := f.lane.places()
	into := b.recs[b.used:min(b.used+f.places, blockRecords)]
	f.p.calls.Add(1)
	f.inFill = true
	got, err := f.in.batch.Fill(into)
	f.inFill = false
	f.p.calls.Add(-1)
	f.in.opens = 0
	if got < 0 || got > len(into) {
		got, err = 0, fmt.Errorf("a batch made %d records in %d places", got, len(into))
	}
	weight := int64(0)
	for at, end := b.used, b.used+got; at < end; {
		k, w := f.fits(b.recs[at:end])
		if k == 0 {
			f.endChunk()
			continue
		}
		if !f.publish(b, at, k, w) { // the lane is over: they were never read
			return false
		}
		f.places -= k
		if grown := b.fill(k, w); grown > 0 {
			f.p.pool.charge(grown)
		}
		weight += w
		at += k
	}
	if got > 0 {
		f.lane.each = int(weight) / got
		f.in.made += weight
	}
	if err != nil {
		f.failed(err)
		return false
	}
	return got > 0
}

// fits says how many of the records may join the chunk at work, and what they weigh.
func (f *filler) fits(recs []pipeline.Record) (n int, weight int64) {
	had := 0
	if f.c != nil {
		had = len(f.c.recs)
	}
	for n < len(recs) && had+n < chunkRecords {
		w := int64(recs[n].Size())
		if had+n > 0 && f.weight+weight+w > chunkBytes {
			break
		}
		weight += w
		n++
	}
	return n, weight
}

// publish makes records under way: they get their tracks and their piece, the lane and
// the chunk at work have them. It fails when the lane takes no more.
func (f *filler) publish(b *block, at, n int, weight int64) bool {
	l, in := f.lane, f.in
	if f.c == nil {
		f.c = f.p.pool.make(l)
	}
	pc := f.pc
	if pc == nil {
		pc = l.newPiece(in, f.now)
	}
	index := pc.Size()
	if !l.admit(pc, f.pc == nil, b, at, n) {
		return false
	}
	f.pc = pc
	f.c.mu.Lock()
	for i := range n {
		it := item{&b.recs[at+i], &b.tracks[at+i]}
		*it.track = track{piece: pc, index: uint8(index + i)}
		it.measure()
		f.c.recs = append(f.c.recs, it)
	}
	f.c.mu.Unlock()
	f.weight += weight
	if in.owed { // the batch came without a charge
		in.charge.grow(weight)
	}
	f.p.bytesIn.Add(weight)
	if f.p.events != nil {
		f.p.above.recordsCame()
	}
	return true
}

// endChunk ends the chunk at work, which is full.
func (f *filler) endChunk() {
	f.ready = append(f.ready, f.c)
	f.c, f.weight, f.pc = nil, 0, nil
}

// finish ends the fill at work.
func (f *filler) finish() {
	if f.c != nil && len(f.c.recs) == 0 {
		f.p.pool.drop(f.c)
		f.c = nil
	}
	if f.c != nil {
		f.endChunk()
	}
	if f.places > 0 {
		f.p.budget.finished(f.lane, int64(f.places))
	}
	f.places, f.weight, f.pc = 0, 0, nil
	if f.lane != nil {
		f.lane.leave()
	}
	f.lane, f.in = nil, nil
}

// send sends the first chunk that is made to the first step.
func (f *filler) send() {
	p, c := f.p, f.ready[0]
	if f.keys {
		f.hash(c)
	}
	n := copy(f.ready, f.ready[1:])
	f.ready[n] = nil
	f.ready, f.hashed = f.ready[:n], 0
	waited, ok := f.out.send(c)
	p.read.blocked.Add(int64(waited))
	if !ok {
		p.abandonChunk(c)
	}
}

// hash computes the keys' hashes of a chunk, once, from the records as they came.
// Records without a key share one.
func (f *filler) hash(c *chunk) {
	for ; f.hashed < len(c.recs); f.hashed++ {
		it := c.recs[f.hashed]
		key := it.rec.Key()
		if of := f.p.opts.Key; of != nil {
			var err error
			if key, err = of(it.rec); err != nil {
				reason, ok := pipeline.IsPermanent(err)
				if !ok {
					reason = pipeline.ReasonExpression
				}
				f.unkeyed(c, it, reason, err)
				continue
			}
		}
		if len(key) > 0 {
			it.key = maphash.Bytes(f.seed, key)
		}
	}
}

// unkeyed rejects a record whose key cannot be computed, in its place.
func (f *filler) unkeyed(c *chunk, it item, reason string, err error) {
	it.fail = f.p.failure("key", OnErrorDeadLetter, it.rec, reason, err, 1)
	c.failed++
}
