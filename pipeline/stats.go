package pipeline

import (
	"math"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// stats ends the intervals of the figures and emits the stats events. Without an
// emitter no timer runs: an interval then ends when somebody takes a snapshot.
type stats struct {
	p           *Pipeline
	quit, ended chan struct{}

	mu         sync.Mutex
	turned     time.Time // when the interval before ended
	pressed    []load    // of steps, then of sinks, at that moment
	readBlock  time.Duration
	pressureIs string
	bottleneck string

	before   Snapshot // what the last events said
	beforeAt time.Time
	letters  SinkSnapshot
}

// A load is how a place has spent its time since the start.
type load struct {
	busy, all time.Duration // of all its workers
	blocked   time.Duration
	holding   time.Duration // while it held lanes back, in share of the lanes
}

func (s *stats) init(p *Pipeline) {
	s.p, s.quit, s.ended = p, make(chan struct{}), make(chan struct{})
	s.pressureIs = "ok"
}

func (s *stats) start() {
	now := s.p.began
	s.mu.Lock()
	s.turned, s.beforeAt = now, now
	s.mu.Unlock()
	if s.p.events == nil {
		close(s.ended)
		return
	}
	s.p.spawn(s.loop)
}

func (s *stats) loop() {
	defer close(s.ended)
	every, parts := time.NewTicker(s.p.opts.StatsEvery), time.NewTicker(s.p.opts.Partitions)
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

// refresh ends the interval when it is over and nobody else does.
func (s *stats) refresh(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.p.events == nil && !s.turned.IsZero() && now.Sub(s.turned) >= s.p.opts.StatsEvery {
		s.turn(now)
	}
}

func (s *stats) pressure() (level, bottleneck string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pressureIs, s.bottleneck
}

// turn ends the interval of all figures. The lock is held.
func (s *stats) turn(now time.Time) {
	const ms = 1000 // durations are kept in microseconds
	s.p.meter.turn(ms, 0)
	for _, st := range s.p.steps {
		st.core().meter.turn(ms, st.fill())
	}
	for _, si := range s.p.allSinks() {
		si.meter.turn(ms, 0)
		si.mu.Lock()
		si.sizes.turn(1)
		si.mu.Unlock()
	}
	s.press(now)
	s.turned = now
}

// press finds the bottleneck: the most downstream place that is busy while the one
// before it is blocked. The lock is held.
func (s *stats) press(now time.Time) {
	interval := now.Sub(s.turned)
	if interval <= 0 {
		return
	}
	ratio := func(d, of time.Duration) float64 {
		if of <= 0 {
			return 0
		}
		return float64(d) / float64(of)
	}
	var loads []load
	for _, st := range s.p.steps {
		loads = append(loads, st.load(now))
	}
	for _, si := range s.p.sinks {
		loads = append(loads, si.load(now))
	}
	if s.pressed == nil {
		s.pressed = make([]load, len(loads))
	}
	read := time.Duration(s.p.readBlock.Load())
	upstream := ratio(read-s.readBlock, interval)
	source := upstream
	s.bottleneck = ""
	for i, l := range loads {
		was := s.pressed[i]
		holding := ratio(l.holding-was.holding, interval)
		source = max(source, holding)
		busy := ratio(l.busy-was.busy, l.all-was.all)
		if busy >= 0.7 && max(upstream, holding) >= 0.3 {
			s.bottleneck = s.p.placeName(i)
		}
		if i < len(s.p.steps) {
			upstream = ratio(l.blocked-was.blocked, l.all-was.all)
		}
	}
	s.pressed, s.readBlock = loads, read
	switch {
	case source <= 0.1:
		s.pressureIs = "ok"
	case source <= 0.5:
		s.pressureIs = "low"
	default:
		s.pressureIs = "high"
	}
}

// placeName names the steps and the sinks behind them.
func (p *Pipeline) placeName(i int) string {
	if i < len(p.steps) {
		return p.steps[i].core().conf.Name
	}
	return p.sinks[i-len(p.steps)].conf.Name
}

// turn ends the interval of a meter. fill is how full the queue is now: it is the least
// that the interval that begins has seen, also when nothing moves in it.
func (m *meter) turn(unit, fill float64) {
	m.mu.Lock()
	m.lat.turn(unit)
	m.lastFill, m.fill = max(m.fill, fill), fill
	m.mu.Unlock()
}

func (s *cpuStep) load(now time.Time) load {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	busy, idle, blocked := s.meter.times(now, s.conf.Workers)
	return load{busy: busy, all: busy + idle + blocked, blocked: blocked}
}

func (s *waitStep) load(now time.Time) load {
	s.win.mu.Lock()
	defer s.win.mu.Unlock()
	s.tick(now)
	return load{
		busy: s.spent[0], all: s.spent[0] + s.spent[1] + s.spent[2], blocked: s.spent[2], holding: s.holding,
	}
}

// load of a sink: it is busy while it writes for any lane.
func (s *sink) load(now time.Time) load {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick(now)
	return load{busy: s.busy, all: now.Sub(s.p.began), holding: s.holding}
}

// emit ends the interval and emits its stats.
func (s *stats) emit() {
	p := s.p
	now := time.Now()
	s.mu.Lock()
	s.turn(now)
	s.mu.Unlock()
	snap := p.Snapshot()
	was, interval := s.before, now.Sub(s.beforeAt)
	s.before, s.beforeAt = snap, now
	p.events.Emit(s.pipelineStats(snap, was, interval), "")
	for i, st := range snap.Steps {
		var old StepSnapshot
		if i < len(was.Steps) {
			old = was.Steps[i]
		}
		m := &p.steps[i].core().meter
		p.events.Emit(stepStats(st, old, interval, m.highest()), "")
		s.errorStats(st.Name, m)
	}
	for i, si := range snap.Sinks {
		var old SinkSnapshot
		if i < len(was.Sinks) {
			old = was.Sinks[i]
		}
		p.events.Emit(sinkStats(si, old, interval), "")
		s.errorStats(si.Name, &p.sinks[i].meter)
	}
	if p.dead != nil {
		one := p.dead.snapshot(now)
		p.events.Emit(sinkStats(one, s.letters, interval), "")
		s.letters = one
		s.errorStats(one.Name, &p.dead.meter)
	}
}

func (m *meter) highest() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lastFill
}

// errorStats emits what errors a place had in the interval, by their types.
func (s *stats) errorStats(name string, m *meter) {
	m.mu.Lock()
	var out []event.ErrorStats
	for kind, c := range m.errors {
		if c.count > 0 {
			out = append(out, event.ErrorStats{
				Step: name, ErrorType: kind, Count: c.count, CountTotal: c.total,
				SampleMessage: c.message, SampleTopic: c.at.Topic,
				SamplePartition: int64(c.at.Partition), SampleOffset: c.at.Offset,
			})
			c.count = 0
		}
	}
	m.mu.Unlock()
	for _, e := range out {
		s.p.events.Emit(e, "")
	}
}

func (s *stats) pipelineStats(now, was Snapshot, interval time.Duration) event.PipelineStats {
	c, o := now.Counts, was.Counts
	lagSum, lagMax := now.Source.Lag()
	lat := percentiles(now.Latency)
	return event.PipelineStats{
		IntervalMs: interval.Milliseconds(), State: now.State,
		RecordsIn: c.In - o.In, RecordsOut: c.Out - o.Out, Created: c.Created - o.Created,
		Filtered: c.Filtered - o.Filtered, Rejected: c.Rejected - o.Rejected, Abandoned: c.Abandoned - o.Abandoned,
		Errors: c.Errors - o.Errors, Retries: c.Retries - o.Retries,
		RecordsInTotal: c.In, RecordsOutTotal: c.Out, CreatedTotal: c.Created, FilteredTotal: c.Filtered,
		RejectedTotal: c.Rejected, AbandonedTotal: c.Abandoned, ErrorsTotal: c.Errors, RetriesTotal: c.Retries,
		RateIn: rate(c.In-o.In, interval), RateOut: rate(c.Out-o.Out, interval),
		BytesIn: now.BytesIn - was.BytesIn, BytesOut: now.BytesOut - was.BytesOut,
		Inflight: c.InFlight, InflightBytes: now.InFlightBytes,
		E2EP50Ms: lat.P50, E2EP95Ms: lat.P95, E2EP99Ms: lat.P99, E2EMaxMs: lat.Max,
		LagSum: lagSum, LagMax: lagMax,
		CommitAgeMaxMs: now.CommitAgeMax.Milliseconds(), OldestInflightMs: now.OldestInFlight.Milliseconds(),
		Backpressure: now.Backpressure, BottleneckStep: now.Bottleneck, ConfigHash: s.p.opts.ConfigHash,
		Goroutines: int64(runtime.NumGoroutine()), HeapBytes: heapBytes(),
	}
}

func heapBytes() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(sample[0].Value.Uint64())
}

