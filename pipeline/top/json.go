package top

import (
	"encoding/json"
	"io"
	"math"
	"time"
)

// The object that WriteJSON writes. What is not known is left out.

type viewJSON struct {
	Time      *time.Time     `json:"time,omitempty"`
	Source    string         `json:"source"`
	Problem   string         `json:"problem,omitempty"`
	Instances []instanceJSON `json:"instances"`
	Pipelines []pipelineJSON `json:"pipelines"`
	LeftOut   int            `json:"left_out,omitempty"`
}

type instanceJSON struct {
	Instance   string      `json:"instance"`
	State      string      `json:"state"`
	Version    string      `json:"version,omitempty"`
	ConfigHash string      `json:"config_hash,omitempty"`
	Started    *time.Time  `json:"started,omitempty"`
	Seen       time.Time   `json:"seen"`
	UptimeMs   *int64      `json:"uptime_ms,omitempty"`
	Reason     string      `json:"reason,omitempty"`
	ExitCode   *int64      `json:"exit_code,omitempty"`
	Totals     *totalsJSON `json:"totals,omitempty"`
	Stale      string      `json:"stale,omitempty"`
	LogDropped int64       `json:"log_dropped_total,omitempty"`
}

type totalsJSON struct {
	In        int64 `json:"records_in_total"`
	Out       int64 `json:"records_out_total"`
	Created   int64 `json:"created_total"`
	Filtered  int64 `json:"filtered_total"`
	Rejected  int64 `json:"rejected_total"`
	Abandoned int64 `json:"abandoned_total"`
}

type countsJSON struct {
	totalsJSON
	Errors   int64    `json:"errors_total"`
	Retries  int64    `json:"retries_total"`
	InFlight int64    `json:"inflight"`
	RateIn   *float64 `json:"rate_in,omitempty"`
	RateOut  *float64 `json:"rate_out,omitempty"`
	RateErr  *float64 `json:"rate_errors,omitempty"`
	RateRej  *float64 `json:"rate_rejected,omitempty"`
}

type latencyJSON struct {
	P50 *float64 `json:"p50,omitempty"`
	P95 *float64 `json:"p95,omitempty"`
	P99 *float64 `json:"p99,omitempty"`
	Max *float64 `json:"max,omitempty"`
}

// Reason for its size: it has all figures of a pipeline, which stand in one object.
type pipelineJSON struct {
	Pipeline  string         `json:"pipeline"`
	State     string         `json:"state"`
	States    map[string]int `json:"states"`
	Instances int            `json:"instances"`
	Mean      bool           `json:"mean,omitempty"`
	Error     string         `json:"error,omitempty"`
	countsJSON
	IntervalMs    int64           `json:"interval_ms"`
	E2E           latencyJSON     `json:"e2e_ms"`
	LagSum        *int64          `json:"lag_sum,omitempty"`
	LagMax        *int64          `json:"lag_max,omitempty"`
	LagUnit       string          `json:"lag_unit,omitempty"`
	LagAgeMs      *int64          `json:"lag_age_ms,omitempty"`
	CommitAgeMs   int64           `json:"commit_age_max_ms"`
	OldestMs      int64           `json:"oldest_inflight_ms"`
	InFlightBytes int64           `json:"inflight_bytes"`
	Backpressure  string          `json:"backpressure,omitempty"`
	Bottleneck    string          `json:"bottleneck_step,omitempty"`
	PausedBy      string          `json:"paused_by,omitempty"`
	PausedLanes   int64           `json:"paused_lanes,omitempty"`
	Skipped       int64           `json:"skipped,omitempty"`
	Wrong         []string        `json:"wrong,omitempty"`
	Steps         []stepJSON      `json:"steps"`
	Partitions    []partitionJSON `json:"partitions,omitempty"`
	Errors        []errorJSON     `json:"errors,omitempty"`
}

type stepJSON struct {
	Step string `json:"step"`
	Kind string `json:"kind"`
	Role Role   `json:"role"`
	countsJSON
	Workers  *int64      `json:"workers,omitempty"`
	QueueLen *int64      `json:"queue_len,omitempty"`
	QueueCap *int64      `json:"queue_cap,omitempty"`
	Fill     *float64    `json:"queue_fill_ratio,omitempty"`
	Busy     *float64    `json:"busy_ratio,omitempty"`
	Idle     *float64    `json:"idle_ratio,omitempty"`
	Blocked  *float64    `json:"blocked_ratio,omitempty"`
	Latency  latencyJSON `json:"latency_ms"`
	OldestMs *int64      `json:"oldest_inflight_ms,omitempty"`
}

type partitionJSON struct {
	Topic       string `json:"topic"`
	Partition   int64  `json:"partition"`
	Committed   *int64 `json:"offset_committed,omitempty"`
	End         *int64 `json:"offset_hwm,omitempty"`
	Lag         *int64 `json:"lag,omitempty"`
	LagUnit     string `json:"lag_unit,omitempty"`
	AgeMs       *int64 `json:"lag_age_ms,omitempty"`
	CommitAgeMs *int64 `json:"commit_age_ms,omitempty"`
	Paused      bool   `json:"paused"`
	PausedBy    string `json:"paused_by,omitempty"`
	Instance    string `json:"instance"`
}

