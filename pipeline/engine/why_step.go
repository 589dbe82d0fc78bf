package engine

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/engine/internal/reorder"
)

// This file is what steps say of the records that hold marks.

// here is what all steps say of a record of theirs.
func (s *stepCore) here() Hold { return Hold{Where: s.conf.Name, Kind: s.conf.Kind} }

// seek looks for the records that are searched for among those of the window. Those that wait to be
// admitted stand in chunks, which the pipeline goes through by itself.
func (s *waitStep) seek(now time.Time, f *search) {
	for w, h := range s.seekWindow(now, f) { // what is behind has windows of its own, whose locks come before this one's
		h.For = f.occupied(s.index+1, now)
		w.found(h.Root, h)
	}
}

// seekWindow gives those that have been released and wait to be sent on.
func (s *waitStep) seekWindow(now time.Time, f *search) map[*wanted]Hold {
	released := map[*wanted]Hold{}
	var leaders map[any]*call // made when it is needed
	w := &s.win
	w.mu.Lock()
	defer w.mu.Unlock()
	for l, wanted := range f.lanes {
		wl := w.lanes[l]
		if wl == nil {
			continue
		}
		for c := range wl.All() {
			if c.Number() != wanted.number || c.State() == reorder.Answered && c.result != pass && c.result != fail {
				continue // it is another one, or has its outcome
			}
			h := s.describe(c, now)
			if h.Cause == CauseEqualCall && c.gate != nil {
				if leaders == nil {
					leaders = s.leaders()
				}
				h = s.follow(h, leaders[c.gate.key], now)
			}
			wanted.found(c.at, h) // no other record is before it; at most another part of its own
		}
		for _, r := range wl.out.Rest() {
			if r.rec.number() != wanted.number {
				continue
			}
			h := s.here()
			h.Root, h.State, h.Cause, h.Since = r.rec.rec.Position, stateNames[stateQueued], CauseQueue, now.Sub(r.rec.piece.read)
			released[wanted] = h
		}
	}
	return released
}

// leaders gives the calls that others wait for, by the gates at which these do. The window is locked.
func (s *waitStep) leaders() map[any]*call {
	all := map[any]*call{}
	for _, wl := range s.win.lanes {
		for c := range wl.All() {
			switch c.State() {
			case reorder.Answered, reorder.Parked, reorder.Abandoned: // it has its answer, or has not asked
				continue
			}
			if c.leads != nil {
				all[c.leads] = c
			}
		}
	}
	return all
}

// follow gives what the call waits for that a call waits for, which is equal to it; nil: that is not known. The window is locked.
func (s *waitStep) follow(h Hold, lead *call, now time.Time) Hold {
	if lead == nil {
		return h
	}
	of := s.describe(lead, now)
	of.Joins = true
	return of
}

// describe says what a call in the window waits for. The window is locked.
func (s *waitStep) describe(c *call, now time.Time) Hold {
	h := s.here()
	h.Lane, h.Position, h.Root = c.wl.lane.name, c.at, c.at
	if c.host != h.Where { // limits of a stage that names no host go by the name of its step
		h.Host = c.host
	}
	h.State, h.Attempt, h.Attempts = callStates[c.State()], c.attempts, s.conf.Wait.Retry.Attempts
	last := says(c.err)
	h.ErrorType, h.ErrorMessage = last.kind, last.message
	h.Age = now.Sub(c.piece.read)
	since := c.since
	switch state := c.State(); {
	case !c.heldSince.IsZero() && s.win.needsSlot(c.gate):
		h.State, h.Cause, h.For, since = callStates[reorder.Due], CauseSlot, s.busyWith(now), c.heldSince
		if c.gate.opened.After(since) {
			since = c.gate.opened
		}
	case !c.heldSince.IsZero(): // also while it asks again
		by := c.heldBy
		if c.gate != nil {
			by = c.gate.held
		}
		h.State, h.Cause, h.For, since = callStates[reorder.Throttled], cmp.Or(by.cause, CauseLimit), by.waits, c.heldSince
		if by.until.After(now) {
			h.Until = by.until
		}
	case state == reorder.Running:
		h.Cause, since = CauseCall, c.started
	case state == reorder.Retrying:
		h.Cause = CauseRetry
	case state == reorder.Parked || state == reorder.Answered:
		h.Cause, h.For = CauseTurn, s.ahead(c)
	default:
		h.Cause, h.For = CauseSlot, s.busyWith(now)
	}
	h.Since = h.Age
	if !since.IsZero() {
		h.Since = now.Sub(since)
	}
	return h
}

// ahead names the record whose turn comes before that of a call, "" when that is none. The window is locked.
func (s *waitStep) ahead(c *call) string {
	if first, ok := s.win.Ahead(&c.Place); ok {
		return first.at.String()
	}
	return ""
}

// waitsInFront says what a record of a lane in front of the window waits for.
func (s *waitStep) waitsInFront(l *lane, now time.Time) (cause Cause, why string) {
	w := &s.win
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.Counts()
	switch {
	case n.Running >= w.slots && n.Taken < w.size:
		return CauseSlot, s.busyWith(now)
	case n.Taken >= w.size:
		return CauseQueue, s.fullOf(now)
	case l != nil && l.congested.Load() > 0:
		return CauseQueue, "records of its lane that wait in front of a later step"
	}
	return CauseQueue, ""
}

// busyWith says for which slot a call waits: what the slots are at. The window is locked.
func (s *waitStep) busyWith(now time.Time) string {
	var longest *call
	for _, wl := range s.win.lanes {
		for c := range wl.All() {
			if c.State() == reorder.Running && (longest == nil || c.started.Before(longest.started)) {
				longest = c
			}
		}
	}
	workers, who := fmt.Sprintf("one of the %d workers", s.win.slots), "; the longest at work has had "
	if s.win.slots == 1 {
		workers, who = "the one worker", ", which has had "
	}
	if longest == nil {
		return workers
	}
	h := s.describe(longest, now)
	text := workers + who + h.Root.String() + " for " + span(h.Since)
	if h.Host != "" {
		text += ", a call to " + h.Host
	}
	return text
}

// fullOf says what holds up a window that is full: the call that has been in it longest, or else who takes
// what it releases. The window is locked.
func (s *waitStep) fullOf(now time.Time) string {
	var oldest *call
	for _, wl := range s.win.lanes {
		for c := range wl.All() {
			if c.State() != reorder.Answered && c.State() != reorder.Parked && (oldest == nil || c.piece.read.Before(oldest.piece.read)) {
				oldest = c
			}
		}
	}
	place := "the one place of the window, in"
	if w := s.win.size; w > 1 {
		place = fmt.Sprintf("one of the %d places of the window, in", w)
	}
	if oldest == nil {
		return strings.TrimSuffix(place, ", in")
	}
	return place + " which " + s.describe(oldest, now).Root.String() + " has been for longest"
}

// seek adds nothing: all records of such a step stand in chunks, which the pipeline goes through by itself.
func (s *cpuStep) seek(time.Time, *search) {}
