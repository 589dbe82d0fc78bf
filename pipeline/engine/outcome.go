package engine

import "time"

// This file gives records their outcomes.
//
// What it guarantees. Every record gets exactly one outcome, and all counters change together
// (I6). The mark passes a record only when it and all before it have an outcome other than
// abandoned (I5). A record with several sinks is delivered when all have it. A record that was
// split ends when its last part does; parts that failed make one dead letter together, of the
// record as it came. A rejected record ends when its dead letter is durable.
//
// How. Whoever is done with records calls finish, for all of them at once. Under one hold of the
// lane's lock the records are taken off their pieces, the outcomes counted and the mark moved;
// what follows from that is collected in a settlement and done after the lock is given up: places
// and bytes given back, dead letters sent, Undoers told, and batches that follow their records.
// Records that leave with all that is left of their piece are one step of arithmetic, however many
// they are; others of one piece are taken together, with a bit for each; only those with parts,
// copies or dead letters are looked at one by one.
//
// Dropped. Slices for what a call of finish frees, in place of linked lists: to clear a slice that a
// large write has grown costs more than the outcomes of a small write (BenchmarkP15). Reading the
// clock in finish: it took a quarter of the outcome of a whole batch (BenchmarkP15).

// An outcome is what a record ends in.
type outcome uint8

const (
	delivered outcome = iota
	filtered
	rejected
	abandoned
	returned // counted as abandoned, but before any call for it began: no sink can have it
)

// stopsMark says whether the mark cannot pass a record that ends so: it is read again.
func (o outcome) stopsMark() bool { return o == abandoned || o == returned }

// finish gives records of the lane their outcome, or says how they ended in one of their
// sinks. The caller does not touch them afterwards: their places may be used again.
func (l *lane) finish(recs []item, o outcome) { l.finishAt(recs, o, time.Time{}) }

// finishAt is finish for a caller that knows the time. To ask for it costs a quarter of the
// outcome of a whole batch (BenchmarkP15), and whoever calls a component has just asked.
func (l *lane) finishAt(recs []item, o outcome, now time.Time) {
	if len(recs) == 0 {
		return
	}
	if now.IsZero() {
		now = time.Now()
	}
	last := recs[len(recs)-1].piece
	if o.stopsMark() {
		for _, rec := range recs {
			rec.fail.ends(increments{abandoned: 1})
		}
	}
	c := settlement{now: now}
	l.mu.Lock()
	if l.p.plan().undoes && (o.stopsMark() || l.frozen) { // an outcome that counts for nothing is none
		for _, rec := range recs {
			if o.stopsMark() || !l.follows(rec.piece) {
				c.undo(rec)
			}
		}
	}
	for i := 0; i < len(recs); {
		pc := recs[i].piece
		if n := l.wholeRun(recs[i:], pc, last); n > 0 && !o.stopsMark() { // all that is left of the piece, at once
			l.count(o, int64(n), pc.read, &c)
			l.passed(pc, recs[i:i+n], o, &c)
			i += n
			continue
		}
		if recs[i].hasOthers() {
			l.finishOne(recs[i], o, &c)
			i++
			continue
		}
		first := i
		for i++; i < len(recs); i++ {
			if e := recs[i].track; e.piece != pc || e.hasOthers() {
				break
			}
		}
		l.count(o, int64(i-first), pc.read, &c)
		l.passed(pc, recs[first:i], o, &c)
	}
	l.settle(&c)
}

// hasOthers says whether the record's outcome is not this one alone: several sinks have it, it is
// a part, or it stands for another record.
func (t *track) hasOthers() bool {
	return t.refs != 0 || t.split != nil || t.origin != nil
}

