package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline/engine/internal/reorder"
)

// This file tells the gates that hold calls back from those that may be open.
//
// What it guarantees. What waits behind an asker is held back by a limit only once that asker was not let in. Before
// that it waits for its turn to ask, and with all slots at work for one of these: it is neither counted as
// throttled nor said to wait for a limit. No more records are admitted than there are slots for when those who
// wait at gates that may be open have theirs.
//
// Why. While one call asks, a worker that is free takes the next record to the same gate, has it wait there, and is free again: so
// it took half of the window there before the asker was back, behind no limit at all. Lanes share out slots, of which such
// records have none, so that one lane had the gate to itself for as long as it took to call all of them, and a window that a limit
// had filled was never emptied again.

// opening is whether a gate may be open, and for how many. Guarded by the window.
type opening struct {
	refuses bool      // its asker was not let in, and nothing has changed since
	opened  time.Time // when it was found that something has; zero: nobody was refused
	waiting int       // calls behind the asker
}

// behind counts n more calls behind the asker of a gate.
func (w *window) behind(g *gate, n int) {
	g.waiting += n
	if !g.refuses {
		w.undecided += n
	}
}

// promote makes the first of those behind the asker the one that asks. There is one.
func (w *window) promote(g *gate) {
	g.asker, g.woken = g.queue.Pop(), false
	w.behind(g, -1)
}

// mayBeOpen says that a gate may have opened.
func (w *window) mayBeOpen(g *gate, now time.Time) {
	g.shut, g.shutSince = g.shutFor(now), time.Time{}
	if g.refuses {
		g.refuses, g.opened = false, now
		w.undecided += g.waiting
	}
}

// isShut says that the asker of a gate was not let in.
func (w *window) isShut(g *gate) {
	if !g.refuses {
		g.refuses = true
		w.undecided -= g.waiting
	}
}

// needsSlot says whether calls at a gate, which may be nil, wait for nothing but a slot, as far as is known: nobody was
// refused there, or that is over and who is to ask next has no slot for it. While it asks, what was said last holds.
func (w *window) needsSlot(g *gate) bool {
	if g == nil || g.refuses {
		return false
	}
	return g.held.cause == "" || w.Counts().Running >= w.slots && g.asker.State() == reorder.Due
}

// ask has a call that was picked begin to ask, and says whether it is to yield to one that was picked before it.
func (w *window) ask(c *call) (yields bool) {
	w.Ask(&c.Place)
	w.goOn()
	if c.ticket == 0 {
		w.tickets++
		c.ticket = w.tickets
	}
	if c.gate == nil {
		return false
	}
	c.gate.woken = false // from here on a wake may be for what this asker is told
	return c.gate.hasBefore(c)
}

// free is how many slots will be left when those who wait at gates that may be open have theirs.
func (w *window) free() int { return w.slots - w.Counts().Running - w.undecided }

// crowded says whether no record is to be admitted, for those that have their place need all slots.
func (w *window) crowded() bool {
	if w.undecided == 0 || w.free() > 0 {
		return false
	}
	w.passedBy = true
	return true
}

// goOn wakes those who have admitted nothing, if there are slots now. A slot that gets free, or a gate that is found shut,
// leaves a worker behind that looks for a call: it is enough that this one tells the others.
func (w *window) goOn() {
	if w.passedBy && !w.crowded() {
		w.passedBy = false
		w.wakeWorkers(w.free())
	}
}
