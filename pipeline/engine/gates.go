package engine

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/fifo"
	"github.com/penstockio/penstock/pipeline/engine/internal/reorder"
)

// This file is the queues of the calls that are not let in yet, one for each gate of an Admitter.
//
// What it guarantees. Calls of one gate are let in in the order in which they were picked from the
// window, as far as they wait there: workers that race from Admit to the gate do not have the head of a lane
// wait behind those that follow it, and a further call of a record is not behind those that came
// meanwhile. One of them asks, however many wait, and the others cost nothing meanwhile: no timer, no goroutine, no
// slot. When it is let in, or given up, the next one asks at once. A call that waits has its place
// in the window and nothing else, so the window bounds how many there are (I4).
//
// How. A call has a ticket from when it is picked, and the queue is in the order of tickets. When the
// asker is to ask again, or was not let in, and one with an earlier ticket stands behind it, the two change
// places. Not before: it may have a turn at a rate, which the other takes over when it has come.
//
// The asker of a gate that is not let in waits for a timer, for a wake, or for both. Then it
// is due, which goes ahead of new calls, and whichever worker is free asks for it (admit.go). So
// nothing is taken from a rate for a call that has no slot.
//
// Dropped. To ask under the window's lock: Enter is a component's, which may be slow or panic, and
// a wake, which takes that lock, may come while it asks. That one call alone asks for a gate keeps the
// order without the lock.

// A gate is where calls of a step wait for the same. Guarded by the window.
type gate struct {
	key   any
	asker *call             // the one that asks: it is asked for, due, or throttled
	queue fifo.Queue[*call] // those behind it, by ticket. A call may have left it: then it is no longer throttled here
	woken bool              // something has changed since the asker began to ask
	opening
	held heldFor // what for, as the last one that was not let in has said

	// For max_wait. The gate is shut from when its asker is not let in until that may have changed.
	// While the asker then waits for a slot, it is no limit that holds back those behind it.
	shut      time.Duration // how long it has been, before shutSince
	shutSince time.Time     // zero: it may be open

	timer *time.Timer // of the asker; nil: none was needed yet
	wake  func()      // has the asker ask again
}

// A heldFor is what a call waits for that was not let in.
type heldFor struct {
	waits string // as Waits has said
	cause Cause
	joins bool      // this is no limit, but an equal call that is under way
	until time.Time // when it asks again, if nothing changes before; zero: that is not known
}

// heldBy asks a call that was not let in what it waits for.
func heldBy(c pipeline.Call) heldFor {
	by := heldFor{waits: c.Waits(), cause: CauseLimit}
	if j, ok := c.(pipeline.Joiner); ok {
		by.joins = j.Joins()
	}
	if c, ok := c.(interface{ Cause() string }); ok {
		by.cause = limitCause(c.Cause())
	}
	if c, ok := c.(interface{ Until() time.Time }); ok {
		by.until = c.Until()
	}
	if by.joins {
		by.cause = CauseEqualCall
	}
	return by
}

// limitCause gives the cause of a limit in the words of pipeline.Hosted: CauseLimit, where it is none of these.
func limitCause(word string) Cause {
	switch cause := Cause(word); cause {
	case CauseRate, CauseBreaker, CauseHost, CauseRetryBudget, CauseEqualCall:
		return cause
	}
	return CauseLimit
}

// hear asks the call at hand what it says of itself, for those who look from outside.
func (sl *slot) hear() {
	sl.host, sl.leads = "", nil
	if hosted, ok := sl.c.entry.(pipeline.Hosted); ok {
		sl.host = hosted.Host()
	}
	if l, ok := sl.c.entry.(interface{ Leads() any }); ok {
		sl.leads = l.Leads()
	}
}

// A gateSet is the gates of a step, and what else a window has for calls that are not let in. Guarded
// by the window.
type gateSet struct {
	gates      map[any]*gate // at which calls wait or ask; nil: the stage is no Admitter
	spareGates []*gate
	undecided  int               // calls that wait behind an asker, at gates that may be open
	passedBy   bool              // somebody has admitted nothing for them
	tickets    uint64            // that were given
	refused    fifo.Queue[*call] // throttled for too long, and not ended yet
	refusal    sync.Cond         // who ends them waits for one
	released   atomic.Int64      // records, since the start, of an Admitter
}

