package engine

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// This file takes from a sink what it cannot store, when a change takes the sink away.
//
// What it guarantees. A sink that stores nothing does not keep a pipeline from the file that has another in its place. What it holds goes to the
// sink that takes its place, in the order of the lane (I1); nothing is lost, and nothing that a Write has said to be stored is stored again. Until
// Commit it is still the old sink's: a Cancel, or a stop, has that one try on.
//
// Who takes its place: the sink of its name; else, where the pipeline has one sink and had one, that one; for dead letters those of the new
// file. The condition of that sink is not asked: it was for this place. The only one takes no records that other sinks
// were to have too: it may be one of those. A sink without an heir keeps what it holds.
//
// How. At half of the time that a change has (rest.go) the sinks that it takes away are told to part with what they hold. The writer of a lane whose
// last Write has failed then ends with its batch in hand: it is parked. The pipeline counts as at rest when all that is under way is parked. One that
// stores something goes on, and a Write that has not returned is waited for: nobody knows what it stores.
//
// Not chosen. To end the lanes and have the source read them again: what else has come of these records, in other sinks and as dead letters, would be
// there twice. In transactions nothing is parted with: what an open one has written of the other sinks belongs to it.

// parting is whether a sink is to part with what it cannot store.
type parting struct {
	on atomic.Pointer[chan struct{}] // closed: it is
}

func (p *parting) init() {
	c := make(chan struct{})
	p.on.Store(&c)
}

func (p *parting) asked() <-chan struct{} { return *p.on.Load() }

func (p *parting) is() bool {
	select {
	case <-p.asked():
		return true
	default:
		return false
	}
}

// A parted sink is taken away by a change.
type parted struct {
	from *sink
	to   *sink // that takes its place
}

// parted gives the sinks of a chain that the next one does not have and that can part with what they hold.
func (c *chain) parted(next *chain) (all []parted) {
	if c.route.p.opts.Transactor != nil {
		return nil
	}
	for _, s := range c.allSinks() {
		if next.sinkOf(s.conf.Sink) != nil {
			continue
		}
		if to := next.heir(s, len(c.sinks)); to != nil { // else nobody could tell any more whether another has what several were to have
			all = append(all, parted{s, to})
		}
	}
	return all
}

// heir gives the sink that takes the place of one of a chain that had so many, dead letters left out; nil: none does.
func (c *chain) heir(s *sink, had int) *sink {
	if s.letters {
		return c.dead
	}
	for _, next := range c.sinks {
		if next.conf.Name == s.conf.Name {
			return next
		}
	}
	if had == 1 && len(c.sinks) == 1 {
		return c.sinks[0]
	}
	return nil
}

// part tells the sinks to part with what they cannot store.
func (r *rest) part() {
	for _, s := range r.parted {
		if !s.from.parting.is() {
			close(*s.from.parting.on.Load())
		}
	}
}

// stay has the sinks try on that were told to part with what they hold, if they still have it.
func (r *rest) stay() {
	for _, s := range r.parted {
		if s.from.parting.is() {
			s.from.parting.init()
			s.from.startWriters()
		}
	}
}

// failing names a sink that stores nothing and that the next chain has too; "": none, or it would not help to take it away.
func (c *chain) failing(next *chain) string {
	if c.route.p.opts.Transactor != nil {
		return ""
	}
	for _, s := range c.allSinks() {
		if next.sinkOf(s.conf.Sink) == nil {
			continue
		}
		for _, q := range s.allQueues() {
			q.mu.Lock()
			fails := q.fails
			q.mu.Unlock()
			if fails > 0 {
				return s.conf.Name
			}
		}
	}
	return ""
}

// park ends the writer if its sink is to part with what it cannot store, and it could not.
func (q *sinkQueue) park() bool {
	if !q.s.parting.is() {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.s.parting.is() || q.fails == 0 || q.closed { // asked again under the lock: stay starts those that are parked by then
		return false
	}
	q.running = false
	return true
}

// takeParked gives the batch of a writer that is parked.
func (q *sinkQueue) takeParked() []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running {
		return nil
	}
	batch := slices.Clone(q.batch)
	q.batch, q.w.batch = nil, nil
	return batch
}

// parked gives a copy of what the queue holds, if its writer is parked or has nothing to write.
func (q *sinkQueue) parked() (recs []item, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running {
		return nil, false
	}
	return append(slices.Clone(q.batch), q.queue[q.head:]...), true
}

