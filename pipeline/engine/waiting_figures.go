package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/reorder"
)

// This file is what a waiting step counts of itself, and says to those who look from outside.

// tick books the time since the last change for the state the slots were in. Before the start there is
// nothing to book: a snapshot may be taken while the source connects.
func (s *waitStep) tick(now time.Time) {
	if s.since.IsZero() {
		return
	}
	d := now.Sub(s.since)
	s.since = now
	n := s.win.Counts()
	if n.HeldBack > 0 {
		s.heldTime += d * time.Duration(n.HeldBack) / time.Duration(n.Lanes)
	}
	s.spent[0] += d * time.Duration(n.Running)
	free := d * time.Duration(s.win.idle(n))
	if held := n.Throttled - s.win.undecided; held > 0 {
		s.throttled += d * time.Duration(held)
		limited := d * time.Duration(s.limitedSlots(n, held))
		s.limited += limited
		s.spent[1] += limited
		free -= limited
	}
	if n.Taken >= s.win.size && n.Waiting > 0 {
		s.spent[2] += free
	} else {
		s.spent[1] += free
	}
}

// limitedSlots is how many slots are free because limits hold records back: as many as they hold
// back, and all when the window is full of those and of the ones that wait behind them. When most of
// a full window is on its way out, it is what is behind the step that holds it up.
func (s *waitStep) limitedSlots(n reorder.Counts, held int) int {
	free := s.win.idle(n)
	if n.Taken >= s.win.size && 2*s.win.leaving < n.Taken {
		return free
	}
	return min(free, held)
}

func (s *waitStep) snapshot(now time.Time) StepSnapshot {
	out := s.snap(now, 0)
	w := &s.win
	w.mu.Lock()
	defer w.mu.Unlock()
	out.Workers = w.slots
	s.tick(now)
	out.Busy, out.Idle, out.Blocked = s.spent[0], s.spent[1], s.spent[2]
	// More than the bound may wait: the rest of a chunk, and what a lane that is held back had
	// still on its way.
	n := w.Counts()
	out.QueueLen, out.QueueCap = min(n.Waiting, w.backlog), w.backlog
	out.HeldBack = n.Waiting - out.QueueLen
	out.WindowLen, out.WindowCap = n.Taken, w.size
	out.Throttled, out.ThrottleWait = n.Throttled, s.throttled
	for _, g := range w.gates {
		if w.needsSlot(g) {
			out.Throttled -= g.waiting
		}
	}
	for _, wl := range w.lanes {
		for c := range wl.All() {
			out.OldestInFlight = max(out.OldestInFlight, c.age(now))
		}
	}
	return out
}

func (s *waitStep) inFlight(now time.Time, add func(InFlight)) {
	w := &s.win
	w.mu.Lock()
	defer w.mu.Unlock()
	one := func(l *lane, at pipeline.Position, state string, attempt int, pc *piece) InFlight {
		return InFlight{
			Position: at, Lane: l.name, Where: s.conf.Name, State: state, Attempt: attempt,
			Age: now.Sub(pc.read),
		}
	}
	for _, wl := range w.lanes {
		for c := range wl.All() {
			if c.State() == reorder.Answered && c.result != pass && c.result != fail {
				continue // it has its outcome
			}
			f := one(wl.lane, c.at, callStates[c.State()], c.attempts, c.piece)
			f.For = s.ahead(c)
			switch {
			case c.heldSince.IsZero():
			case w.needsSlot(c.gate):
				f.State = callStates[reorder.Due]
			default: // also while it asks again
				f.State, f.Held, f.For = callStates[reorder.Throttled], now.Sub(c.heldSince), c.heldBy.waits
				if c.gate != nil {
					f.For = c.gate.held.waits
				}
			}
			add(f)
		}
		for _, r := range wl.out.Rest() {
			add(one(wl.lane, r.rec.rec.Position, callStates[reorder.Answered], 0, r.rec.piece))
		}
	}
}

func (s *waitStep) fullness() float64 {
	s.win.mu.Lock()
	defer s.win.mu.Unlock()
	return s.win.fullness()
}

func (s *waitStep) load(now time.Time) load {
	s.win.mu.Lock()
	defer s.win.mu.Unlock()
	s.tick(now)
	return load{
		busy: s.spent[0] + s.limited, all: s.spent[0] + s.spent[1] + s.spent[2], blocked: s.spent[2], heldTime: s.heldTime,
	}
}

// holdup finds the call that has been in the step longest.
func (s *waitStep) holdup(now time.Time) (h holdup) {
	w := &s.win
	w.mu.Lock()
	defer w.mu.Unlock()
	var longest *call
	for _, wl := range w.lanes {
		for c := range wl.All() {
			if c.State() == reorder.Answered || !c.heldSince.IsZero() {
				continue
			}
			if age := c.age(now); age > h.age {
				h.age, longest = age, c
			}
		}
	}
	if longest != nil {
		h.Hold = s.describe(longest, now)
	}
	return h
}
