package top

import (
	"math"
	"time"
)

// What is known of a pipeline. Whatever the source, a figure that is not known is NaN, or -1 of one that is a whole number.

// Counts are totals since the start of a run, but for InFlight, which is of the moment.
type Counts struct {
	In, Out, Created, Filtered, Rejected, Abandoned, Errors, Retries, InFlight int64
}

func (c *Counts) add(o Counts) {
	c.In += o.In
	c.Out += o.Out
	c.Created += o.Created
	c.Filtered += o.Filtered
	c.Rejected += o.Rejected
	c.Abandoned += o.Abandoned
	c.Errors += o.Errors
	c.Retries += o.Retries
	c.InFlight += o.InFlight
}

// Rates are of the last interval, in a second.
type Rates struct {
	In, Out, Errors, Rejected float64
}

// noRates are those of what was seen once.
func noRates() Rates { return Rates{math.NaN(), math.NaN(), math.NaN(), math.NaN()} }

// ratesOf are those of an interval in which the totals have become now.
func ratesOf(now, was Counts, d time.Duration) Rates {
	if d <= 0 {
		return noRates()
	}
	of := func(a, b int64) float64 { return float64(a-b) / d.Seconds() }
	return Rates{of(now.In, was.In), of(now.Out, was.Out), of(now.Errors, was.Errors), of(now.Rejected, was.Rejected)}
}

func (r *Rates) add(o Rates) {
	r.In, r.Out = sum(r.In, o.In), sum(r.Out, o.Out)
	r.Errors, r.Rejected = sum(r.Errors, o.Errors), sum(r.Rejected, o.Rejected)
}

// errorRatio is the share of failed attempts in the records of the interval; NaN: nothing came.
func (r Rates) errorRatio() float64 {
	if !(r.In > 0) {
		return math.NaN()
	}
	return r.Errors / r.In
}

// Latency are percentiles of the last interval in milliseconds.
type Latency struct {
	P50, P95, P99, Max float64
}

func noLatency() Latency { return Latency{math.NaN(), math.NaN(), math.NaN(), math.NaN()} }

// worst takes the larger of each: percentiles of several instances cannot be added up or averaged.
func (l *Latency) worst(o Latency) {
	l.P50, l.P95, l.P99, l.Max = most(l.P50, o.P50), most(l.P95, o.P95), most(l.P99, o.P99), most(l.Max, o.Max)
}

// Shares are of the workers' time in the last interval, and make 1.
type Shares struct {
	Busy, Idle, Blocked float64
}

// A Queue is what waits in front of a step.
type Queue struct {
	Len, Cap int64   // -1: not known
	Fill     float64 // from 0 to 1; of a log, the most in the interval
}

// A Role says what a Step of the tables is.
type Role string

// The roles.
const (
	RoleStep        Role = "step"
	RoleSink        Role = "sink"
	RoleDeadLetters Role = "dead_letter" // the sink of dead letters
)

// A Step is the figures of a step or a sink.
type Step struct {
	Name, Kind string
	Role       Role
	Index      int64
	Counts
	Rate     Rates
	Latency  Latency // of a sink: of its writes
	Shares   Shares
	Queue    Queue
	Workers  int64
	OldestMs int64
	HeldBack int64 // records that wait beyond the queue, or that a limit holds back
	Circuits int64 // hosts that are left alone

	spent Shares // milliseconds since the start
}

// A Partition is the state of a partition.
type Partition struct {
	Topic       string
	Partition   int64
	Committed   int64
	End         int64 // the high watermark
	Lag         int64
	LagUnit     string // "bytes" of a file that is followed; "": records
	AgeMs       int64  // of the first record that is not committed
	CommitAgeMs int64
	Generation  int64
	Paused      bool
	PausedBy    string // command; "": too much of it waits
	Instance    string // which reads it
}

// An ErrorCount is the failed attempts of one type in a step or sink.
type ErrorCount struct {
	Step, Type string
	Total      int64
	Rate       float64
	Sample     string // a message
	Topic      string // of the record that it was about; "": not known
	Partition  int64
	Offset     int64
}

// A Lag is how far a pipeline is behind.
type Lag struct {
	Sum, Max int64
	AgeMs    int64  // the most of all partitions
	Unit     string // "bytes" of files that are followed; "": records
}

// A Pipeline is the figures of one.
//
// Reason for its size: it is all that is known of one, which is shown in one place.
type Pipeline struct {
	Name       string
	State      string
	Error      string // with which it has ended
	At         time.Time
	Started    time.Time // zero: not known
	IntervalMs int64     // which the rates are of
	Mean       bool      // the rates are of the whole run, which has ended
	Counts
	Rate          Rates
	E2E           Latency
	Lag           Lag
	InFlightBytes int64
	CommitAgeMs   int64
	OldestMs      int64
	Backpressure  string
	Bottleneck    string
	ConfigHash    string
	PausedBy      string   // dead_letter_budget or command
	PausedLanes   int64    // that are paused one by one
	Skipped       int64    // keys whose records are rejected
	Away          string   // what the source is not connected to, and why; "": it is connected, or not known
	Notes         []string // what is wrong: stalled steps, a pause
	Steps         []Step
	Partitions    []Partition
	Errors        []ErrorCount
	Holds         []string // what each partition waits for
	HoldsKnown    bool     // Holds was asked for
	ErrorsKnown   bool     // Errors was
	Of            int      // how many instances it was put together of
	States        map[string]int
}

// An Instance is one run of a process.
type Instance struct {
	ID         string // service_instance_id, or the address of the endpoint
	Version    string
	ConfigHash string
	State      string // running, stopping, stopped; silent when nothing has come of it for long; stale when it does not answer
	Reason     string // why it has ended
	ExitCode   int64  // -1: it has not ended, or that is not known
	Started    time.Time
	Seen       time.Time // when the last of it was said
	UptimeMs   int64     // -1: not known
	Totals     *Counts   // of the whole process, said when it ended; nil: it has not
	LogDropped int64     // lines of its log that nobody took
	Stale      string    // why its figures are old; "": they are not
}

// An Event is something that has happened.
type Event struct {
	At       time.Time
	Level    string
	Name     string
	Instance string
	Pipeline string
	Message  string
}

// sum adds what may be not known.
func sum(a, b float64) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	}
	return a + b
}

// most gives the larger of two that may be not known.
func most(a, b float64) float64 {
	if math.IsNaN(a) || b > a {
		return b
	}
	return a
}

// sumKnown adds numbers that are -1 when they are not known.
func sumKnown(a, b int64) int64 {
	switch {
	case a < 0:
		return b
	case b < 0:
		return a
	}
	return a + b
}
