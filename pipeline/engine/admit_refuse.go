package engine

import "github.com/penstockio/penstock/pipeline"

// This file ends calls of an Admitter without making them: those held back for too long, those skipped, and those whose stage has panicked.

// refuse ends one call that limits have held back for too long, or whose record is skipped meanwhile. A worker of its own does
// that, at the moment when it is due: all slots may be at work for long.
func (sl *slot) refuse() bool {
	if sl.c != nil {
		sl.recover()
		return true
	}
	w := &sl.s.win
	w.mu.Lock()
	for (w.refused.Len() == 0 || sl.s.p.rejects().pausing()) && !w.done() {
		w.refusal.Wait()
	}
	if w.refused.Len() == 0 {
		w.mu.Unlock()
		return false
	}
	c := w.refused.Pop()
	w.mu.Unlock()
	sl.c = c
	sl.s.outstanding.Add(1)
	if c.skipped != nil {
		sl.skip(c.skipped)
	} else {
		sl.conclude(sl.s.heldTooLong(c.heldBy.waits), true)
	}
	return true
}

// recover ends the call whose stage has panicked. What the stage is told then may panic too: each
// time there is less that it has not been told.
func (sl *slot) recover() {
	err := sl.panic
	sl.panic = nil
	if err == nil { // cannot be: the engine itself stopped half-way
		err = &pipeline.PanicError{}
	}
	sl.conclude(err, true)
}
