package event

// The events of schema 1.0. A struct is one event, its comment says when it is
// emitted, its json tags are the keys. An int64 is always written, a string when it
// is not empty, a float64 when it is a number. Further tags:
//
//   - required: the key is always there; an empty error_type is written as _other
//   - enum: the values that a string may have
//   - max: the most bytes of a string, cut at a whole character
//   - with: written only when that other field of the event is
//   - unknown: the value that stands for not known; the key is then left out
//   - since: the schema that brought the field; none: 1.0

// ProcessStarted is process.started: once, at start-up.
type ProcessStarted struct {
	ServiceVersion string `json:"service_version"`
	VCSRevision    string `json:"vcs_revision"`
	GoVersion      string `json:"go_version"`
	ConfigHash     string `json:"config_hash"`
	ConfigPath     string `json:"config_path"`
	AdminAddr      string `json:"admin_addr"`
	Pipelines      int64  `json:"pipelines"`
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
	Reason         string `json:"reason" required:"true" enum:"signal,completed,failed"`
	Signal         string `json:"signal"`
	DrainTimeoutMs int64  `json:"drain_timeout_ms"`
	Inflight       int64  `json:"inflight"`
}

// ProcessStopped is process.stopped: the last line.
type ProcessStopped struct {
	ExitCode        int64   `json:"exit_code"`
	Reason          string  `json:"reason" required:"true" enum:"completed,signal,drain_timeout,failed,environment,expectation,forced"`
	UptimeMs        int64   `json:"uptime_ms"`
	DrainMs         int64   `json:"drain_ms"`
	RecordsInTotal  int64   `json:"records_in_total"`
	RecordsOutTotal int64   `json:"records_out_total"`
	FilteredTotal   int64   `json:"filtered_total"`
	RejectedTotal   int64   `json:"rejected_total"`
	Abandoned       int64   `json:"abandoned"`
	E2EP50Ms        float64 `json:"e2e_p50_ms"`
	E2EP95Ms        float64 `json:"e2e_p95_ms"`
	E2EP99Ms        float64 `json:"e2e_p99_ms"`
	E2EMaxMs        float64 `json:"e2e_max_ms"`
	ErrorMessage    string  `json:"error_message" max:"512"`
	FailedPipelines string  `json:"failed_pipelines" max:"8192"`
}

// ConfigApplied is config.applied: start, and reload.
type ConfigApplied struct {
	ConfigHash     string `json:"config_hash" required:"true"`
	ConfigHashPrev string `json:"config_hash_prev"`
	Trigger        string `json:"trigger" required:"true" enum:"start,sighup,api,watch"`
	ChangedSteps   string `json:"changed_steps"`
}

// ConfigRejected is config.rejected: a file with errors was refused.
type ConfigRejected struct {
	ConfigHash string `json:"config_hash"`
	Trigger    string `json:"trigger" required:"true" enum:"start,sighup,api,watch"`
	ErrorCount int64  `json:"error_count"`
	ErrorFirst string `json:"error_first" required:"true" max:"512"`
}

// SourceAssigned is source.assigned: partitions came with a generation.
type SourceAssigned struct {
	ConsumerGroup string `json:"consumer_group"`
	Generation    int64  `json:"generation"`
	Partitions    int64  `json:"partitions"`
	PartitionList string `json:"partition_list" max:"8192"`
	MemberID      string `json:"member_id"`
}

// SourceRevoked is source.revoked: partitions went.
type SourceRevoked struct {
	ConsumerGroup    string `json:"consumer_group"`
	Generation       int64  `json:"generation"`
	Partitions       int64  `json:"partitions"`
	PartitionList    string `json:"partition_list" max:"8192"`
	Reason           string `json:"reason"`
	InflightAtRevoke int64  `json:"inflight_at_revoke"`
	Drained          int64  `json:"drained"`
	Returned         int64  `json:"returned"`
	Abandoned        int64  `json:"abandoned"`
}

// SourceConnected is source.connected: the broker answers again.
type SourceConnected struct {
	Broker string `json:"broker" required:"true"`
	DownMs int64  `json:"down_ms"`
}

// SourceDisconnected is source.disconnected: the broker does not answer.
type SourceDisconnected struct {
	Broker       string `json:"broker" required:"true"`
	ErrorType    string `json:"error_type" required:"true"`
	ErrorMessage string `json:"error_message" max:"512"`
}

