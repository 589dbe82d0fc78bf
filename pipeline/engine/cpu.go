package engine

import (
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline/engine/internal/turnstile"
)

// A cpuStep is a step that does not wait: its workers take whole chunks, and the
// order of the chunks is restored behind them.
type cpuStep struct {
	*stepCore
	queue *turnstile.Turnstile[chunk] // lets chunks out behind the workers, in order

	last atomic.Uint64 // the number of the last chunk of which a record was rejected here

	staff
}

// rejectedIn notes that a record of a chunk was rejected.
func (s *cpuStep) rejectedIn(seq uint64) {
	for last := s.last.Load(); last < seq && !s.last.CompareAndSwap(last, seq); last = s.last.Load() {
	}
}

func newCPUStep(core *stepCore) *cpuStep {
	s := &cpuStep{stepCore: core}
	s.queue = turnstile.New(placesFor(s.conf.Workers), s.p.work.over, s.send)
	s.staff.init(s.conf.Workers)
	return s
}

func (s *cpuStep) forgetLane(*lane) {}
func (s *cpuStep) stopEarly()       { s.queue.Wake() }
func (s *cpuStep) resumed()         {} // its workers wait by themselves

// send sends a chunk to the next step. The turnstile calls it, in the order of the chunks.
// Nothing is sent when the chunk is empty, and several chunks are when a split has made it too
// large.
func (s *cpuStep) send(c *chunk) (waited bool) {
	p := s.p
	if len(c.recs) == 0 {
		p.pool.drop(c)
		return false
	}
	if s.conf.Splitter != nil {
		s.number(c.recs)
	}
	for len(c.recs) > chunkRecords {
		head := p.pool.make(c.lane, s.index, stateTurn)
		c.mu.Lock()
		head.recs = append(head.recs, c.recs[:chunkRecords]...)
		c.recs = c.recs[chunkRecords:]
		c.mu.Unlock()
		for _, it := range head.recs {
			if it.fail != nil {
				head.failed++
			}
		}
		c.failed -= head.failed
		waited = s.hand(head) || waited
	}
	return s.hand(c) || waited
}

func (s *cpuStep) hand(c *chunk) (waited bool) {
	took, ok := s.out.send(c)
	if !ok {
		s.p.abandonChunk(c)
	}
	return took > 0
}

func (s *cpuStep) fullness() float64 { return float64(len(s.in.ch)) / float64(cap(s.in.ch)) }

func (s *cpuStep) load(now time.Time) load {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	busy, idle, blocked := s.meter.times(now)
	return load{busy: busy, all: busy + idle + blocked, blocked: blocked}
}

// holdup finds the record that a worker has had in hand longest: not the chunk, which is at work for long too when each of its records
// takes its time.
func (s *cpuStep) holdup(now time.Time) (h holdup) {
	s.p.pool.each(func(c *chunk) {
		if place := c.whereabouts.Load(); int(place>>8) != s.index || place&0xff != stateRunning {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.lane == nil {
			return
		}
		if hand, ok := c.look(s.p.phase.began, now); ok && hand.since > h.age {
			h = holdup{hand.since, s.hold(c, hand)}
		}
	})
	return h
}

func (s *cpuStep) snapshot(now time.Time) StepSnapshot {
	out := s.snap(now, s.staff.size())
	s.p.pool.each(func(c *chunk) {
		place := c.whereabouts.Load()
		if state := place & 0xff; int(place>>8) == s.index && (state == stateRunning || state == stateResting) {
			age := now.Sub(s.p.phase.began) - time.Duration(c.taken.Load())
			out.OldestInFlight = max(out.OldestInFlight, age)
		}
	})
	return out
}

// inFlight adds nothing: all records of such a step stand in chunks, which the pipeline goes
// through by itself.
func (s *cpuStep) inFlight(time.Time, func(InFlight)) {}
