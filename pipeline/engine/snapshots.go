package engine

import "time"

// Snapshot gives the state of the pipeline now. Each Counts in it is taken under one
// lock. It may be called at any time.
func (p *Pipeline) Snapshot() Snapshot {
	now := time.Now()
	p.stats.refresh(now)
	s := Snapshot{
		Pipeline: p.opts.Name, At: now, BytesIn: p.bytesIn.Load(), BytesOut: p.bytesOut.Load(),
		Source: p.sourceFigures(),
	}
	p.phase.show(&s)
	p.steer.show(&s)
	if p.rejects().shown() {
		s.State, s.PausedBy = statePaused, pauseReason
	}
	p.meter.mu.Lock()
	s.Counts, s.Latency = p.meter.counts, p.meter.lat.latest(1000)
	durations, exemplars := p.meter.lat.sample(), p.meter.exemplars.list()
	p.meter.mu.Unlock()
	s.Durations = durations.histogram()
	s.Durations.Exemplars = exemplars
	p.budget.mu.Lock()
	if !p.use.ended {
		s.InFlightBytes = p.use.bytes
	}
	p.budget.mu.Unlock()
	for _, l := range p.lanes.all() {
		oldest, uncommitted := l.ages(now)
		s.OldestInFlight = max(s.OldestInFlight, oldest)
		s.CommitAgeMax = max(s.CommitAgeMax, uncommitted)
	}
	c := p.chain()
	s.Errors, s.Retries = s.Errors+c.gone.errors, s.Retries+c.gone.retries
	for _, st := range c.steps {
		one := st.snapshot(now)
		st.core().meter.risen(&one)
		s.Errors += one.Errors
		s.Retries += one.Retries
		s.Steps = append(s.Steps, one)
	}
	for _, si := range c.sinks {
		one := si.snapshot(now)
		s.Errors += one.Errors
		s.Retries += one.Retries
		s.Sinks = append(s.Sinks, one)
	}
	if c.dead != nil {
		one := c.dead.snapshot(now)
		s.Errors += one.Errors
		s.Retries += one.Retries
		s.DeadLetterCount, s.DeadLetter = one.Out, &one
	}
	s.Stalled = p.stalledNow(now)
	s.Backpressure, s.Bottleneck = p.stats.pressure()
	return s
}

// InFlight lists the records without an outcome, in no order: where each is and what it waits for. It may be called at any time, also
// while a stage or a sink hangs. The list is the caller's.
func (p *Pipeline) InFlight() []InFlight {
	now, at := time.Now(), p.chain()
	var list []InFlight
	add := func(f InFlight) { list = append(list, f) }
	p.pool.each(func(c *chunk) {
		c.mu.Lock()
		defer c.mu.Unlock()
		place := c.whereabouts.Load()
		where, state := int(place>>8), place&0xff
		attempt := 0
		if state == stateRunning || state == stateResting {
			attempt = 1
		}
		name := "sinks"
		if where < len(at.steps) {
			name = at.steps[where].core().conf.Name
		}
		for _, rec := range c.recs[c.from:] {
			add(InFlight{
				Position: rec.rec.Position, Lane: c.lane.name, Where: name, State: stateNames[state], Attempt: attempt,
				Age: now.Sub(rec.piece.read),
			})
		}
	})
	for _, s := range at.steps {
		s.inFlight(now, add)
	}
	for _, s := range at.allSinks() {
		s.inFlight(now, add)
	}
	return list
}

// Latency gives the latencies of the pipeline since its start, from Read to outcome. It
// may be called at any time.
func (p *Pipeline) Latency() (r RunLatency) {
	p.meter.mu.Lock()
	all := p.meter.lat.sample()
	p.meter.mu.Unlock()
	r.count(all.histogram())
	return r
}
