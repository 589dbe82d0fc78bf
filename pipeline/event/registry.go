package event

// The events of schema 1.0. A struct is one event, its comment says when it is
// emitted, its json tags are the keys.

// ProcessStarted is process.started: once, at start-up.
type ProcessStarted struct {
	ServiceVersion string `json:"service_version"`
	VCSRevision    string `json:"vcs_revision"`
	GoVersion      string `json:"go_version"`
	ConfigHash     string `json:"config_hash"`
	ConfigPath     string `json:"config_path"`
	AdminAddr      string `json:"admin_addr"`
}

// ProcessReady is process.ready: the pipelines are connected and may make progress.
type ProcessReady struct {
	StartupMs int64 `json:"startup_ms"`
}

// ProcessUnready is process.unready: a pipeline that was ready is not any more.
type ProcessUnready struct {
	Reason string `json:"reason"`
}

// ProcessStopping is process.stopping: the first signal, or the end of the pipelines.
type ProcessStopping struct {
	Reason         string `json:"reason"`
	Signal         string `json:"signal"`
	DrainTimeoutMs int64  `json:"drain_timeout_ms"`
	Inflight       int64  `json:"inflight"`
}

// ProcessStopped is process.stopped: the last line.
type ProcessStopped struct {
	ExitCode        int64  `json:"exit_code"`
	Reason          string `json:"reason"`
	UptimeMs        int64  `json:"uptime_ms"`
	DrainMs         int64  `json:"drain_ms"`
	RecordsInTotal  int64  `json:"records_in_total"`
	RecordsOutTotal int64  `json:"records_out_total"`
	FilteredTotal   int64  `json:"filtered_total"`
	RejectedTotal   int64  `json:"rejected_total"`
	Abandoned       int64  `json:"abandoned"`
}

// ConfigApplied is config.applied: start, and reload.
type ConfigApplied struct {
	ConfigHash     string `json:"config_hash"`
	ConfigHashPrev string `json:"config_hash_prev"`
	Trigger        string `json:"trigger"`
	ChangedSteps   string `json:"changed_steps"`
}

// ConfigRejected is config.rejected: a file with errors was refused.
type ConfigRejected struct {
	ConfigHash string `json:"config_hash"`
	Trigger    string `json:"trigger"`
	ErrorCount int64  `json:"error_count"`
	ErrorFirst string `json:"error_first"`
}

// SourceAssigned is source.assigned: partitions came with a generation.
type SourceAssigned struct {
	ConsumerGroup string `json:"consumer_group"`
	Generation    int64  `json:"generation"`
	Partitions    int64  `json:"partitions"`
	PartitionList string `json:"partition_list"`
	MemberID      string `json:"member_id"`
}

// SourceRevoked is source.revoked: partitions went.
type SourceRevoked struct {
	ConsumerGroup    string `json:"consumer_group"`
	Generation       int64  `json:"generation"`
	Partitions       int64  `json:"partitions"`
	PartitionList    string `json:"partition_list"`
	Reason           string `json:"reason"`
	InflightAtRevoke int64  `json:"inflight_at_revoke"`
	Drained          int64  `json:"drained"`
	Abandoned        int64  `json:"abandoned"`
}

// SourceConnected is source.connected: the broker answers again.
type SourceConnected struct {
	Broker string `json:"broker"`
	DownMs int64  `json:"down_ms"`
}

// SourceDisconnected is source.disconnected: the broker does not answer.
type SourceDisconnected struct {
	Broker       string `json:"broker"`
	ErrorType    string `json:"error_type"`
	ErrorMessage string `json:"error_message"`
}

// SourcePartitionStats is source.partition.stats: every 60 s, each partition.
type SourcePartitionStats struct {
	Topic           string `json:"topic"`
	Partition       int64  `json:"partition"`
	Generation      int64  `json:"generation"`
	OffsetCommitted int64  `json:"offset_committed"`
	OffsetFetched   int64  `json:"offset_fetched"`
	OffsetHWM       int64  `json:"offset_hwm"`
	Lag             int64  `json:"lag"`
	LagAgeMs        int64  `json:"lag_age_ms"`
	Uncommitted     int64  `json:"uncommitted"`
	CommitAgeMs     int64  `json:"commit_age_ms"`
	Paused          bool   `json:"paused"`
}

