package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A Figure is one value that a snapshot of type S holds, with its names wherever it is shown. The
// stats events, the answer of /api/v1/stats and the metrics are made from the tables of figures and
// from nothing else. A figure that is added here is in all three; its event key is also a field of
// the event's struct in pipeline/event, which says its type and when it is left out.
//
// Some figures have another name in the events than in the answer, and metrics have base units and
// names of their own. All are public, and stay.
type Figure[S any] struct {
	Event  string // key in the stats event; "": it is not there
	During string // key in the stats event of by how much Value, a count since the start, has grown in the interval
	Admin  string // member of the answer, or OBJECT.MEMBER; "": it is not there
	Zero   bool   // the answer says 0 when it is not known, though the event leaves it out
	Metric Metric // in Prometheus; without a name: it is not there

	// Value is an int64, float64, string, bool or time.Time; nil: not known. It is also nil for
	// a figure that the answer leaves out when it is 0 or empty: the event then says 0. One that is a
	// metric alone may also be a Histogram, or a []ErrorCount.
	Value func(s *S) any
	// has says, of a count that is nil while it is 0, whether what S is of could count any: its
	// metric is then there from the start, as a rate needs. nil: it could not.
	has func(s *S) bool
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
		{Event: "state", Admin: "state",
			Metric: texts("pipeline_state", "state", "1 for the state that the pipeline is in, 0 for the others.", States...),
			Value:  func(s *Snapshot) any { return s.State }},
		{Admin: "error", Value: func(s *Snapshot) any {
			if s.Err == nil {
				return nil
			}
			return text(textOf(s.Err.Error))
		}},
		{Admin: "started",
			Metric: gauge("pipeline_start_time_seconds", "When the pipeline was started, in seconds since 1970."),
			Value: func(s *Snapshot) any {
				if s.Started.IsZero() {
					return nil
				}
				return s.Started
			}},
		{Admin: "timestamp", Value: func(s *Snapshot) any { return s.At }},
		{Event: "paused_by", Admin: "paused_by",
			Metric: texts("pipeline_paused", "by", "1 for what has the pipeline paused; missing while nothing has.", pauseReason, pausedByCommand),
			Value:  func(s *Snapshot) any { return text(s.PausedBy) }},
		{Event: "paused_lanes", Admin: "paused_lanes",
			Metric: gauge("pipeline_paused_lanes", "Lanes, as of partitions or files, that are paused by command one by one."),
			Value:  func(s *Snapshot) any { return int64(len(s.PausedLanes)) }},
		{Event: "skipped", Admin: "skipped",
			Metric: gauge("pipeline_skipped", "Keys and records that are skipped by command."),
			Value:  func(s *Snapshot) any { return int64(s.Skipped) }},
	},
	countFigures("pipeline", func(s *Snapshot) *Counts { return &s.Counts }),
	rateFigures(func(s *Snapshot) *Counts { return &s.Counts }),
	[]Figure[Snapshot]{
		{Event: "inflight_bytes", Admin: "inflight_bytes",
			Metric: gauge("pipeline_inflight_bytes", "What the pipeline holds of the budget of bytes: its records under way, what its components keep, and memory kept for the next records, which is some MiB when nothing is under way."),
			Value:  func(s *Snapshot) any { return s.InFlightBytes }},
		{During: "bytes_in", Admin: "bytes_in_total",
			Metric: counter("pipeline_in_bytes_total", "Bytes of the records that were read."),
			Value:  func(s *Snapshot) any { return s.BytesIn }},
		{During: "bytes_out", Admin: "bytes_out_total",
			Metric: counter("pipeline_out_bytes_total", "Bytes of the records that sinks have stored."),
			Value:  func(s *Snapshot) any { return s.BytesOut }},
	},
	percentileFigures("e2e_ms", func(s *Snapshot) Latency { return s.Latency }, "e2e_p50_ms", "e2e_p95_ms", "e2e_p99_ms", "e2e_max_ms"),
	[]Figure[Snapshot]{
		{Metric: durations("pipeline_duration_seconds", "How long records took, from when they were made to their outcome."),
			Value: func(s *Snapshot) any { return s.Durations }},
		{Event: "commit_age_max_ms", Admin: "commit_age_max_ms",
			Metric: gauge("pipeline_commit_age_seconds", "How long a record has been there, or done, without being committed, at most.").inMs(),
			Value:  func(s *Snapshot) any { return s.CommitAgeMax.Milliseconds() }},
		{Event: "oldest_inflight_ms", Admin: "oldest_inflight_ms",
			Metric: gauge("pipeline_oldest_inflight_seconds", "How long a record has been there without an outcome, at most.").inMs(),
			Value:  func(s *Snapshot) any { return s.OldestInFlight.Milliseconds() }},
		{Event: "backpressure", Admin: "backpressure",
			Metric: texts("pipeline_backpressure", "level", "1 for how much the source had to wait in the last stats interval, 0 for the other levels.", levels...),
			Value:  func(s *Snapshot) any { return s.Backpressure }},
		{Event: "bottleneck_step", Admin: "bottleneck_step",
			Metric: texts("pipeline_bottleneck", "step", "1 for the step or sink that held up the rest in the last stats interval; missing when none did."),
			Value:  func(s *Snapshot) any { return text(s.Bottleneck) }},
		{Admin: "dead_letters_total",
			Metric: counter("pipeline_dead_letters_total", "Dead letters that are durable."),
			Value:  func(s *Snapshot) any { return s.DeadLetterCount }},
		{Admin: "source.connected",
			Metric: gauge("source_connected", "1 while the group is joined and its cluster answers, or the files are open, else 0."),
			Value:  func(s *Snapshot) any { return s.Source.Connected }},
		{Admin: "source.away", Value: func(s *Snapshot) any { return text(s.Source.Away) }},
		{Admin: "source.away_since", Value: func(s *Snapshot) any {
			if s.Source.AwaySince.IsZero() {
				return nil
			}
			return s.Source.AwaySince
		}},
		{Admin: "source.generation",
			Metric: gauge("source_generation", "The generation of the consumer group; missing while there is none."),
			Value:  func(s *Snapshot) any { return positive(s.Source.Generation) }},
		{Metric: counterBy("source_requests_total", "status", "Requests that the source has answered, by the status; 499: the caller had left."),
			Value: func(s *Snapshot) any { return countsBy(s.Source.Answers) }},
		{Metric: counterBy("source_requests_refused_total", "reason", "Requests that the source has refused, or whose records have no outcome that it knows, by the reason."),
			Value: func(s *Snapshot) any { return countsBy(s.Source.Refusals) }},
		{Admin: "source.requests_waiting",
			Metric: gauge("source_requests_waiting", "Requests that wait for the outcome of their records; missing where nobody calls the source."),
			Value: func(s *Snapshot) any {
				if s.Source.Answers == nil {
					return nil
				}
				return s.Source.RequestsWaiting
			}},
		{Metric: gauge("source_partitions", "Partitions that are assigned to this process."),
			Value: func(s *Snapshot) any { return int64(len(s.Source.Partitions)) }},
		{Event: "lag_sum", Admin: "source.lag_sum",
			Metric: gauge("pipeline_lag_records", "Records between what is committed and the end of the partitions, of all that are known; of files that are followed, bytes."),
			Value: func(s *Snapshot) any {
				sum, _ := s.Source.Lag()
				return known(sum)
			}},
		{Event: "lag_max", Admin: "source.lag_max", Value: func(s *Snapshot) any {
			_, most := s.Source.Lag()
			return known(most)
		}},
		{Event: "lag_unit", Admin: "source.lag_unit", Value: func(s *Snapshot) any { return lagUnit(s.Source.InBytes) }},
	},
)

