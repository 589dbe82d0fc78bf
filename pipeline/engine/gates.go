package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/fifo"
	"github.com/penstockio/penstock/pipeline/engine/internal/reorder"
)

// This file is the queues of the calls that are not let in yet, one for each gate of an Admitter.
//
// What it guarantees. Calls of one gate are let in in the order in which they came to it. One of
// them asks, however many wait, and the others cost nothing meanwhile: no timer, no goroutine, no
// slot. When it is let in, or given up, the next one asks at once. A call that waits has its place
// in the window and nothing else, so the window bounds how many there are (I4).
//
// How. The asker of a gate that is not let in waits for a timer, for a wake, or for both. Then it
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
	queue fifo.Queue[*call] // those behind it. A call may have left it: then it is no longer throttled here
	woken bool              // something has changed since the asker began to ask
	waits string            // what for, as the last one that was not let in has said
	timer *time.Timer       // of the asker; nil: none was needed yet
	wake  func()            // has the asker ask again
}

// spareGates is how many gates that nobody waits at are kept for others: most are there for a
// moment, while a call asks.
const spareGates = 16

// join takes a call to its gate, and says whether it is the one that asks there.
func (s *waitStep) join(c *call, key any) (asks bool) {
	w := &s.win
	g := w.gates[key]
	if g != nil {
		c.gate = g
		g.queue.Push(c)
		return false
	}
	if n := len(w.spareGates); n > 0 {
		g, w.spareGates = w.spareGates[n-1], w.spareGates[:n-1]
	} else {
		g = &gate{}
		g.wake = func() { s.wake(g) }
	}
	g.key, g.asker = key, c
	c.gate = g
	w.gates[key] = g
	return true
}

// leaveGate takes a call from its gate, if it is at one. If it was the asker, the next one asks.
func (s *waitStep) leaveGate(c *call) {
	w, g := &s.win, c.gate
	c.gate = nil
	if g == nil || g.asker != c {
		return
	}
	g.asker, g.woken = nil, false
	if g.timer != nil {
		g.timer.Stop()
	}
	for g.queue.Len() > 0 {
		next := g.queue.Pop()
		if next.gate == g && next.State() == reorder.Throttled {
			g.asker = next
			w.Due(&next.Place)
			return
		}
	}
	delete(w.gates, g.key)
	g.key, g.waits = nil, ""
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
	switch {
	case g.asker != c:
	case g.woken:
		w.Due(&c.Place)
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
		s.tick(time.Now())
		if g.timer != nil {
			g.timer.Stop()
		}
		w.Due(&c.Place)
	default: // it is due, and has not begun to ask, or it asks now
		g.woken = true
	}
}

// heldFor is how long limits have held the record back in all.
func (c *call) heldFor(now time.Time) time.Duration {
	if c.heldSince.IsZero() {
		return c.held
	}
	return c.held + now.Sub(c.heldSince)
}

// letOn ends the time that a call was held back, by which all that runs out moves on.
func (c *call) letOn(now time.Time) {
	if c.heldSince.IsZero() {
		return
	}
	d := now.Sub(c.heldSince)
	c.heldSince = time.Time{}
	c.held += d
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

// overdue refuses a call if it is throttled and has been held back for too long. One that is asked
// for at the moment is refused by who asks.
func (s *waitStep) overdue(c *call) {
	w := &s.win
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if c.State() != reorder.Throttled || c.heldFor(now) < s.conf.Wait.MaxWait {
		return
	}
	s.tick(now)
	c.heldBy = c.gate.waits
	w.Refuse(&c.Place)
	s.leaveGate(c)
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
