package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/reorder"
)

// This file rejects records that a command has skipped: those of a key, or one at its position.
//
// What it guarantees. A record that is skipped is rejected in its place, so that those behind it keep their order (I1), and
// with a dead letter like any other (I5). It does not count in the budget of rejections: that is for what fails, and to skip is
// wanted.
//
// How. Two places ask: the filler, before a chunk goes to the first step, and a step that waits, before each attempt and after each that
// has failed. They ask one pointer, which is nil while nothing is skipped, and else points to a set that never changes. Steps
// that compute and sinks do not ask: what is in their hands is on its way.
//
// What hangs is what somebody skips. So when a set gets a new entry, the windows are looked through for what is in it: an
// attempt under way is cancelled, one that waits for a limit is refused, and one that waits for its next attempt is due at once.
//
// What is skipped before it has begun counts as not begun until it leaves the step: it is handed back with what is before it
// (handback.go). Else one that is skipped deep in a window, behind a slow rate, would have a stop wait for all that is before it.
//
// Why positions. Whoever looks for what holds a mark sees the position of a record, and no key: that is nobody's business,
// and stands in no log. So that one record can be skipped as it is shown. A hash of the key, as record.rejected has it, is
// not offered: who has seen it has seen that record rejected.

// mostSkipped is how many keys and records may be skipped at once (I4): by hand nobody gets there.
const mostSkipped = 1000

var (
	errSkippedKey    = pipeline.Reject(pipeline.ReasonSkipped, errors.New("a command skips the records of its key"))
	errSkippedRecord = pipeline.Reject(pipeline.ReasonSkipped, errors.New("a command skips it"))
	errNoKey         = errors.New("skipping a key: it is empty; skip a record without a key by its position")
)

// A skipSet is what is skipped. It does not change. Nil: nothing is.
type skipSet struct {
	keys    map[string]uint64 // with their hashes as the filler makes them
	hashes  map[uint64]bool   // the same, where records have the hash of their key; else nil
	records map[pipeline.Position]bool
}

func (s *skipSet) size() int {
	if s == nil {
		return 0
	}
	return len(s.keys) + len(s.records)
}

// has says whether a record is skipped, and by what. Its owner asks.
func (s *skipSet) has(it item) error {
	switch {
	case s == nil:
		return nil
	case s.hashes == nil:
		key, _, _ := it.rec.Original()
		return s.matches(it.rec.Position, key, 0)
	}
	return s.matches(it.rec.Position, nil, it.key)
}

// hasCall is has for those who look at a call from outside, also while it runs. The window is locked.
func (s *skipSet) hasCall(c *call) error { return s.matches(c.at, c.key, c.rec.key) }

func (s *skipSet) matches(at pipeline.Position, key []byte, hash uint64) error {
	switch {
	case s.records[at]:
		return errSkippedRecord
	case len(s.keys) == 0:
		return nil
	case s.hashes != nil:
		if hash != 0 && s.hashes[hash] {
			return errSkippedKey
		}
		return nil
	}
	if _, ok := s.keys[string(key)]; ok && len(key) > 0 {
		return errSkippedKey
	}
	return nil
}

// A skipChange puts an entry into a set that is the caller's own, or takes it out.
type skipChange func(set *skipSet, p *shared, yes bool) error

func skipKey(key []byte) skipChange {
	return func(set *skipSet, p *shared, yes bool) error {
		if yes && len(key) == 0 {
			return errNoKey
		}
		delete(set.keys, string(key))
		if yes {
			set.keys[string(key)] = p.steer.hash(key)
		}
		return nil
	}
}

func skipAt(at pipeline.Position) skipChange {
	return func(set *skipSet, _ *shared, yes bool) error {
		delete(set.records, at)
		if yes {
			set.records[at] = true
		}
		return nil
	}
}

