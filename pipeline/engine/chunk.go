package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// This file is what records travel in: chunks, the channels between steps, and the pool that
// chunks and blocks come from and go back to.
//
// What it guarantees. Chunks come out of a channel in the order in which they went in, and their
// records are in the order of their lane (I1). A chunk that was sent belongs to whoever receives
// it (I2). A channel has one sender, which closes it (I3). Whoever waits for a channel stops
// waiting when the pipeline has been given up, and every chunk then still gets its outcomes.
//
// How. All chunks under way are in one list of the pool, wherever they are: so records in flight
// can be listed while a stage hangs, and chunks that nobody has any more can be found at the end
// (sweep).
//
// Dropped. One channel hop for each record: with select it costs 60 times a plain call, in batches
// of 256 it costs 1.5 times (docs/decisions/0032-two-kinds-of-step.md).

// The bounds of a chunk: so many records, and so many bytes unless a single record is larger.
const (
	chunkRecords = 256
	chunkBytes   = 256 << 10
)

// A chunk is a run of records of one lane on its way between two steps. Whoever
// received it from a channel owns it (I2).
type chunk struct {
	lane   *lane
	failed int          // how many of its records were rejected and travel on in their places
	traced bool         // some of its records may be traced
	seq    uint64       // its number in the channel that it was sent to last
	taken  atomic.Int64 // when a worker took it, in nanoseconds since the start of the run

	mu    sync.Mutex // the owner takes it to change recs, others to look at them
	recs  []item
	from  int    // a waiting step takes records one by one: the first that it has not taken
	spare []item // the room for the next recs

	seen sight // where those who look have seen its worker

	cursor      atomic.Int32  // which record is at work: see cursorAt
	whereabouts atomic.Uint32 // where it is: the index of a step, and a state, as at has put them together
	prev, next  *chunk        // in the pool's list of chunks under way
}

// The states of a chunk at a step.
const (
	stateQueued uint32 = iota
	stateRunning
	stateTurn
	stateResting // its worker waits for the end of a pause
)

var stateNames = [...]string{"queued", "running", "waiting for its turn", statePaused}

// statePaused is the state of what a pause of the pipeline holds up.
const statePaused = "paused"

// at says where the chunk is, for those who look from outside.
func (c *chunk) at(step int, state uint32) { c.whereabouts.Store(uint32(step)<<8 | state) }

// A pool holds all chunks that are under way, and the chunks and blocks that may be used
// again.
type pool struct {
	mu   sync.Mutex
	head chunk    // of the list of chunks under way, a ring
	free []*chunk // to be used again

	charge func(bytes int64) // charges what blocks take to the budget
	dirty  []*block          // free blocks that still point to their records' bytes, in the order in which they came free
	clean  []*block          // free blocks that point to nothing
	used   int               // how many blocks are not free
	most   int               // the most that used has been lately: tidy brings it down slowly
}

func (pl *pool) init(charge func(bytes int64)) {
	pl.head.next, pl.head.prev = &pl.head, &pl.head
	pl.charge = charge
}

// block gives a block with all its places free: the one that came free last, if there is
// one.
func (pl *pool) block() *block {
	pl.mu.Lock()
	pl.used++
	pl.most = max(pl.most, pl.used)
	b := pop(&pl.dirty)
	if b == nil {
		b = pop(&pl.clean)
	}
	pl.mu.Unlock()
	if b == nil {
		pl.charge(blockSize)
		b = &block{cells: new(cells)}
	}
	b.reset()
	b.refs = 1
	return b
}

func pop(list *[]*block) *block {
	n := len(*list)
	if n == 0 {
		return nil
	}
	b := (*list)[n-1]
	(*list)[n-1] = nil
	*list = (*list)[:n-1]
	return b
}

const (
	// spareBlocks is how many free blocks are kept on top of as many blocks as were in use
	// lately: a write that ends frees many at once, and the next records need as many soon
	// (BenchmarkP1).
	spareBlocks = 32
	// dirtyBlocks is how many free blocks are left as they are, pointing to the bytes of records
	// that are done. They are about to be filled again, and to clear them costs more than to
	// finish their records: a write of 5,000 records leaves 40 at once, and with 16 kept an
	// outcome took five times as long (BenchmarkP15). The price is memory that is not charged to
	// the budget: a record of 200 bytes keeps the whole fetched set that it points into, of a MiB
	// or more, from the collector. The blocks left are those that came free last, which point
	// into few sets, the newest.
	dirtyBlocks = 64
)

// put takes a list of blocks back, linked by next: no record in them is under way. heavy says
// that some may have more than heavyBlock bytes; without it nobody looks for such blocks.
func (pl *pool) put(first *block, heavy bool) {
	for b := first; heavy && b != nil; b = b.next {
		if b.bytes > heavyBlock {
			b.tidy()
		}
	}
	gone := int64(0)
	pl.mu.Lock()
	over := pl.used + len(pl.clean) + len(pl.dirty) - pl.most - spareBlocks
	dirty, n := pl.dirty, 0
	for b := first; b != nil; n++ {
		next := b.next
		b.next = nil
		switch {
		case n < over:
			gone += b.size()
		case b.bytes > heavyBlock:
			pl.clean = append(pl.clean, b)
		default:
			dirty = append(dirty, b)
		}
		b = next
	}
	pl.dirty, pl.used = dirty, pl.used-n
	for len(pl.dirty) > dirtyBlocks {
		var old [64]*block
		n := copy(old[:], pl.dirty[:len(pl.dirty)-dirtyBlocks])
		pl.dirty = slices.Delete(pl.dirty, 0, n)
		pl.mu.Unlock()
		for _, b := range old[:n] {
			b.tidy()
		}
		pl.mu.Lock()
		pl.clean = append(pl.clean, old[:n]...)
	}
	pl.mu.Unlock()
	if gone > 0 {
		pl.charge(-gone)
	}
}

