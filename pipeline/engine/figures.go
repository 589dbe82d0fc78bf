package engine

import (
	"math"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A Figure is one value that a snapshot of type S holds, with its names wherever it is shown. The
// stats events and the answer of /api/v1/stats are made from the tables of figures and from
// nothing else. A figure that is added here is in both; its event key is also a field of the
// event's struct in pipeline/event, which says its type and when it is left out.
//
// Some figures have another name in the events than in the answer. Both are public, and stay.
type Figure[S any] struct {
	Event  string // key in the stats event; "": it is not there
	During string // key in the stats event of by how much Value, a count since the start, has grown in the interval
	Admin  string // member of the answer, or OBJECT.MEMBER; "": it is not there
	Zero   bool   // the answer says 0 when it is not known, though the event leaves it out

	// Value is an int64, float64, string, bool or time.Time; nil: not known. It is also nil for
	// a figure that the answer leaves out when it is 0 or empty: the event then says 0.
	Value func(s *S) any
	// over is set in place of Value for a figure of an interval, as a rate: those are in events
	// alone.
	over func(now, was *S, interval time.Duration) any
}

// A PartitionSnapshot is the state of a partition at one moment.
type PartitionSnapshot struct {
	pipeline.PartitionReport
	At time.Time
}

// PipelineFigures are those of pipeline.stats, and of a pipeline in /api/v1/stats.
var PipelineFigures = join(
	[]Figure[Snapshot]{
		{Admin: "pipeline", Value: func(s *Snapshot) any { return s.Pipeline }},
		{Event: "state", Admin: "state", Value: func(s *Snapshot) any { return s.State }},
		{Admin: "error", Value: func(s *Snapshot) any {
			if s.Err == nil {
				return nil
			}
			return text(textOf(s.Err.Error))
		}},
		{Admin: "started", Value: func(s *Snapshot) any {
			if s.Started.IsZero() {
				return nil
			}
			return s.Started
		}},
		{Admin: "timestamp", Value: func(s *Snapshot) any { return s.At }},
	},
	countFigures(func(s *Snapshot) *Counts { return &s.Counts }),
	rateFigures(func(s *Snapshot) *Counts { return &s.Counts }),
	[]Figure[Snapshot]{
		{Event: "inflight_bytes", Admin: "inflight_bytes", Value: func(s *Snapshot) any { return s.InFlightBytes }},
		{During: "bytes_in", Admin: "bytes_in_total", Value: func(s *Snapshot) any { return s.BytesIn }},
		{During: "bytes_out", Admin: "bytes_out_total", Value: func(s *Snapshot) any { return s.BytesOut }},
	},
	percentileFigures("e2e_ms", func(s *Snapshot) Latency { return s.Latency }, "e2e_p50_ms", "e2e_p95_ms", "e2e_p99_ms", "e2e_max_ms"),
	[]Figure[Snapshot]{
		{Event: "commit_age_max_ms", Admin: "commit_age_max_ms", Value: func(s *Snapshot) any { return s.CommitAgeMax.Milliseconds() }},
		{Event: "oldest_inflight_ms", Admin: "oldest_inflight_ms", Value: func(s *Snapshot) any { return s.OldestInFlight.Milliseconds() }},
		{Event: "backpressure", Admin: "backpressure", Value: func(s *Snapshot) any { return s.Backpressure }},
		{Event: "bottleneck_step", Admin: "bottleneck_step", Value: func(s *Snapshot) any { return text(s.Bottleneck) }},
		{Admin: "dead_letters_total", Value: func(s *Snapshot) any { return s.DeadLetterCount }},
		{Admin: "source.connected", Value: func(s *Snapshot) any { return s.Source.Connected }},
		{Admin: "source.generation", Value: func(s *Snapshot) any { return positive(s.Source.Generation) }},
		{Event: "lag_sum", Admin: "source.lag_sum", Value: func(s *Snapshot) any {
			sum, _ := s.Source.Lag()
			return known(sum)
		}},
		{Event: "lag_max", Admin: "source.lag_max", Value: func(s *Snapshot) any {
			_, most := s.Source.Lag()
			return known(most)
		}},
	},
)

// PartitionFigures are those of source.partition.stats, and of a partition in /api/v1/stats.
var PartitionFigures = []Figure[PartitionSnapshot]{
	{Event: "topic", Admin: "topic", Value: func(p *PartitionSnapshot) any { return p.Topic }},
	{Event: "partition", Admin: "partition", Value: func(p *PartitionSnapshot) any { return int64(p.Partition) }},
	{Event: "generation", Admin: "generation", Value: func(p *PartitionSnapshot) any { return positive(p.Generation) }},
	{Event: "offset_committed", Admin: "offset_committed", Value: func(p *PartitionSnapshot) any { return known(p.Committed) }},
	{Event: "offset_fetched", Admin: "offset_fetched", Value: func(p *PartitionSnapshot) any { return known(p.Fetched) }},
	{Event: "offset_hwm", Admin: "offset_hwm", Value: func(p *PartitionSnapshot) any { return known(p.HighWatermark) }},
	{Event: "lag", Admin: "lag", Value: func(p *PartitionSnapshot) any { return known(p.Lag()) }},
	{Event: "lag_held", Admin: "lag_held", Value: func(p *PartitionSnapshot) any { return p.Held }},
	{Event: "lag_age_ms", Value: func(p *PartitionSnapshot) any {
		if age := p.LagAge(p.At); age >= 0 {
			return age.Milliseconds()
		}
		return nil
	}},
	{Event: "uncommitted", Value: func(p *PartitionSnapshot) any {
		if p.Fetched < 0 || p.Committed < 0 {
			return nil
		}
		return max(p.Fetched-p.Committed, 0)
	}},
	{Event: "commit_age_ms", Value: func(p *PartitionSnapshot) any {
		if p.CommittedAt.IsZero() {
			return nil
		}
		return max(p.At.Sub(p.CommittedAt).Milliseconds(), 0)
	}},
}

// StepFigures are those of step.stats, and of a step in /api/v1/stats.
var StepFigures = join(
	[]Figure[StepSnapshot]{
		{Event: "step", Admin: "step", Value: func(s *StepSnapshot) any { return s.Name }},
		{Event: "step_kind", Admin: "step_kind", Value: func(s *StepSnapshot) any { return s.Kind }},
		{Event: "step_index", Admin: "step_index", Value: func(s *StepSnapshot) any { return int64(s.Index) }},
	},
	countFigures(func(s *StepSnapshot) *Counts { return &s.Counts }),
	rateFigures(func(s *StepSnapshot) *Counts { return &s.Counts }),
	[]Figure[StepSnapshot]{
		{Event: "workers", Admin: "workers", Value: func(s *StepSnapshot) any { return int64(s.Workers) }},
		{Event: "queue_len", Admin: "queue_len", Value: func(s *StepSnapshot) any { return int64(s.QueueLen) }},
		{Event: "queue_cap", Admin: "queue_cap", Value: func(s *StepSnapshot) any { return int64(s.QueueCap) }},
		{Event: "queue_fill_max_ratio", Value: func(s *StepSnapshot) any { return max(s.fullest, s.fill()) }},
		{Event: "held_back", Admin: "held_back", Value: func(s *StepSnapshot) any { return int64(s.HeldBack) }},
		{Event: "window_len", Admin: "window_len", Zero: true, Value: func(s *StepSnapshot) any { return ofWindow(s, s.WindowLen) }},
		{Event: "window_cap", Admin: "window_cap", Zero: true, Value: func(s *StepSnapshot) any { return ofWindow(s, s.WindowCap) }},
		{Event: "throttled", Admin: "throttled", Value: func(s *StepSnapshot) any { return ofWindow(s, s.Throttled) }},
		{During: "throttle_wait_ms", Admin: "throttle_wait_ms_total", Value: func(s *StepSnapshot) any { return positive(s.ThrottleWait.Milliseconds()) }},
		{Admin: "busy_ms_total", Value: func(s *StepSnapshot) any { return s.Busy.Milliseconds() }},
		{Admin: "idle_ms_total", Value: func(s *StepSnapshot) any { return s.Idle.Milliseconds() }},
		{Admin: "blocked_ms_total", Value: func(s *StepSnapshot) any { return s.Blocked.Milliseconds() }},
		shareFigure("busy_ratio", func(busy, _, _ float64) float64 { return busy }),
		shareFigure("idle_ratio", func(_, idle, _ float64) float64 { return idle }),
		shareFigure("blocked_ratio", func(_, _, blocked float64) float64 { return blocked }),
	},
	percentileFigures("lat_ms", func(s *StepSnapshot) Latency { return s.Latency }, "lat_p50_ms", "lat_p95_ms", "lat_p99_ms", "lat_max_ms"),
	[]Figure[StepSnapshot]{
		{Event: "oldest_inflight_ms", Admin: "oldest_inflight_ms", Value: func(s *StepSnapshot) any { return s.OldestInFlight.Milliseconds() }},
		{During: "cache_hits", Admin: "cache_hits_total", Value: func(s *StepSnapshot) any { return positive(s.Report.CacheHits) }},
		{During: "cache_misses", Admin: "cache_misses_total", Value: func(s *StepSnapshot) any { return positive(s.Report.CacheMisses) }},
		{During: "cache_stale", Admin: "cache_stale_total", Value: func(s *StepSnapshot) any { return positive(s.Report.CacheStale) }},
		{During: "calls_joined", Admin: "calls_joined_total", Value: func(s *StepSnapshot) any { return positive(s.Report.CallsJoined) }},
		{Event: "circuits_open", Admin: "circuits_open", Value: func(s *StepSnapshot) any { return positive(s.Report.OpenCircuits) }},
	},
)

// SinkFigures are those of sink.stats, and of a sink in /api/v1/stats.
var SinkFigures = join(
	[]Figure[SinkSnapshot]{
		{Event: "sink", Admin: "sink", Value: func(s *SinkSnapshot) any { return s.Name }},
		{Event: "sink_kind", Admin: "sink_kind", Value: func(s *SinkSnapshot) any { return s.Kind }},
	},
	countFigures(func(s *SinkSnapshot) *Counts { return &s.Counts }, "created"), // a sink makes no records
	[]Figure[SinkSnapshot]{
		intervalFigure[SinkSnapshot](),
		{During: "batches", Admin: "batches_total", Value: func(s *SinkSnapshot) any { return s.Batches }},
	},
	percentileFigures("batch_records", func(s *SinkSnapshot) Latency { return s.BatchRecords }, "batch_records_p50", "", "", "batch_records_max"),
	percentileFigures("write_ms", func(s *SinkSnapshot) Latency { return s.Write }, "write_p50_ms", "", "write_p99_ms", ""),
	[]Figure[SinkSnapshot]{
		{Admin: "cache_hits_total", Value: func(s *SinkSnapshot) any { return positive(s.Report.CacheHits) }},
		{Admin: "cache_misses_total", Value: func(s *SinkSnapshot) any { return positive(s.Report.CacheMisses) }},
	},
)

func join[S any](parts ...[]Figure[S]) (all []Figure[S]) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// countFigures are those of Counts. absent names the counts that the event of S has no keys for.
func countFigures[S any](of func(*S) *Counts, absent ...string) []Figure[S] {
	var all []Figure[S]
	for _, c := range []struct {
		name string
		of   func(*Counts) int64
	}{
		{"records_in", func(c *Counts) int64 { return c.In }},
		{"records_out", func(c *Counts) int64 { return c.Out }},
		{"created", func(c *Counts) int64 { return c.Created }},
		{"filtered", func(c *Counts) int64 { return c.Filtered }},
		{"rejected", func(c *Counts) int64 { return c.Rejected }},
		{"abandoned", func(c *Counts) int64 { return c.Abandoned }},
		{"errors", func(c *Counts) int64 { return c.Errors }},
		{"retries", func(c *Counts) int64 { return c.Retries }},
	} {
		total := c.name + "_total"
		f := Figure[S]{Event: total, During: c.name, Admin: total, Value: func(s *S) any { return c.of(of(s)) }}
		for _, name := range absent {
			if name == c.name {
				f.Event, f.During = "", ""
			}
		}
		all = append(all, f)
	}
	return append(all, Figure[S]{Event: "inflight", Admin: "inflight", Value: func(s *S) any { return of(s).InFlight }})
}

// rateFigures are the length of an interval and the rates in it.
func rateFigures[S any](of func(*S) *Counts) []Figure[S] {
	return []Figure[S]{
		intervalFigure[S](),
		{Event: "rate_in", over: func(now, was *S, d time.Duration) any { return rate(of(now).In-of(was).In, d) }},
		{Event: "rate_out", over: func(now, was *S, d time.Duration) any { return rate(of(now).Out-of(was).Out, d) }},
	}
}

func intervalFigure[S any]() Figure[S] {
	return Figure[S]{Event: "interval_ms", over: func(_, _ *S, d time.Duration) any { return d.Milliseconds() }}
}

func rate(n int64, d time.Duration) any {
	if d <= 0 {
		return nil
	}
	return float64(n) / d.Seconds()
}

// percentileFigures are the percentiles of the last interval. The answer has them as one object,
// with the number of values. Without values they are not known: 0 would read as a very good one.
func percentileFigures[S any](object string, of func(*S) Latency, p50, p95, p99, most string) []Figure[S] {
	all := []Figure[S]{{Admin: object + ".count", Value: func(s *S) any { return of(s).Count }}}
	for _, p := range []struct {
		event, admin string
		of           func(Latency) float64
	}{
		{p50, ".p50", func(l Latency) float64 { return l.P50 }},
		{p95, ".p95", func(l Latency) float64 { return l.P95 }},
		{p99, ".p99", func(l Latency) float64 { return l.P99 }},
		{most, ".max", func(l Latency) float64 { return l.Max }},
	} {
		all = append(all, Figure[S]{Event: p.event, Admin: object + p.admin, Value: func(s *S) any {
			l := of(s)
			if f := p.of(l); l.Count > 0 && !math.IsNaN(f) && !math.IsInf(f, 0) {
				return f
			}
			return nil
		}})
	}
	return all
}

// shareFigure is the share of an interval that the workers of a step were busy, idle or
// blocked: the three make 1.
func shareFigure(name string, which func(busy, idle, blocked float64) float64) Figure[StepSnapshot] {
	return Figure[StepSnapshot]{Event: name, over: func(now, was *StepSnapshot, _ time.Duration) any {
		// Idle time is the rest, and may be less later than it was: what a worker did is known
		// exactly only when it is done. So a difference below zero counts as zero.
		busy, idle, blocked := max(now.Busy-was.Busy, 0), max(now.Idle-was.Idle, 0), max(now.Blocked-was.Blocked, 0)
		all := float64(busy + idle + blocked)
		if all <= 0 { // nothing measured: it waits for input
			return which(0, 1, 0)
		}
		return which(float64(busy)/all, float64(idle)/all, float64(blocked)/all)
	}}
}

// ofWindow gives a figure of the window: a step that does not wait has none.
func ofWindow(s *StepSnapshot, n int) any {
	if s.WindowCap <= 0 {
		return nil
	}
	return int64(n)
}

// known gives n, or nil for a number below 0, which stands for not known.
func known(n int64) any {
	if n < 0 {
		return nil
	}
	return n
}

// positive gives n, or nil for 0, where 0 says nothing.
func positive(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}
