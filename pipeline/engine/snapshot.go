package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// Counts are the totals of a step, a sink or a pipeline since its start. At every
// moment In + Created = Out + Filtered + Rejected + Abandoned + InFlight (I6).
type Counts struct {
	In, Out, Created, Filtered, Rejected, Abandoned int64
	Errors, Retries                                 int64 // failed attempts; further attempts
	InFlight                                        int64 // counted on its own
}

// Balanced checks I6.
func (c Counts) Balanced() bool {
	return c.In+c.Created == c.Out+c.Filtered+c.Rejected+c.Abandoned+c.InFlight
}

// Latency are percentiles over the last stats interval, in milliseconds.
type Latency struct {
	Count              int64
	P50, P95, P99, Max float64
}

// A Snapshot is the state of a pipeline at one moment. Each Counts in it is taken
// under one lock.
type Snapshot struct {
	Pipeline string
	State    string // starting, running, draining, stopped, failed
	Err      error  // what Run has given
	Started  time.Time
	At       time.Time
	Counts
	InFlightBytes   int64
	BytesIn         int64
	BytesOut        int64
	Latency         Latency // from Read to outcome
	CommitAgeMax    time.Duration
	OldestInFlight  time.Duration
	Backpressure    string // ok, low, high
	Bottleneck      string // name of a step or sink, or ""
	Steps           []StepSnapshot
	Sinks           []SinkSnapshot
	Source          pipeline.Report
	DeadLetterCount int64
}

// A StepSnapshot is the state of one step.
type StepSnapshot struct {
	Name, Kind string
	Index      int
	Counts
	Workers              int
	QueueLen, QueueCap   int // batches; records in a step that waits
	HeldBack             int // records beyond the places of the queue of a step that waits
	WindowLen, WindowCap int
	Busy, Idle, Blocked  time.Duration // summed over workers, since the start
	Latency              Latency
	OldestInFlight       time.Duration
	Report               pipeline.Report
	fullest              float64 // how full the queue was at most in the last interval
}

// fill is how full the queue is, from 0 to 1.
func (s StepSnapshot) fill() float64 {
	if s.QueueCap <= 0 {
		return 0
	}
	return min(float64(s.QueueLen)/float64(s.QueueCap), 1)
}

// A SinkSnapshot is the state of one sink. Out counts delivered records.
type SinkSnapshot struct {
	Name, Kind string
	Counts
	Batches      int64
	BatchRecords Latency // records a Write
	Write        Latency
	Report       pipeline.Report
}

// An InFlight is one record without an outcome: where it is and what it waits for.
type InFlight struct {
	pipeline.Position
	Lane    string
	Where   string // name of the step or sink
	State   string // queued, running, retrying, waiting for its turn, writing
	Attempt int
	Age     time.Duration
}
