package pipeline

import (
	"math/bits"
	"time"
)

// A piece is an entry of a lane's ring of marks: a run of records that left the
// source together, at most as many as travel together. Guarded by the lane.
type piece struct {
	lane   *Lane
	seq    uint64                    // counts the pieces of the lane
	next   int64                     // the mark once it and all before it are done; -1: none of its own
	left   int                       // records, as the source counts them, that are on their way
	shared bool                      // parts or dead letters are of it
	lost   bool                      // one was abandoned: no mark passes it (I5)
	done   [chunkRecords / 64]uint64 // which have another outcome, unless all have
	size   int
	// Where its records stand, when that is known: from first without a gap, or at.
	first int64
	at    []int64
	from  *intake
	read  time.Time
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
	case pc.at != nil:
		return pc.at[n], true
	case pc.first >= 0:
		return pc.first + int64(n), true
	}
	return 0, false
}

// An intake is one batch as the source handed it over.
type intake struct {
	pieces  int // with records on their way
	records int64
	charge  *Charge
	free    func()
}

func (in *intake) release() {
	if in.charge != nil {
		in.charge.Release()
	}
	if in.free != nil {
		in.free()
	}
}

// A family is what one record of the source has become in splits. Guarded by the
// lane.
type family struct {
	record *Record // as the source gave it
	left   int     // parts on their way
	failed int     // parts that were rejected
	lost   bool    // a part was abandoned
	fail   *failure
	parts  []int32 // that each step has numbered; of the one that sends behind it
}

// An outcome is what a record ends in.
type outcome uint8

const (
	delivered outcome = iota
	filtered
	rejected
	abandoned
)

// A closing is what a call of finish has led to: the outcomes, booked at once, and
// what is to be done without the lane's lock.
type closing struct {
	now     time.Time
	freed   []*intake
	letters []*Record
	undone  []undoing
	moved   bool
	ended   int64

	t    tally
	runs [4]ageRun // of records read at the same time
	used int
}

// An ageRun is a number of records that were read at one time.
type ageRun struct {
	read time.Time
	n    int64
}

// finish gives records of the lane their outcome, or that of one of their sinks. The
// engine does not touch them afterwards.
func (l *Lane) finish(recs []*Record, o outcome) {
	if len(recs) == 0 {
		return
	}
	c := closing{now: time.Now()}
	l.mu.Lock()
	if l.p.undoes && (o == abandoned || l.frozen) { // an outcome that goes nowhere is none
		for _, rec := range recs {
			c.undo(rec)
		}
	}
	for i := 0; i < len(recs); {
		pc := recs[i].eng.piece
		if n := l.whole(recs[i:], pc); n > 0 && o != abandoned { // one acknowledgement
			l.count(o, int64(n), pc.read, &c)
			l.passed(pc, recs[i:i+n], o, &c)
			i += n
			continue
		}
		if recs[i].eng.shared() {
			l.finishOne(recs[i], o, &c)
			i++
			continue
		}
		first := i
		for i++; i < len(recs); i++ {
			if e := &recs[i].eng; e.piece != pc || e.shared() {
				break
			}
		}
		l.count(o, int64(i-first), pc.read, &c)
		l.passed(pc, recs[first:i], o, &c)
	}
	l.settle(&c)
}

// shared says whether others have to do with the record's outcome.
func (e *engineState) shared() bool {
	return e.refs != 0 || e.family != nil || e.origin != nil
}

// whole says how many of the records at the head are all that is left of a piece,
// when that can be told without looking at each: with one sink, and the order of the
// lane, they stand together. What is abandoned comes in any order.
func (l *Lane) whole(recs []*Record, pc *piece) int {
	n := pc.left
	if pc.shared || !l.p.simple || n > len(recs) || recs[n-1].eng.piece != pc {
		return 0
	}
	return n
}

// count books n outcomes of records read at one time.
func (l *Lane) count(o outcome, n int64, read time.Time, c *closing) {
	if l.frozen {
		return
	}
	l.inFlight -= n
	c.ended += n
	switch o {
	case delivered:
		c.t.out += n
	case filtered:
		c.t.filtered += n
	case rejected:
		c.t.rejected += n
	case abandoned:
		c.t.abandoned += n
		l.lost += n
	}
	for i := range c.runs[:c.used] {
		if c.runs[i].read.Equal(read) {
			c.runs[i].n += n
			return
		}
	}
	if c.used == len(c.runs) { // too many to be told apart
		c.runs[c.used-1].n += n
		return
	}
	c.runs[c.used] = ageRun{read, n}
	c.used++
}