// SourcePartitionStats is source.partition.stats: every 60 s, each partition.
type SourcePartitionStats struct {
	Topic           string `json:"topic" required:"true"`
	Partition       int64  `json:"partition"`
	Generation      int64  `json:"generation"`
	OffsetCommitted int64  `json:"offset_committed" unknown:"-1"`
	OffsetFetched   int64  `json:"offset_fetched" unknown:"-1"`
	OffsetHWM       int64  `json:"offset_hwm" unknown:"-1"`
	Lag             int64  `json:"lag" unknown:"-1"`
	LagHeld         int64  `json:"lag_held"`
	LagAgeMs        int64  `json:"lag_age_ms" unknown:"-1"`
	Uncommitted     int64  `json:"uncommitted" unknown:"-1"`
	CommitAgeMs     int64  `json:"commit_age_ms" unknown:"-1"`
}

// SourceGap is source.gap: offsets that were committed or expected do not exist.
type SourceGap struct {
	Topic      string `json:"topic" required:"true"`
	Partition  int64  `json:"partition"`
	OffsetFrom int64  `json:"offset_from"`
	OffsetTo   int64  `json:"offset_to"`
	Reason     string `json:"reason" required:"true"`
	Policy     string `json:"policy"`
}

// SourceCorrupt is source.corrupt: a batch that cannot be read.
type SourceCorrupt struct {
	Topic      string `json:"topic" required:"true"`
	Partition  int64  `json:"partition"`
	OffsetFrom int64  `json:"offset_from"`
	OffsetTo   int64  `json:"offset_to"`
	Reason     string `json:"reason" required:"true"`
	Policy     string `json:"policy"`
}

// PipelineStats is pipeline.stats: every stats interval and once at the end.
//
// Reason for its size: it is one line of the log, which is flat: a field for each figure.
type PipelineStats struct {
	IntervalMs       int64   `json:"interval_ms"`
	State            string  `json:"state" required:"true" enum:"starting,running,draining,stopped"`
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
	CommitAgeMaxMs   int64   `json:"commit_age_max_ms"`
	OldestInflightMs int64   `json:"oldest_inflight_ms"`
	Backpressure     string  `json:"backpressure" enum:"ok,low,high"`
	BottleneckStep   string  `json:"bottleneck_step"`
	ConfigHash       string  `json:"config_hash"`
	Goroutines       int64   `json:"goroutines"`
	HeapBytes        int64   `json:"heap_bytes"`
}