// tidy clears the free blocks that still point to bytes, and lets blocks go that are not likely
// to be needed soon. The filler calls it when there is nothing to make.
func (pl *pool) tidy() {
	for {
		pl.mu.Lock()
		b := pop(&pl.dirty)
		pl.mu.Unlock()
		if b == nil {
			break
		}
		b.tidy()
		pl.mu.Lock()
		pl.clean = append(pl.clean, b)
		pl.mu.Unlock()
	}
	pl.mu.Lock()
	pl.most -= (pl.most - pl.used) / 8
	gone := int64(0)
	for pl.used+len(pl.clean)+len(pl.dirty) > pl.most+spareBlocks && len(pl.clean) > 0 {
		gone += pop(&pl.clean).size()
	}
	pl.mu.Unlock()
	if gone > 0 {
		pl.charge(-gone)
	}
}

// make gives an empty chunk of a lane, which those who look from outside find where step and state say.
func (pl *pool) make(l *lane, step int, state uint32) *chunk {
	pl.mu.Lock()
	var c *chunk
	if n := len(pl.free); n > 0 {
		c, pl.free = pl.free[n-1], pl.free[:n-1]
	} else {
		c = &chunk{recs: make([]item, 0, chunkRecords), spare: make([]item, 0, chunkRecords)}
	}
	c.lane = l
	c.at(step, state)
	c.prev, c.next = pl.head.prev, &pl.head
	c.prev.next, c.next.prev = c, c
	pl.mu.Unlock()
	return c
}

// drop takes a chunk back. Its records are elsewhere by now, or done.
func (pl *pool) drop(c *chunk) {
	c.mu.Lock()
	clear(c.recs[:cap(c.recs)])
	clear(c.spare[:cap(c.spare)])
	c.recs, c.spare, c.lane, c.failed, c.from, c.traced = c.recs[:0], c.spare[:0], nil, 0, 0, false
	c.mu.Unlock()
	pl.mu.Lock()
	c.prev.next, c.next.prev = c.next, c.prev
	c.prev, c.next = nil, nil
	if cap(c.recs) == chunkRecords && cap(c.spare) == chunkRecords && len(pl.free) < 64 {
		pl.free = append(pl.free, c)
	}
	pl.mu.Unlock()
}

// set replaces the records of a chunk.
func (c *chunk) set(recs []item) {
	c.mu.Lock()
	c.recs, c.spare = recs, c.recs[:0]
	c.mu.Unlock()
}

// take empties the chunk and gives its records. The slice is the chunk's: it is valid until
// the chunk is dropped.
func (c *chunk) take() []item {
	recs := c.recs
	c.set(c.spare[:0])
	return recs
}

// A pipe joins two steps. It has one sender at a time, which closes it (I3).
type pipe struct {
	ch   chan *chunk     // closed by the sender
	seq  uint64          // the number of the next chunk; the sender's
	step int             // the index of the step that receives
	over <-chan struct{} // closed when the pipeline has been given up
}

func newPipe(size, step int, over <-chan struct{}) *pipe {
	return &pipe{ch: make(chan *chunk, size), step: step, over: over}
}

// send hands a chunk over and says how long that took when it had to wait. It fails
// when the pipeline has been given up; the chunk is then still the caller's.
func (q *pipe) send(c *chunk) (waited time.Duration, ok bool) {
	c.seq = q.seq
	c.at(q.step, stateQueued)
	select {
	case q.ch <- c:
		q.seq++
		return 0, true
	default:
	}
	start := time.Now()
	select {
	case q.ch <- c:
		q.seq++
		return time.Since(start), true
	case <-q.over:
		return time.Since(start), false
	}
}

// receive gives the next chunk; false when there will be none.
func (q *pipe) receive() (*chunk, bool) {
	select { // first without over: chunks that are there have to get their outcomes after it too
	case c, ok := <-q.ch:
		return c, ok
	default:
	}
	select {
	case c, ok := <-q.ch:
		return c, ok
	case <-q.over:
		return nil, false
	}
}

func (q *pipe) close() { close(q.ch) }

// each calls f for every chunk that is under way.
func (pl *pool) each(f func(*chunk)) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	for c := pl.head.next; c != nil && c != &pl.head; c = c.next {
		f(c)
	}
}

// behindCut says whether the chunk is to be handed back: all of it is behind its lane's cut.
func (c *chunk) behindCut() bool {
	from := c.lane.returns.Load()
	return from != 0 && len(c.recs) > 0 && c.recs[0].number() >= from
}

// takeFrom moves the records from a place on out of the chunk, of which the first c.from
// are taken, and says how many of them were rejected before.
func (c *chunk) takeFrom(place uint64, into []item) (recs []item, failed int) {
	i := c.from
	for i < len(c.recs) && c.recs[i].number() < place {
		i++
	}
	for _, it := range c.recs[i:] {
		if it.fail != nil {
			failed++
		}
	}
	into = append(into, c.recs[i:]...)
	c.mu.Lock()
	clear(c.recs[i:])
	c.recs = c.recs[:i]
	c.failed -= failed
	c.mu.Unlock()
	return into, failed
}