// PartitionFigures are those of source.partition.stats, and of a partition in /api/v1/stats.
var PartitionFigures = []Figure[PartitionSnapshot]{
	{Event: "topic", Admin: "topic", Value: func(p *PartitionSnapshot) any { return p.Topic }},
	{Event: "partition", Admin: "partition", Value: func(p *PartitionSnapshot) any { return int64(p.Partition) }},
	{Event: "generation", Admin: "generation", Value: func(p *PartitionSnapshot) any { return positive(p.Generation) }},
	{Event: "offset_committed", Admin: "offset_committed",
		Metric: gauge("partition_committed_offset", "The offset that is committed: everything before it has an outcome."),
		Value:  func(p *PartitionSnapshot) any { return known(p.Committed) }},
	{Event: "offset_fetched", Admin: "offset_fetched",
		Metric: gauge("partition_fetched_offset", "The next offset to fetch."),
		Value:  func(p *PartitionSnapshot) any { return known(p.Fetched) }},
	{Event: "offset_hwm", Admin: "offset_hwm",
		Metric: gauge("partition_high_watermark_offset", "The end of the partition, as the broker said it last."),
		Value:  func(p *PartitionSnapshot) any { return known(p.HighWatermark) }},
	{Event: "lag", Admin: "lag",
		Metric: gauge("partition_lag_records", "Records between what is committed, or where reading began when nothing is, and the end of the partition; of a file that is followed, bytes."),
		Value:  func(p *PartitionSnapshot) any { return known(p.Lag()) }},
	{Event: "lag_unit", Admin: "lag_unit", Value: func(p *PartitionSnapshot) any { return lagUnit(p.InBytes) }},
	{Event: "lag_held", Admin: "lag_held",
		Metric: gauge("partition_lag_held_records", "Records of the lag that open transactions hold back from a reader of committed records."),
		Value:  func(p *PartitionSnapshot) any { return p.Held }},
	{Event: "lag_age_ms", Admin: "lag_age_ms",
		Metric: gauge("partition_lag_seconds", "How old the first record is that is not committed, by its own time; 0 when there is none.").inMs(),
		Value: func(p *PartitionSnapshot) any {
			if age := p.LagAge(p.At); age >= 0 {
				return age.Milliseconds()
			}
			return nil
		}},
	{Event: "uncommitted", Admin: "uncommitted",
		Metric: gauge("partition_uncommitted_records", "Records that were fetched and are not committed."),
		Value:  func(p *PartitionSnapshot) any { return known(p.Uncommitted()) }},
	{Event: "commit_age_ms", Admin: "commit_age_ms",
		Metric: gauge("partition_commit_age_seconds", "How long ago the partition was committed last; before this process has done that, how long it has read it.").inMs(),
		Value: func(p *PartitionSnapshot) any {
			if age := p.CommitAge(p.At); age >= 0 {
				return age.Milliseconds()
			}
			return nil
		}},
	{Event: "paused", Admin: "paused",
		Metric: gauge("partition_paused", "1 while no more of the partition is read, since too much of it waits at a step or a sink or a command has paused it, else 0."),
		Value:  func(p *PartitionSnapshot) any { return p.Paused }},
	{Event: "paused_by", Admin: "paused_by", Value: func(p *PartitionSnapshot) any {
		if p.Commanded {
			return pausedByCommand
		}
		return nil
	}},
}