// skip skips something from now on, or skips it no more.
func (s *steering) skip(now func() *chain, change skipChange, yes bool) error {
	s.forgetPassed()
	set, err := s.changed(func(set *skipSet) error {
		if yes && (s.bare || s.p.plan().dead.Sink == nil) {
			return fmt.Errorf("skipping: %w", ErrNoDeadLetter)
		}
		if err := change(set, s.p, yes); err != nil {
			return err
		}
		if set.size() > mostSkipped {
			return fmt.Errorf("skipping: %d keys and records are skipped already, and there may be no more", mostSkipped)
		}
		return nil
	})
	if err != nil || !yes || set == nil {
		return err
	}
	for _, st := range now().steps { // asked for behind the set: a chain that comes later finds that
		st.skip(set)
	}
	return nil
}

// mayChange begins a change of the plan, which ends with goOn, or says why there can be none. What is skipped needs the dead letters.
func (s *steering) mayChange(to *plan) error {
	s.forgetPassed()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bare = to.dead.Sink == nil; s.bare && s.skips.Load() != nil {
		s.bare = false
		return fmt.Errorf("taking the dead letters away while %d keys and records are skipped: unskip them first: %w", s.skips.Load().size(), ErrNoDeadLetter)
	}
	return nil
}

// goOn ends the change. With another plan records may have the hash of their key that had none before, or none any more.
func (s *steering) goOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bare = false
	if s.skips.Load() != nil {
		_, _ = s.change(func(*skipSet) error { return nil })
	}
}

// changed puts a changed copy of the set in its place, and gives it. With an error the set stays as it was.
func (s *steering) changed(change func(*skipSet) error) (*skipSet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change(change)
}

// change is changed. The lock is held.
func (s *steering) change(change func(*skipSet) error) (*skipSet, error) {
	set := &skipSet{keys: map[string]uint64{}, records: map[pipeline.Position]bool{}}
	if was := s.skips.Load(); was != nil {
		maps.Copy(set.keys, was.keys)
		maps.Copy(set.records, was.records)
	}
	if err := change(set); err != nil {
		return nil, err
	}
	if s.p.plan().keys {
		set.hashes = map[uint64]bool{}
		for _, h := range set.keys {
			set.hashes[h] = true
		}
	}
	if set.size() == 0 {
		set = nil
	}
	s.skips.Store(set)
	return set, nil
}

// forgetPassed forgets the records that marks have passed: none of them comes again.
func (s *steering) forgetPassed() {
	was := s.skips.Load()
	if was == nil || len(was.records) == 0 {
		return
	}
	lanes := s.p.lanes.all()
	var passed []pipeline.Position
	for at := range was.records {
		if slices.ContainsFunc(lanes, func(l *lane) bool { return l.hasPassed(at) }) {
			passed = append(passed, at)
		}
	}
	if len(passed) == 0 {
		return
	}
	_, _ = s.changed(func(set *skipSet) error {
		for _, at := range passed {
			delete(set.records, at)
		}
		return nil
	})
}

// mayHave says whether a position is one of the lane.
func (l *lane) mayHave(at pipeline.Position) bool {
	topic, partition := l.coordinates()
	return topic == at.Topic && partition == int64(at.Partition) ||
		l.name == at.Topic && at.Partition == 0 // a file whose name ends in /7
}

// hasPassed says whether the mark of the lane that was committed last has passed a record of it.
func (l *lane) hasPassed(at pipeline.Position) bool {
	if !l.mayHave(at) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.committed > at.Offset
}

// skipped makes the reason for which a record that is skipped is rejected. why is errSkippedKey or errSkippedRecord.
func (p *shared) skipped(place string, rec *pipeline.Record, why error, attempts int) *failure {
	return p.failure(place, OnErrorDeadLetter, rec, pipeline.ReasonSkipped, why, attempts, func() error { return nil })
}

// skip rejects those of a chunk that are skipped, in their places.
func (f *filler) skip(c *chunk, set *skipSet) {
	for _, it := range c.recs {
		if it.fail != nil {
			continue
		}
		if why := set.has(it); why != nil {
			it.fail = f.p.skipped(pipeline.ReasonSkipped, it.rec, why, 0)
			c.failed++
		}
	}
}

// skips says whether the record of a call is skipped, and by what.
func (s *waitStep) skips(c *call) error { return s.p.steer.skips.Load().has(c.rec) }