func rate(n int64, d time.Duration) float64 {
	if d <= 0 {
		return math.NaN()
	}
	return float64(n) / d.Seconds()
}

// percentiles makes those of an interval in which nothing was measured unknown, so that
// they are left out: 0 ms would be a figure, and a good one.
func percentiles(l Latency) Latency {
	if l.Count == 0 {
		unknown := math.NaN()
		return Latency{P50: unknown, P95: unknown, P99: unknown, Max: unknown}
	}
	return l
}

// whole makes a percentile of sizes a number for an event, -1 when it is unknown.
func whole(f float64) int64 {
	if math.IsNaN(f) {
		return -1
	}
	return int64(f)
}

func stepStats(now, was StepSnapshot, interval time.Duration, fill float64) event.StepStats {
	c, o := now.Counts, was.Counts
	lat := percentiles(now.Latency)
	window := [2]int64{-1, -1} // a step that does not wait has none
	if now.WindowCap > 0 {
		window = [2]int64{int64(now.WindowLen), int64(now.WindowCap)}
	}
	// What was idle may turn out to have been the end of something else: never below zero.
	busy, idle, blocked := max(now.Busy-was.Busy, 0), max(now.Idle-was.Idle, 0), max(now.Blocked-was.Blocked, 0)
	all := float64(busy + idle + blocked)
	if all <= 0 { // nothing measured: it waits for input
		all, idle = 1, 1
		busy, blocked = 0, 0
	}
	return event.StepStats{
		Step: now.Name, StepKind: now.Kind, StepIndex: int64(now.Index), IntervalMs: interval.Milliseconds(),
		RecordsIn: c.In - o.In, RecordsOut: c.Out - o.Out, Created: c.Created - o.Created,
		Filtered: c.Filtered - o.Filtered, Rejected: c.Rejected - o.Rejected, Abandoned: c.Abandoned - o.Abandoned,
		Errors: c.Errors - o.Errors, Retries: c.Retries - o.Retries,
		RecordsInTotal: c.In, RecordsOutTotal: c.Out, CreatedTotal: c.Created, FilteredTotal: c.Filtered,
		RejectedTotal: c.Rejected, AbandonedTotal: c.Abandoned, ErrorsTotal: c.Errors, RetriesTotal: c.Retries,
		RateIn: rate(c.In-o.In, interval), RateOut: rate(c.Out-o.Out, interval),
		Workers: int64(now.Workers), Inflight: c.InFlight,
		QueueLen: int64(now.QueueLen), QueueCap: int64(now.QueueCap), QueueFillMaxRatio: max(fill, now.fill()),
		HeldBack:  int64(now.HeldBack),
		BusyRatio: float64(busy) / all, IdleRatio: float64(idle) / all, BlockedRatio: float64(blocked) / all,
		LatP50Ms: lat.P50, LatP95Ms: lat.P95, LatP99Ms: lat.P99, LatMaxMs: lat.Max,
		WindowLen: window[0], WindowCap: window[1],
		OldestInflightMs: now.OldestInFlight.Milliseconds(),
		CacheHits:        now.Report.CacheHits - was.Report.CacheHits,
		CacheMisses:      now.Report.CacheMisses - was.Report.CacheMisses,
		ThrottleWaitMs:   (now.Report.ThrottleWait - was.Report.ThrottleWait).Milliseconds(),
	}
}

