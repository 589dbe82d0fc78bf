package engine

import (
	"math"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// The events of an interval, made from two snapshots.

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
	}
}

func sinkStats(now, was SinkSnapshot, interval time.Duration) event.SinkStats {
	c, o := now.Counts, was.Counts
	sizes, write := percentiles(now.BatchRecords), percentiles(now.Write)
	return event.SinkStats{
		Sink: now.Name, SinkKind: now.Kind, IntervalMs: interval.Milliseconds(),
		RecordsIn: c.In - o.In, RecordsOut: c.Out - o.Out, Filtered: c.Filtered - o.Filtered,
		Rejected: c.Rejected - o.Rejected, Abandoned: c.Abandoned - o.Abandoned, Errors: c.Errors - o.Errors,
		RecordsInTotal: c.In, RecordsOutTotal: c.Out, FilteredTotal: c.Filtered, RejectedTotal: c.Rejected,
		AbandonedTotal: c.Abandoned, ErrorsTotal: c.Errors, RetriesTotal: c.Retries,
		Inflight: c.InFlight, Batches: now.Batches - was.Batches,
		BatchRecordsP50: whole(sizes.P50), BatchRecordsMax: whole(sizes.Max),
		WriteP50Ms: write.P50, WriteP99Ms: write.P99,
		Retries: c.Retries - o.Retries,
	}
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
	for _, r := range s.p.sourceFigures().Partitions {
		uncommitted := int64(-1)
		if r.Fetched >= 0 && r.Committed >= 0 {
			uncommitted = max(r.Fetched-r.Committed, 0)
		}
		lagAge := int64(-1)
		if age := r.LagAge(now); age >= 0 {
			lagAge = age.Milliseconds()
		}
		s.p.events.Emit(event.SourcePartitionStats{
			Topic: r.Topic, Partition: int64(r.Partition), Generation: r.Generation,
			OffsetCommitted: r.Committed, OffsetFetched: r.Fetched, OffsetHWM: r.HighWatermark,
			Lag: r.Lag(), LagHeld: r.Held, LagAgeMs: lagAge, Uncommitted: uncommitted,
			CommitAgeMs: since(r.CommittedAt),
		}, "")
	}
}