// StepFigures are those of step.stats, and of a step in /api/v1/stats.
var StepFigures = join(
	[]Figure[StepSnapshot]{
		{Event: "step", Admin: "step", Value: func(s *StepSnapshot) any { return s.Name }},
		{Event: "step_kind", Admin: "step_kind", Value: func(s *StepSnapshot) any { return s.Kind }},
		{Event: "step_index", Admin: "step_index", Value: func(s *StepSnapshot) any { return int64(s.Index) }},
	},
	countFigures("step", func(s *StepSnapshot) *Counts { return &s.Counts }),
	rateFigures(func(s *StepSnapshot) *Counts { return &s.Counts }),
	[]Figure[StepSnapshot]{
		{Event: "workers", Admin: "workers",
			Metric: gauge("step_workers", "Workers, or slots for calls of a step that waits."),
			Value:  func(s *StepSnapshot) any { return int64(s.Workers) }},
		{Event: "queue_len", Admin: "queue_len",
			Metric: gauge("step_queue_length", "What waits in front of the step: chunks, records of a step that waits."),
			Value:  func(s *StepSnapshot) any { return int64(s.QueueLen) }},
		{Event: "queue_cap", Admin: "queue_cap",
			Metric: gauge("step_queue_capacity", "How much may wait in front of the step."),
			Value:  func(s *StepSnapshot) any { return int64(s.QueueCap) }},
		{Event: "queue_fill_max_ratio", Value: func(s *StepSnapshot) any { return max(s.fullest, s.fill()) }},
		{Event: "held_back", Admin: "held_back",
			Metric: gauge("step_held_back_records", "Records that wait in front of the step beyond the places of its queue."),
			Value:  func(s *StepSnapshot) any { return int64(s.HeldBack) }},
		{Event: "window_len", Admin: "window_len", Zero: true,
			Metric: gauge("step_window_length", "Records in the window of a step that waits."),
			Value:  func(s *StepSnapshot) any { return ofWindow(s, s.WindowLen) }},
		{Event: "window_cap", Admin: "window_cap", Zero: true,
			Metric: gauge("step_window_capacity", "Places of the window of a step that waits."),
			Value:  func(s *StepSnapshot) any { return ofWindow(s, s.WindowCap) }},
		{Event: "throttled", Admin: "throttled",
			Metric: gauge("step_throttled_records", "Records of the window whose call a limit does not let begin."),
			Value:  func(s *StepSnapshot) any { return ofWindow(s, s.Throttled) }},
		{During: "throttle_wait_ms", Admin: "throttle_wait_ms_total",
			Metric: counter("step_throttle_wait_seconds_total", "For how long limits held records back, all together.").inMs(), has: (*StepSnapshot).waits,
			Value: func(s *StepSnapshot) any { return positive(s.ThrottleWait.Milliseconds()) }},
		{Admin: "busy_ms_total",
			Metric: counter("step_busy_seconds_total", "How long workers were at work, all together.").inMs(),
			Value:  func(s *StepSnapshot) any { return s.Busy.Milliseconds() }},
		{Admin: "idle_ms_total",
			Metric: counter("step_idle_seconds_total", "How long workers had nothing to do, all together.").inMs(),
			Value:  func(s *StepSnapshot) any { return s.Idle.Milliseconds() }},
		{Admin: "blocked_ms_total",
			Metric: counter("step_blocked_seconds_total", "How long workers waited to hand over what is done, all together.").inMs(),
			Value:  func(s *StepSnapshot) any { return s.Blocked.Milliseconds() }},
		shareFigure("busy_ratio", func(busy, _, _ float64) float64 { return busy }),
		shareFigure("idle_ratio", func(_, idle, _ float64) float64 { return idle }),
		shareFigure("blocked_ratio", func(_, _, blocked float64) float64 { return blocked }),
	},
	percentileFigures("lat_ms", func(s *StepSnapshot) Latency { return s.Latency }, "lat_p50_ms", "lat_p95_ms", "lat_p99_ms", "lat_max_ms"),
	[]Figure[StepSnapshot]{
		{Metric: durations("step_duration_seconds", "How long records took, from their first attempt to the end of the last, without what limits held them back; in a step that does not wait the time of a chunk, divided by its records."),
			Value: func(s *StepSnapshot) any { return s.Durations }},
		{Event: "oldest_inflight_ms", Admin: "oldest_inflight_ms",
			Metric: gauge("step_oldest_inflight_seconds", "How long a record, or a chunk, has been worked on, at most.").inMs(),
			Value:  func(s *StepSnapshot) any { return s.OldestInFlight.Milliseconds() }},
		{Metric: counterBy("step_errors_by_type_total", "error_type", "Attempts in the step that failed, by the type of their error."),
			Value: func(s *StepSnapshot) any { return s.ErrorsByType }},
		{During: "cache_hits", Admin: "cache_hits_total",
			Metric: counter("step_cache_hits_total", "Answers that were known."), has: (*StepSnapshot).asks,
			Value: func(s *StepSnapshot) any { return positive(s.Report.CacheHits) }},
		{During: "cache_misses", Admin: "cache_misses_total",
			Metric: counter("step_cache_misses_total", "Answers that were not known."), has: (*StepSnapshot).asks,
			Value: func(s *StepSnapshot) any { return positive(s.Report.CacheMisses) }},
		{During: "cache_stale", Admin: "cache_stale_total",
			Metric: counter("step_cache_stale_total", "Known answers that were given although they were old, as there was no new one."), has: (*StepSnapshot).asks,
			Value: func(s *StepSnapshot) any { return positive(s.Report.CacheStale) }},
		{During: "calls_joined", Admin: "calls_joined_total",
			Metric: counter("step_calls_joined_total", "Calls that took the answer of an equal one under way."), has: (*StepSnapshot).asks,
			Value: func(s *StepSnapshot) any { return positive(s.Report.CallsJoined) }},
		{Event: "circuits_open", Admin: "circuits_open",
			Metric: gauge("step_circuits_open", "Hosts that are left alone because they fail."), has: (*StepSnapshot).asks,
			Value: func(s *StepSnapshot) any { return positive(s.Report.OpenCircuits) }},
	},
)