func sinkStats(now, was SinkSnapshot, interval time.Duration) event.SinkStats {
	c, o := now.Counts, was.Counts
	sizes, write := percentiles(now.BatchRecords), percentiles(now.Write)
	circuit := now.Report.Circuit
	if circuit == "" {
		circuit = "closed"
	}
	return event.SinkStats{
		Sink: now.Name, SinkKind: now.Kind, IntervalMs: interval.Milliseconds(),
		RecordsIn: c.In - o.In, RecordsOut: c.Out - o.Out, Filtered: c.Filtered - o.Filtered,
		Rejected: c.Rejected - o.Rejected, Abandoned: c.Abandoned - o.Abandoned, Errors: c.Errors - o.Errors,
		RecordsInTotal: c.In, RecordsOutTotal: c.Out, FilteredTotal: c.Filtered, RejectedTotal: c.Rejected,
		AbandonedTotal: c.Abandoned, ErrorsTotal: c.Errors, RetriesTotal: c.Retries,
		Inflight: c.InFlight, Batches: now.Batches - was.Batches,
		BatchRecordsP50: whole(sizes.P50), BatchRecordsMax: whole(sizes.Max),
		WriteP50Ms: write.P50, WriteP99Ms: write.P99,
		Retries: c.Retries - o.Retries, Circuit: circuit,
	}
}

