package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/engine/internal/ring"
)

// A piece is an entry of a lane's ring of marks: a run of records of one batch that were
// made together, at most as many as a chunk holds. Guarded by the lane. It is used again
// once the mark has passed it and its records are done.
type piece struct {
	// The outcome of a whole piece looks at the fields up to the beginning of the Entry, which
	// has its own such fields first: two cache lines. A third would make such an outcome a tenth
	// dearer (BenchmarkP15).
	oneByOne   bool       // a record of it was split, or has a dead letter: outcomes are looked at one by one
	intact     bool       // every record of it without an outcome was handed back: no call of it had begun
	blocks     int        // how many blocks hold its records
	begin, end *block     // the first and the last of these blocks; block.next leads from one to the next
	from       *laneBatch // the batch of its records
	read       time.Time  // when its records were made
	time       int64      // the time of its first record, in milliseconds since 1970, or NoTime
	ring.Entry

	lane     *lane
	replayed map[uint8]deadletter.History // of those of its records that come from the dead letters, by their places; nil: of none
	traces   map[uint8]Trace              // of those of its records that are traced, likewise; written before the records are sent on
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
		if pc.blocks == 0 { // its records are done, and their places given back
			l.reuse(pc)
		}
	}
}

// passedTime notes the time of a piece's first record when the mark passes the piece. The
// lane's lock is held.
func (l *lane) passedTime(t int64) {
	if t == pipeline.NoTime {
		return
	}
	l.lastTime = t
	if l.firstTime == pipeline.NoTime {
		l.firstTime = t
	}
}

// oldest gives the time of the first record that is not committed, or rather of the first record
// in the same piece: to keep the time of each record would cost 8 bytes a record. NoTime: it is
// not known.
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
	pc.oneByOne, pc.intact, pc.blocks, pc.begin, pc.end = false, false, 0, nil, nil
	pc.from, pc.read, pc.time, pc.lane, pc.replayed, pc.traces = in, read, pipeline.NoTime, l, nil, nil
	return pc
}

// sparePieces is how many pieces, and how many batches, a lane keeps to use them again.
const sparePieces = 64

// reuse takes a piece back that nothing refers to any more. The lane's lock is held.
func (l *lane) reuse(pc *piece) {
	if len(l.spare) < sparePieces {
		l.spare = append(l.spare, pc)
	}
}

// retire takes the blocks off a piece whose records are all done, and keeps the piece for
// other records if the mark has passed it. The lane's lock is held.
func (l *lane) retire(pc *piece, c *settlement) {
	for b := pc.begin; pc.blocks > 0; pc.blocks-- {
		next := b.next
		if b.refs--; b.refs == 0 {
			b.next, c.blocks = c.blocks, b
			c.heavy = c.heavy || b.bytes > heavyBlock
		}
		b = next
	}
	pc.begin, pc.end = nil, nil // other records may stand in these blocks from here on
	if !pc.Open() {
		l.reuse(pc)
	}
}
