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
	p.mu.Lock()
	s.State, s.Started, s.Err = p.state, p.began, p.ended
	lanes := append([]*lane(nil), p.lanes...)
	p.mu.Unlock()
	p.meter.mu.Lock()
	s.Counts, s.Latency = p.meter.counts, p.meter.lat.latest(1000)
	p.meter.mu.Unlock()
	p.budget.mu.Lock()
	if !p.member.gone {
		s.InFlightBytes = p.member.bytes
	}
	p.budget.mu.Unlock()
	for _, l := range lanes {
		oldest, uncommitted := l.ages(now)
		s.OldestInFlight = max(s.OldestInFlight, oldest)
		s.CommitAgeMax = max(s.CommitAgeMax, uncommitted)
	}
	for _, st := range p.steps {
		one := st.snapshot(now)
		s.Errors += one.Errors
		s.Retries += one.Retries
		s.Steps = append(s.Steps, one)
	}
	for _, si := range p.sinks {
		one := si.snapshot(now)
		s.Errors += one.Errors
		s.Retries += one.Retries
		s.Sinks = append(s.Sinks, one)
	}
	if p.dead != nil {
		one := p.dead.snapshot(now)
		s.Errors += one.Errors
		s.Retries += one.Retries
		s.DeadLetterCount = one.Out
	}
	s.Backpressure, s.Bottleneck = p.stats.pressure()
	return s
}

// ages gives how long the oldest record without an outcome, and the oldest that is
// not committed, have been there.
func (l *lane) ages(now time.Time) (oldest, uncommitted time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen {
		return 0, 0
	}
	for _, pc := range l.ring.rest() {
		if pc.left > 0 {
			oldest = now.Sub(pc.read)
			break
		}
	}
	uncommitted = oldest
	if !l.dirtyAt.IsZero() {
		uncommitted = max(uncommitted, now.Sub(l.dirtyAt))
	}
	return oldest, uncommitted
}

func (s *stepCore) snap(now time.Time) StepSnapshot {
	out := StepSnapshot{
		Name: s.conf.Name, Kind: s.conf.Kind, Index: s.index, Workers: s.conf.Workers,
		QueueLen: len(s.in.ch), QueueCap: cap(s.in.ch),
	}
	if s.conf.Stage != nil {
		out.Report = s.p.reportOf(s.conf.Stage)
	} else {
		out.Report = s.p.reportOf(s.conf.Splitter)
	}
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	out.Counts = s.meter.counts
	out.Busy, out.Idle, out.Blocked = s.meter.times(now, s.conf.Workers)
	out.Latency, out.fullest = s.meter.lat.latest(1000), s.meter.lastFill
	return out
}

func (s *cpuStep) snapshot(now time.Time) StepSnapshot {
	out := s.snap(now)
	s.p.roll.each(func(c *chunk) {
		if place := c.place.Load(); int(place>>8) == s.index && place&0xff == stateRunning {
			age := now.Sub(s.p.began) - time.Duration(c.taken.Load())
			out.OldestInFlight = max(out.OldestInFlight, age)
		}
	})
	return out
}

func (s *sink) snapshot(now time.Time) SinkSnapshot {
	out := SinkSnapshot{Name: s.conf.Name, Kind: s.conf.Kind, Report: s.p.reportOf(s.conf.Sink)}
	s.mu.Lock()
	out.Batches, out.BatchRecords = s.batches, s.sizes.latest(1)
	s.mu.Unlock()
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	out.Counts, out.Write = s.meter.counts, s.meter.lat.latest(1000)
	return out
}

// each calls f for every chunk that is under way.
func (r *roll) each(f func(*chunk)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := r.head.next; c != nil && c != &r.head; c = c.next {
		f(c)
	}
}

// InFlight lists the records without an outcome: where each is and what it waits
// for. It may be called at any time, also while a stage or a sink hangs.
func (p *Pipeline) InFlight() []InFlight {
	now := time.Now()
	var list []InFlight
	add := func(f InFlight) { list = append(list, f) }
	p.roll.each(func(c *chunk) {
		c.mu.Lock()
		defer c.mu.Unlock()
		place := c.place.Load()
		where, state := int(place>>8), stateNames[place&0xff]
		name := "sinks"
		if where < len(p.steps) {
			name = p.steps[where].core().conf.Name
		}
		for _, rec := range c.recs[c.from:] {
			add(InFlight{
				Position: rec.rec.Position, Lane: c.lane.name, Where: name, State: state, Attempt: 1,
				Age: now.Sub(rec.piece.read),
			})
		}
	})
	for _, s := range p.steps {
		s.inFlight(now, add)
	}
	for _, s := range p.allSinks() {
		s.inFlight(now, add)
	}
	return list
}

func (s *cpuStep) inFlight(time.Time, func(InFlight)) {} // all in chunks

func (s *sink) inFlight(now time.Time, add func(InFlight)) {
	s.mu.Lock()
	queues := make([]*sinkQueue, 0, len(s.queues))
	for _, q := range s.queues {
		queues = append(queues, q)
	}
	s.mu.Unlock()
	for _, q := range queues {
		q.mu.Lock()
		one := func(rec item, state string, attempt int) {
			add(InFlight{
				Position: rec.rec.Position, Lane: q.l.name, Where: s.conf.Name, State: state,
				Attempt: attempt, Age: now.Sub(rec.piece.read),
			})
		}
		state := "retrying"
		if q.call {
			state = "writing"
		}
		for _, rec := range q.batch {
			one(rec, state, q.fails+1)
		}
		for _, rec := range q.queue[q.head:] {
			one(rec, "queued", 0)
		}
		q.mu.Unlock()
	}
}
