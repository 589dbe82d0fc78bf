package metrics

import (
	"errors"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
)

// full is a snapshot that has a value for every figure, each another one.
func full() engine.Snapshot {
	next := int64(0)
	n := func() int64 { next++; return next }
	counts := func() engine.Counts {
		return engine.Counts{In: n(), Out: n(), Created: n(), Filtered: n(), Rejected: n(), Abandoned: n(), Errors: n(), Retries: n(), InFlight: n()}
	}
	ms := func() time.Duration { return time.Duration(n()) * time.Millisecond }
	at := time.Date(2026, 11, 20, 1, 2, 3, 4e6, time.UTC)
	values := func() engine.Histogram {
		return engine.Histogram{Count: 3, Sum: 7, Bars: []engine.Bar{{From: 1, To: 1, Count: 1}, {From: 3, To: 3, Count: 2}}}
	}
	report := func() pipeline.Report {
		return pipeline.Report{CacheHits: n(), CacheMisses: n(), CacheStale: n(), CallsJoined: n(), OpenCircuits: n(), Serves: true, Clients: n(), ClientsDropped: n()}
	}
	failed := func() []engine.ErrorCount {
		return []engine.ErrorCount{{Type: "network", Total: n()}, {Type: "_other", Total: n()}}
	}
	sink := func(name string) engine.SinkSnapshot {
		return engine.SinkSnapshot{Name: name, Kind: "file", Counts: counts(), Batches: n(), BatchSizes: values(), Writes: values(), Report: report(), ErrorsByType: failed()}
	}
	dead := sink("dead_letter")
	return engine.Snapshot{
		Pipeline: "p", State: "running", Err: errors.New("it fails"), Started: at, At: at.Add(time.Hour), Counts: counts(),
		InFlightBytes: n(), BytesIn: n(), BytesOut: n(), Durations: values(), CommitAgeMax: ms(), OldestInFlight: ms(),
		PausedBy: "command", PausedLanes: []string{"t/1"}, Skipped: 7, Backpressure: "low", Bottleneck: "s", DeadLetterCount: n(), DeadLetter: &dead,
		Steps: []engine.StepSnapshot{{
			Name: "s", Kind: "http", Index: int(n()), Counts: counts(), Workers: int(n()), QueueLen: int(n()), QueueCap: int(n()),
			HeldBack: int(n()), WindowLen: int(n()), WindowCap: int(n()), Throttled: int(n()), ThrottleWait: ms(), Busy: ms(), Idle: ms(), Blocked: ms(),
			Durations: values(), OldestInFlight: ms(), Report: report(), ErrorsByType: failed(),
		}},
		Sinks: []engine.SinkSnapshot{sink("k")},
		Source: pipeline.Report{Connected: true, Generation: n(), Answers: map[string]int64{"200": n()}, Refusals: map[string]int64{"rate": n()}, RequestsWaiting: n(), Partitions: []pipeline.PartitionReport{{
			Topic: "t", Partition: 3, Generation: n(), Committed: n(), Fetched: n(), HighWatermark: n(), Held: n(),
			Oldest: at.Add(time.Minute), CommittedAt: at.Add(2 * time.Minute),
		}}},
	}
}