// PipelineStopped is pipeline.stopped: one of several pipelines of the process has ended.
type PipelineStopped struct {
	Reason          string `json:"reason" required:"true" enum:"completed,stopping,drain_timeout,failed,environment,forced"`
	UptimeMs        int64  `json:"uptime_ms"`
	RecordsInTotal  int64  `json:"records_in_total"`
	RecordsOutTotal int64  `json:"records_out_total"`
	FilteredTotal   int64  `json:"filtered_total"`
	RejectedTotal   int64  `json:"rejected_total"`
	Abandoned       int64  `json:"abandoned"`
	ErrorMessage    string `json:"error_message" max:"512"`
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
	OldestInflightMs  int64   `json:"oldest_inflight_ms"`
	CacheHits         int64   `json:"cache_hits"`
	CacheMisses       int64   `json:"cache_misses"`
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

// RecordRejected is record.rejected: a record was rejected; limited.
type RecordRejected struct {
	Step         string `json:"step" required:"true"`
	Reason       string `json:"reason" required:"true"`
	ErrorType    string `json:"error_type" required:"true"`
	ErrorMessage string `json:"error_message" max:"512"`
	Attempt      int64  `json:"attempt"`
	Topic        string `json:"topic"`
	Partition    int64  `json:"partition" with:"topic"`
	Offset       int64  `json:"offset" with:"topic"`
	KeyHash      string `json:"key_hash"`
	DeadLetter   string `json:"dead_letter"`
}

// StepStalled is step.stalled: a record makes no progress in a step.
type StepStalled struct {
	Step             string `json:"step" required:"true"`
	StalledMs        int64  `json:"stalled_ms"`
	OldestInflightMs int64  `json:"oldest_inflight_ms"`
	Topic            string `json:"topic"`
	Partition        int64  `json:"partition" with:"topic"`
	Offset           int64  `json:"offset" with:"topic"`
	Attempt          int64  `json:"attempt"`
	Holder           string `json:"holder"`
}

// StepRecovered is step.recovered: it goes on.
type StepRecovered struct {
	Step             string `json:"step" required:"true"`
	StalledMs        int64  `json:"stalled_ms"`
	OldestInflightMs int64  `json:"oldest_inflight_ms"`
	Topic            string `json:"topic"`
	Partition        int64  `json:"partition" with:"topic"`
	Offset           int64  `json:"offset" with:"topic"`
	Attempt          int64  `json:"attempt"`
	Holder           string `json:"holder"`
}

// SinkStalled is sink.stalled: a write makes no progress.
type SinkStalled struct {
	Sink             string `json:"sink" required:"true"`
	StalledMs        int64  `json:"stalled_ms"`
	OldestInflightMs int64  `json:"oldest_inflight_ms"`
	Topic            string `json:"topic"`
	Partition        int64  `json:"partition" with:"topic"`
	Offset           int64  `json:"offset" with:"topic"`
	Attempt          int64  `json:"attempt"`
	Holder           string `json:"holder"`
	ErrorType        string `json:"error_type"`
	ErrorMessage     string `json:"error_message" max:"512"`
}

// SinkRecovered is sink.recovered: it goes on.
type SinkRecovered struct {
	Sink             string `json:"sink" required:"true"`
	StalledMs        int64  `json:"stalled_ms"`
	OldestInflightMs int64  `json:"oldest_inflight_ms"`
	Topic            string `json:"topic"`
	Partition        int64  `json:"partition" with:"topic"`
	Offset           int64  `json:"offset" with:"topic"`
	Attempt          int64  `json:"attempt"`
	Holder           string `json:"holder"`
}

// BackpressureChanged is backpressure.changed: a step's queue fills or empties.
type BackpressureChanged struct {
	Step           string  `json:"step" required:"true"`
	State          string  `json:"state" required:"true" enum:"free,filling,full"`
	QueueFillRatio float64 `json:"queue_fill_ratio"`
}

// CommitFailed is commit.failed: marks could not be committed, or not within 10 s; they
// are tried again.
type CommitFailed struct {
	Topic        string `json:"topic"`
	Partition    int64  `json:"partition" with:"topic"`
	Offset       int64  `json:"offset" with:"topic"`
	Generation   int64  `json:"generation"`
	ErrorType    string `json:"error_type" required:"true"`
	ErrorMessage string `json:"error_message" max:"512"`
	Attempt      int64  `json:"attempt"`
}

// TransactionAborted is transaction.aborted: a transaction was given up.
type TransactionAborted struct {
	Topic        string `json:"topic"`
	Partition    int64  `json:"partition" with:"topic"`
	Offset       int64  `json:"offset" with:"topic"`
	Generation   int64  `json:"generation"`
	ErrorType    string `json:"error_type" required:"true"`
	ErrorMessage string `json:"error_message" max:"512"`
	Attempt      int64  `json:"attempt"`
}

// PanicRecovered is panic.recovered: a stage or sink panicked; limited.
type PanicRecovered struct {
	Step         string `json:"step" required:"true"`
	ErrorMessage string `json:"error_message" max:"512"`
	StackHash    string `json:"stack_hash"`
	Topic        string `json:"topic"`
	Partition    int64  `json:"partition" with:"topic"`
	Offset       int64  `json:"offset" with:"topic"`
}

// LogSuppressed is log.suppressed: lines that were not written. The reason is repeated
// when the limiter held them back; queue_full or write_failed when the log took no more
// lines, or could not be written.
type LogSuppressed struct {
	SuppressedEvent string `json:"suppressed_event" required:"true"`
	SuppressedLevel string `json:"suppressed_level" required:"true"`
	Reason          string `json:"reason" required:"true" enum:"repeated,queue_full,write_failed"`
	Step            string `json:"step"`
	ErrorType       string `json:"error_type" required:"true"`
	Count           int64  `json:"count"`
}

// ReplayProgress is replay.progress: every second of a replay.
type ReplayProgress struct {
	Fixture         string  `json:"fixture"`
	RecordsDone     int64   `json:"records_done"`
	RecordsExpected int64   `json:"records_expected" unknown:"-1"`
	RateIn          float64 `json:"rate_in"`
	EtaMs           int64   `json:"eta_ms" unknown:"-1"`
}

// ReplayFinished is replay.finished: once.
type ReplayFinished struct {
	Fixture         string  `json:"fixture"`
	RecordsDone     int64   `json:"records_done"`
	RecordsExpected int64   `json:"records_expected" unknown:"-1"`
	RateIn          float64 `json:"rate_in"`
	Mismatches      int64   `json:"mismatches"`
	DurationMs      int64   `json:"duration_ms"`
}

// Registry lists every event, in the order of the reference page.
var Registry = []Definition{
	{Name: "process.started", Level: Info, When: "once, at start-up", Says: "starting", Struct: ProcessStarted{}},
	{Name: "process.ready", Level: Info, When: "the pipelines are connected and may make progress", Says: "ready", Struct: ProcessReady{}},
	{Name: "process.unready", Level: Warn, When: "a pipeline that was ready is not any more", Says: "not ready", Struct: ProcessUnready{}},
	{Name: "process.stopping", Level: Info, When: "the first signal, or the end of the pipelines", Says: "stopping", Struct: ProcessStopping{}},
	{Name: "process.stopped", Level: Info, When: "the last line", Says: "stopped", Struct: ProcessStopped{}},
	{Name: "config.applied", Level: Info, When: "start, and reload", Says: "configuration applied", Struct: ConfigApplied{}},
	{Name: "config.rejected", Level: Error, When: "a file with errors was refused", Says: "configuration refused", Struct: ConfigRejected{}},
	{Name: "source.assigned", Level: Info, When: "partitions came with a generation", Says: "partitions assigned", Struct: SourceAssigned{}},
	{Name: "source.revoked", Level: Info, When: "partitions went", Says: "partitions revoked", Struct: SourceRevoked{}},
	{Name: "source.connected", Level: Info, When: "the broker answers again", Says: "broker connected", Struct: SourceConnected{}},
	{Name: "source.disconnected", Level: Warn, When: "the broker does not answer; once for each kind of error until it does", Says: "broker does not answer", Struct: SourceDisconnected{}},
	{Name: "source.partition.stats", Level: Info, When: "every 60 s, each partition", Says: "partition", Struct: SourcePartitionStats{}},
	{Name: "source.gap", Level: Error, When: "offsets that were committed or expected do not exist", Says: "offsets are missing", Struct: SourceGap{}},
	{Name: "source.corrupt", Level: Error, When: "a batch that cannot be read", Says: "a batch cannot be read", Struct: SourceCorrupt{}},
	{Name: "pipeline.stats", Level: Info, When: "every stats interval and once at the end", Struct: PipelineStats{}},
	{Name: "pipeline.stopped", Level: Info, When: "one of several pipelines of the process has ended", Says: "pipeline stopped", Struct: PipelineStopped{}},
	{Name: "step.stats", Level: Info, When: "every stats interval and once at the end, each step", Struct: StepStats{}},
	{Name: "sink.stats", Level: Info, When: "every stats interval and once at the end, each sink", Struct: SinkStats{}},
	{Name: "error.stats", Level: Warn, When: "every stats interval, each step or sink and error type that had errors; 20 types at most, the rest as _other", Struct: ErrorStats{}},
	{Name: "record.rejected", Level: Warn, When: "a record was rejected; limited", Says: "record rejected", Limited: true, Struct: RecordRejected{}},
	{Name: "step.stalled", Level: Error, When: "a record makes no progress in a step", Says: "a record makes no progress", Struct: StepStalled{}},
	{Name: "step.recovered", Level: Info, When: "the record that stalled goes on", Says: "records move again", Struct: StepRecovered{}},
	{Name: "sink.stalled", Level: Error, When: "a write makes no progress", Says: "a write makes no progress", Struct: SinkStalled{}},
	{Name: "sink.recovered", Level: Info, When: "the write that stalled goes on", Says: "writes succeed again", Struct: SinkRecovered{}},
	{Name: "backpressure.changed", Level: Info, When: "a step's queue fills or empties", Says: "queue changed", Struct: BackpressureChanged{}},
	{Name: "commit.failed", Level: Error, When: "marks could not be committed, or not within 10 s; they are tried again; limited", Says: "commit failed; it is tried again", Limited: true, Struct: CommitFailed{}},
	{Name: "transaction.aborted", Level: Error, When: "a transaction was given up; limited", Says: "transaction aborted", Limited: true, Struct: TransactionAborted{}},
	{Name: "panic.recovered", Level: Error, When: "a stage or sink panicked; limited", Says: "recovered from a panic", Limited: true, Struct: PanicRecovered{}},
	{Name: "log.suppressed", Level: Info, When: "lines that were not written: they repeated, or the log did not take them", Struct: LogSuppressed{}},
	{Name: "replay.progress", Level: Info, When: "every second of a replay", Struct: ReplayProgress{}},
	{Name: "replay.finished", Level: Info, When: "once, at the end of a replay", Says: "replay finished", Struct: ReplayFinished{}},
}