// SinkFigures are those of sink.stats, and of a sink in /api/v1/stats.
var SinkFigures = join(
	[]Figure[SinkSnapshot]{
		{Event: "sink", Admin: "sink", Value: func(s *SinkSnapshot) any { return s.Name }},
		{Event: "sink_kind", Admin: "sink_kind", Value: func(s *SinkSnapshot) any { return s.Kind }},
	},
	countFigures("sink", func(s *SinkSnapshot) *Counts { return &s.Counts }, "created"), // a sink makes no records
	[]Figure[SinkSnapshot]{
		intervalFigure[SinkSnapshot](),
		{During: "batches", Admin: "batches_total",
			Metric: counter("sink_batches_total", "Writes that have returned."),
			Value:  func(s *SinkSnapshot) any { return s.Batches }},
	},
	percentileFigures("batch_records", func(s *SinkSnapshot) Latency { return s.BatchRecords }, "batch_records_p50", "", "", "batch_records_max"),
	percentileFigures("write_ms", func(s *SinkSnapshot) Latency { return s.Write }, "write_p50_ms", "", "write_p99_ms", ""),
	[]Figure[SinkSnapshot]{
		{Metric: histogram("sink_batch_records", "How many records the writes had."),
			Value: func(s *SinkSnapshot) any { return s.BatchSizes }},
		{Metric: durations("sink_write_duration_seconds", "How long writes took."),
			Value: func(s *SinkSnapshot) any { return s.Writes }},
		{Metric: counterBy("sink_errors_by_type_total", "error_type", "Attempts in the sink that failed, by the type of their error."),
			Value: func(s *SinkSnapshot) any { return s.ErrorsByType }},
		{Event: "clients", Admin: "clients",
			Metric: gauge("sink_clients", "Clients that are connected to the sink and watch."),
			Value:  func(s *SinkSnapshot) any { return ofServer(s, s.Report.Clients) }},
		{During: "clients_dropped", Admin: "clients_dropped_total",
			Metric: counter("sink_clients_dropped_total", "Clients of the sink that were disconnected, as they were too slow or did not answer."),
			Value:  func(s *SinkSnapshot) any { return ofServer(s, s.Report.ClientsDropped) }},
		{Admin: "cache_hits_total", Value: func(s *SinkSnapshot) any { return positive(s.Report.CacheHits) }},
		{Admin: "cache_misses_total", Value: func(s *SinkSnapshot) any { return positive(s.Report.CacheMisses) }},
	},
)
