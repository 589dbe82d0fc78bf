package engine

import "time"

// This file says when a cycle of the transactions is cut, where, and when all before the cuts is done.

// gather waits until the commit interval is over, or the cycle has to end before.
func (t *transactions) gather() {
	timer := time.NewTimer(t.p.opts.CommitEvery)
	defer timer.Stop()
	for {
		t.mu.Lock()
		enough := t.mustAbort || t.endSoon
		t.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-timer.C:
			return
		case <-t.p.moved:
		case <-t.quit:
			return
		}
	}
}

// cutLanes cuts each lane behind the last piece of which something was written: nothing behind
// that is written in this transaction.
func (t *transactions) cutLanes() {
	lanes := t.p.lanes.all()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range lanes {
		l.writeBefore = l.wrote
	}
	t.state = txnCutting
}

// complete says whether every record before the cuts has its outcome. A record that was
// abandoned there never gets one: the transaction must be aborted. One that was handed back had
// not been written, and the mark stands before it, so the rest can be committed.
func (t *transactions) complete() bool {
	if t.inHand > 0 {
		return false
	}
	for _, l := range t.p.lanes.all() {
		l.mu.Lock()
		first, some := l.ring.First()
		done := !some || first.Seq() >= l.writeBefore
		if !done {
			done = first.Blocked() && first.intact && first.Left() == 0
			t.mustAbort = t.mustAbort || first.Blocked() && !first.intact
		}
		l.mu.Unlock()
		if !done {
			return false
		}
	}
	return true
}