// wholeRun says how many of the records at the head are all that is left of a piece, and 0 when
// that cannot be told without looking at each. It can be told when records come in the order of
// their lane, to one sink: then those of a piece stand together, and it is enough to look at
// where the last of them would be. last is the piece of the last record in recs. Records that
// are abandoned come in any order, and are not asked for.
func (l *lane) wholeRun(recs []item, pc, last *piece) int {
	n := pc.Left()
	if pc.oneByOne || !l.p.plan().keepsLaneOrder || n > len(recs) {
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

// count books n outcomes of records that were made at one moment.
func (l *lane) count(o outcome, n int64, read time.Time, c *settlement) {
	if l.frozen {
		return
	}
	l.inFlight -= n
	c.booked += n
	switch o {
	case delivered:
		c.t.out += n
	case filtered:
		c.t.filtered += n
	case rejected:
		c.t.rejected += n
	case abandoned:
		c.t.abandoned += n
		l.abandoned += n
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
	if c.used == len(c.runs) { // more moments than there is room for: they count with the last one
		c.runs[c.used-1].n += n
		return
	}
	c.runs[c.used] = ageRun{read, n}
	c.used++
}

// passed takes records off their piece, with their outcome: they are done. When no record of
// the piece is left, its blocks are given back, and its batch if that was the last piece. The
// piece notes which of its records are done unless they are the last ones that are left; it is
// lost when one of them is without an outcome.
func (l *lane) passed(pc *piece, recs []item, o outcome, c *settlement) {
	if l.follows(pc) && !o.stopsMark() {
		c.follow(pc.from, recs, o)
	}
	if l.p.traces && pc.traces != nil {
		l.endTraces(pc, recs, o, c)
	}
	switch {
	case o.stopsMark():
		pc.intact = o == returned && (pc.intact || !pc.Blocked())
		pc.Block()
	case !l.frozen && (len(recs) < pc.Left() || pc.Blocked()):
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
	r, g := rec, rec.split
	if r.origin != nil {
		r = *r.origin
	}
	if o == abandoned {
		r.abandoned = true
	}
	if r.refs > 0 {
		if r.refs--; r.refs > 0 {
			return
		}
	}
	switch {
	case r.abandoned:
		o = abandoned
	case r.hasLetter:
		o = rejected
	}
	read := r.piece.read
	switch {
	case g == nil:
		l.count(o, 1, read, c)
		l.passed(r.piece, []item{r}, o, c)
	case rec.dead: // it stands for all parts that failed
		l.count(o, int64(g.failed), read, c)
		if g.abandoned {
			o = abandoned
		}
		l.passed(r.piece, []item{r}, o, c)
	default:
		if o != rejected { // rejected parts are counted when their dead letter is durable
			l.count(o, 1, read, c)
		}
		g.abandoned = g.abandoned || o == abandoned
		g.returned = g.returned || o == returned
		g.delivered = g.delivered || o == delivered
		g.left--
		l.splitDone(g, c)
	}
}

// splitDone ends the record of a split when its last part has ended, or has its dead letter
// sent when a part failed.
func (l *lane) splitDone(g *splitGroup, c *settlement) {
	switch {
	case g.left > 0:
	case g.failed == 0 || l.frozen:
		o := filtered
		switch {
		case g.abandoned || g.failed > 0: // of a lane that is given up no letter is sent
			o = abandoned
		case g.returned:
			o = returned
		case g.delivered:
			o = delivered
		}
		l.passed(g.record.piece, []item{g.record}, o, c)
	default:
		g.fail.parts = g.failed
		c.letters = append(c.letters, l.p.letter(g.record, g.fail, g))
	}
}

// ends counts the record in its step, which has it in flight until it is sent to the dead letters or abandoned: what was to be
// rejected behind a record that ends the pipeline is read again with it, and was not rejected.
func (f *failure) ends(t increments) {
	if f != nil && f.meter != nil {
		f.meter.count(t, 1)
	}
}

// reject begins the end of a record that failed for good, in a step or in one of its sinks: its
// dead letter is sent, once, the rejection is reported (I9), and the caller is done with the record. Of a part it only notes
// the failure: the dead letter comes when all parts have ended (splitDone).
func (l *lane) reject(rec item, why *failure) {
	c := settlement{now: time.Now()}
	t := increments{rejected: 1}
	l.mu.Lock()
	if l.frozen {
		t = increments{abandoned: 1}
	} else {
		c.report = l.p.rejection(why, rec)
	}
	why.ends(t)
	c.undo(rec)
	r := rec
	if r.origin != nil {
		r = *r.origin
	}
	switch {
	case r.hasLetter:
	case l.frozen: // no letter is sent
		r.abandoned = true
	default:
		r.hasLetter = true
		r.piece.oneByOne = true
		if g := r.split; g != nil {
			why.part = r.rec.Part
			g.failed++
			if g.fail == nil || why.part < g.fail.part {
				g.fail = why
			}
		} else {
			r.refs = max(r.refs, 1) + 1
			c.letters = append(c.letters, l.p.letter(r, why, nil))
		}
	}
	l.finishOne(rec, rejected, &c)
	l.settle(&c)
}

// spend counts a record that a sink refuses in the budget of rejections, unless it counts already as another sink
// refuses it. Both are one step: two sinks may refuse it at once. An error says that it must not be rejected.
func (l *lane) spend(rec item) error {
	if rec.origin != nil {
		rec = *rec.origin
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if rec.counted {
		return nil
	}
	rejects := l.p.rejects()
	err := rejects.spend(rejects.atSinks())
	rec.counted = err == nil
	return err
}

// adopt puts the parts of a split into a splitGroup: a new one, or that of the record when it
// is a part itself. It gives false when there are no parts: then the record is still the
// caller's.
func (l *lane) adopt(r item, parts []item) bool {
	if len(parts) == 0 {
		return false
	}
	l.mu.Lock()
	g := r.split
	n := len(parts) - 1
	r.piece.oneByOne = true
	if g == nil {
		g = &splitGroup{record: r, left: len(parts), parts: make([]int32, len(l.p.plan().steps))}
	} else {
		g.left += n
	}
	for _, part := range parts {
		part.split = g
	}
	if !l.frozen {
		l.inFlight += int64(n)
		l.parts += int64(n)
		l.p.meter.count(increments{created: int64(n)}, -int64(n))
	}
	l.mu.Unlock()
	return true
}

// outcomes books the outcomes of a settlement, with the time that each record took.
func (m *meter) outcomes(c *settlement) {
	m.mu.Lock()
	m.add(c.t, c.booked)
	for _, r := range c.runs[:c.used] {
		m.lat.add(c.now.Sub(r.read), r.n)
	}
	m.mu.Unlock()
}

// settle ends a settlement: it moves the mark, unlocks the lane, and then does what must not
// be done under the lane's lock, since it takes other locks or calls a component.
func (l *lane) settle(c *settlement) {
	if c.booked > 0 {
		l.p.meter.outcomes(c)
		rejects := l.p.rejects()
		rejects.passed(rejects.atSinks(), c.t.out, 0)
	}
	l.advance(c)
	if l.dirtyAt.IsZero() && (c.moved || l.ring.Committable() > l.committed) { // it moves within a piece too
		l.dirtyAt = c.now
	}
	l.tellIdle()
	l.mu.Unlock()
	if c.report != nil { // before the letter is sent
		c.report()
	}
	if len(c.traces) > 0 {
		l.p.tellTraces(c)
	}
	if len(c.ended) > 0 { // before their batch is freed
		l.p.tellEnded(c.ended)
		l.told(c)
	}
	if len(c.undone) > 0 { // first: a record that is sent again from its dead letter must not be known still
		l.p.tell(c.undone)
	}
	if c.blocks != nil {
		l.p.pool.put(c.blocks, c.heavy)
	}
	if c.freed != nil {
		l.recycleBatches(c)
	}
	if c.sources > 0 {
		l.p.budget.giveBack(l, c.sources)
	}
	for _, d := range c.letters {
		l.p.hooks.sendLetter(l, d)
	}
	if c.moved || c.booked > 0 {
		l.p.wake()
	}
	if c.booked > 0 {
		l.p.phase.noteOutcome()
	}
}
