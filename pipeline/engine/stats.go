package engine

import (
	"slices"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// stats divides a run into stats intervals. Percentiles, backpressure and the bottleneck are
// those of an interval; when one ends they are computed, and the stats events are emitted.
// Without an emitter no timer runs: an interval that is over then ends when somebody takes a
// snapshot.
type stats struct {
	p           *shared
	chain       func() *chain
	snapshot    func() Snapshot
	quit, ended chan struct{} // closed to end the loop, and when it has ended

	mu         sync.Mutex
	rotated    time.Time     // when the last interval ended
	loads      []load        // of the steps, and then of the sinks, at that moment
	of         *chain        // whose they are; nil: nobody has looked yet
	readBlock  time.Duration // reading.blocked at that moment
	pressureIs string        // Snapshot.Backpressure
	bottleneck string        // Snapshot.Bottleneck

	// The loop alone has these.
	before   Snapshot  // of the last events: the next ones say what has come since
	beforeAt time.Time // when it was taken
}

func (s *stats) init(p *shared, c func() *chain, snapshot func() Snapshot) {
	s.snapshot = snapshot
	s.p, s.chain, s.quit, s.ended = p, c, make(chan struct{}), make(chan struct{})
	s.pressureIs = "ok"
}

func (s *stats) start() {
	now := s.p.phase.began
	s.mu.Lock()
	s.rotated, s.beforeAt = now, now
	s.mu.Unlock()
	if s.p.events == nil {
		close(s.ended)
		return
	}
	s.p.spawn(s.loop)
}

func (s *stats) loop() {
	defer close(s.ended)
	every, parts := time.NewTicker(s.p.opts.StatsEvery), time.NewTicker(s.p.opts.PartitionStatsEvery)
	defer every.Stop()
	defer parts.Stop()
	for {
		select {
		case <-every.C:
			s.emit()
		case <-parts.C:
			s.partitions()
		case <-s.quit:
			return
		}
	}
}

// stop ends the loop and emits everything once more, so that a run of a second has
// stats too.
func (s *stats) stop() {
	close(s.quit)
	<-s.ended
	if s.p.events != nil {
		s.partitions()
		s.emit()
	}
}

// refresh ends the interval when it is over, without an emitter: with one the loop does it.
func (s *stats) refresh(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.p.events == nil && !s.rotated.IsZero() && now.Sub(s.rotated) >= s.p.opts.StatsEvery {
		s.rotate(now)
	}
}

// changed has the interval go on with another chain: what its places have spent before does not count for the bottleneck.
func (s *stats) changed(now time.Time) {
	s.mu.Lock()
	s.of = s.chain()
	s.loads = s.of.loads(now)
	s.bottleneck = ""
	s.mu.Unlock()
}

// pressure gives the backpressure and the bottleneck of the last interval.
func (s *stats) pressure() (level, bottleneck string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pressureIs, s.bottleneck
}

// rotate ends the interval in all meters. The lock is held.
func (s *stats) rotate(now time.Time) {
	const ms = 1000 // durations are kept in microseconds
	s.p.meter.rotate(ms, 0)
	c := s.chain()
	for _, st := range c.steps {
		st.core().meter.rotate(ms, st.fullness())
	}
	for _, si := range c.allSinks() {
		si.meter.rotate(ms, 0)
		si.tally.mu.Lock()
		si.tally.sizes.rotate(1)
		si.tally.mu.Unlock()
	}
	s.findBottleneck(c, now)
	s.rotated = now
}

// findBottleneck finds the bottleneck of the interval that ends: the last step or sink that was
// busy (70 % of its time) while what is before it could not go on (30 %), be it that the step
// before it, or the filler, waited to hand over, or that it held lanes back. Backpressure is
// how long the source could not go on. The lock is held.
func (s *stats) findBottleneck(c *chain, now time.Time) {
	interval := now.Sub(s.rotated)
	if interval <= 0 {
		return
	}
	ratio := func(d, of time.Duration) float64 {
		if of <= 0 {
			return 0
		}
		return float64(d) / float64(of)
	}
	loads := c.loads(now)
	switch {
	case s.of == nil:
		s.loads = make([]load, len(loads))
	case s.of != c: // it has just taken the place of that one
		s.loads = loads
	}
	s.of = c
	read := time.Duration(s.p.read.blocked.Load())
	upstream := ratio(read-s.readBlock, interval)
	source := upstream
	s.bottleneck = ""
	for i, l := range loads {
		was := s.loads[i]
		heldShare := ratio(l.heldTime-was.heldTime, interval)
		source = max(source, heldShare)
		busy := ratio(l.busy-was.busy, l.all-was.all)
		if busy >= 0.7 && max(upstream, heldShare) >= 0.3 {
			s.bottleneck = c.partName(i)
		}
		if i < len(c.steps) {
			upstream = ratio(l.blocked-was.blocked, l.all-was.all)
		}
	}
	s.loads, s.readBlock = loads, read
	switch {
	case source <= 0.1:
		s.pressureIs = "ok"
	case source <= 0.5:
		s.pressureIs = "low"
	default:
		s.pressureIs = "high"
	}
}

// emit ends the interval and emits its stats.
func (s *stats) emit() {
	p := s.p
	now := time.Now()
	s.mu.Lock()
	s.rotate(now)
	s.mu.Unlock()
	snap := s.snapshot()
	was, interval := s.before, now.Sub(s.beforeAt)
	s.before, s.beforeAt = snap, now
	p.events.Emit(s.pipelineStats(snap, was, interval), "")
	for _, st := range snap.Steps {
		var old StepSnapshot
		if k := slices.IndexFunc(was.Steps, func(o StepSnapshot) bool { return o.Name == st.Name && o.Kind == st.Kind }); k >= 0 {
			old = was.Steps[k]
		}
		p.events.Emit(stepStats(st, old, interval), "")
		s.errorStats(st.Name, st.ErrorsByType, old.ErrorsByType)
	}
	for _, si := range snap.Sinks {
		var old SinkSnapshot
		if k := slices.IndexFunc(was.Sinks, func(o SinkSnapshot) bool { return o.Name == si.Name && o.Kind == si.Kind }); k >= 0 {
			old = was.Sinks[k]
		}
		p.events.Emit(sinkStats(si, old, interval), "")
		s.errorStats(si.Name, si.ErrorsByType, old.ErrorsByType)
	}
	if one := snap.DeadLetter; one != nil {
		var old SinkSnapshot
		if was.DeadLetter != nil && was.DeadLetter.Kind == one.Kind {
			old = *was.DeadLetter
		}
		p.events.Emit(sinkStats(*one, old, interval), "")
		s.errorStats(one.Name, one.ErrorsByType, old.ErrorsByType)
	}
}

// errorStats emits which errors a step or sink had in the interval, by their types. All types that were there at its beginning
// are there at its end.
func (s *stats) errorStats(name string, now, was []ErrorCount) {
	before := make(map[string]int64, len(was))
	for _, e := range was {
		before[e.Type] = e.Total
	}
	for _, e := range now {
		n := e.Total - before[e.Type]
		if n == 0 {
			continue
		}
		s.p.events.Emit(event.ErrorStats{
			Step: name, ErrorType: e.Type, Count: n, CountTotal: e.Total,
			SampleMessage: e.Message, SampleTopic: e.Position.Topic,
			SamplePartition: int64(e.Position.Partition), SampleOffset: e.Position.Offset,
		}, "")
	}
}