// SourceGap is source.gap: offsets that were committed or expected do not exist.
type SourceGap struct {
	Topic      string `json:"topic"`
	Partition  int64  `json:"partition"`
	OffsetFrom int64  `json:"offset_from"`
	OffsetTo   int64  `json:"offset_to"`
	Reason     string `json:"reason"`
	Policy     string `json:"policy"`
}

// SourceCorrupt is source.corrupt: a batch that cannot be read.
type SourceCorrupt struct {
	Topic      string `json:"topic"`
	Partition  int64  `json:"partition"`
	OffsetFrom int64  `json:"offset_from"`
	OffsetTo   int64  `json:"offset_to"`
	Reason     string `json:"reason"`
	Policy     string `json:"policy"`
}

// PipelineStats is pipeline.stats: every stats interval and once at the end.
type PipelineStats struct {
	IntervalMs       int64   `json:"interval_ms"`
	State            string  `json:"state"`
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
	LagSum           int64   `json:"lag_sum"`
	LagMax           int64   `json:"lag_max"`
	CommitAgeMaxMs   int64   `json:"commit_age_max_ms"`
	OldestInflightMs int64   `json:"oldest_inflight_ms"`
	Backpressure     string  `json:"backpressure"`
	BottleneckStep   string  `json:"bottleneck_step"`
	ConfigHash       string  `json:"config_hash"`
	Goroutines       int64   `json:"goroutines"`
	HeapBytes        int64   `json:"heap_bytes"`
}

// StepStats is step.stats: every stats interval and once at the end, each step.
type StepStats struct {
	Step              string  `json:"step"`
	StepKind          string  `json:"step_kind"`
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
	BusyRatio         float64 `json:"busy_ratio"`
	IdleRatio         float64 `json:"idle_ratio"`
	BlockedRatio      float64 `json:"blocked_ratio"`
	LatP50Ms          float64 `json:"lat_p50_ms"`
	LatP95Ms          float64 `json:"lat_p95_ms"`
	LatP99Ms          float64 `json:"lat_p99_ms"`
	LatMaxMs          float64 `json:"lat_max_ms"`
	WindowLen         int64   `json:"window_len"`
	WindowCap         int64   `json:"window_cap"`
	OldestInflightMs  int64   `json:"oldest_inflight_ms"`
	CacheHits         int64   `json:"cache_hits"`
	CacheMisses       int64   `json:"cache_misses"`
	ThrottleWaitMs    int64   `json:"throttle_wait_ms"`
}

// SinkStats is sink.stats: every stats interval and once at the end, each sink.
type SinkStats struct {
	Sink            string  `json:"sink"`
	SinkKind        string  `json:"sink_kind"`
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
	BatchRecordsP50 int64   `json:"batch_records_p50"`
	BatchRecordsMax int64   `json:"batch_records_max"`
	WriteP50Ms      float64 `json:"write_p50_ms"`
	WriteP99Ms      float64 `json:"write_p99_ms"`
	Retries         int64   `json:"retries"`
	Circuit         string  `json:"circuit"`
}

// ErrorStats is error.stats: every stats interval, each step or sink and error type that had errors.
type ErrorStats struct {
	Step            string `json:"step"`
	ErrorType       string `json:"error_type"`
	Count           int64  `json:"count"`
	CountTotal      int64  `json:"count_total"`
	SampleMessage   string `json:"sample_message"`
	SampleTopic     string `json:"sample_topic"`
	SamplePartition int64  `json:"sample_partition"`
	SampleOffset    int64  `json:"sample_offset"`
}

// RecordRejected is record.rejected: a record was rejected; limited.
type RecordRejected struct {
	Step         string `json:"step"`
	Reason       string `json:"reason"`
	ErrorType    string `json:"error_type"`
	ErrorMessage string `json:"error_message"`
	Attempt      int64  `json:"attempt"`
	Topic        string `json:"topic"`
	Partition    int64  `json:"partition"`
	Offset       int64  `json:"offset"`
	KeyHash      string `json:"key_hash"`
	DeadLetter   string `json:"dead_letter"`
}