// Lag is the number of records from the committed offset to the high watermark, those
// that open transactions hold back included; while nothing has been committed, from
// the next to fetch. -1: not known.
func (p PartitionReport) Lag() int64 {
	from := p.Committed
	if from < 0 {
		from = p.Fetched
	}
	if p.HighWatermark < 0 || from < 0 {
		return -1
	}
	return max(p.HighWatermark-from, 0)
}

// Lag sums what is known of the lag of the partitions, and gives the largest. -1: of no
// partition is it known. A member of a group that has no partitions lags by 0.
func (r Report) Lag() (sum, most int64) {
	if len(r.Partitions) == 0 && r.Connected {
		return 0, 0
	}
	sum, most = -1, -1
	for _, p := range r.Partitions {
		if l := p.Lag(); l >= 0 {
			sum, most = max(sum, 0)+l, max(most, l)
		}
	}
	return sum, most
}

// partitions emits the state of each partition that the source reads.
func (s *stats) partitions() {
	now := time.Now()
	since := func(t time.Time) int64 {
		if t.IsZero() {
			return -1 // not known
		}
		return max(now.Sub(t).Milliseconds(), 0)
	}
	for _, r := range s.p.report().Partitions {
		uncommitted := int64(-1)
		if r.Fetched >= 0 && r.Committed >= 0 {
			uncommitted = max(r.Fetched-r.Committed, 0)
		}
		s.p.events.Emit(event.SourcePartitionStats{
			Topic: r.Topic, Partition: int64(r.Partition), Generation: r.Generation,
			OffsetCommitted: r.Committed, OffsetFetched: r.Fetched, OffsetHWM: r.HighWatermark,
			Lag: r.Lag(), LagHeld: r.Held, LagAgeMs: since(r.Oldest), Uncommitted: uncommitted,
			CommitAgeMs: since(r.CommittedAt), Paused: r.Paused,
		}, "")
	}
}
