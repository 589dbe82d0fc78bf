package engine

import "time"

// This file is what a sink says of itself to those who look from outside.

// load gives the sink's load: it is busy while it writes for any lane.
func (s *sink) load(now time.Time) load {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick(now)
	return load{busy: s.busy, all: now.Sub(s.p.phase.began), heldTime: s.heldTime}
}

// age is how long Writes have had no progress, but for the time that they stood still, since the
// sink waits for a limit: what is held back is not stalled. The lock is held.
func (q *sinkQueue) age(now time.Time) time.Duration {
	age := now.Sub(q.stuck) - q.stood
	if q.clock != nil {
		stood, _ := q.clock.stoodStill(now)
		age -= stood
	}
	return age
}

// holdup finds the record that has waited longest for a Write of it to succeed.
func (s *sink) holdup(now time.Time) (h holdup) {
	host := hostOf(s.conf.Sink)
	for _, q := range s.allQueues() {
		q.mu.Lock()
		if !q.stuck.IsZero() && len(q.batch) > 0 {
			if age := q.age(now); age > h.age {
				h = holdup{age, q.describe(q.batch[0], host, now)}
			}
		}
		q.mu.Unlock()
	}
	return h
}

func (s *sink) snapshot(now time.Time) SinkSnapshot {
	out := SinkSnapshot{Name: s.conf.Name, Kind: s.conf.Kind, Report: s.p.reportOf(s.conf.Sink)}
	s.mu.Lock()
	out.Batches, out.BatchRecords = s.batches, s.sizes.latest(1)
	sizes := s.sizes.sample()
	s.mu.Unlock()
	s.meter.mu.Lock()
	out.Counts, out.Write = s.meter.counts, s.meter.lat.latest(1000)
	out.ErrorsByType = s.meter.errorCounts()
	writes := s.meter.lat.sample()
	s.meter.mu.Unlock()
	out.BatchSizes, out.Writes = sizes.histogram(), writes.histogram()
	return out
}

func (s *sink) inFlight(now time.Time, add func(InFlight)) {
	for _, q := range s.allQueues() {
		q.mu.Lock()
		state, waits, held := "retrying", "", time.Duration(0)
		one := func(rec item, state string, attempt int) {
			add(InFlight{
				Position: rec.rec.Position, Lane: q.l.name, Where: s.conf.Name, State: state, For: waits, Held: held,
				Attempt: attempt, Age: now.Sub(rec.piece.read),
			})
		}
		if q.call {
			state = "writing"
			if _, held = q.clock.stoodStill(now); held > 0 {
				by, _ := q.clock.waitsFor()
				state, waits = "throttled", by.waits
			}
		}
		for _, rec := range q.batch {
			one(rec, state, q.fails+1)
		}
		waits, held = "", 0
		for _, rec := range q.queue[q.head:] {
			one(rec, "queued", 0)
		}
		q.mu.Unlock()
	}
}
