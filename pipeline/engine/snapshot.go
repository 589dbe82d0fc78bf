package engine

import (
	"cmp"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// Counts are the totals of a step, a sink or a pipeline since its start. At every
// moment In + Created = Out + Filtered + Rejected + Abandoned + InFlight (I6).
type Counts struct {
	In, Out, Created, Filtered, Rejected, Abandoned int64 // records; Created are parts beyond the first
	Errors, Retries                                 int64 // attempts that failed, and attempts after the first
	InFlight                                        int64 // records without an outcome; counted on its own
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
//
// Reason for its size: it has all figures of a pipeline, which are shown as one object.
type Snapshot struct {
	Pipeline string
	State    string // one of States
	PausedBy string // what has the pipeline paused: dead_letter_budget, which comes first, or command; "": nothing has
	Err      error  // what Run has returned
	Started  time.Time
	At       time.Time
	Counts
	InFlightBytes   int64         // what the pipeline has of its budget
	BytesIn         int64         // of the records that were read
	BytesOut        int64         // of the records that sinks have stored
	Latency         Latency       // of records, from when they were made to their outcome
	Durations       Histogram     // of the same records, in microseconds, since the start
	CommitAgeMax    time.Duration // how long a record has been there, or done, without being committed, at most
	OldestInFlight  time.Duration // how long a record has been there without an outcome, at most
	Backpressure    string        // ok, low, high
	Bottleneck      string        // name of a step or sink, or ""
	Stalled         []Hold        // of each step and sink that has stalled the record that it has had longest; nil: none
	Steps           []StepSnapshot
	Sinks           []SinkSnapshot
	Source          pipeline.Report
	PausedLanes     []string      // lanes that are paused by their names, sorted
	Skipped         int           // how many keys and records are skipped by command
	DeadLetterCount int64         // dead letters that are durable
	DeadLetter      *SinkSnapshot // the sink of dead letters, which is not in Sinks; nil: there is none
}

// A StepSnapshot is the state of one step.
//
// Reason for its size: it has all figures of a step, which are shown as one flat object.
type StepSnapshot struct {
	Name, Kind string
	Index      int
	Counts
	Workers              int
	QueueLen, QueueCap   int           // chunks; records in a step that waits
	HeldBack             int           // records that wait in front of a step that waits, beyond its queue's places
	WindowLen, WindowCap int           // places of the window; 0 of a step that does not wait
	Throttled            int           // records of the window whose call limits do not let begin
	ThrottleWait         time.Duration // for how long limits held records back, all together, since the start
	Busy, Idle, Blocked  time.Duration // summed over workers, since the start
	Latency              Latency       // of calls; in a step that does not wait of a chunk's time, divided by its records
	Durations            Histogram     // what Latency is of, in microseconds, since the start
	OldestInFlight       time.Duration // how long a record, or a chunk, has been worked on, at most, but for what limits held it back
	Report               pipeline.Report
	ErrorsByType         []ErrorCount // failed attempts by type, sorted by it; nil: none
	reports              bool         // its stage is a pipeline.Reporter
	fullest              float64      // how full the queue was at most in the last interval
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
	Batches      int64     // Writes that have returned
	BatchRecords Latency   // numbers of records a Write, not times
	BatchSizes   Histogram // the same since the start
	Write        Latency   // of Writes
	Writes       Histogram // the same in microseconds, since the start
	Report       pipeline.Report
	ErrorsByType []ErrorCount // failed attempts by type, sorted by it; nil: none
}

// An ErrorCount is the failed attempts of one type in a step or sink since the start, with the
// last example. A step or sink has 21 types at most: what is of a further one is counted as _other.
type ErrorCount struct {
	Type     string
	Total    int64
	Message  string            // an example, at most a second older than the last such error; without values of records
	Position pipeline.Position // the record that it was about
	At       time.Time         // and when
}

// An InFlight is one record without an outcome: where it is and what it waits for.
type InFlight struct {
	pipeline.Position
	Lane    string
	Where   string        // name of the step or sink
	State   string        // queued, throttled, running, retrying, waiting for its turn, writing; paused in the hands of a worker that waits for the end of a pause
	For     string        // of one that is throttled: what it waits for, "rate api of api.example"; of one that waits for its turn in a window: the record before it; "": not known
	Held    time.Duration // and for how long it has; 0: it is not
	Attempt int           // how many attempts have begun in Where, the one at work included; 0: none has, or it has been through them
	Age     time.Duration // since it was made
}

// OldestFirst is the order in which people are shown records in flight, for slices.SortFunc: by age, and those of one age as they stand
// in their lane.
func OldestFirst(a, b InFlight) int {
	return cmp.Or(cmp.Compare(b.Age, a.Age), cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Offset, b.Offset))
}