// passed takes records of a piece off their way.
func (l *Lane) passed(pc *piece, recs []*Record, o outcome, c *closing) {
	switch {
	case o == abandoned:
		pc.lost = true
	case !l.frozen && (len(recs) < pc.left || pc.lost):
		for _, r := range recs {
			pc.done[r.eng.index/64] |= 1 << (r.eng.index % 64)
		}
	}
	if pc.left -= len(recs); pc.left > 0 {
		return
	}
	if pc.from.pieces--; pc.from.pieces == 0 {
		c.freed = append(c.freed, pc.from)
	}
}

// finishOne does what finish does for a record that several sinks or parts share.
func (l *Lane) finishOne(rec *Record, o outcome, c *closing) {
	r, f := rec, rec.eng.family
	if r.eng.origin != nil {
		r = r.eng.origin
	}
	if o == abandoned {
		r.eng.lost = true
	}
	if r.eng.refs > 0 {
		if r.eng.refs--; r.eng.refs > 0 {
			return
		}
	}
	switch {
	case r.eng.lost:
		o = abandoned
	case r.eng.queued:
		o = rejected
	}
	read := r.eng.piece.read
	switch {
	case f == nil:
		l.count(o, 1, read, c)
		l.passed(r.eng.piece, []*Record{r}, o, c)
	case rec.eng.dead: // of the whole family
		l.count(o, int64(f.failed), read, c)
		if f.lost {
			o = abandoned
		}
		l.passed(r.eng.piece, []*Record{r}, o, c)
	default:
		if o != rejected { // the failed ones are counted when their dead letter is durable
			l.count(o, 1, read, c)
		}
		f.lost = f.lost || o == abandoned
		f.left--
		l.familyDone(f, c)
	}
}

// familyDone ends a family when its last part has come to an end.
func (l *Lane) familyDone(f *family, c *closing) {
	switch {
	case f.left > 0:
	case f.failed == 0 || l.frozen:
		o := delivered
		if f.lost {
			o = abandoned
		}
		l.passed(f.record.eng.piece, []*Record{f.record}, o, c)
	default:
		f.fail.parts = f.failed
		c.letters = append(c.letters, l.p.letter(f.record, f.fail, f))
	}
}

// reject begins the end of a record that failed for good in a step or in one of its
// sinks: its dead letter is sent on its way, and the one who rejects it is done with
// it.
func (l *Lane) reject(rec *Record, why *failure) {
	c := closing{now: time.Now()}
	l.mu.Lock()
	c.undo(rec)
	r := rec
	if r.eng.origin != nil {
		r = r.eng.origin
	}
	if !r.eng.queued && !l.frozen {
		r.eng.queued = true
		r.eng.piece.shared = true
		if f := r.eng.family; f != nil {
			why.part = r.Part
			f.failed++
			if f.fail == nil || why.part < f.fail.part {
				f.fail = why
			}
		} else {
			r.eng.refs = max(r.eng.refs, 1) + 1
			c.letters = append(c.letters, l.p.letter(r, why, nil))
		}
	}
	l.finishOne(rec, rejected, &c)
	l.settle(&c)
}

// adopt makes the parts of a split members of one family. parts of a part join the
// family that it is of. It gives false when the record was split into nothing: then
// it is still the caller's.
func (l *Lane) adopt(r *Record, parts []*Record) bool {
	if len(parts) == 0 {
		return false
	}
	l.mu.Lock()
	f := r.eng.family
	n := len(parts) - 1
	r.eng.piece.shared = true
	if f == nil {
		f = &family{record: r, left: len(parts), parts: make([]int32, len(l.p.steps))}
	} else {
		f.left += n
	}
	for _, part := range parts {
		part.eng.family = f
	}
	if !l.frozen {
		l.inFlight += int64(n)
		l.p.meter.count(tally{created: int64(n)}, -int64(n))
	}
	l.mu.Unlock()
	return true
}

// settle moves the mark, gives up the lane's lock, and does what came of it.
func (l *Lane) settle(c *closing) {
	if c.ended > 0 {
		l.p.meter.outcomes(c)
	}
	if !l.frozen {
		n := 0
		for n < len(l.ring) && l.ring[n].left == 0 && !l.ring[n].lost {
			if l.ring[n].next > l.mark {
				l.mark = l.ring[n].next
				c.moved = true
			}
			l.ring[n] = nil
			n++
		}
		l.ring = l.ring[n:]
	}
	if c.moved && l.dirtyAt.IsZero() {
		l.dirtyAt = c.now
	}
	if l.inFlight == 0 && l.idle != nil && c.ended > 0 {
		select {
		case <-l.idle:
		default:
			close(l.idle)
		}
	}
	l.mu.Unlock()
	if len(c.undone) > 0 { // before the records' bytes are given back, and before dead letters
		l.p.tell(c.undone)
	}
	for _, in := range c.freed {
		in.release()
	}
	for _, d := range c.letters {
		l.p.post(l, d)
	}
	if c.moved || c.ended > 0 {
		l.p.wake()
	}
	if c.ended > 0 {
		l.p.settled()
	}
}
