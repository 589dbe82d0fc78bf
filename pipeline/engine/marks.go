package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/ring"
)

// A piece is an entry of a lane's ring of marks: a run of records of one batch that were
// made together, at most as many as travel together. Guarded by the lane. It is used
// again once the mark has passed it and its records are done.
type piece struct {
	// What an outcome of them all looks at stands together, with the beginning of the entry
	// behind it: it is two cache lines, and a third would be a tenth of it (BenchmarkP15).
	shared     bool   // parts or dead letters are of it
	intact     bool   // all of those that were lost were handed back: none of them had begun
	blocks     int    // that hold its records:
	begin, end *block // from the first on, each names the next
	from       *laneBatch
	read       time.Time
	time       int64 // of its first record, in milliseconds since 1970, or NoTime
	ring.Entry

	lane *lane
}

// advance moves the mark past what is done. The lane's lock is held.
func (l *lane) advance(c *settlement) {
	if l.frozen {
		return
	}
	for l.ring.CanPass() {
		pc, moved := l.ring.Pass()
		c.moved = c.moved || moved
		l.passedTime(pc.time)
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
	for pc := range l.ring.All() {
		if pc.time != pipeline.NoTime {
			return pc.time
		}
	}
	return pipeline.NoTime
}

// piece gives an empty piece for records of a batch. The lane's lock is held.
func (l *lane) piece(in *laneBatch, read time.Time) *piece {
	var pc *piece
	if n := len(l.spare); n > 0 {
		pc, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		pc = new(piece)
	}
	pc.Reset()
	pc.shared, pc.intact, pc.blocks, pc.begin, pc.end = false, false, 0, nil, nil
	pc.from, pc.read, pc.time, pc.lane = in, read, pipeline.NoTime, l
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
func (l *lane) retire(pc *piece, c *settlement) {
	for b := pc.begin; pc.blocks > 0; pc.blocks-- {
		next := b.next
		if b.refs--; b.refs == 0 {
			b.next, c.blocks = c.blocks, b
			c.heavy = c.heavy || b.bytes > heavyBlock
		}
		b = next
	}
	pc.begin, pc.end = nil, nil // of which others may be let go meanwhile
	if !pc.Open() {
		l.reuse(pc)
	}
}