// skip looks through the window for what is skipped now.
func (s *waitStep) skip(set *skipSet) {
	w := &s.win
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	s.tick(now)
	for _, wl := range w.lanes {
		for c := range wl.All() {
			switch c.State() { // in the others it is looked at soon, or its record may be gone
			case reorder.Asking, reorder.Running, reorder.Throttled, reorder.Retrying:
				if why := set.hasCall(c); why != nil {
					s.hurry(c, why, now)
				}
			}
		}
	}
}

// hurry brings a call whose record is skipped to where that is seen. The window is locked.
func (s *waitStep) hurry(c *call, why error, now time.Time) {
	w := &s.win
	switch c.State() {
	case reorder.Asking, reorder.Running: // a further call of a record is made while it asks, as far as the window knows
		c.slot.cut.now()
	case reorder.Throttled:
		c.skipped, c.timed = why, true // the queue of its gate may have it for long
		w.Refuse(&c.Place)
		s.leaveGate(c, now)
		w.refused.Push(c)
		w.refusal.Signal()
	case reorder.Retrying:
		w.Due(&c.Place)
	}
}

// skip rejects the record of the call at hand, which nobody asks about any more.
func (sl *slot) skip(why error) {
	sl.leaveAll(nil)
	sl.s.outstanding.Add(-1)
	sl.reject(why, time.Now())
}

// reject is the rest of skip: what follows for the record.
func (sl *slot) reject(why error, now time.Time) {
	c, s := sl.c, sl.s
	if c.kept { // its dead letter has its value as it came to the step
		c.saved.Restore(c.rec.rec)
	}
	c.tap(s.tap, c.attempts == 0, now) // it may have begun no attempt
	f := s.p.skipped(s.conf.Name, c.rec.rec, why, c.attempts)
	f.meter = s.meter
	c.rec.fail, c.skipped = f, why
	j := judgement{verdict: fail, fail: f}
	sl.endAttempt(nil, why, now)
	sl.endStep(&j, why, 0, now)
	c.untap(fail, now)
	sl.c = nil
	s.book(c, j, increments{}, now, 0)
}

// skips says whether an attempt that has failed with an error is the last one, as its record is skipped.
func (sl *slot) skips(err error) error {
	if err == nil || sl.s.p.steer.skips.Load() == nil || errors.Is(err, pipeline.Filtered) || pipeline.IsFatal(err) {
		return nil
	}
	var p *pipeline.PanicError
	if errors.As(err, &p) { // it is reported first
		return nil
	}
	if _, permanent := pipeline.IsPermanent(err); permanent || sl.c.wl.lane.stepsCtx.Err() != nil {
		return nil
	}
	return sl.s.skips(sl.c)
}

// A skippable is what a call has so that its record can be skipped from outside. Guarded by the window.
type skippable struct {
	key     []byte // the record's own, where its track has no hash of it; valid as long as the record is
	slot    *slot  // that has it in hand, while it asks or runs
	skipped error  // why it is to be rejected without a further attempt; nil: it is not
}

// A cut ends an attempt of a slot from outside. Its lock is taken after that of the window.
type cut struct {
	mu    sync.Mutex
	stop  context.CancelFunc // of the attempt at work; nil: there is none
	asked bool               // the attempt of the call at hand is to end, though there may be none yet
}

// begin forgets what was asked for the call before. The window is locked, so that nobody asks for that one any more.
func (k *cut) begin() {
	k.mu.Lock()
	k.asked = false
	k.mu.Unlock()
}

// arm says how an attempt is ended that begins.
func (k *cut) arm(stop context.CancelFunc) {
	k.mu.Lock()
	k.stop = stop
	asked := k.asked
	k.mu.Unlock()
	if asked {
		stop()
	}
}

// over gives back what an attempt has, which has ended; none may have begun.
func (k *cut) over() {
	k.mu.Lock()
	stop := k.stop
	k.stop = nil
	k.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// now ends the attempt of the call at hand.
func (k *cut) now() {
	k.mu.Lock()
	k.asked = true
	stop := k.stop
	k.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// skip finds nothing: a step that computes rejects nothing that has come to it.
func (s *cpuStep) skip(*skipSet) {}
