package event

// The events of schema 1: their structs are in the files events_*.go, the list of them is
// here. A struct is one event, its comment says when it is emitted, its json tags are the
// keys. An int64 is always written, a string when it is not empty, a float64 when it is a
// number. Further tags:
//
//   - required: the key is always there; an empty error_type is written as _other
//   - enum: the values that a string may have; one that came after the key names its schema, as in paused@1.1
//   - max: the most bytes of a string, cut at a whole character
//   - with: written only when that other field of the event is
//   - unknown: the value that stands for not known; the key is then left out
//   - since: the schema that brought the field; none: the schema that brought the event

// Registry lists every event, in the order of the reference page.
var Registry = []Definition{
	{Name: "process.started", Level: Info, When: "once, at start-up", Says: "starting", Struct: ProcessStarted{}},
	{Name: "process.ready", Level: Info, When: "the pipelines are connected and may make progress", Says: "ready", Struct: ProcessReady{}},
	{Name: "process.unready", Level: Warn, When: "a pipeline that was ready is not any more", Says: "not ready", Struct: ProcessUnready{}},
	{Name: "process.stopping", Level: Info, When: "the first signal, or the end of the pipelines", Says: "stopping", Struct: ProcessStopping{}},
	{Name: "process.stopped", Level: Info, When: "the last line", Says: "stopped", Struct: ProcessStopped{}},
	{Name: "config.applied", Level: Info, When: "start, and reload", Says: "configuration applied", Struct: ConfigApplied{}},
	{Name: "config.rejected", Level: Error, When: "a file with errors was refused", Says: "configuration refused", Struct: ConfigRejected{}},
	{Name: "command.done", Level: Info, When: "a command of somebody who has the right to it was done, or could not be", Says: "command", Since: "1.1", Struct: CommandDone{}},
	{Name: "command.denied", Level: Warn, When: "somebody without the right to it has asked for a command; limited", Says: "a command was denied", Limited: true, Since: "1.1", Struct: CommandDenied{}},
	{Name: "source.assigned", Level: Info, When: "partitions came with a generation", Says: "partitions assigned", Struct: SourceAssigned{}},
	{Name: "source.revoked", Level: Info, When: "partitions went", Says: "partitions revoked", Struct: SourceRevoked{}},
	{Name: "source.connected", Level: Info, When: "the broker answers again", Says: "broker connected", Struct: SourceConnected{}},
	{Name: "source.disconnected", Level: Warn, When: "the broker does not answer; once for each kind of error until it does", Says: "broker does not answer", Struct: SourceDisconnected{}},
	{Name: "source.listening", Level: Info, When: "a source that is called listens", Says: "listening", Since: "1.1", Struct: SourceListening{}},
	{Name: "source.partition.stats", Level: Info, When: "every 60 s, each partition", Says: "partition", Struct: SourcePartitionStats{}},
	{Name: "source.gap", Level: Error, When: "offsets that were committed or expected do not exist; of a file that is followed, bytes that were cut off or deleted before they were read", Says: "offsets are missing", Struct: SourceGap{}},
	{Name: "source.corrupt", Level: Error, When: "a batch, or lines of a file that is followed, that cannot be read", Says: "what came cannot be read", Struct: SourceCorrupt{}},
	{Name: "pipeline.stats", Level: Info, When: "every stats interval and once at the end", Struct: PipelineStats{}},
	{Name: "pipeline.stopped", Level: Info, When: "one of several pipelines of the process has ended", Says: "pipeline stopped", Struct: PipelineStopped{}},
	{Name: "pipeline.paused", Level: Warn, When: "no step begins with another record for pause_ms: more of the last records were rejected than the file allows", Says: "paused", Since: "1.1", Struct: PipelinePaused{}},
	{Name: "pipeline.resumed", Level: Info, When: "the pause is over, or ended early by a stop", Says: "resumed", Since: "1.1", Struct: PipelineResumed{}},
	{Name: "step.stats", Level: Info, When: "every stats interval and once at the end, each step", Struct: StepStats{}},
	{Name: "sink.stats", Level: Info, When: "every stats interval and once at the end, each sink", Struct: SinkStats{}},
	{Name: "error.stats", Level: Warn, When: "every stats interval, each step or sink and error type that had errors; 20 types at most, the rest as _other", Struct: ErrorStats{}},
	{Name: "record.rejected", Level: Warn, When: "a record was rejected; limited", Says: "record rejected", Limited: true, Struct: RecordRejected{}},
	{Name: "step.stalled", Level: Error, When: "a record makes no progress in a step", Says: "a record makes no progress", Struct: StepStalled{}},
	{Name: "step.recovered", Level: Info, When: "the record that stalled goes on", Says: "records move again", Struct: StepRecovered{}},
	{Name: "sink.stalled", Level: Error, When: "a write makes no progress", Says: "a write makes no progress", Struct: SinkStalled{}},
	{Name: "sink.recovered", Level: Info, When: "the write that stalled goes on", Says: "writes succeed again", Struct: SinkRecovered{}},
	{Name: "backpressure.changed", Level: Info, When: "a step's queue fills or empties", Says: "queue changed", Struct: BackpressureChanged{}},
	{Name: "circuit.changed", Level: Warn, When: "a host is left alone because it fails (open), one call tries it (half_open), or it is called again (closed)", Says: "circuit changed", Since: "1.1", Struct: CircuitChanged{}},
	{Name: "child.ended", Level: Warn, When: "a child process of a step has ended though nobody wanted it to, or none could be started; another is started; limited", Says: "child process ended", Limited: true, Since: "1.1", Struct: ChildEnded{}},
	{Name: "child.line", Level: Info, When: "a child process of a step has written a line to standard error, and the file says that it is logged; limited", Says: "child process", Limited: true, Since: "1.1", Struct: ChildLine{}},
	{Name: "client.dropped", Level: Info, When: "a client that watches a sink was disconnected, as it was too slow or did not answer; limited", Says: "a client was disconnected", Limited: true, Since: "1.1", Struct: ClientDropped{}},
	{Name: "commit.failed", Level: Error, When: "marks could not be committed, or not within 10 s; they are tried again; limited", Says: "commit failed; it is tried again", Limited: true, Struct: CommitFailed{}},
	{Name: "transaction.aborted", Level: Error, When: "a transaction was given up; limited", Says: "transaction aborted", Limited: true, Struct: TransactionAborted{}},
	{Name: "panic.recovered", Level: Error, When: "a stage or sink panicked; limited", Says: "recovered from a panic", Limited: true, Struct: PanicRecovered{}},
	{Name: "tap.started", Level: Info, When: "somebody begins to look at records that pass a step", Says: "records are looked at", Since: "1.1", Struct: TapStarted{}},
	{Name: "tap.ended", Level: Info, When: "he has seen as many as he wanted (limit), has gone (left), the pipeline has ended (stopped), or goes on without the step (gone)", Says: "records are looked at no more", Since: "1.1", Struct: TapEnded{}},
	{Name: "log.suppressed", Level: Info, When: "lines that were not written: they repeated, or the log did not take them", Struct: LogSuppressed{}},
	{Name: "replay.progress", Level: Info, When: "every second of a replay", Struct: ReplayProgress{}},
	{Name: "replay.finished", Level: Info, When: "once, at the end of a replay", Says: "replay finished", Struct: ReplayFinished{}},
}
