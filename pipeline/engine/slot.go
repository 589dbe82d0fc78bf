package engine

import (
	"context"
	"errors"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A slot runs one call at a time.
type slot struct {
	s     *waitStep
	c     *call
	parts partCollector
	emit  func(*pipeline.Record)
	cut   cut
	limit time.Duration // of the attempt at work
	span  Span          // likewise, when its record is traced; nil: none

	// Of an Admitter (admit.go).
	begun  bool          // Do has begun, and the call has not been left
	next   pipeline.Call // that Do has given; nil: none, or it is the call's by now
	panic  *pipeline.PanicError
	host   string // of the call that asks, as it has said; "": it has not
	leads  any    // likewise: admission.leads
	yields bool   // the call does not ask now: one that was picked before it has come to its gate
}

// work runs one attempt; false when there will be no further call.
func (sl *slot) work() bool {
	s, w := sl.s, &sl.s.win
	if sl.c != nil { // only of an Admitter
		sl.recover()
		return true
	}
	w.mu.Lock()
	c := s.pick()
	if c == nil {
		w.mu.Unlock()
		return false
	}
	now := time.Now()
	s.tick(now)
	c.passOver(s.p.rejects().paused())
	if why := s.skips(c); why != nil {
		w.Refuse(&c.Place)
		w.mu.Unlock()
		sl.c = c
		s.outstanding.Add(1)
		sl.skip(why)
		return true
	}
	sl.cut.begin()
	c.slot = sl
	if s.admitter != nil {
		sl.yields = w.ask(c)
		w.mu.Unlock()
		sl.c = c
		s.outstanding.Add(1)
		if s.p.traces {
			s.traceStep(c, now)
		}
		sl.admit()
		return true
	}
	w.Begin(&c.Place)
	c.started = now
	if c.attempts == 0 {
		c.began, c.deadline = now, now.Add(s.conf.Wait.Deadline)
	}
	c.attempts++
	w.mu.Unlock()

	sl.c = c
	s.outstanding.Add(1)
	if s.p.traces {
		s.traceStep(c, now)
	}
	sl.end(NoAnswer(sl.attempt(now), sl.limit))
	return true
}

// pick waits for the next call that a worker is to look after. It gives nil when there will be none, and to one that is too many.
// The window is locked.
func (s *waitStep) pick() *call {
	w := &s.win
	for !w.givenUp && !w.leaves() {
		if !s.p.rejects().pausing() {
			if c, _ := w.Pick(); c != nil {
				return c
			}
		}
		if w.done() {
			break
		}
		w.idlers++
		w.work.Wait()
		w.idlers--
	}
	return nil
}

var errTooLate = errors.New("waiting for another attempt: the deadline has passed")

func (sl *slot) attempt(now time.Time) error {
	c, s := sl.c, sl.s
	limit := c.deadline
	if !now.Before(limit) {
		if c.err != nil {
			s.win.mu.Lock() // who looks from outside reads it there
			c.attempts--    // this is none
			s.win.mu.Unlock()
			return c.err
		}
		return errTooLate
	}
	if t := now.Add(s.conf.Wait.Timeout); t.Before(limit) {
		limit = t
	}
	if c.attempts == 1 && (s.conf.Wait.Retry.Attempts > 1 || s.conf.OnError == OnErrorPass) {
		if c.saved == nil {
			c.saved = records.NewSavepoint()
		}
		c.saved.Save(c.rec.rec)
		c.kept = true
	}
	sl.limit = limit.Sub(now)
	c.tap(s.tap, c.attempts == 1, now)
	if c.attempts == 1 && s.undoer != nil {
		c.rec.enter(s.conf.Name, s.undoer)
	}
	ctx, cancel := context.WithDeadline(sl.traceAttempt(c.wl.lane.stepsCtx), limit)
	sl.cut.arm(cancel)
	if s.conf.Stage != nil {
		return s.conf.Stage.Process(ctx, c.rec.rec)
	}
	sl.parts.items = sl.parts.items[:0]
	return s.conf.Splitter.Split(ctx, c.rec.rec, sl.emit)
}

func (sl *slot) panicked(err *pipeline.PanicError) {
	if sl.c == nil {
		sl.s.panicked(err)
		return
	}
	if sl.s.admitter != nil {
		sl.panic = err // for work, which comes next
		return
	}
	sl.end(err)
}

// end looks at what came of an attempt.
func (sl *slot) end(err error) {
	c, s := sl.c, sl.s
	sl.cut.over()
	s.outstanding.Add(-1)
	now := time.Now()
	reason, wait := s.another(c, err, now)
	sl.settle(err, reason, wait, now, c.kept, true)
}

// settle does what follows from an attempt: reason and wait are of another. kept says that saved is how
// the record came, and counts whether the attempt is one of those that the step allows.
func (sl *slot) settle(err error, reason string, wait time.Duration, now time.Time, kept, counts bool) {
	c, s := sl.c, sl.s
	sl.endAttempt(nil, err, now)
	if why := sl.skips(err); why != nil {
		sl.reject(why, now)
		return
	}
	var t increments
	j := s.judge(c.rec.rec, err, c.attempts, reason, c.wl.lane.stepsCtx.Err() != nil, &t)
	switch {
	case j.restore, j.verdict == again:
		if kept {
			c.saved.Restore(c.rec.rec)
		}
	case j.verdict == fail:
		c.rec.fail = j.fail
		if kept { // its dead letter has its value as it came to the step
			c.saved.Restore(c.rec.rec)
		}
	}
	if j.verdict == pass {
		sl.grow(&j, &t, err == nil)
	}
	if j.verdict == again {
		j.err = err
		if c.failedAt.IsZero() {
			c.failedAt, c.failedFrom = now, c.started
		}
		if j.anew = !counts; j.anew {
			c.uncounted++
			t.retries = 0 // what does not count is repeated, not tried again
		}
	}
	sl.endStep(&j, err, wait, now)
	if j.verdict != again {
		c.untap(j.verdict, now)
	}
	sl.c = nil
	s.book(c, j, t, now, wait)
}

// another says after which wait there may be another attempt, or why there is none.
func (s *waitStep) another(c *call, err error, now time.Time) (reason string, wait time.Duration) {
	if err == nil {
		return "", 0
	}
	wait = s.conf.Wait.Retry.pause(max(c.attempts-1, 0))
	if s.admitter == nil { // whose gate keeps to what its host asks for
		wait = max(wait, pipeline.RetryHint(err))
	}
	switch {
	case !now.Before(c.deadline):
		return pipeline.ReasonDeadline, 0
	case c.attempts >= s.conf.Wait.Retry.Attempts:
		return pipeline.ReasonAttempts, 0
	case !now.Add(wait).Before(c.deadline):
		return pipeline.ReasonDeadline, 0
	}
	return "", wait
}

// grow charges what a record that goes on has gained, and makes its parts.
func (sl *slot) grow(j *judgement, t *increments, answered bool) {
	c := sl.c
	if sl.s.conf.Splitter == nil || !answered {
		c.chargeGrowth()
		return
	}
	d, ok := sl.parts.join(c.rec)
	if !ok {
		j.verdict = drop
		t.filtered++
		return
	}
	c.parts = append([]item(nil), sl.parts.items...)
	if d != 0 {
		c.rec.piece.from.charge.grow(d)
	}
}

// chargeGrowth charges what the record has gained.
func (c *call) chargeGrowth() {
	if d := c.rec.regrow(); d != 0 {
		c.rec.piece.from.charge.grow(d)
	}
}

// book writes down the result of an attempt, and what follows from it.
func (s *waitStep) book(c *call, j judgement, t increments, now time.Time, wait time.Duration) {
	rec, wl, w := c.rec, c.wl, &s.win
	left := t.filtered + t.abandoned // of this record, released or not
	trace := s.p.traceOf(rec)

	w.mu.Lock()
	s.tick(now)
	if s.admitter != nil {
		s.leaveGate(c, now)
		c.letOn(now)
	}
	parts, spent, called := c.parts, max(now.Sub(c.began), 0), !c.began.IsZero() // c may be another record's soon
	gone, declined := wl.Dropped() || w.givenUp, false
	if j.verdict == again {
		c.err, c.since = j.err, now
	}
	switch {
	case gone:
		if left == 0 && j.verdict != fail { // it would have gone on, or been tried again
			t.abandoned, left = 1, 1
		}
		w.Abandon(&c.Place)
	case j.anew:
		c.ticket = 0 // it goes behind the others
		w.Retry(&c.Place)
		w.Due(&c.Place)
	case j.verdict == again:
		w.Retry(&c.Place)
		c.timed = true
		c.timer = time.AfterFunc(wait, func() { s.due(c) })
	default:
		declined = w.answer(c, j.verdict)
	}
	w.tellDone()
	w.mu.Unlock()
	if declined && w.first == nil && wl.lane.returns.Load() != 0 {
		s.cutLower(wl) // it counted as begun while it was refused
	}

	if !called || j.verdict == again {
		spent = -1
	}
	s.meter.attempted(t, left, spent, trace, now)
	l := wl.lane
	switch {
	case j.verdict == drop:
		s.p.rejects().passed(atStep(s.index), 0, 1)
	case j.verdict == pass && !gone:
		s.p.rejects().passed(atStep(s.index), 1, 0)
	}
	switch {
	case j.verdict == drop:
		l.finishAt([]item{rec}, filtered, now)
	case j.verdict == giveUp, gone && parts == nil:
		l.finishAt([]item{rec}, abandoned, now)
	case gone:
		l.finishAt(parts, abandoned, now)
	}
}

// answer ends a call, and says whether it was none: what is skipped without one counts as not begun.
func (w *window) answer(c *call, v verdict) (declined bool) {
	c.result = v
	if declined = c.skipped != nil && c.attempts == 0; declined {
		w.Decline(&c.Place)
	} else {
		w.Answer(&c.Place)
	}
	return declined
}

// due puts a call whose wait is over ahead of the new ones.
func (s *waitStep) due(c *call) {
	now := time.Now()
	s.win.mu.Lock()
	c.since = now
	s.win.Due(&c.Place)
	s.win.mu.Unlock()
}
