package engine

import "time"

// An outcome is what a record ends in.
type outcome uint8

const (
	delivered outcome = iota
	filtered
	rejected
	abandoned
	returned // abandoned before anything of it began: nobody can have it
)

// none says whether the outcome is none: the record is read again.
func (o outcome) none() bool { return o == abandoned || o == returned }

// finish gives records of the lane their outcome, or that of one of their sinks. The
// engine does not touch them afterwards.
func (l *lane) finish(recs []item, o outcome) { l.finishAt(recs, o, time.Time{}) }

// finishAt is finish for who knows since when they have it. To ask for the time costs a
// quarter of the outcome of a whole batch (BenchmarkP15), and every call has just asked.
func (l *lane) finishAt(recs []item, o outcome, now time.Time) {
	if len(recs) == 0 {
		return
	}
	if now.IsZero() {
		now = time.Now()
	}
	last := recs[len(recs)-1].piece
	c := settlement{now: now}
	l.mu.Lock()
	if l.p.undoes && (o.none() || l.frozen) { // an outcome that goes nowhere is none
		for _, rec := range recs {
			c.undo(rec)
		}
	}
	for i := 0; i < len(recs); {
		pc := recs[i].piece
		if n := l.whole(recs[i:], pc, last); n > 0 && !o.none() { // one acknowledgement
			l.count(o, int64(n), pc.read, &c)
			l.passed(pc, recs[i:i+n], o, &c)
			i += n
			continue
		}
		if recs[i].shared() {
			l.finishOne(recs[i], o, &c)
			i++
			continue
		}
		first := i
		for i++; i < len(recs); i++ {
			if e := recs[i].track; e.piece != pc || e.shared() {
				break
			}
		}
		l.count(o, int64(i-first), pc.read, &c)
		l.passed(pc, recs[first:i], o, &c)
	}
	l.settle(&c)
}

// shared says whether others have to do with the record's outcome.
func (t *track) shared() bool {
	return t.refs != 0 || t.split != nil || t.origin != nil
}

// whole says how many of the records at the head are all that is left of a piece,
// when that can be told without looking at each: with one sink, and the order of the
// lane, they stand together. What is abandoned comes in any order.
func (l *lane) whole(recs []item, pc, last *piece) int {
	n := pc.Left()
	if pc.shared || !l.p.keepsLaneOrder || n > len(recs) {
		return 0
	}
	if n < len(recs) {
		last = recs[n-1].piece
	}
	if last != pc {
		return 0
	}
	return n
}

// count books n outcomes of records read at one time.
func (l *lane) count(o outcome, n int64, read time.Time, c *settlement) {
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
	case returned:
		c.t.abandoned += n
		l.returned += n
	}
	for i := range c.runs[:c.used] {
		if c.runs[i].read == read {
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
func (l *lane) passed(pc *piece, recs []item, o outcome, c *settlement) {
	switch {
	case o.none():
		pc.intact = o == returned && (pc.intact || !pc.Lost())
		pc.Lose()
	case !l.frozen && (len(recs) < pc.Left() || pc.Lost()):
		for _, r := range recs {
			pc.Note(r.index)
		}
	}
	c.sources += int64(len(recs))
	if pc.Done(len(recs)) > 0 {
		return
	}
	in := pc.from
	l.retire(pc, c)
	if in.pieces--; in.pieces == 0 && !in.open {
		c.free(in)
	}
}

// finishOne does what finish does for a record that several sinks or parts share.
func (l *lane) finishOne(rec item, o outcome, c *settlement) {
	r, f := rec, rec.split
	if r.origin != nil {
		r = *r.origin
	}
	if o == abandoned {
		r.lost = true
	}
	if r.refs > 0 {
		if r.refs--; r.refs > 0 {
			return
		}
	}
	switch {
	case r.lost:
		o = abandoned
	case r.queued:
		o = rejected
	}
	read := r.piece.read
	switch {
	case f == nil:
		l.count(o, 1, read, c)
		l.passed(r.piece, []item{r}, o, c)
	case rec.dead: // of the whole family
		l.count(o, int64(f.failed), read, c)
		if f.lost {
			o = abandoned
		}
		l.passed(r.piece, []item{r}, o, c)
	default:
		if o != rejected { // the failed ones are counted when their dead letter is durable
			l.count(o, 1, read, c)
		}
		f.lost = f.lost || o == abandoned
		f.returned = f.returned || o == returned
		f.left--
		l.splitDone(f, c)
	}
}

// splitDone ends a family when its last part has come to an end.
func (l *lane) splitDone(f *splitGroup, c *settlement) {
	switch {
	case f.left > 0:
	case f.failed == 0 || l.frozen:
		o := delivered
		switch {
		case f.lost:
			o = abandoned
		case f.returned:
			o = returned
		}
		l.passed(f.record.piece, []item{f.record}, o, c)
	default:
		f.fail.parts = f.failed
		c.letters = append(c.letters, l.p.letter(f.record, f.fail, f))
	}
}

// reject begins the end of a record that failed for good in a step or in one of its
// sinks: its dead letter is sent on its way, and the one who rejects it is done with
// it.
func (l *lane) reject(rec item, why *failure) {
	c := settlement{now: time.Now()}
	l.mu.Lock()
	c.undo(rec)
	r := rec
	if r.origin != nil {
		r = *r.origin
	}
	if !r.queued && !l.frozen {
		r.queued = true
		r.piece.shared = true
		if f := r.split; f != nil {
			why.part = r.rec.Part
			f.failed++
			if f.fail == nil || why.part < f.fail.part {
				f.fail = why
			}
		} else {
			r.refs = max(r.refs, 1) + 1
			c.letters = append(c.letters, l.p.letter(r, why, nil))
		}
	}
	l.finishOne(rec, rejected, &c)
	l.settle(&c)
}

// adopt makes the parts of a split members of one family. parts of a part join the
// family that it is of. It gives false when the record was split into nothing: then
// it is still the caller's.
func (l *lane) adopt(r item, parts []item) bool {
	if len(parts) == 0 {
		return false
	}
	l.mu.Lock()
	f := r.split
	n := len(parts) - 1
	r.piece.shared = true
	if f == nil {
		f = &splitGroup{record: r, left: len(parts), parts: make([]int32, len(l.p.opts.Steps))}
	} else {
		f.left += n
	}
	for _, part := range parts {
		part.split = f
	}
	if !l.frozen {
		l.inFlight += int64(n)
		l.parts += int64(n)
		l.p.meter.count(increments{created: int64(n)}, -int64(n))
	}
	l.mu.Unlock()
	return true
}

// settle moves the mark, gives up the lane's lock, and does what came of it.
func (l *lane) settle(c *settlement) {
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
		l.p.pool.put(c.blocks, c.heavy)
	}
	if c.freed != nil {
		l.recycleBatches(c)
	}
	if c.sources > 0 {
		l.p.budget.finished(l, c.sources)
	}
	for _, d := range c.letters {
		l.p.above.post(l, d)
	}
	if c.moved || c.ended > 0 {
		l.p.wake()
	}
	if c.ended > 0 {
		l.p.phase.noteOutcome()
	}
}

// outcomes books what a call of finish has come to.
func (m *meter) outcomes(c *settlement) {
	m.mu.Lock()
	m.add(c.t, c.ended)
	for _, r := range c.runs[:c.used] {
		m.lat.add(c.now.Sub(r.read), r.n)
	}
	m.mu.Unlock()
}
