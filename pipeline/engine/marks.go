package engine

import (
	"math/bits"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A piece is an entry of a lane's ring of marks: a run of records of one batch that were
// made together, at most as many as travel together. Guarded by the lane. It is used
// again once the mark has passed it and its records are done.
type piece struct {
	// What an outcome of them all looks at stands first, and what is made anew for other
	// records is not touched by it (BenchmarkP15).
	left       int    // records, as the source counts them, that are on their way
	next       int64  // the mark once it and all before it are done; -1: none of its own
	shared     bool   // parts or dead letters are of it
	lost       bool   // one was abandoned or handed back: no mark passes it (I5)
	intact     bool   // all of those were handed back: none of them had begun
	inRing     bool   // the mark has not passed it
	blocks     int    // that hold its records:
	begin, end *block // from the first on, each names the next
	from       *intake
	read       time.Time
	time       int64 // of its first record, in milliseconds since 1970, or NoTime

	lane *lane
	seq  uint64                    // counts the pieces of the lane
	done [chunkRecords / 64]uint64 // which have another outcome, unless all have
	size int
	// Where its records stand, when that is known: from first without a gap, or at.
	first int64
	gaps  bool
	at    []int64
}

// prefix gives the mark that stands in the piece: before its first record without an
// outcome.
func (pc *piece) prefix() (next int64, ok bool) {
	n := 0
	for _, word := range pc.done {
		ones := bits.TrailingZeros64(^word)
		n += ones
		if ones < 64 {
			break
		}
	}
	switch {
	case n == 0 || n >= pc.size || pc.next < 0:
		return 0, false
	case pc.gaps:
		return pc.at[n], true
	case pc.first >= 0:
		return pc.first + int64(n), true
	}
	return 0, false
}

// settle moves the mark, gives up the lane's lock, and does what came of it.
func (l *lane) settle(c *closing) {
	if c.ended > 0 {
		l.p.meter.outcomes(c)
	}
	l.advance(c)
	if c.moved && l.dirtyAt.IsZero() {
		l.dirtyAt = c.now
	}
	l.tellIdle()
	l.mu.Unlock()
	if len(c.undone) > 0 { // before the records' bytes are given back, and before dead letters
		l.p.tell(c.undone)
	}
	if c.blocks != nil {
		l.p.roll.put(c.blocks, c.heavy)
	}
	if c.freed != nil {
		l.giveBack(c)
	}
	if c.sources > 0 {
		l.p.budget.finished(l, c.sources)
	}
	for _, d := range c.letters {
		l.p.post(l, d)
	}
	if c.moved || c.ended > 0 {
		l.p.wake()
	}
	if c.ended > 0 {
		l.p.phase.settled()
	}
}

// advance moves the mark past what is done. The lane's lock is held.
func (l *lane) advance(c *closing) {
	if l.frozen {
		return
	}
	for l.ring.len() > 0 {
		pc := l.ring.peek()
		if pc.left > 0 || pc.lost {
			return
		}
		if pc.next > l.mark {
			l.mark = pc.next
			c.moved = true
		}
		l.passedTime(pc.time)
		l.ring.pop()
		pc.inRing = false
		if pc.blocks == 0 { // its records are gone
			l.reuse(pc)
		}
	}
}

// passedTime notes the time of a record that the mark passes. The lane's lock is held.
func (l *lane) passedTime(t int64) {
	if t == pipeline.NoTime {
		return
	}
	l.lastTime = t
	if l.firstTime == pipeline.NoTime {
		l.firstTime = t
	}
}

// oldest gives the time of the first record that is not committed, as near as the ring
// knows it: that of the first record of the piece in which it stands. NoTime: not known.
func (l *lane) oldest() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.firstTime != pipeline.NoTime {
		return l.firstTime
	}
	for _, pc := range l.ring.rest() {
		if pc.time != pipeline.NoTime {
			return pc.time
		}
	}
	return pipeline.NoTime
}

// piece gives an empty piece for records of a batch. The lane's lock is held.
func (l *lane) piece(in *intake, read time.Time) *piece {
	var pc *piece
	if n := len(l.spare); n > 0 {
		pc, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		pc = new(piece)
	}
	*pc = piece{lane: l, from: in, read: read, time: pipeline.NoTime, next: -1, first: -1, at: pc.at[:0]}
	return pc
}

const sparePieces = 64

// reuse takes a piece back that nothing refers to any more. The lane's lock is held.
func (l *lane) reuse(pc *piece) {
	if len(l.spare) < sparePieces {
		l.spare = append(l.spare, pc)
	}
}

// retire takes the blocks off a piece whose records are done, and keeps what is left of it
// for others. Nobody has any of the records any more. The lane's lock is held.
func (l *lane) retire(pc *piece, c *closing) {
	for b := pc.begin; pc.blocks > 0; pc.blocks-- {
		next := b.next
		if b.refs--; b.refs == 0 {
			b.next, c.blocks = c.blocks, b
			c.heavy = c.heavy || b.bytes > heavyBlock
		}
		b = next
	}
	pc.begin, pc.end = nil, nil // of which others may be let go meanwhile
	if !pc.inRing {
		l.reuse(pc)
	}
}