// spareGates is how many gates that nobody waits at are kept for others: most are there for a
// moment, while a call asks.
const spareGates = 16

// join takes a call to its gate, and says whether it is the one that asks there.
func (s *waitStep) join(c *call, key any, now time.Time) (asks bool) {
	w := &s.win
	g := w.gates[key]
	if g != nil {
		c.gate, c.joined = g, g.shutFor(now)
		w.insert(g, c)
		return false
	}
	if n := len(w.spareGates); n > 0 {
		g, w.spareGates = w.spareGates[n-1], w.spareGates[:n-1]
	} else {
		g = &gate{}
		g.wake = func() { s.wake(g) }
	}
	g.key, g.asker, g.opening = key, c, opening{}
	c.gate, c.joined = g, 0
	w.gates[key] = g
	return true
}

// insert puts a call into the queue, in which most come in order.
func (w *window) insert(g *gate, c *call) {
	w.behind(g, 1)
	g.queue.Push(c)
	q := g.queue.Rest()
	last := len(q) - 1
	if last == 0 || q[last-1].ticket <= c.ticket {
		return
	}
	at := sort.Search(last, func(i int) bool { return q[i].ticket > c.ticket })
	copy(q[at+1:], q[at:last])
	q[at] = c
}

// first gives the first of those behind the asker, nil when there is none.
func (g *gate) first() *call {
	for g.queue.Len() > 0 {
		c := g.queue.Peek()
		if c.gate == g && c.State() == reorder.Throttled {
			return c
		}
		g.queue.Pop()
	}
	return nil
}

// hasBefore says whether a call that waits behind the asker was picked before it.
func (g *gate) hasBefore(asker *call) bool {
	c := g.first()
	return c != nil && c.ticket < asker.ticket
}

// stepBack has the asker, which was not let in, wait behind one that was picked before it.
func (s *waitStep) stepBack(c *call, now time.Time) {
	w, g := &s.win, c.gate
	if !g.hasBefore(c) { // that one has left meanwhile
		g.woken = true
		s.hold(c, 0, now)
		return
	}
	w.promote(g)
	w.insert(g, c)
	s.hold(c, 0, now)
	w.mayBeOpen(g, now)
	w.Due(&g.asker.Place)
}

// shutFor is how long the gate has been shut in all.
func (g *gate) shutFor(now time.Time) time.Duration {
	if g.shutSince.IsZero() {
		return g.shut
	}
	return g.shut + now.Sub(g.shutSince)
}

// leaveGate takes a call from its gate, if it is at one. If it was the asker, the next one asks.
func (s *waitStep) leaveGate(c *call, now time.Time) {
	w, g := &s.win, c.gate
	if g == nil {
		return
	}
	c.held += g.shutFor(now) - c.joined
	c.heldLast = g.held.cause
	c.gate = nil
	if g.asker != c {
		w.behind(g, -1)
		return
	}
	g.asker, g.woken = nil, false
	if g.timer != nil {
		g.timer.Stop()
	}
	if g.first() != nil {
		w.promote(g)
		w.Due(&g.asker.Place)
		return
	}
	delete(w.gates, g.key)
	g.key, g.held, g.shut, g.shutSince = nil, heldFor{}, 0, time.Time{} // opening stays: of a lane that ends others may leave behind it
	if len(w.spareGates) < spareGates {
		w.spareGates = append(w.spareGates, g)
	}
}

