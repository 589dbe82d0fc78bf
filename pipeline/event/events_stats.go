package event

// This file has the events that come at intervals, with figures. registry.go says what the tags mean.

// SourcePartitionStats is source.partition.stats: every 60 s, each partition.
type SourcePartitionStats struct {
	Topic           string `json:"topic" required:"true"`
	Partition       int64  `json:"partition"`
	Generation      int64  `json:"generation"`
	OffsetCommitted int64  `json:"offset_committed" unknown:"-1"`
	OffsetFetched   int64  `json:"offset_fetched" unknown:"-1"`
	OffsetHWM       int64  `json:"offset_hwm" unknown:"-1"`
	Lag             int64  `json:"lag" unknown:"-1"`
	LagUnit         string `json:"lag_unit" enum:"bytes" since:"1.1"`
	LagHeld         int64  `json:"lag_held"`
	LagAgeMs        int64  `json:"lag_age_ms" unknown:"-1"`
	Uncommitted     int64  `json:"uncommitted" unknown:"-1"`
	CommitAgeMs     int64  `json:"commit_age_ms" unknown:"-1"`
	Paused          bool   `json:"paused" since:"1.1"`
	PausedBy        string `json:"paused_by" enum:"command" since:"1.1"`
}

// PipelineStats is pipeline.stats: every stats interval and once at the end.
//
// Reason for its size: it is one line of the log, which is flat: a field for each figure.
type PipelineStats struct {
	IntervalMs       int64   `json:"interval_ms"`
	State            string  `json:"state" required:"true" enum:"starting,running,paused@1.1,draining,stopped"`
	RecordsIn        int64   `json:"records_in"`
	RecordsOut       int64   `json:"records_out"`
	Created          int64   `json:"created"`
	Filtered         int64   `json:"filtered"`
	Rejected         int64   `json:"rejected"`
	Abandoned        int64   `json:"abandoned"`
	Errors           int64   `json:"errors"`
	Retries          int64   `json:"retries"`
	RecordsInTotal   int64   `json:"records_in_total"`
	RecordsOutTotal  int64   `json:"records_out_total"`
	CreatedTotal     int64   `json:"created_total"`
	FilteredTotal    int64   `json:"filtered_total"`
	RejectedTotal    int64   `json:"rejected_total"`
	AbandonedTotal   int64   `json:"abandoned_total"`
	ErrorsTotal      int64   `json:"errors_total"`
	RetriesTotal     int64   `json:"retries_total"`
	RateIn           float64 `json:"rate_in"`
	RateOut          float64 `json:"rate_out"`
	BytesIn          int64   `json:"bytes_in"`
	BytesOut         int64   `json:"bytes_out"`
	Inflight         int64   `json:"inflight"`
	InflightBytes    int64   `json:"inflight_bytes"`
	E2EP50Ms         float64 `json:"e2e_p50_ms"`
	E2EP95Ms         float64 `json:"e2e_p95_ms"`
	E2EP99Ms         float64 `json:"e2e_p99_ms"`
	E2EMaxMs         float64 `json:"e2e_max_ms"`
	LagSum           int64   `json:"lag_sum" unknown:"-1"`
	LagMax           int64   `json:"lag_max" unknown:"-1"`
	LagUnit          string  `json:"lag_unit" enum:"bytes" since:"1.1"`
	CommitAgeMaxMs   int64   `json:"commit_age_max_ms"`
	OldestInflightMs int64   `json:"oldest_inflight_ms"`
	PausedBy         string  `json:"paused_by" enum:"dead_letter_budget,command" since:"1.1"`
	PausedLanes      int64   `json:"paused_lanes" since:"1.1"`
	Skipped          int64   `json:"skipped" since:"1.1"`
	Backpressure     string  `json:"backpressure" enum:"ok,low,high"`
	BottleneckStep   string  `json:"bottleneck_step"`
	ConfigHash       string  `json:"config_hash"`
	Goroutines       int64   `json:"goroutines"`
	HeapBytes        int64   `json:"heap_bytes"`
}

