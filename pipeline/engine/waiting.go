package engine

import (
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
	"github.com/penstockio/penstock/pipeline/engine/internal/reorder"
)

// A waitStep is a step whose stage waits for somebody else. Its records are admitted
// one by one in the order of their lane, run in as many slots as it has workers, and
// are released in order. The slot is free when the answer is there, not when the
// record is released.
type waitStep struct {
	*stepCore
	win      window
	admitter pipeline.Admitter // its stage, if that is one; nil: it is not

	// Slots in each state, for the share of busy, idle and blocked. Guarded by the
	// window.
	since    time.Time        // up to when it is booked; zero: the step has not started
	spent    [3]time.Duration // running, idle, blocked
	heldTime time.Duration    // while lanes were held back, in share of the lanes

	throttled time.Duration // how long limits held records back, all together
	limited   time.Duration // of spent: how long slots were idle because they did
}

func newWaitStep(core *stepCore) *waitStep {
	s := &waitStep{stepCore: core}
	p := core.p
	s.admitter, _ = core.conf.Stage.(pipeline.Admitter)
	s.win.init(&p.lanes, &p.pool, p.opts.Order, core.conf.Workers, core.conf.Wait, s.admitter != nil)
	return s
}

func (s *waitStep) start() {
	s.win.mu.Lock()
	s.since = time.Now()
	s.win.mu.Unlock()
	(&crew.Worker{Crew: s.crew, Work: s.receive, Panicked: onPanic(s.panicked), Ended: s.inputEnded}).Start()
	(&crew.Worker{Crew: s.crew, Work: s.send, Panicked: onPanic(s.panicked), Ended: s.out.close}).Start() // I3
	s.hire(s.win.begin())
	if s.admitter != nil {
		sl := &slot{s: s}
		(&crew.Worker{Crew: s.crew, Work: sl.refuse, Panicked: onPanic(sl.panicked)}).Start()
	}
}

// panicked hears of a panic in the engine itself.
func (s *waitStep) panicked(err *pipeline.PanicError) {
	s.p.stop(fmt.Errorf("%s: in the engine: %w\n%s", s.conf.Name, err, err.Stack))
}

// receive takes one chunk in, as soon as not too much is pending.
func (s *waitStep) receive() bool {
	c, ok := s.in.receive()
	if !ok {
		return false
	}
	n := int64(len(c.recs) - c.failed)
	m := s.meter
	m.mu.Lock()
	m.counts.In += n
	m.counts.InFlight += n
	m.mu.Unlock()

	w := &s.win
	w.mu.Lock()
	for w.Full() && !w.givenUp && !s.p.phase.stopsEarly.Load() && !c.lane.isFrozen() && !c.behindCut() {
		w.space.Wait()
	}
	l := c.lane
	lost := w.givenUp || s.p.phase.stopsEarly.Load() || l.isFrozen()
	var behind []item
	if from := l.returns.Load(); from != 0 && !lost {
		had := len(c.recs) - c.failed
		behind, _ = c.takeFrom(from, nil)
		n = int64(had - len(c.recs) + c.failed)
	}
	switch {
	case lost:
	case len(c.recs) == 0:
		s.p.pool.drop(c)
	default:
		s.tick(time.Now())
		w.add(c)
	}
	fill := w.fullness()
	w.mu.Unlock()
	m.filled(fill)
	switch {
	case lost:
		s.meter.count(increments{abandoned: n}, n)
		s.p.abandonChunk(c)
	case len(behind) > 0:
		s.meter.count(increments{abandoned: n}, n)
		l.finish(behind, returned)
	}
	return true
}

func (s *waitStep) inputEnded() {
	w := &s.win
	w.mu.Lock()
	w.closed = true
	w.work.Broadcast()
	w.exit.Broadcast()
	w.refusal.Broadcast()
	w.mu.Unlock()
}

// send sends one chunk of released records to the next step. It alone sends there.
func (s *waitStep) send() bool {
	w := &s.win
	w.mu.Lock()
	for w.ready.Len() == 0 && !w.done() {
		w.exit.Wait()
	}
	if w.ready.Len() == 0 || w.givenUp {
		w.mu.Unlock()
		return false
	}
	wl := w.ready.Pop()
	if wl.out.Len() == 0 { // given up meanwhile
		wl.ready = false
		w.mu.Unlock()
		return true
	}
	c := s.p.pool.make(wl.lane, s.index+1, stateQueued)
	var t increments
	places, left := 0, int64(0)
	weight := int64(0)
	c.mu.Lock()
	for wl.out.Len() > 0 && len(c.recs) < chunkRecords {
		r := wl.out.Peek()
		if weight += int64(r.rec.weight); weight > chunkBytes && len(c.recs) > 0 {
			break
		}
		wl.out.Pop()
		c.recs = append(c.recs, r.rec)
		c.traced = c.traced || s.p.mayTrace(r.rec)
		places += r.places
		switch {
		case r.rec.fail != nil:
			c.failed++
		case !r.counted:
			t.out++
			left += int64(r.places)
		}
	}
	c.mu.Unlock()
	t.created = t.out - left
	if wl.ready = wl.out.Len() > 0; wl.ready {
		w.ready.Push(wl)
	}
	w.mu.Unlock()

	s.meter.count(t, left)
	if s.conf.Splitter != nil {
		s.number(c.recs)
	}
	if _, ok := s.out.send(c); !ok {
		s.p.abandonChunk(c)
	}
	w.mu.Lock()
	s.tick(time.Now())
	w.leaving -= places
	w.Free(&wl.Lane, places)
	w.tellDone()
	w.mu.Unlock()
	return true
}

