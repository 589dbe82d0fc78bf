package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline/engine/internal/reorder"
)

// This file is what a sink says of itself to those who look from outside.

// load gives the sink's load: it is busy while it writes for any lane.
func (s *sink) load(now time.Time) load {
	s.tally.mu.Lock()
	defer s.tally.mu.Unlock()
	s.tick(now)
	return load{busy: s.tally.busy, all: now.Sub(s.p.phase.began), heldTime: s.tally.heldTime}
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
	s.tally.mu.Lock()
	out.Batches, out.BatchRecords = s.tally.batches, s.tally.sizes.latest(1)
	sizes := s.tally.sizes.sample()
	s.tally.mu.Unlock()
	s.meter.mu.Lock()
	out.Counts, out.Write = s.meter.counts, s.meter.lat.latest(1000)
	out.ErrorsByType = s.meter.errorCounts()
	writes := s.meter.lat.sample()
	s.meter.mu.Unlock()
	out.BatchSizes, out.Writes = sizes.histogram(), writes.histogram()
	return out
}

func (s *sink) inFlight(now time.Time, add func(InFlight)) {
	host := hostOf(s.conf.Sink)
	for _, q := range s.allQueues() {
		q.mu.Lock()
		one := func(rec item) InFlight {
			return InFlight{Position: rec.rec.Position, Lane: q.l.name, Where: s.conf.Name, State: stateNames[stateQueued], Age: now.Sub(rec.piece.read)}
		}
		if len(q.batch) > 0 {
			h := q.describe(q.batch[0], host, now) // the others wait for the same
			for _, rec := range q.batch {
				f := one(rec)
				if f.State, f.Attempt = h.State, h.Attempt; h.State == callStates[reorder.Throttled] {
					f.For, f.Held = h.For, h.Since
				}
				add(f)
			}
		}
		for _, rec := range q.queue[q.head:] {
			add(one(rec))
		}
		q.mu.Unlock()
	}
}
