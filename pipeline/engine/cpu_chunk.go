package engine

import "time"

// This file is what becomes of the chunk of a worker that computes: it is sent on as a whole, in parts around a pause, or given up.
//
// A pause may be long. What the worker has done by then must not wait for its end in the same chunk: a record that was rejected would
// have no letter until then, just when somebody looks for it, and no figure would tell of it. So the worker brings what is done to
// the turnstile as a part of the chunk, and goes on with the rest, which is let out behind its own part (I1).

// rests says whether a pause holds up the worker. It does not while the chunk stands before a record that was rejected, and none of
// its own has failed: that record has its letter only when these are through, and the pause may be for want of a look at it. Each
// worker may so reject one more record in a pause, as it may when it has one in hand.
func (w *cpuWorker) rests() bool { return w.failed > 0 || w.c.seq >= w.s.last.Load() }

// rest sends on what is done of the chunk, and waits until the pause is over. The worker is idle in it.
func (w *cpuWorker) rest() {
	c, s, m := w.c, w.s, w.s.meter
	if w.i > 0 {
		w.part()
	} else {
		now := time.Now()
		c.at(s.index, stateResting)
		m.mu.Lock()
		m.busy += now.Sub(w.since)
		m.working.leave(w.since.Sub(m.began))
		m.mu.Unlock()
	}
	s.p.rejects().wait(c.lane.stepsCtx)
	w.since = time.Now()
	c.taken.Store(int64(w.since.Sub(s.p.phase.began)))
	c.at(s.index, stateRunning)
	m.mu.Lock()
	m.working.enter(w.since.Sub(m.began))
	m.mu.Unlock()
}

// part books what is done of the chunk and brings it to the turnstile. The rest is the chunk from then on.
func (w *cpuWorker) part() {
	s, c := w.s, w.c
	w.charge()
	w.tell()
	now := time.Now()
	if c.traced {
		w.traceChunk(now)
	}
	gone := c.recs[:w.i]
	if w.moved {
		gone = w.out
	}
	entered := int64(w.i - w.came)
	w.book(now, entered, int64(len(gone)-w.came-w.failed))
	w.entered -= entered

	head := s.p.pool.make(c.lane, s.index, stateTurn)
	head.seq = c.seq
	head.mu.Lock()
	head.recs = append(head.recs, gone...)
	head.mu.Unlock()
	head.failed, head.traced = w.came+w.failed, c.traced
	c.mu.Lock()
	n := copy(c.recs, c.recs[w.i:])
	clear(c.recs[n:])
	c.recs = c.recs[:n]
	c.mu.Unlock()
	c.failed -= w.came
	c.cursor.Store(cursorAt(0, w.mask != 0))
	c.at(s.index, stateResting)
	w.i, w.came, w.failed, w.moved, w.out, w.known = 0, 0, 0, false, c.spare[:0], tally{}
	w.bring(head, now, false)
}

// endWith gives up what is behind the record at the cursor, with which the pipeline ends: it would be read again in any case. The record
// itself goes on: what is before it in its lane has to go before it (router.reject).
func (w *cpuWorker) endWith() {
	c := w.c
	if !w.moved {
		w.moved = true
		w.out = append(c.spare[:0], c.recs[:w.i+1]...)
	}
	behind := c.recs[w.i+1:]
	for _, it := range behind {
		if it.fail != nil {
			c.failed--
		} else {
			w.t.abandoned++
		}
	}
	w.lost = append(w.lost, behind...)
	w.known.skipped += len(behind)
	w.i = len(c.recs) - 1
}

// giveUp ends all records of the chunk with an outcome that is none.
func (w *cpuWorker) giveUp(o outcome) {
	w.fate = o
	w.lost = append(w.lost, w.c.recs...)
	w.i, w.moved, w.c.failed = len(w.c.recs), true, 0
	w.known.skipped = len(w.c.recs)
	w.t.abandoned += w.entered
}

// end books the chunk and brings it to the turnstile, which sends it on when its turn comes.
func (w *cpuWorker) end() {
	s, c := w.s, w.c
	w.charge()
	w.tell()
	now := time.Now()
	if c.traced {
		w.traceChunk(now)
	}
	spent := now.Sub(w.since)
	s.outstanding.Add(-1)
	gone := len(c.recs)
	if w.moved {
		gone = len(w.out)
	}
	w.book(now, w.entered, int64(gone-c.failed-w.failed))
	// One record of cursorEvery stores the cursor. Where a record takes more than a microsecond every one
	// does: that costs nothing beside it, and the very record is known then (sight.go).
	w.mask = cursorEvery - 1
	if spent > time.Duration(len(c.recs))*time.Microsecond {
		w.mask = 0
	}
	if w.moved {
		c.set(w.out)
	}
	c.failed += w.failed
	w.failed, w.c, w.out = 0, nil, nil
	w.bring(c, now, true)
}

// book counts what has become of records that had not been rejected when they came: how many they are, and how many of them, or of their
// parts, go on. Those that have failed here stay in flight (failure.ends).
func (w *cpuWorker) book(now time.Time, entered, out int64) {
	spent := now.Sub(w.since)
	w.t.out = out
	m := w.s.meter
	m.mu.Lock()
	m.busy += spent
	m.working.leave(w.since.Sub(m.began))
	m.handing.enter(now.Sub(m.began))
	if entered > 0 {
		m.lat.add(spent/time.Duration(entered), entered)
	}
	m.add(w.t, entered-int64(w.failed))
	m.mu.Unlock()
	w.t = increments{}
}

// bring ends what does not go on, and brings what does to the turnstile: the last of what the worker took, or a part.
func (w *cpuWorker) bring(c *chunk, now time.Time, last bool) {
	s, m := w.s, w.s.meter
	c.at(s.index, stateTurn)
	c.lane.finishAt(w.dropped, filtered, now)
	c.lane.finishAt(w.lost, w.fate, now)
	clear(w.dropped)
	clear(w.lost)
	w.dropped, w.lost = w.dropped[:0], w.lost[:0]

	var waited, ok bool
	if last {
		waited, ok = s.queue.Put(c.seq, c)
	} else {
		waited, ok = s.queue.PutPart(c.seq, c)
	}
	if !ok {
		s.p.abandonChunk(c)
	}
	m.mu.Lock()
	if m.handing.leave(now.Sub(m.began)); waited {
		m.blocked += time.Since(now)
	}
	m.mu.Unlock()
}
