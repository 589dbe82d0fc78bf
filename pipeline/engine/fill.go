package engine

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/fifo"
)

// This file makes records of batches.
//
// What it guarantees. Records of a lane are made in the order of its batches (I1), when there is
// room for them in the budget (I4), and not before somebody is about to work on them: no more
// records exist than are under way, and a stop has little to give up. A lane that cannot go on
// does not hold up another.
//
// How. One goroutine, the filler, takes the lanes with batches in turn and makes a chunk of the
// first of each. It passes over a lane that is held back or has no room: its batches go on
// waiting, as bytes. When nothing can be made it sleeps until something changes for a lane. A
// chunk may hold records of several batches, so that small batches do not travel alone. The places
// for records come from blocks that were in use a moment ago (block.go).
//
// Dropped. Making all records of a batch when the source hands it over: as many records exist
// then as have been read, not as are worked on, and they stand in memory that is in no cache.
//
// Why one goroutine. The channel to the first step has one sender (I3), and when it is full all
// lanes wait for it anyway: the order of their turns then is what shares it out.

// A filler makes the records of the batches that wait with their lanes, a chunk at a
// time, and sends them to the first step. It survives a panic in Fill and in the key function.
type filler struct {
	p    *shared
	out  *pipe                // to the first step
	keys bool                 // records need their keys' hash
	wake chan struct{}        // capacity 1: something has changed for a lane that was passed over
	held atomic.Pointer[rest] // no record is made while it is set

	mu     sync.Mutex
	lanes  fifo.Queue[*lane] // with batches that wait
	closed bool              // no batch will come any more

	unsent
	untraced int // how many records pass before the next one that the Tracer has chosen

	// What is made at the moment.
	lane     *lane
	in       *laneBatch // the batch at work, nil when there is none any more
	inFill   bool       // its Fill is being called
	ended    bool       // a batch of the lane has ended without a record: the lane gets another turn
	now      time.Time  // when this turn of the lane began
	reserved int        // places for records that were taken from the budget and are not used yet
	c        *chunk     // being made
	weight   int64      // bytes of its records
	pc       *piece     // of its last records, while more records of the batch may join it
}

// unsent is what a filler has made for the first step and has not sent yet.
type unsent struct {
	ready  []*chunk
	hashed int // how many records of the first of them have their key's hash
	told   int // of how many of these the budget of rejections knows
}

