package admin

import (
	"math"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
)

// The answer of /api/v1/stats: the same figures under the same names as in the stats
// events, all of them totals since the start but those of the last interval, which
// are in the objects latency, write and batch_records.

type statsJSON struct {
	Pipelines []pipelineJSON `json:"pipelines"`
	Log       *logJSON       `json:"log,omitempty"`
}

// logJSON are the lines of the log: of those that nobody reads this alone is to be seen.
type logJSON struct {
	Written int64 `json:"written_total"`
	Dropped int64 `json:"dropped_total"`
	Waiting int64 `json:"waiting"`
}

type countsJSON struct {
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

// Percentiles of nothing are left out: 0 would be a figure.
type percentilesJSON struct {
	Count int64    `json:"count"`
	P50   *float64 `json:"p50,omitempty"`
	P95   *float64 `json:"p95,omitempty"`
	P99   *float64 `json:"p99,omitempty"`
	Max   *float64 `json:"max,omitempty"`
}

type pipelineJSON struct {
	Pipeline  string `json:"pipeline"`
	State     string `json:"state"`
	Error     string `json:"error,omitempty"`
	StartedAt string `json:"started,omitempty"` // absent: it has not
	At        string `json:"timestamp"`
	countsJSON
	InFlightBytes    int64           `json:"inflight_bytes"`
	BytesIn          int64           `json:"bytes_in_total"`
	BytesOut         int64           `json:"bytes_out_total"`
	Latency          percentilesJSON `json:"e2e_ms"`
	CommitAgeMaxMs   int64           `json:"commit_age_max_ms"`
	OldestInflightMs int64           `json:"oldest_inflight_ms"`
	Backpressure     string          `json:"backpressure"`
	Bottleneck       string          `json:"bottleneck_step,omitempty"`
	DeadLetters      int64           `json:"dead_letters_total"`
	Source           sourceJSON      `json:"source"`
	Steps            []stepJSON      `json:"steps"`
	Sinks            []sinkJSON      `json:"sinks"`
}

type stepJSON struct {
	Step  string `json:"step"`
	Kind  string `json:"step_kind"`
	Index int    `json:"step_index"`
	countsJSON
	Workers          int             `json:"workers"`
	QueueLen         int             `json:"queue_len"`
	QueueCap         int             `json:"queue_cap"`
	HeldBack         int             `json:"held_back"`
	WindowLen        int             `json:"window_len"`
	WindowCap        int             `json:"window_cap"`
	BusyMs           int64           `json:"busy_ms_total"`
	IdleMs           int64           `json:"idle_ms_total"`
	BlockedMs        int64           `json:"blocked_ms_total"`
	Latency          percentilesJSON `json:"lat_ms"`
	OldestInflightMs int64           `json:"oldest_inflight_ms"`
	reportJSON
}

type sinkJSON struct {
	Sink string `json:"sink"`
	Kind string `json:"sink_kind"`
	countsJSON
	Batches      int64           `json:"batches_total"`
	BatchRecords percentilesJSON `json:"batch_records"`
	Write        percentilesJSON `json:"write_ms"`
	reportJSON
}

type reportJSON struct {
	CacheHits   int64 `json:"cache_hits_total,omitempty"`
	CacheMisses int64 `json:"cache_misses_total,omitempty"`
}

type sourceJSON struct {
	Connected  bool            `json:"connected"`
	Generation int64           `json:"generation,omitempty"`
	LagSum     *int64          `json:"lag_sum,omitempty"` // absent: not known, like all that follows
	LagMax     *int64          `json:"lag_max,omitempty"`
	Partitions []partitionJSON `json:"partitions,omitempty"`
}

type partitionJSON struct {
	Topic      string `json:"topic"`
	Partition  int32  `json:"partition"`
	Generation int64  `json:"generation,omitempty"`
	Committed  *int64 `json:"offset_committed,omitempty"`
	Fetched    *int64 `json:"offset_fetched,omitempty"`
	HWM        *int64 `json:"offset_hwm,omitempty"`
	Lag        *int64 `json:"lag,omitempty"`
	LagHeld    int64  `json:"lag_held"`
}

func (s *Server) stats() statsJSON {
	out := statsOf(s.options.Snapshots())
	if s.options.Log != nil {
		c := s.options.Log()
		out.Log = &logJSON{Written: c.Written, Dropped: c.Dropped, Waiting: c.Waiting}
	}
	return out
}

func statsOf(all []engine.Snapshot) statsJSON {
	out := statsJSON{Pipelines: make([]pipelineJSON, 0, len(all))}
	for i := range all {
		out.Pipelines = append(out.Pipelines, pipelineOf(&all[i]))
	}
	return out
}

func pipelineOf(s *engine.Snapshot) pipelineJSON {
	p := pipelineJSON{
		Pipeline: s.Pipeline, State: s.State, StartedAt: stamp(s.Started), At: stamp(s.At), countsJSON: countsOf(s.Counts),
		InFlightBytes: s.InFlightBytes, BytesIn: s.BytesIn, BytesOut: s.BytesOut, Latency: percentilesOf(s.Latency),
		CommitAgeMaxMs: s.CommitAgeMax.Milliseconds(), OldestInflightMs: s.OldestInFlight.Milliseconds(),
		Backpressure: s.Backpressure, Bottleneck: s.Bottleneck, DeadLetters: s.DeadLetterCount,
		Source: sourceOf(s.Source), Steps: []stepJSON{}, Sinks: []sinkJSON{},
	}
	if s.Err != nil {
		p.Error = s.Err.Error()
	}
	for _, st := range s.Steps {
		p.Steps = append(p.Steps, stepJSON{
			Step: st.Name, Kind: st.Kind, Index: st.Index, countsJSON: countsOf(st.Counts), Workers: st.Workers,
			QueueLen: st.QueueLen, QueueCap: st.QueueCap, HeldBack: st.HeldBack, WindowLen: st.WindowLen, WindowCap: st.WindowCap,
			BusyMs: st.Busy.Milliseconds(), IdleMs: st.Idle.Milliseconds(), BlockedMs: st.Blocked.Milliseconds(),
			Latency: percentilesOf(st.Latency), OldestInflightMs: st.OldestInFlight.Milliseconds(), reportJSON: reportOf(st.Report),
		})
	}
	for _, sk := range s.Sinks {
		p.Sinks = append(p.Sinks, sinkJSON{
			Sink: sk.Name, Kind: sk.Kind, countsJSON: countsOf(sk.Counts), Batches: sk.Batches,
			BatchRecords: percentilesOf(sk.BatchRecords), Write: percentilesOf(sk.Write), reportJSON: reportOf(sk.Report),
		})
	}
	return p
}

func sourceOf(r pipeline.Report) sourceJSON {
	s := sourceJSON{Connected: r.Connected, Generation: r.Generation}
	sum, most := r.Lag()
	s.LagSum, s.LagMax = known(sum), known(most)
	for _, p := range r.Partitions {
		s.Partitions = append(s.Partitions, partitionJSON{
			Topic: p.Topic, Partition: p.Partition, Generation: p.Generation, Committed: known(p.Committed), Fetched: known(p.Fetched),
			HWM: known(p.HighWatermark), Lag: known(p.Lag()), LagHeld: p.Held,
		})
	}
	return s
}

// known leaves out what stands for not known: a number below 0.
func known(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

func countsOf(c engine.Counts) countsJSON {
	return countsJSON{
		In: c.In, Out: c.Out, Created: c.Created, Filtered: c.Filtered, Rejected: c.Rejected, Abandoned: c.Abandoned,
		Errors: c.Errors, Retries: c.Retries, InFlight: c.InFlight,
	}
}

func reportOf(r pipeline.Report) reportJSON {
	return reportJSON{CacheHits: r.CacheHits, CacheMisses: r.CacheMisses}
}

func percentilesOf(l engine.Latency) percentilesJSON {
	if l.Count == 0 {
		return percentilesJSON{}
	}
	return percentilesJSON{Count: l.Count, P50: decimals(l.P50), P95: decimals(l.P95), P99: decimals(l.P99), Max: decimals(l.Max)}
}

// decimals rounds to three, and leaves out what has no JSON form.
func decimals(f float64) *float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	f = math.Round(f*1000) / 1000
	return &f
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
