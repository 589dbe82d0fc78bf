package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file is the way of a record of an Admitter through a slot: Admit, the entrance at its gate
// (gates.go), the call, and what came of it.
//
// What it guarantees. Every call that the stage gives is left once. A record has begun when its
// call is let in, not before (I7). What runs out, the record's deadline, begins then, and stands
// still while it is held back later. Whatever panics is an error of this record alone: its slot,
// and the others at its gate, go on.
//
// How. Everything of the stage is called by a worker, without a lock. What the call has come to is
// kept in the slot and in the call, so that the worker, when it comes back from a panic, ends it.

var (
	errNoCall     = pipeline.Permanent(errors.New("admitting: the stage gave no call"))
	errNoGate     = pipeline.Permanent(errors.New("admitting: the gate of the call cannot be compared"))
	errNoNextCall = pipeline.Permanent(errors.New("calling: the stage gave no further call"))
)

// admission is what a call of an Admitter has in addition.
type admission struct {
	entry      pipeline.Call // what the stage wants to do; nil: it has not said
	gate       *gate         // where it waits or asks; nil: at none
	ticket     uint64        // by which calls queue at a gate: the order in which they were picked; 0: none yet
	attempting bool          // the attempt has begun
	further    bool          // and entry is not its first call
	kept       bool          // saved is how the record came
	host       string        // whom entry is for; "": it has not said. It changes under the window's lock
	leads      any           // the gate at which equal calls wait for the answer of entry; nil: none. Likewise

	heldSince time.Time     // since when it waits to be let in; zero: it does not
	held      time.Duration // how long limits held it back at earlier gates
	joined    time.Duration // gate.shut, as it was when the call came to the gate
	heldBy    heldFor       // of one that is refused: what held it back
	limit     *time.Timer   // refuses it; nil: none was needed yet
	took      time.Duration // of the last call
	heldLast  Cause         // what held it back at the gate that it has left last

	failedAt   time.Time // when an attempt failed first; zero: none has
	failedFrom time.Time // when that one began
	uncounted  int       // attempts that did not count
}

// admit has the stage say what call it wants to make of the record at hand, and goes on with that.
func (sl *slot) admit() {
	c := sl.c
	if c.entry == nil {
		c.tap(sl.s.tap, c.attempts == 0, time.Time{})
		entry, err := sl.s.admitter.Admit(c.rec.rec, c.attempts+1)
		if err == nil && entry == nil {
			err = errNoCall
		}
		if err != nil {
			sl.conclude(err, true)
			return
		}
		c.entry = entry
		c.chargeGrowth() // where its fields stand: many that have said what they want may wait at a gate
	}
	for sl.enter() && sl.call() {
	}
}

// enter asks for the entrance of a call. It gives false when the slot is free again.
func (sl *slot) enter() (in bool) {
	c := sl.c
	sl.hear()
	switch {
	case sl.yields:
		sl.yields = false
		sl.throttle(0, c.gate.held)
		return false
	case c.gate == nil:
		key := c.entry.Gate()
		if key == nil {
			return sl.letIn()
		}
		if !sl.goTo(key) {
			return false
		}
	}
	for {
		wait, ok := c.entry.Enter(c.gate.wake)
		if ok {
			return sl.letIn()
		}
		key := c.entry.Gate()
		sl.hear() // it may have become another
		switch key {
		case c.gate.key:
			sl.throttle(wait, heldBy(c.entry))
			return false
		case nil:
			return sl.letIn()
		default:
			if !sl.goTo(key) {
				return false
			}
		}
	}
}