// StepStalled is step.stalled: a record makes no progress in a step.
type StepStalled struct {
	Step             string `json:"step"`
	StalledMs        int64  `json:"stalled_ms"`
	OldestInflightMs int64  `json:"oldest_inflight_ms"`
	Topic            string `json:"topic"`
	Partition        int64  `json:"partition"`
	Offset           int64  `json:"offset"`
	Attempt          int64  `json:"attempt"`
	Holder           string `json:"holder"`
}

// StepRecovered is step.recovered: it goes on.
type StepRecovered struct {
	Step             string `json:"step"`
	StalledMs        int64  `json:"stalled_ms"`
	OldestInflightMs int64  `json:"oldest_inflight_ms"`
	Topic            string `json:"topic"`
	Partition        int64  `json:"partition"`
	Offset           int64  `json:"offset"`
	Attempt          int64  `json:"attempt"`
	Holder           string `json:"holder"`
}

// SinkStalled is sink.stalled: a write makes no progress.
type SinkStalled struct {
	Sink             string `json:"sink"`
	StalledMs        int64  `json:"stalled_ms"`
	OldestInflightMs int64  `json:"oldest_inflight_ms"`
	Topic            string `json:"topic"`
	Partition        int64  `json:"partition"`
	Offset           int64  `json:"offset"`
	Attempt          int64  `json:"attempt"`
	Holder           string `json:"holder"`
	ErrorType        string `json:"error_type"`
	ErrorMessage     string `json:"error_message"`
}

// SinkRecovered is sink.recovered: it goes on.
type SinkRecovered struct {
	Sink             string `json:"sink"`
	StalledMs        int64  `json:"stalled_ms"`
	OldestInflightMs int64  `json:"oldest_inflight_ms"`
	Topic            string `json:"topic"`
	Partition        int64  `json:"partition"`
	Offset           int64  `json:"offset"`
	Attempt          int64  `json:"attempt"`
	Holder           string `json:"holder"`
}

// BackpressureChanged is backpressure.changed: a step's queue fills or empties.
type BackpressureChanged struct {
	Step           string  `json:"step"`
	State          string  `json:"state"`
	QueueFillRatio float64 `json:"queue_fill_ratio"`
}

// CircuitChanged is circuit.changed: a circuit breaker opens or closes.
type CircuitChanged struct {
	Step       string `json:"step"`
	Target     string `json:"target"`
	State      string `json:"state"`
	ErrorType  string `json:"error_type"`
	ErrorCount int64  `json:"error_count"`
}

// CommitFailed is commit.failed: marks could not be committed; they are tried again.
type CommitFailed struct {
	Topic        string `json:"topic"`
	Partition    int64  `json:"partition"`
	Offset       int64  `json:"offset"`
	Generation   int64  `json:"generation"`
	ErrorType    string `json:"error_type"`
	ErrorMessage string `json:"error_message"`
	Attempt      int64  `json:"attempt"`
}

// TransactionAborted is transaction.aborted: a transaction was given up.
type TransactionAborted struct {
	Topic        string `json:"topic"`
	Partition    int64  `json:"partition"`
	Offset       int64  `json:"offset"`
	Generation   int64  `json:"generation"`
	ErrorType    string `json:"error_type"`
	ErrorMessage string `json:"error_message"`
	Attempt      int64  `json:"attempt"`
}

// PanicRecovered is panic.recovered: a stage or sink panicked; limited.
type PanicRecovered struct {
	Step         string `json:"step"`
	ErrorMessage string `json:"error_message"`
	StackHash    string `json:"stack_hash"`
	Topic        string `json:"topic"`
	Partition    int64  `json:"partition"`
	Offset       int64  `json:"offset"`
}

// LogSuppressed is log.suppressed: lines that the limiter held back.
type LogSuppressed struct {
	SuppressedEvent string `json:"suppressed_event"`
	Step            string `json:"step"`
	ErrorType       string `json:"error_type"`
	Count           int64  `json:"count"`
}

// ReplayProgress is replay.progress: every second of a replay.
type ReplayProgress struct {
	Fixture         string  `json:"fixture"`
	RecordsDone     int64   `json:"records_done"`
	RecordsExpected int64   `json:"records_expected"`
	RateIn          float64 `json:"rate_in"`
	EtaMs           int64   `json:"eta_ms"`
}