type errorJSON struct {
	Step   string   `json:"step"`
	Type   string   `json:"error_type"`
	Total  int64    `json:"count_total"`
	Rate   *float64 `json:"rate,omitempty"`
	Sample string   `json:"sample_message,omitempty"`
	Topic  string   `json:"sample_topic,omitempty"`
	Part   *int64   `json:"sample_partition,omitempty"`
	Offset *int64   `json:"sample_offset,omitempty"`
}

func aFloat(f float64) *float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	f = math.Round(f*1000) / 1000
	return &f
}

func anInt(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

func totalsOf(c *Counts) totalsJSON {
	return totalsJSON{c.In, c.Out, c.Created, c.Filtered, c.Rejected, c.Abandoned}
}

func countsOf(c *Counts, r Rates) countsJSON {
	return countsJSON{totalsOf(c), c.Errors, c.Retries, c.InFlight, aFloat(r.In), aFloat(r.Out), aFloat(r.Errors), aFloat(r.Rejected)}
}

func latencyOf(l Latency) latencyJSON {
	return latencyJSON{aFloat(l.P50), aFloat(l.P95), aFloat(l.P99), aFloat(l.Max)}
}

// WriteJSON writes a view as one JSON object in a line.
func WriteJSON(w io.Writer, v *View) error {
	out := viewJSON{Source: v.Source, Problem: v.Problem, Instances: []instanceJSON{}, Pipelines: []pipelineJSON{}, LeftOut: v.LeftOut}
	if !v.At.IsZero() {
		at := v.At.UTC()
		out.Time = &at
	}
	for _, in := range v.Instances {
		j := instanceJSON{Instance: in.ID, State: in.State, Version: in.Version, ConfigHash: in.ConfigHash, Seen: in.Seen.UTC(), UptimeMs: anInt(in.UptimeMs),
			Reason: in.Reason, ExitCode: anInt(in.ExitCode), Stale: in.Stale, LogDropped: in.LogDropped}
		if !in.Started.IsZero() {
			at := in.Started.UTC()
			j.Started = &at
		}
		if in.Totals != nil {
			totals := totalsOf(in.Totals)
			j.Totals = &totals
		}
		out.Instances = append(out.Instances, j)
	}
	for i := range v.Pipelines {
		out.Pipelines = append(out.Pipelines, pipelineObject(&v.Pipelines[i]))
	}
	return json.NewEncoder(w).Encode(out)
}

func pipelineObject(p *Pipeline) pipelineJSON {
	j := pipelineJSON{
		Pipeline: p.Name, State: p.State, States: p.States, Instances: p.Of, Mean: p.Mean, Error: p.Error, countsJSON: countsOf(&p.Counts, p.Rate),
		IntervalMs: p.IntervalMs, E2E: latencyOf(p.E2E), LagSum: anInt(p.Lag.Sum), LagMax: anInt(p.Lag.Max), LagUnit: p.Lag.Unit, LagAgeMs: anInt(p.Lag.AgeMs),
		CommitAgeMs: p.CommitAgeMs, OldestMs: p.OldestMs, InFlightBytes: p.InFlightBytes, Backpressure: p.Backpressure, Bottleneck: p.Bottleneck,
		PausedBy: p.PausedBy, PausedLanes: p.PausedLanes, Skipped: p.Skipped,
		Steps: []stepJSON{},
	}
	if p.Away != "" {
		j.Wrong = append(j.Wrong, p.Away)
	}
	j.Wrong = append(j.Wrong, p.Notes...)
	for i := range p.Steps {
		s := &p.Steps[i]
		j.Steps = append(j.Steps, stepJSON{
			Step: s.Name, Kind: s.Kind, Role: s.Role, countsJSON: countsOf(&s.Counts, s.Rate), Workers: anInt(s.Workers), QueueLen: anInt(s.Queue.Len),
			QueueCap: anInt(s.Queue.Cap), Fill: aFloat(s.Queue.Fill), Busy: aFloat(s.Shares.Busy), Idle: aFloat(s.Shares.Idle), Blocked: aFloat(s.Shares.Blocked),
			Latency: latencyOf(s.Latency), OldestMs: anInt(s.OldestMs),
		})
	}
	for _, f := range p.Partitions {
		j.Partitions = append(j.Partitions, partitionJSON{f.Topic, f.Partition, anInt(f.Committed), anInt(f.End), anInt(f.Lag), f.LagUnit, anInt(f.AgeMs), anInt(f.CommitAgeMs), f.Paused, f.PausedBy, f.Instance})
	}
	for _, e := range p.Errors {
		one := errorJSON{Step: e.Step, Type: e.Type, Total: e.Total, Rate: aFloat(e.Rate), Sample: e.Sample, Topic: e.Topic}
		if e.Topic != "" {
			one.Part, one.Offset = anInt(e.Partition), anInt(e.Offset)
		}
		j.Errors = append(j.Errors, one)
	}
	return j
}
