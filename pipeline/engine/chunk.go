package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Records travel in chunks: of one lane, at most this many and this large, unless a
// single record is larger.
const (
	chunkRecords = 256
	chunkBytes   = 256 << 10
)

// A chunk is a run of records of one lane on its way between two steps. Whoever
// received it from a channel owns it (I2).
type chunk struct {
	lane   *lane
	failed int          // of its records travel on as rejected
	seq    uint64       // its turn in the channel that it was sent to
	taken  atomic.Int64 // when a worker took it, in nanoseconds since the start

	mu    sync.Mutex // guards recs against a reader of the whole pipeline
	recs  []item
	from  int    // where the rest begins, when it is taken one by one
	spare []item // for the next recs

	cursor     atomic.Int32  // the record at work, or a little before
	place      atomic.Uint32 // index of the step and what happens there
	prev, next *chunk        // in the roll
}

// What happens to a chunk at a place.
const (
	stateQueued uint32 = iota
	stateRunning
	stateTurn
)

var stateNames = [...]string{"queued", "running", "waiting for its turn"}

func (c *chunk) at(step int, state uint32) { c.place.Store(uint32(step)<<8 | state) }

// A pool holds all chunks that are under way, and the chunks and blocks that may be used
// again.
type pool struct {
	mu   sync.Mutex
	head chunk // of a ring
	free []*chunk

	charge func(bytes int64) // what the blocks take
	dirty  []*block          // free, and pointing to what their records had; the last used last
	clean  []*block          // free
	used   int               // blocks that are not free
	most   int               // of these lately
}

func (r *pool) init(charge func(bytes int64)) {
	r.head.next, r.head.prev = &r.head, &r.head
	r.charge = charge
}

// block gives a block with all its places free: the one that came free last, if there is
// one.
func (r *pool) block() *block {
	r.mu.Lock()
	r.used++
	r.most = max(r.most, r.used)
	b := pop(&r.dirty)
	if b == nil {
		b = pop(&r.clean)
	}
	r.mu.Unlock()
	if b == nil {
		r.charge(blockSize)
		b = &block{places: new(places)}
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
	// spareBlocks are kept beside as many as were in use lately: a write that ends frees
	// many at once, and the next needs as many soon (BenchmarkP1).
	spareBlocks = 32
	// dirtyBlocks may go on pointing to bytes that nobody has any more: they are about
	// to be used again, and clearing them costs more than finishing their records does. A
	// write of 5,000 records leaves 40 at once; with 16 kept an outcome took five times as
	// long (BenchmarkP15). They are the last used, so that it is the same few sets that they
	// point to: one record of 200 bytes keeps a set of a MiB or more, which nobody counts.
	dirtyBlocks = 64
)

// put takes blocks back of which no piece has records any more: the one given, and those
// that it names. Unless some may be heavy it does not look for those.
func (r *pool) put(first *block, heavy bool) {
	for b := first; heavy && b != nil; b = b.next {
		if b.bytes > heavyBlock {
			b.tidy()
		}
	}
	gone := int64(0)
	r.mu.Lock()
	over := r.used + len(r.clean) + len(r.dirty) - r.most - spareBlocks
	dirty, n := r.dirty, 0
	for b := first; b != nil; n++ {
		next := b.next
		b.next = nil
		switch {
		case n < over:
			gone += b.size()
		case b.bytes > heavyBlock:
			r.clean = append(r.clean, b)
		default:
			dirty = append(dirty, b)
		}
		b = next
	}
	r.dirty, r.used = dirty, r.used-n
	for len(r.dirty) > dirtyBlocks {
		var old [64]*block
		n := copy(old[:], r.dirty[:len(r.dirty)-dirtyBlocks])
		r.dirty = slices.Delete(r.dirty, 0, n)
		r.mu.Unlock()
		for _, b := range old[:n] {
			b.tidy()
		}
		r.mu.Lock()
		r.clean = append(r.clean, old[:n]...)
	}
	r.mu.Unlock()
	if gone > 0 {
		r.charge(-gone)
	}
}

// tidy lets the bytes go that free blocks still point to, and the blocks that are not
// likely to be needed. It comes from the filler, when it has nothing better to do.
func (r *pool) tidy() {
	for {
		r.mu.Lock()
		b := pop(&r.dirty)
		r.mu.Unlock()
		if b == nil {
			break
		}
		b.tidy()
		r.mu.Lock()
		r.clean = append(r.clean, b)
		r.mu.Unlock()
	}
	r.mu.Lock()
	r.most -= (r.most - r.used) / 8
	gone := int64(0)
	for r.used+len(r.clean)+len(r.dirty) > r.most+spareBlocks && len(r.clean) > 0 {
		gone += pop(&r.clean).size()
	}
	r.mu.Unlock()
	if gone > 0 {
		r.charge(-gone)
	}
}

// make gives an empty chunk of a lane.
func (r *pool) make(l *lane) *chunk {
	r.mu.Lock()
	var c *chunk
	if n := len(r.free); n > 0 {
		c, r.free = r.free[n-1], r.free[:n-1]
	} else {
		c = &chunk{recs: make([]item, 0, chunkRecords), spare: make([]item, 0, chunkRecords)}
	}
	c.lane = l
	c.prev, c.next = r.head.prev, &r.head
	c.prev.next, c.next.prev = c, c
	r.mu.Unlock()
	return c
}

// drop takes a chunk back.
func (r *pool) drop(c *chunk) {
	c.mu.Lock()
	clear(c.recs[:cap(c.recs)])
	clear(c.spare[:cap(c.spare)])
	c.recs, c.spare, c.lane, c.failed, c.from = c.recs[:0], c.spare[:0], nil, 0, 0
	c.mu.Unlock()
	r.mu.Lock()
	c.prev.next, c.next.prev = c.next, c.prev
	c.prev, c.next = nil, nil
	if cap(c.recs) == chunkRecords && cap(c.spare) == chunkRecords && len(r.free) < 64 {
		r.free = append(r.free, c)
	}
	r.mu.Unlock()
}

// set replaces the records of a chunk.
func (c *chunk) set(recs []item) {
	c.mu.Lock()
	c.recs, c.spare = recs, c.recs[:0]
	c.mu.Unlock()
}

// take empties the chunk. The records it gives are valid until the chunk is dropped.
func (c *chunk) take() []item {
	recs := c.recs
	c.set(c.spare[:0])
	return recs
}

// A pipe joins two steps. It has one sender at a time, which closes it (I3).
type pipe struct {
	ch   chan *chunk
	seq  uint64 // of the next chunk; the sender's
	step int    // that receives
	dead <-chan struct{}
}

func newPipe(size, step int, dead <-chan struct{}) *pipe {
	return &pipe{ch: make(chan *chunk, size), step: step, dead: dead}
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
	case <-q.dead:
		return time.Since(start), false
	}
}

// receive gives the next chunk; false when there will be none.
func (q *pipe) receive() (*chunk, bool) {
	select { // what is there has to get its outcome, also when the pipeline has been given up
	case c, ok := <-q.ch:
		return c, ok
	default:
	}
	select {
	case c, ok := <-q.ch:
		return c, ok
	case <-q.dead:
		return nil, false
	}
}

func (q *pipe) close() { close(q.ch) }

// each calls f for every chunk that is under way.
func (r *pool) each(f func(*chunk)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := r.head.next; c != nil && c != &r.head; c = c.next {
		f(c)
	}
}