// ReplayFinished is replay.finished: once.
type ReplayFinished struct {
	Fixture         string  `json:"fixture"`
	RecordsDone     int64   `json:"records_done"`
	RecordsExpected int64   `json:"records_expected"`
	RateIn          float64 `json:"rate_in"`
	Mismatches      int64   `json:"mismatches"`
	DurationMs      int64   `json:"duration_ms"`
}

// Registry lists every event, in the order of the reference page.
var Registry = []Definition{
	{Name: "process.started", Level: Info, When: "once, at start-up", Struct: ProcessStarted{}},
	{Name: "process.ready", Level: Info, When: "the pipelines are connected and may make progress", Struct: ProcessReady{}},
	{Name: "process.unready", Level: Warn, When: "a pipeline that was ready is not any more", Struct: ProcessUnready{}},
	{Name: "process.stopping", Level: Info, When: "the first signal, or the end of the pipelines", Struct: ProcessStopping{}},
	{Name: "process.stopped", Level: Info, When: "the last line", Struct: ProcessStopped{}},
	{Name: "config.applied", Level: Info, When: "start, and reload", Struct: ConfigApplied{}},
	{Name: "config.rejected", Level: Error, When: "a file with errors was refused", Struct: ConfigRejected{}},
	{Name: "source.assigned", Level: Info, When: "partitions came with a generation", Struct: SourceAssigned{}},
	{Name: "source.revoked", Level: Info, When: "partitions went", Struct: SourceRevoked{}},
	{Name: "source.connected", Level: Info, When: "the broker answers again", Struct: SourceConnected{}},
	{Name: "source.disconnected", Level: Warn, When: "the broker does not answer", Struct: SourceDisconnected{}},
	{Name: "source.partition.stats", Level: Info, When: "every 60 s, each partition", Struct: SourcePartitionStats{}},
	{Name: "source.gap", Level: Error, When: "offsets that were committed or expected do not exist", Struct: SourceGap{}},
	{Name: "source.corrupt", Level: Error, When: "a batch that cannot be read", Struct: SourceCorrupt{}},
	{Name: "pipeline.stats", Level: Info, When: "every stats interval and once at the end", Struct: PipelineStats{}},
	{Name: "step.stats", Level: Info, When: "every stats interval and once at the end, each step", Struct: StepStats{}},
	{Name: "sink.stats", Level: Info, When: "every stats interval and once at the end, each sink", Struct: SinkStats{}},
	{Name: "error.stats", Level: Warn, When: "every stats interval, each step or sink and error type that had errors", Struct: ErrorStats{}},
	{Name: "record.rejected", Level: Warn, When: "a record was rejected; limited", Struct: RecordRejected{}},
	{Name: "step.stalled", Level: Error, When: "a record makes no progress in a step", Struct: StepStalled{}},
	{Name: "step.recovered", Level: Info, When: "it goes on", Struct: StepRecovered{}},
	{Name: "sink.stalled", Level: Error, When: "a write makes no progress", Struct: SinkStalled{}},
	{Name: "sink.recovered", Level: Info, When: "it goes on", Struct: SinkRecovered{}},
	{Name: "backpressure.changed", Level: Info, When: "a step's queue fills or empties", Struct: BackpressureChanged{}},
	{Name: "circuit.changed", Level: Warn, When: "a circuit breaker opens or closes", Struct: CircuitChanged{}},
	{Name: "commit.failed", Level: Error, When: "marks could not be committed; they are tried again", Struct: CommitFailed{}},
	{Name: "transaction.aborted", Level: Error, When: "a transaction was given up", Struct: TransactionAborted{}},
	{Name: "panic.recovered", Level: Error, When: "a stage or sink panicked; limited", Struct: PanicRecovered{}},
	{Name: "log.suppressed", Level: Info, When: "lines that the limiter held back", Struct: LogSuppressed{}},
	{Name: "replay.progress", Level: Info, When: "every second of a replay", Struct: ReplayProgress{}},
	{Name: "replay.finished", Level: Info, When: "once", Struct: ReplayFinished{}},
}