// goTo takes the call to a gate, from another if it is at one, and says whether it is to ask there.
// Else the slot is free again.
func (sl *slot) goTo(key any) (asks bool) {
	c, s, w := sl.c, sl.s, &sl.s.win
	if !reflect.ValueOf(key).Comparable() {
		sl.conclude(errNoGate, true)
		return false
	}
	w.mu.Lock()
	if end := sl.unwanted(); end != nil {
		w.mu.Unlock()
		end()
		return false
	}
	now := time.Now()
	s.tick(now)
	c.host, c.leads = sl.host, sl.leads
	if c.gate != nil {
		w.mayBeOpen(c.gate, now)
		s.leaveGate(c, now)
	}
	if s.join(c, key, now) {
		w.mu.Unlock()
		return true
	}
	s.hold(c, 0, now)
	wl, cut := c.wl, s.mayCutLower(c)
	sl.done()
	w.mu.Unlock()
	if cut {
		s.cutLower(wl)
	}
	return false
}

// unwanted says how the call at hand is to end, when nobody wants its record any more, or it is skipped; nil: it goes on. The
// window is locked, and unlocked before that is called.
func (sl *slot) unwanted() (end func()) {
	c, s := sl.c, sl.s
	if c.wl.Dropped() || s.win.givenUp {
		return sl.giveUp
	}
	if why := s.skips(c); why != nil {
		return func() { sl.skip(why) }
	}
	return nil
}

// throttle frees the slot of a call that was not let in. wait is what the call has said, and by what it
// waits for.
func (sl *slot) throttle(wait time.Duration, by heldFor) {
	c, s, w := sl.c, sl.s, &sl.s.win
	w.mu.Lock()
	now := time.Now()
	s.tick(now)
	end := sl.unwanted()
	switch {
	case end != nil:
		w.mu.Unlock()
		end()
		return
	case s.conf.Wait.MaxWait > 0 && c.heldFor(now) >= s.conf.Wait.MaxWait:
		w.mu.Unlock()
		sl.conclude(s.heldTooLong(by.waits), true)
		return
	}
	if wait > 0 {
		by.until = now.Add(wait)
	}
	c.gate.held, c.host, c.leads = by, sl.host, sl.leads
	if c.gate.hasBefore(c) {
		if y, ok := c.entry.(pipeline.Yielder); ok {
			w.mu.Unlock()
			y.Yield()
			w.mu.Lock()
			if end := sl.unwanted(); end != nil {
				w.mu.Unlock()
				end()
				return
			}
			now = time.Now()
			s.tick(now)
		}
		s.stepBack(c, now)
	} else {
		s.hold(c, wait, now)
	}
	wl, cut := c.wl, s.mayCutLower(c)
	sl.done()
	w.mu.Unlock()
	if cut {
		s.cutLower(wl)
	}
}

// letIn has a call begin. It gives false when nobody wants the record any more.
func (sl *slot) letIn() (in bool) {
	c, s, w := sl.c, sl.s, &sl.s.win
	w.mu.Lock()
	now := time.Now()
	s.tick(now)
	if end := sl.unwanted(); end != nil {
		w.mu.Unlock()
		end()
		return false
	}
	if c.gate != nil {
		w.mayBeOpen(c.gate, now)
		s.leaveGate(c, now)
	}
	c.letOn(now)
	c.started, c.host, c.leads = now, sl.host, sl.leads
	if !c.attempting {
		w.Begin(&c.Place)
		c.begin(now, s.conf.Wait.Deadline)
	}
	w.mu.Unlock()
	return true
}

// begin begins an attempt.
func (c *call) begin(now time.Time, deadline time.Duration) {
	if c.began.IsZero() {
		c.began, c.deadline = now, now.Add(deadline)
	}
	c.attempting = true
	c.attempts++
}

// done frees the slot. The window is locked, or nobody else has the call.
func (sl *slot) done() {
	sl.c = nil
	sl.s.outstanding.Add(-1)
}