// isParted says whether all that is under way is parked at sinks that are taken away. No record is made.
func (r *rest) isParted(p *Pipeline) bool {
	c := p.chain()
	inFlight := p.meter.read().InFlight
	if inFlight == 0 || c.running() != 0 {
		return false
	}
	held := map[*sink]bool{}
	for _, s := range r.parted {
		held[s.from] = s.from.parting.is()
	}
	for _, s := range c.steps {
		if s.core().meter.read().InFlight != 0 {
			return false
		}
	}
	sum := int64(0)
	seen := map[any]bool{} // records that several sinks hold count once, and so do the parts of a group that have failed
	for _, s := range c.allSinks() {
		n := s.meter.read().InFlight
		if n != 0 && !held[s] {
			return false
		}
		for _, q := range s.allQueues() {
			recs, ok := q.parked()
			if !ok {
				return false
			}
			if q.l.shares(recs) && !r.hasNamesake(s) {
				return false
			}
			n -= int64(len(recs))
			sum += q.l.distinct(recs, seen)
		}
		if n != 0 {
			return false
		}
	}
	return sum == inFlight
}

// hasNamesake says whether a sink of its name takes the place of one. Another may have had already what several sinks were to have.
func (r *rest) hasNamesake(s *sink) bool {
	return slices.ContainsFunc(r.parted, func(of parted) bool { return of.from == s && (s.letters || of.to.conf.Name == s.conf.Name) })
}

// shares says whether other sinks have some of the records, or had them.
func (l *lane) shares(recs []item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(recs, func(it item) bool { return it.origin != nil || it.refs > 0 })
}

// distinct counts records in flight that were not seen yet, tracks and groups, as the pipeline counts them: parts that have failed are in flight until
// all parts of their group are done, and then until the letter of the group is.
func (l *lane) distinct(recs []item, seen map[any]bool) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range recs {
		t := it.track
		if it.origin != nil {
			t = it.origin.track
		}
		switch {
		case l.frozen || seen[t]:
		case it.split != nil:
			if g := it.split; !seen[g] {
				n += int64(g.failed)
				seen[g] = true
			}
			if !it.dead && !t.hasLetter { // else it is among those that have failed
				n++
			}
		default:
			n++
		}
		seen[t] = true
	}
	return n
}

// A handed list is what one sink has parted with of one lane.
type handed struct {
	parted
	l    *lane
	recs []item
}

// takeAway ends the writers of sinks that the new chain does not have, takes what they have parted with, and has them forget their lanes.
func (c *Change) takeAway(old *chain) (all []handed) {
	for _, s := range old.allSinks() {
		if c.chain.sinkOf(s.conf.Sink) != nil {
			continue
		}
		s.crew.Wait()
		for _, q := range s.allQueues() {
			recs := append(q.takeParked(), q.drop()...)
			if i := slices.IndexFunc(c.rest.parted, func(of parted) bool { return of.from == s }); i >= 0 && len(recs) > 0 {
				all = append(all, handed{c.rest.parted[i], q.l, recs})
			}
		}
		for _, l := range c.p.lanes.all() {
			s.forgetLane(l)
		}
	}
	return all
}

// handOver gives the sinks of the new chain what those have parted with whose place they take. No worker of it has begun.
func (c *Change) handOver(all []handed) {
	told := map[parted]int{}
	for _, h := range all {
		told[h.parted] += len(h.recs)
		if h.to.meter != h.from.meter { // that of a sink of its name and kind counts on
			h.to.meter.enter(int64(len(h.recs)))
		}
		h.l.mixed(h.recs)
		h.to.put(h.l, h.recs)
	}
	c.tellHanded(told)
}

// mixed notes that outcomes of records are looked at one by one: they need not be all that is left of their piece, in its order.
func (l *lane) mixed(recs []item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range recs {
		recs[i].piece.oneByOne = true
	}
}

// tellHanded says in the log where what a sink could not store has gone.
func (c *Change) tellHanded(told map[parted]int) {
	if c.p.events == nil {
		return
	}
	for s, n := range told {
		to := "to the one that takes its place"
		if s.to.conf.Name != s.from.conf.Name {
			to = "to the sink " + s.to.conf.Name
		}
		c.p.events.Log().Info().Msg(fmt.Sprintf("%d records that the sink %s has not stored go %s", n, s.from.conf.Name, to))
	}
}
