package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/settings"
)

// An Order says what a pipeline keeps of the order in which records were read.
type Order uint8

const (
	// OrderPartition keeps the order of each lane.
	OrderPartition Order = iota
	// OrderKey keeps the order of the records of one key within a lane.
	OrderKey
	// OrderNone keeps nothing.
	OrderNone
)

// A Serial says which calls of a waiting step must follow one another.
type Serial uint8

const (
	// SerialNone lets any calls run at once; order is kept at the release.
	SerialNone Serial = iota
	// SerialKey starts a call only when the one before it of the same key has its answer,
	// retries included.
	SerialKey
	// SerialPartition does the same per lane.
	SerialPartition
)

// An OnError says what becomes of a record that failed for good in a step.
type OnError uint8

const (
	// OnErrorDeadLetter writes it to the dead letters; without a dead letter sink it
	// is OnErrorStop.
	OnErrorDeadLetter OnError = iota
	// OnErrorStop stops the pipeline with the record's error.
	OnErrorStop
	// OnErrorPass sends the record on as it came to the step, counted in errors.
	OnErrorPass
)

// Retry says how often and how fast a failed call is tried again: exponential
// backoff with full jitter, a wait drawn uniformly from zero to
// min(MaxBackoff, Backoff * 2^n) before attempt n+2, at least what RetryAfter asked.
type Retry struct {
	Attempts   int           // in all; 0: 5 in a step, without end in a sink
	Backoff    time.Duration // 0: 100ms
	MaxBackoff time.Duration // 0: 5s in a step, 30s in a sink
}

// A Step is a stage at its place in a pipeline. Exactly one of Stage and Splitter
// is set.
type Step struct {
	Name     string
	Kind     string // what it is, for logs: "filter", "http"
	Stage    pipeline.Stage
	Splitter pipeline.Splitter
	Workers  int // pool size; slots of a waiting step. 0: GOMAXPROCS, or 64 of a waiting step
	OnError  OnError

	// MostWorkers is how many workers it may be given while it runs (Controller.SetWorkers), and MostWhy is why there may be no more,
	// as a clause. 0: MaxWorkers. Either way a step that waits has no more than its window has places.
	MostWorkers int
	MostWhy     string

	// Wait makes it a waiting step: for a stage that waits for somebody else. nil: it
	// computes, and makes one attempt.
	Wait *Wait
}

// Wait holds the further settings of a step that waits for somebody else: its records are
// admitted one by one to Workers slots, released in order through a window, and retried in
// place. The zero value has the defaults.
type Wait struct {
	Window   int           // records admitted and not yet released. 0: 64 x Workers
	Timeout  time.Duration // of one attempt. 0: 10s
	Deadline time.Duration // of a record in this step from its first call on, retries included, and not what limits hold it back. 0: 20s
	Serial   Serial
	Retry    Retry
	MaxWait  time.Duration // longest time that limits may hold a record back in this step, in all. 0: without end
}

// An Output is a sink at its place in a pipeline.
type Output struct {
	Name       string
	Kind       string
	Sink       pipeline.Sink
	When       func(*pipeline.Record) (bool, error) // nil: every record
	MaxRecords int                                  // most records a Write. 0: 1,000
	MaxBytes   settings.Size                        // most bytes a Write, one record at least. 0: 1 MiB
	Linger     time.Duration                        // how long a Write may wait to fill. 0: not at all
	Timeout    time.Duration                        // of one Write. 0: 10s
	Retry      Retry                                // Attempts 0: without end
}

// A DeadLetter is the sink of rejected records. It takes them all. Zero values stand for the
// same as in an Output, but that Retry.Attempts is not looked at: a dead letter is tried without
// end.
type DeadLetter struct {
	Name       string // "": dead_letter
	Kind       string
	Sink       pipeline.Sink
	MaxRecords int
	MaxBytes   settings.Size
	Linger     time.Duration
	Timeout    time.Duration
	Retry      Retry

	// Budget stops or pauses the pipeline when too many of its last records are rejected. The zero
	// value: it goes on, however many are.
	Budget RejectionBudget

	// Redact takes out of each dead letter what must not be stored, before it goes to the sink. It is
	// called for one letter of a lane at a time, under a lock, and has to return at once. Letters
	// have no penstock-detail then, which may quote the record. A letter that it panics about goes
	// without key, value, headers of its own and message. nil: letters are as their records came.
	Redact func(*deadletter.Contents)
	// RedactsKey says that Redact takes out the key: events do not name it by its hash then, by
	// which a key of few possible values is found.
	RedactsKey bool
}