// StepStats is step.stats: every stats interval and once at the end, each step.
//
// Reason for its size: it is one line of the log, which is flat: a field for each figure.
type StepStats struct {
	Step              string  `json:"step" required:"true"`
	StepKind          string  `json:"step_kind" required:"true"`
	StepIndex         int64   `json:"step_index"`
	IntervalMs        int64   `json:"interval_ms"`
	RecordsIn         int64   `json:"records_in"`
	RecordsOut        int64   `json:"records_out"`
	Created           int64   `json:"created"`
	Filtered          int64   `json:"filtered"`
	Rejected          int64   `json:"rejected"`
	Abandoned         int64   `json:"abandoned"`
	Errors            int64   `json:"errors"`
	Retries           int64   `json:"retries"`
	RecordsInTotal    int64   `json:"records_in_total"`
	RecordsOutTotal   int64   `json:"records_out_total"`
	CreatedTotal      int64   `json:"created_total"`
	FilteredTotal     int64   `json:"filtered_total"`
	RejectedTotal     int64   `json:"rejected_total"`
	AbandonedTotal    int64   `json:"abandoned_total"`
	ErrorsTotal       int64   `json:"errors_total"`
	RetriesTotal      int64   `json:"retries_total"`
	RateIn            float64 `json:"rate_in"`
	RateOut           float64 `json:"rate_out"`
	Workers           int64   `json:"workers"`
	Inflight          int64   `json:"inflight"`
	QueueLen          int64   `json:"queue_len"`
	QueueCap          int64   `json:"queue_cap"`
	QueueFillMaxRatio float64 `json:"queue_fill_max_ratio"`
	HeldBack          int64   `json:"held_back"`
	BusyRatio         float64 `json:"busy_ratio"`
	IdleRatio         float64 `json:"idle_ratio"`
	BlockedRatio      float64 `json:"blocked_ratio"`
	LatP50Ms          float64 `json:"lat_p50_ms"`
	LatP95Ms          float64 `json:"lat_p95_ms"`
	LatP99Ms          float64 `json:"lat_p99_ms"`
	LatMaxMs          float64 `json:"lat_max_ms"`
	WindowLen         int64   `json:"window_len" unknown:"-1"`
	WindowCap         int64   `json:"window_cap" unknown:"-1"`
	Throttled         int64   `json:"throttled" since:"1.1"`
	ThrottleWaitMs    int64   `json:"throttle_wait_ms" since:"1.1"`
	OldestInflightMs  int64   `json:"oldest_inflight_ms"`
	CacheHits         int64   `json:"cache_hits"`
	CacheMisses       int64   `json:"cache_misses"`
	CacheStale        int64   `json:"cache_stale" since:"1.1"`
	CallsJoined       int64   `json:"calls_joined" since:"1.1"`
	CircuitsOpen      int64   `json:"circuits_open" since:"1.1"`
}

// SinkStats is sink.stats: every stats interval and once at the end, each sink.
//
// Reason for its size: it is one line of the log, which is flat: a field for each figure.
type SinkStats struct {
	Sink            string  `json:"sink" required:"true"`
	SinkKind        string  `json:"sink_kind" required:"true"`
	IntervalMs      int64   `json:"interval_ms"`
	RecordsIn       int64   `json:"records_in"`
	RecordsOut      int64   `json:"records_out"`
	Filtered        int64   `json:"filtered"`
	Rejected        int64   `json:"rejected"`
	Abandoned       int64   `json:"abandoned"`
	Errors          int64   `json:"errors"`
	RecordsInTotal  int64   `json:"records_in_total"`
	RecordsOutTotal int64   `json:"records_out_total"`
	FilteredTotal   int64   `json:"filtered_total"`
	RejectedTotal   int64   `json:"rejected_total"`
	AbandonedTotal  int64   `json:"abandoned_total"`
	ErrorsTotal     int64   `json:"errors_total"`
	RetriesTotal    int64   `json:"retries_total"`
	Inflight        int64   `json:"inflight"`
	Batches         int64   `json:"batches"`
	BatchRecordsP50 int64   `json:"batch_records_p50" unknown:"-1"`
	BatchRecordsMax int64   `json:"batch_records_max" unknown:"-1"`
	WriteP50Ms      float64 `json:"write_p50_ms"`
	WriteP99Ms      float64 `json:"write_p99_ms"`
	Retries         int64   `json:"retries"`
	Clients         int64   `json:"clients" unknown:"-1" since:"1.1"`
	ClientsDropped  int64   `json:"clients_dropped" unknown:"-1" since:"1.1"`
}

// ErrorStats is error.stats: every stats interval, each step or sink and error type that had errors
// (20 types at most, the rest as _other).
type ErrorStats struct {
	Step            string `json:"step" required:"true"`
	ErrorType       string `json:"error_type" required:"true"`
	Count           int64  `json:"count"`
	CountTotal      int64  `json:"count_total"`
	SampleMessage   string `json:"sample_message" max:"256"`
	SampleTopic     string `json:"sample_topic"`
	SamplePartition int64  `json:"sample_partition" with:"sample_topic"`
	SampleOffset    int64  `json:"sample_offset" with:"sample_topic"`
}
