package top

import (
	"math"
	"time"
)

// The answers, as far as they are shown.

type statsAnswer struct {
	Pipelines []pipelineAnswer `json:"pipelines"`
	Log       struct {
		Dropped int64 `json:"dropped_total"`
	} `json:"log"`
}

type countsAnswer struct {
	In        int64 `json:"records_in_total"`
	Out       int64 `json:"records_out_total"`
	Created   int64 `json:"created_total"`
	Filtered  int64 `json:"filtered_total"`
	Rejected  int64 `json:"rejected_total"`
	Abandoned int64 `json:"abandoned_total"`
	Errors    int64 `json:"errors_total"`
	Retries   int64 `json:"retries_total"`
	InFlight  int64 `json:"inflight"`
}

func (c countsAnswer) counts() Counts { return Counts(c) }

type latencyAnswer struct {
	P50 *float64 `json:"p50"`
	P95 *float64 `json:"p95"`
	P99 *float64 `json:"p99"`
	Max *float64 `json:"max"`
}

func (l latencyAnswer) latency() Latency {
	return Latency{orNaN(l.P50), orNaN(l.P95), orNaN(l.P99), orNaN(l.Max)}
}

func orNaN(f *float64) float64 {
	if f == nil {
		return math.NaN()
	}
	return *f
}

func orUnknown(n *int64) int64 {
	if n == nil {
		return -1
	}
	return *n
}

// A pipelineAnswer is a pipeline in the answer of /api/v1/stats.
//
// Reason for its size: it has what the answer says of one.
type pipelineAnswer struct {
	Pipeline  string    `json:"pipeline"`
	State     string    `json:"state"`
	Error     string    `json:"error"`
	Started   time.Time `json:"started"`
	Timestamp time.Time `json:"timestamp"`
	countsAnswer
	InFlightBytes int64         `json:"inflight_bytes"`
	E2E           latencyAnswer `json:"e2e_ms"`
	CommitAgeMs   int64         `json:"commit_age_max_ms"`
	OldestMs      int64         `json:"oldest_inflight_ms"`
	Backpressure  string        `json:"backpressure"`
	Bottleneck    string        `json:"bottleneck_step"`
	PausedBy      string        `json:"paused_by"`
	PausedLanes   int64         `json:"paused_lanes"`
	Skipped       int64         `json:"skipped"`
	Stalled       []struct {
		Says string `json:"says"`
	} `json:"stalled"`
	Source     sourceAnswer `json:"source"`
	Steps      []stepAnswer `json:"steps"`
	Sinks      []sinkAnswer `json:"sinks"`
	DeadLetter *sinkAnswer  `json:"dead_letter"`
}

type sourceAnswer struct {
	Connected  *bool             `json:"connected"`
	Away       string            `json:"away"`
	LagSum     *int64            `json:"lag_sum"`
	LagMax     *int64            `json:"lag_max"`
	LagUnit    string            `json:"lag_unit"`
	Partitions []partitionAnswer `json:"partitions"`
}

type partitionAnswer struct {
	Topic       string `json:"topic"`
	Partition   int64  `json:"partition"`
	Generation  int64  `json:"generation"`
	Committed   *int64 `json:"offset_committed"`
	End         *int64 `json:"offset_hwm"`
	Lag         *int64 `json:"lag"`
	LagUnit     string `json:"lag_unit"`
	AgeMs       *int64 `json:"lag_age_ms"`
	CommitAgeMs *int64 `json:"commit_age_ms"`
	Paused      bool   `json:"paused"`
	PausedBy    string `json:"paused_by"`
}

type stepAnswer struct {
	Name  string `json:"step"`
	Kind  string `json:"step_kind"`
	Index int64  `json:"step_index"`
	countsAnswer
	Workers   int64         `json:"workers"`
	QueueLen  int64         `json:"queue_len"`
	QueueCap  int64         `json:"queue_cap"`
	HeldBack  int64         `json:"held_back"`
	Throttled int64         `json:"throttled"`
	BusyMs    float64       `json:"busy_ms_total"`
	IdleMs    float64       `json:"idle_ms_total"`
	BlockedMs float64       `json:"blocked_ms_total"`
	Latency   latencyAnswer `json:"lat_ms"`
	OldestMs  int64         `json:"oldest_inflight_ms"`
	Circuits  int64         `json:"circuits_open"`
}

type sinkAnswer struct {
	Name string `json:"sink"`
	Kind string `json:"sink_kind"`
	countsAnswer
	Write latencyAnswer `json:"write_ms"`
}

type errorAnswer struct {
	Step      string `json:"step"`
	Type      string `json:"error_type"`
	Total     int64  `json:"count_total"`
	Message   string `json:"sample_message"`
	Topic     string `json:"sample_topic"`
	Partition int64  `json:"sample_partition"`
	Offset    int64  `json:"sample_offset"`
}

type errorsAnswer struct {
	Pipelines []struct {
		Pipeline string        `json:"pipeline"`
		Errors   []errorAnswer `json:"errors"`
	} `json:"pipelines"`
}

type whyAnswer struct {
	Pipelines []struct {
		Pipeline string `json:"pipeline"`
		Holds    []struct {
			Says string `json:"says"`
		} `json:"holds"`
	} `json:"pipelines"`
}