// A RejectionBudget is how many of the last records may be rejected. Each step, the keys, the conditions of the sinks and the sinks have last
// records of their own, and what was rejected of these counts together. It tells a bad record from an outage. The parts of a split count
// like records.
type RejectionBudget struct {
	Rejected int // most of the last Of; 0: any number
	Of       int // 0: 1,000
	// Pause is how long nothing begins once more were rejected. Then the counts begin anew. 0: the
	// pipeline stops with an error before the record that would be one too many, which is read again. While Run
	// ends because its ctx has, none begins: the record that would be one too many is abandoned with what is in flight.
	Pause time.Duration
}

// output gives the same as an Output, for the engine to treat it like any other sink.
func (d DeadLetter) output() Output {
	return Output{
		Name: d.Name, Kind: d.Kind, Sink: d.Sink, MaxRecords: d.MaxRecords, MaxBytes: d.MaxBytes,
		Linger: d.Linger, Timeout: d.Timeout, Retry: d.Retry,
	}
}

// Options are the settings of a Pipeline. Components belong to the pipeline from
// New on: Run closes them.
type Options struct {
	Name   string
	Source pipeline.Source
	Steps  []Step
	// Sinks all get a record whose When holds for them. A record that no sink wants is
	// filtered.
	Sinks []Output
	// DeadLetter stores rejected records in the public format of dead letters. A nil
	// Sink in it: a record that is rejected stops the pipeline.
	DeadLetter DeadLetter

	Order Order
	// Key gives the key for OrderKey and SerialKey, from the record as it came. nil:
	// the record's key. Records without a key form one key per lane.
	Key func(*pipeline.Record) ([]byte, error)

	Budget              *Budget       // shared by the pipelines of a process. nil: one of its own with the defaults
	Drain               time.Duration // how long Run may go on after its ctx has ended. 0: 25s
	CommitEvery         time.Duration // 0: 1s
	StatsEvery          time.Duration // of the stats events. 0: 15s
	PartitionStatsEvery time.Duration // of source.partition.stats. 0: 60s
	StalledAfter        time.Duration // after which a step or sink without progress is reported. 0: 30s

	Transactor pipeline.Transactor
	// Events writes the pipeline's events. nil: none. The pipeline waits while an emitter
	// writes, unless it was made for an event.Queue: only then does a log that nobody reads, or
	// a full disk, hold up no record. The Queue's owner closes it when Run has returned.
	Events     *event.Emitter
	ConfigHash string // stamped on pipeline.stats
	Tracer     Tracer // traces records; nil: none is traced
	// DeadLetterTime gives what stands in the header penstock-time. nil: time.Now. Cases, whose
	// results are compared, use the record's time.
	DeadLetterTime func(*pipeline.Record) time.Time
}

// needKeys says whether some order or some step needs the hash of records' keys.
func (o *Options) needKeys() bool {
	if o.Order == OrderKey {
		return true
	}
	for _, s := range o.Steps {
		if s.Wait != nil && s.Wait.Serial == SerialKey {
			return true
		}
	}
	return false
}

// readsOnce says whether the source cannot be relied on to read again what it has handed over.
func (o *Options) readsOnce() bool {
	s, ok := o.Source.(pipeline.ReadOncer)
	return ok && s.ReadsOnce()
}

// reserve is the part of the drain budget that is kept for the last commit and for
// closing.
func (o *Options) reserve() time.Duration { return min(o.Drain/10, time.Second) }

// undoerOf gives the component of a step when it wants to hear of records that come to
// nothing.
func undoerOf(conf Step) pipeline.Undoer {
	if u, ok := conf.Stage.(pipeline.Undoer); ok {
		return u
	}
	u, _ := conf.Splitter.(pipeline.Undoer)
	return u
}
