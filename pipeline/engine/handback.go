package engine

import "time"

// This file hands back records of a lane that have not begun, when the pipeline is told to stop or
// the lane is given up (I7). The lane is cut behind the last record that has begun in the first
// waiting step: a call of it was made, or it left the step without needing one, since it came as
// rejected. Nothing behind the cut can have come further, as records reach that step in the order
// of their lane. All that is before the cut is finished.

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