func newFiller(p *shared, out *pipe) *filler {
	f := &filler{p: p, out: out, keys: p.plan().keys, wake: make(chan struct{}, 1)}
	if p.opts.Tracer != nil {
		f.untraced = p.opts.Tracer.Skip()
	}
	return f
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
	if r := f.held.Load(); r != nil {
		f.rest(r)
		return true
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

// end drops what has not been made and closes the channel to the first step (I3).
func (f *filler) end() {
	for _, l := range f.p.lanes.all() {
		l.unread()
	}
	f.out.close()
	close(f.p.read.done)
}

// panicked ends what panicked: the batch whose Fill it was, or the record whose key was asked
// for, which is rejected. A panic anywhere else is the engine's, and ends reading.
func (f *filler) panicked(err *pipeline.PanicError) {
	if f.inFill {
		f.inFill = false
		f.p.outstanding.Add(-1)
		f.failed(err)
		f.finish() // records that were made before go on
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
// more records under way.
func (f *filler) take(l *lane) {
	l.enter()
	f.lane, f.in, f.now, f.ended = l, l.next(), time.Now(), false
	f.makeChunk()
	f.finish() // not reached after a panic: panicked does it
}

// makeChunk makes the chunk: it fills records from one batch after the other until the chunk
// is full, or places, batches or free bytes are at an end.
func (f *filler) makeChunk() {
	l := f.lane
	for f.in != nil && f.in.batch.Fill == nil { // a batch without records only moves the mark
		f.nextBatch()
	}
	if f.in == nil || l.holds.Load() > 0 {
		return
	}
	f.reserved = f.p.budget.reserve(l, l.wish(), f.in.opens)
	for f.in != nil && f.reserved > 0 && f.weight < chunkBytes && len(f.ready) == 0 {
		if f.fill() || f.in == nil {
			continue
		}
		f.nextBatch()
		if f.c == nil {
			// The places were admitted for the batch that has ended without a record. The next
			// one asks for itself in the lane's next turn: it may get a place though its bytes
			// are not free, as the lane has none, or else it is noted as starved and told of room.
			f.ended = true
			return
		}
		if f.in != nil && !f.p.budget.hasFree(l, f.in.opens) {
			return
		}
	}
}

// nextBatch ends the batch at work and goes on with the one behind it.
//
// Records of a large batch do not share a block with those of the next batch. A place points to
// its record's bytes until all records of its block are done. Shared, the block would keep the
// large batch's bytes in memory until the next batch is done too, though they are given back to
// the budget by then.
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

// failed ends the batch at work with an error. Its lane is shut at once, so that no later batch
// of it is made records of, be it one that waits or one that the source is just handing over:
// the mark would pass over the records that are missing.
func (f *filler) failed(err error) {
	f.p.failRead(fmt.Errorf("reading from the source: %w", err))
	f.lane.mu.Lock()
	f.lane.setEnding(true)
	f.lane.mu.Unlock()
	f.lane.unread()
	f.lane.drop(f.in)
	f.in, f.pc = nil, nil
}

// fill makes some of the next records of the batch at work, at most as many as the block has
// places. It gives false when the batch has no more, has failed, or its lane is shut.
func (f *filler) fill() bool {
	if f.in.batch.Fill == nil {
		return false
	}
	b := f.lane.nextBlock()
	into := b.recs[b.used:min(b.used+f.reserved, blockRecords)]
	f.p.outstanding.Add(1)
	f.inFill = true
	got, err := f.in.batch.Fill(into)
	f.inFill = false
	f.p.outstanding.Add(-1)
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
		if !f.publish(b, at, k, w) { // the lane is shut: they count as never read
			return false
		}
		f.reserved -= k
		if grown := b.giveOut(k, w); grown > 0 {
			f.p.pool.charge(grown)
		}
		weight += w
		at += k
	}
	if got > 0 {
		f.lane.recordSize = int(weight) / got
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

// publish puts n records under way, which stand in a block from place at on: they get their
// tracks, are counted in by the lane, and join the chunk that is being made. It fails when the
// lane is shut.
func (f *filler) publish(b *block, at, n int, weight int64) bool {
	l, in := f.lane, f.in
	if f.c == nil {
		f.c = f.p.pool.make(l, 0, stateQueued)
	}
	pc := f.pc
	if pc == nil {
		pc = l.newPiece(in, f.now)
	}
	index := pc.Size()
	if !l.takeIn(pc, f.pc == nil, b, at, n) {
		return false
	}
	f.pc = pc
	headers := false
	f.c.mu.Lock()
	for i := range n {
		it := item{&b.recs[at+i], &b.tracks[at+i]}
		*it.track = track{piece: pc, index: uint8(index + i)}
		if len(it.rec.Headers()) > 0 {
			it.takeHistory()
			headers = true
		}
		it.measure()
		f.c.recs = append(f.c.recs, it)
	}
	f.c.mu.Unlock()
	if f.p.traces {
		f.trace(pc, b, at, n, index, headers)
	}
	f.weight += weight
	if in.owed {
		in.charge.grow(weight + placesOfHeaders(b.recs[at:at+n]))
	}
	f.p.bytesIn.Add(weight)
	if f.p.events != nil {
		f.p.hooks.recordsCame()
	}
	return true
}

// endChunk ends the chunk at work, which is full.
func (f *filler) endChunk() {
	f.ready = append(f.ready, f.c)
	f.c, f.weight, f.pc = nil, 0, nil
}

// finish ends the turn of a lane: its chunk is ready, places that were not needed are given
// back, and the lane is left.
func (f *filler) finish() {
	if f.c != nil && len(f.c.recs) == 0 {
		f.p.pool.drop(f.c)
		f.c = nil
	}
	if f.c != nil {
		f.endChunk()
	}
	if f.reserved > 0 {
		f.p.budget.giveBack(f.lane, int64(f.reserved))
	}
	f.reserved, f.weight, f.pc = 0, 0, nil
	if f.lane != nil {
		f.lane.leave()
	}
	f.lane, f.in = nil, nil
}