// call makes a call that was let in. It gives true when a further one is to be made for the record.
func (sl *slot) call() (further bool) {
	c, s := sl.c, sl.s
	if !c.kept {
		if c.saved == nil {
			c.saved = records.NewSavepoint()
		}
		c.saved.Save(c.rec.rec)
		c.kept = true
		if s.undoer != nil {
			c.rec.enter(s.conf.Name, s.undoer)
		}
	}
	if !c.started.Before(c.deadline) {
		sl.tooLate()
		return false
	}
	limit := c.deadline
	if t := c.started.Add(s.conf.Wait.Timeout); t.Before(limit) {
		limit = t
	}
	sl.limit = limit.Sub(c.started)
	ctx, cancel := context.WithDeadline(sl.traceAttempt(c.wl.lane.stepsCtx), limit)
	sl.cut.arm(cancel)
	sl.begun = true
	err := c.entry.Do(ctx, c.rec.rec)
	next, further := pipeline.NextCall(err)
	sl.next = next
	counts := sl.leave(err)
	switch {
	case further && next == nil:
		sl.conclude(errNoNextCall, true)
		return false
	case further:
		c.entry, sl.next, c.further = next, nil, true
		return true
	}
	sl.conclude(NoAnswer(err, sl.limit), counts)
	return false
}

// tooLate ends a record whose time is over before its call: with the error of the attempt before, if
// there was one, for this is none.
func (sl *slot) tooLate() {
	c, w := sl.c, &sl.s.win
	err := c.err
	if err == nil || c.further {
		err = errTooLate
	} else {
		w.mu.Lock()
		c.attempts--
		w.mu.Unlock()
	}
	sl.conclude(err, true)
}

// leave tells the stage what came of its call, which it is told once, whatever it does then.
func (sl *slot) leave(err error) (counts bool) {
	c := sl.c
	entry := c.entry
	c.entry = nil
	var r pipeline.CallResult
	if sl.begun {
		sl.begun = false
		sl.endAttempt(entry, err, time.Now())
		sl.cut.over()
		c.took = time.Since(c.started)
		r = pipeline.CallResult{Begun: true, Err: err, Took: c.took, Released: sl.s.win.released.Load(),
			Failed: c.failedAt, FailedFrom: c.failedFrom, Uncounted: c.uncounted}
	}
	return entry.Leave(r)
}

// leaveAll tells the stage of the calls that it has given for the record and not heard of.
func (sl *slot) leaveAll(err error) {
	c := sl.c
	for c.entry != nil || sl.next != nil {
		if c.entry == nil {
			c.entry, sl.next = sl.next, nil
		}
		sl.leave(err)
	}
}

// giveUp ends the call at hand, of a record that nobody wants any more.
func (sl *slot) giveUp() {
	sl.leaveAll(nil)
	sl.s.outstanding.Add(-1)
	sl.endStep(&judgement{verdict: giveUp}, nil, 0, time.Now())
	c := sl.c
	c.untap(giveUp, time.Now())
	sl.c = nil
	sl.s.book(c, judgement{verdict: giveUp}, increments{abandoned: 1}, time.Now(), 0)
}

// heldTooLong is the error of a record that limits have held back for longer than they may.
func (s *waitStep) heldTooLong(by string) error {
	if by != "" {
		by = "by " + by + " "
	}
	return pipeline.Reject(pipeline.ReasonMaxWait,
		fmt.Errorf("held back %sfor longer than max_wait (%s)", by, s.conf.Wait.MaxWait))
}

// conclude ends an attempt, or the waiting for one. counts says whether it is one of those that
// the step allows.
func (sl *slot) conclude(err error, counts bool) {
	c, s, w := sl.c, sl.s, &sl.s.win
	sl.leaveAll(err)
	s.outstanding.Add(-1)
	now := time.Now()
	w.mu.Lock() // who looks from outside reads it there
	why, permanent := pipeline.IsPermanent(err)
	heldTooLong := permanent && why == pipeline.ReasonMaxWait
	c.letOn(now)
	switch {
	case !c.attempting && !heldTooLong: // it failed before its entrance
		c.begin(now, s.conf.Wait.Deadline)
	case !counts && err != nil && !permanent:
		c.attempts--
		c.deadline = c.deadline.Add(c.took)
	}
	c.attempting, c.further = false, false
	w.mu.Unlock()

	var reason string
	var wait time.Duration
	if counts {
		reason, wait = s.another(c, err, now)
	}
	sl.settle(err, reason, wait, now, c.kept, counts)
}
