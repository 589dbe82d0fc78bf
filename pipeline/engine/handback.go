package engine

import "time"

// This file hands back records of a lane that have not begun, when the pipeline is told to stop or
// the lane is given up (I7). The lane is cut behind the last record that has begun in the first
// waiting step: a call of it was made, or it left the step without needing one, since it came as
// rejected. Nothing behind the cut can have come further, as records reach that step in the order
// of their lane. All that is before the cut is finished. Who asks for the entrance of a call at that
// moment may be let in, so that the call counts as begun; when it is not, the cut is made lower.

// handBack cuts a lane, once, and hands back what the step has of it behind the cut. What
// is still on its way to the step is handed back when it comes.
func (s *waitStep) handBack(l *lane) {
	w := &s.win
	w.mu.Lock()
	wl, from := w.lanes[l], uint64(1)
	if wl != nil {
		from = wl.Begun() + 1
	}
	first := l.returns.CompareAndSwap(0, from)
	w.space.Broadcast()
	if !first || wl == nil {
		w.mu.Unlock()
		return
	}
	s.tick(time.Now())
	recs, given, t, left := s.clear(wl, from)
	w.mu.Unlock()
	s.letGo(given)
	s.meter.count(t, left)
	l.finish(recs, returned)
}

// mayCutLower says whether a call that was not let in may have been asked for when its lane was cut. The
// window is locked.
func (s *waitStep) mayCutLower(c *call) bool {
	return s.win.first == nil && !c.attempting && c.wl.lane.returns.Load() != 0
}

// cutLower hands back what is before the cut of a lane, and behind all that has begun by now. All of it
// is in the window, or has left: things are admitted in order, and one that is behind it was.
func (s *waitStep) cutLower(wl *waitLane) {
	w, l := &s.win, wl.lane
	w.mu.Lock()
	from := wl.Begun() + 1
	if wl.Dropped() || from >= l.returns.Load() {
		w.mu.Unlock()
		return
	}
	l.returns.Store(from)
	s.tick(time.Now())
	recs, given, t, left := s.clear(wl, from)
	w.mu.Unlock()
	s.letGo(given)
	s.meter.count(t, left)
	l.finish(recs, returned)
}
