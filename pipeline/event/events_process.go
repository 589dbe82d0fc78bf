package event

// This file has the events of the process as a whole: its start and end, its configuration, its log,
// and replays. registry.go says what the tags mean.

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
	Reason         string `json:"reason" required:"true" enum:"signal,completed,drain_timeout,failed"`
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
	CreatedTotal    int64   `json:"created_total" since:"1.1"`
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
	AskedBy        string `json:"asked_by" max:"128" since:"1.1"`
}

// ConfigRejected is config.rejected: a file with errors was refused.
type ConfigRejected struct {
	ConfigHash string `json:"config_hash"`
	Trigger    string `json:"trigger" required:"true" enum:"start,sighup,api,watch"`
	ErrorCount int64  `json:"error_count"`
	ErrorFirst string `json:"error_first" required:"true" max:"512"`
	AskedBy    string `json:"asked_by" max:"128" since:"1.1"`
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
