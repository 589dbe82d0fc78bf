package engine

import (
	"runtime"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// What an option that is zero stands for. Pipeline files have the same defaults, since
// pipeline/config reads them here.
const (
	DefaultInFlight      = 100_000                  // records of a Budget
	DefaultInFlightBytes = settings.Size(256 << 20) // of a Budget

	DefaultDrain               = 25 * time.Second // below the 30 s that Kubernetes waits before it kills
	DefaultCommitEvery         = time.Second
	DefaultStatsEvery          = 15 * time.Second
	DefaultPartitionStatsEvery = time.Minute
	DefaultStalledAfter        = 30 * time.Second

	// Of a waiting step. One that computes has as many workers as GOMAXPROCS.
	DefaultWaitWorkers    = 64
	DefaultWindowFactor   = 64 // the window is that many times the workers
	DefaultStepTimeout    = 10 * time.Second
	DefaultStepDeadline   = 20 * time.Second
	DefaultStepAttempts   = 5
	DefaultStepMaxBackoff = 5 * time.Second

	// Of a sink and of the dead letters. A write is tried without end.
	DefaultMaxRecords     = 1000
	DefaultMaxBytes       = settings.Size(1 << 20)
	DefaultWriteTimeout   = 10 * time.Second
	DefaultSinkMaxBackoff = 30 * time.Second

	DefaultBudgetOf = 1000 // records of which a RejectionBudget speaks

	// MaxWorkers is how many workers a step may have.
	MaxWorkers = 1 << 16

	DefaultBackoff = 100 * time.Millisecond // of steps and sinks
)

func or[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// defaults fills in what is zero.
func (o *Options) defaults() {
	or(&o.Name, "pipeline")
	or(&o.Drain, DefaultDrain)
	or(&o.CommitEvery, DefaultCommitEvery)
	or(&o.StatsEvery, DefaultStatsEvery)
	or(&o.PartitionStatsEvery, DefaultPartitionStatsEvery)
	or(&o.StalledAfter, DefaultStalledAfter)
	if o.Budget == nil {
		o.Budget = NewBudget(0, 0)
	}
	if o.DeadLetterTime == nil {
		o.DeadLetterTime = func(*pipeline.Record) time.Time { return time.Now() }
	}
	steps := make([]Step, len(o.Steps))
	copy(steps, o.Steps)
	for i := range steps {
		steps[i].defaults()
	}
	sinks := make([]Output, len(o.Sinks))
	copy(sinks, o.Sinks)
	for i := range sinks {
		sinks[i].defaults()
	}
	o.Steps, o.Sinks = steps, sinks
	or(&o.DeadLetter.Budget.Of, DefaultBudgetOf)
	or(&o.DeadLetter.Name, "dead_letter")
}

func (s *Step) defaults() {
	if s.Wait == nil {
		or(&s.Workers, runtime.GOMAXPROCS(0))
		return
	}
	or(&s.Workers, DefaultWaitWorkers)
	w := *s.Wait // the caller's stays as it is
	or(&w.Window, DefaultWindowFactor*s.Workers)
	or(&w.Timeout, DefaultStepTimeout)
	or(&w.Deadline, DefaultStepDeadline)
	or(&w.Retry.Attempts, DefaultStepAttempts)
	or(&w.Retry.Backoff, DefaultBackoff)
	or(&w.Retry.MaxBackoff, DefaultStepMaxBackoff)
	s.Wait = &w
}

func (o *Output) defaults() {
	or(&o.MaxRecords, DefaultMaxRecords)
	or(&o.MaxBytes, DefaultMaxBytes)
	or(&o.Timeout, DefaultWriteTimeout)
	or(&o.Retry.Backoff, DefaultBackoff)
	or(&o.Retry.MaxBackoff, DefaultSinkMaxBackoff)
}