// forgetLane gives up what the step has of a lane.
func (s *waitStep) forgetLane(l *lane) {
	w := &s.win
	w.mu.Lock()
	wl := w.lanes[l]
	if wl == nil {
		w.space.Broadcast()
		w.mu.Unlock()
		return
	}
	s.tick(time.Now())
	delete(w.lanes, l)
	recs, given, t, left := s.clear(wl, 0)
	w.space.Broadcast()
	w.mu.Unlock()
	s.letGo(given)
	s.meter.count(t, left)
	l.finish(recs, abandoned)
}

// clear removes from the window what a lane has from a number on, except the calls at work, and
// returns the records. The slot that runs such a call finds out that the lane has been dropped.
// From 0 that is everything; from another number, nothing there has begun or been released. given
// are the calls that the stage has to hear of (letGo).
func (s *waitStep) clear(wl *waitLane, from uint64) (recs []item, given []*call, t increments, left int64) {
	w := &s.win
	recs, waited, counted := s.clearPending(wl, from)
	t.abandoned, left = counted, counted
	take := func(c *call) {
		answered := c.State() == reorder.Answered
		if !answered || c.result == pass {
			left++
			t.abandoned++
		}
		if c.timer != nil {
			c.timer.Stop()
		}
		c.tapping.drop()
		if c.entry != nil {
			given = append(given, c)
		}
		if c.trace != nil {
			c.trace.End(Result{Outcome: outcomeNames[abandoned]}, time.Now())
			c.trace = nil
		}
		switch {
		case answered && c.result != pass && c.result != fail: // it has its outcome
		case c.parts != nil:
			recs = append(recs, c.parts...)
		default:
			recs = append(recs, c.rec)
		}
	}
	if from > 0 {
		w.Remove(&wl.Lane, waited)
		w.Withdraw(&wl.Lane, from, take)
	} else {
		w.Drop(&wl.Lane, take)
		places := 0
		for wl.out.Len() > 0 {
			r := wl.out.Pop()
			recs = append(recs, r.rec)
			places += r.places
			if !r.counted {
				t.abandoned++
				t.created += int64(1 - r.places)
				left += int64(r.places)
			}
		}
		w.leaving -= places
		w.Free(&wl.Lane, places)
	}
	now := time.Now()
	for _, c := range given {
		if c.limit != nil {
			c.limit.Stop()
		}
		s.leaveGate(c, now)
	}
	w.tellDone()
	return recs, given, t, left
}

// clearPending takes what waits of a lane from a place on. It says how many records that was,
// and how many of these the step has counted.
func (s *waitStep) clearPending(wl *waitLane, from uint64) (recs []item, waited int, counted int64) {
	kept := 0
	for _, c := range wl.pending.Rest() {
		had, failed := len(c.recs), 0
		recs, failed = c.takeFrom(from, recs)
		removed := had - len(c.recs)
		waited += removed
		counted += int64(removed - failed)
		if len(c.recs) > c.from {
			kept++
			continue
		}
		s.p.pool.drop(c)
	}
	wl.pending.Keep(kept)
	return recs, waited, counted
}

// resumed has the workers look again after a pause.
func (s *waitStep) resumed() {
	w := &s.win
	w.mu.Lock()
	w.work.Broadcast()
	w.refusal.Broadcast()
	w.mu.Unlock()
}

// stopEarly gives up everything, because the pipeline stops.
func (s *waitStep) stopEarly() {
	w := &s.win
	w.mu.Lock()
	w.givenUp = s.p.work.isOver()
	lanes := make([]*lane, 0, len(w.lanes))
	for l := range w.lanes {
		lanes = append(lanes, l)
	}
	w.work.Broadcast()
	w.space.Broadcast()
	w.exit.Broadcast()
	w.refusal.Broadcast()
	w.mu.Unlock()
	for _, l := range lanes {
		s.forgetLane(l)
	}
}