// hold throttles a call that was not let in. wait is when it asks again, unless it is woken before;
// 0: then alone.
func (s *waitStep) hold(c *call, wait time.Duration, now time.Time) {
	w, g := &s.win, c.gate
	if c.heldSince.IsZero() {
		c.heldSince = now
		s.limit(c)
	}
	w.Hold(&c.Place)
	if g.asker != c {
		return
	}
	if g.woken {
		w.mayBeOpen(g, now)
		w.Due(&c.Place)
		return
	}
	w.isShut(g)
	if g.shutSince.IsZero() && !g.held.joins {
		g.shutSince = now
	}
	switch {
	case wait > 0 && g.timer == nil:
		g.timer = time.AfterFunc(wait, g.wake)
	case wait > 0:
		g.timer.Reset(wait)
	}
}

// wake has the asker of a gate ask again. It comes from timers and from anywhere, also for a gate
// that has become another since: then a call asks once more than it needs to.
func (s *waitStep) wake(g *gate) {
	w := &s.win
	w.mu.Lock()
	defer w.mu.Unlock()
	c := g.asker
	switch {
	case c == nil:
	case c.State() == reorder.Throttled:
		now := time.Now()
		s.tick(now)
		if g.timer != nil {
			g.timer.Stop()
		}
		w.mayBeOpen(g, now)
		w.Due(&c.Place)
	default: // it is due, and has not begun to ask, or it asks now
		g.woken = true
	}
}

// heldFor is how long limits have held the record back in all.
func (c *call) heldFor(now time.Time) time.Duration {
	if c.gate == nil {
		return c.held
	}
	return c.held + c.gate.shutFor(now) - c.joined
}

// letOn ends the time that a call was held back, by which all that runs out moves on.
func (c *call) letOn(now time.Time) {
	if c.heldSince.IsZero() {
		return
	}
	d := now.Sub(c.heldSince)
	c.heldSince = time.Time{}
	if c.trace != nil {
		c.trace.Held(c.heldLast, d, now)
	}
	if !c.began.IsZero() {
		c.began, c.deadline = c.began.Add(d), c.deadline.Add(d)
	}
	if c.limit != nil && !c.limit.Stop() {
		c.timed = true
	}
}

// age is how long the record has been worked on, without the time that limits held it back.
func (c *call) age(now time.Time) time.Duration {
	switch {
	case c.began.IsZero():
		return 0
	case !c.heldSince.IsZero():
		return c.heldSince.Sub(c.began)
	}
	return now.Sub(c.began)
}

// limit has a call refused when it has been held back for longer than it may.
func (s *waitStep) limit(c *call) {
	most := s.conf.Wait.MaxWait
	switch {
	case most == 0:
	case c.limit == nil:
		c.limit = time.AfterFunc(most-c.held, func() { s.overdue(c) })
	default:
		c.limit.Reset(most - c.held)
	}
}

// overdue refuses a call if limits have held it back for too long, and looks again later if they
// have not. One that is asked for at the moment, or is about to be as its gate may be open, is
// refused by who asks.
func (s *waitStep) overdue(c *call) {
	w, most := &s.win, s.conf.Wait.MaxWait
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.gate == nil || c.heldSince.IsZero() {
		return // it was let in meanwhile, or given up
	}
	now := time.Now()
	left := most - c.heldFor(now)
	switch state := c.State(); {
	case c.gate.shutSince.IsZero() || state != reorder.Throttled && state != reorder.Due:
		c.limit.Reset(max(left, most/64, time.Millisecond))
		return
	case left > 0:
		c.limit.Reset(left)
		return
	}
	s.tick(now)
	c.heldBy, c.timed = c.gate.held, true
	w.Refuse(&c.Place)
	s.leaveGate(c, now)
	w.refused.Push(c)
	w.refusal.Signal()
}

// letGo tells the Admitter of calls that nobody wants any more.
func (s *waitStep) letGo(calls []*call) {
	s.outstanding.Add(1)
	defer s.outstanding.Add(-1)
	for at := 0; at < len(calls); {
		var c *call
		err := guarded(func() error {
			for at < len(calls) {
				c = calls[at]
				at++
				entry := c.entry
				c.entry = nil
				entry.Leave(pipeline.CallResult{})
			}
			return nil
		})
		if p, ok := err.(*pipeline.PanicError); ok {
			s.p.panicked(s.conf.Name, c.rec.rec, p)
		}
	}
}
