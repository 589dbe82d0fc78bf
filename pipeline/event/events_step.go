package event

// This file has the events of pipelines, and of records in their steps and sinks. registry.go
// says what the tags mean.

// PipelineStopped is pipeline.stopped: one of several pipelines of the process has ended.
type PipelineStopped struct {
	Reason          string  `json:"reason" required:"true" enum:"completed,stopping,drain_timeout,failed,environment,forced"`
	UptimeMs        int64   `json:"uptime_ms"`
	RecordsInTotal  int64   `json:"records_in_total"`
	RecordsOutTotal int64   `json:"records_out_total"`
	FilteredTotal   int64   `json:"filtered_total"`
	RejectedTotal   int64   `json:"rejected_total"`
	Abandoned       int64   `json:"abandoned"`
	CreatedTotal    int64   `json:"created_total" since:"1.1"`
	E2EP50Ms        float64 `json:"e2e_p50_ms" since:"1.1"`
	E2EP95Ms        float64 `json:"e2e_p95_ms" since:"1.1"`
	E2EP99Ms        float64 `json:"e2e_p99_ms" since:"1.1"`
	E2EMaxMs        float64 `json:"e2e_max_ms" since:"1.1"`
	ErrorMessage    string  `json:"error_message" max:"512"`
}

// PipelinePaused is pipeline.paused: no step begins with another record for a while, since too
// many of the last records were rejected.
type PipelinePaused struct {
	Reason   string `json:"reason" required:"true" enum:"dead_letter_budget"`
	Rejected int64  `json:"rejected"`
	Of       int64  `json:"of"`
	PauseMs  int64  `json:"pause_ms"`
}

// PipelineResumed is pipeline.resumed: the pause is over. Rejected and Of are those that led to it.
type PipelineResumed struct {
	Reason   string `json:"reason" required:"true" enum:"dead_letter_budget"`
	Rejected int64  `json:"rejected"`
	Of       int64  `json:"of"`
	PauseMs  int64  `json:"pause_ms"`
}

// TapStarted is tap.started: somebody looks at records that pass a step.
type TapStarted struct {
	Step      string `json:"step" required:"true"`
	Side      string `json:"side" required:"true"`
	AskedBy   string `json:"asked_by" max:"128"`
	AskedFrom string `json:"asked_from"`
}

// TapEnded is tap.ended: nobody looks there any more.
type TapEnded struct {
	Step      string `json:"step" required:"true"`
	Side      string `json:"side" required:"true"`
	Reason    string `json:"reason" required:"true" enum:"limit,left,stopped,gone"`
	Records   int64  `json:"records"`
	NotShown  int64  `json:"not_shown"`
	AskedBy   string `json:"asked_by" max:"128"`
	AskedFrom string `json:"asked_from"`
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
	TraceID      string `json:"trace_id" since:"1.1"`
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
	Target           string `json:"target" since:"1.1"`
	Cause            string `json:"cause" enum:"slot,call,retry,rate,breaker,host,retry_budget,equal_call,turn,queue,sink,dead_letter,commit,transaction,limit" since:"1.1"`
	Attempts         int64  `json:"attempts" unknown:"0" since:"1.1"`
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
	Target           string `json:"target" since:"1.1"`
	Cause            string `json:"cause" enum:"slot,call,retry,rate,breaker,host,retry_budget,equal_call,turn,queue,sink,dead_letter,commit,transaction,limit" since:"1.1"`
	Attempts         int64  `json:"attempts" unknown:"0" since:"1.1"`
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

// CircuitChanged is circuit.changed: a host that a step calls is left alone because it fails, or
// is called again.
type CircuitChanged struct {
	Step       string `json:"step" required:"true"`
	Target     string `json:"target" required:"true"`
	State      string `json:"state" required:"true" enum:"closed,open,half_open"`
	ErrorType  string `json:"error_type"`
	ErrorCount int64  `json:"error_count"`
}

// ChildEnded is child.ended: a child process of a step has ended though nobody wanted it to, or none could be
// started; limited.
type ChildEnded struct {
	Step         string `json:"step" required:"true"`
	ErrorType    string `json:"error_type" required:"true"`
	ErrorMessage string `json:"error_message" max:"512"`
	ChildPid     int64  `json:"child_pid" unknown:"0"`
	RanMs        int64  `json:"ran_ms"`
	Answered     int64  `json:"answered"`
}

// ChildLine is child.line: a child process of a step has written a line to standard error; limited.
type ChildLine struct {
	Step     string `json:"step" required:"true"`
	ChildPid int64  `json:"child_pid" unknown:"0"`
	Line     string `json:"line" max:"512"`
}

// ClientDropped is client.dropped: a client that watches a sink was disconnected, as it was too slow or did not answer; limited.
type ClientDropped struct {
	Sink       string `json:"sink" required:"true"`
	ClientAddr string `json:"client_addr"`
	Reason     string `json:"reason" required:"true" enum:"too_slow,no_answer"`
	Sent       int64  `json:"sent"`
	Behind     int64  `json:"behind"`
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
