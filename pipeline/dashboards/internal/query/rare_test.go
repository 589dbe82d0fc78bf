package query_test

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// rare gives lines about what does not happen in a run of a second, as the daemon would write them: of a copy rare-1 that is
// in trouble and has not ended, and of one rare-2 that has failed.
func rare(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	now := time.Now()
	emitter := func(instance string) *event.Emitter {
		return event.New(&b, event.Options{Instance: instance, Now: func() time.Time { now = now.Add(time.Millisecond); return now }})
	}
	process := emitter("rare-1")
	e := process.Pipeline("rare")
	rarer := process.Pipeline("rarer") // reads the topic of rare, and is further behind
	process.Emit(event.ProcessStarted{ServiceVersion: "1.2.3", Pipelines: 1}, "")
	for range 2 {
		process.Emit(event.ConfigApplied{ConfigHash: "aaaaaaaaaaaa", Trigger: "start"}, "")
	}
	for _, ev := range []any{
		event.SourceAssigned{ConsumerGroup: "rare", PartitionList: "late:0-1", Partitions: 2},
		event.SourceDisconnected{Broker: "a:9092", ErrorType: "timeout"},
		event.SourceDisconnected{Broker: "a:9092", ErrorType: "refused"},
		event.SourceConnected{Broker: "a:9092", DownMs: 900},
		event.SourceDisconnected{Broker: "b:9092", ErrorType: "timeout"},
		event.SourceGap{Topic: "late", Partition: 1, OffsetFrom: 5, OffsetTo: 9, Reason: "deleted", Policy: "earliest"},
		event.SourceCorrupt{Topic: "late", Partition: 0, OffsetFrom: 2, OffsetTo: 3, Reason: "crc", Policy: "skip"},
		event.CommitFailed{Topic: "late", ErrorType: "timeout"},
		event.CommitFailed{Topic: "late", ErrorType: "timeout"},
		event.SourcePartitionStats{Topic: "late", Partition: 0, Lag: 5, LagAgeMs: 4000, OffsetCommitted: -1, OffsetFetched: -1, OffsetHWM: -1, Uncommitted: -1, CommitAgeMs: -1},
		event.SourcePartitionStats{Topic: "late", Partition: 0, Lag: 7, LagAgeMs: 2500, OffsetCommitted: -1, OffsetFetched: -1, OffsetHWM: -1, Uncommitted: -1, CommitAgeMs: -1},
		event.SourcePartitionStats{Topic: "late", Partition: 1, Lag: 3, LagAgeMs: 0, OffsetCommitted: -1, OffsetFetched: -1, OffsetHWM: -1, Uncommitted: -1, CommitAgeMs: -1},
		event.StepStalled{Step: "mended", StalledMs: 30000}, event.StepRecovered{Step: "mended", StalledMs: 31000},
		event.StepStalled{Step: "stuck", StalledMs: 30000, Topic: "late", Partition: 1, Offset: 4, Attempt: 3, Attempts: 5, Target: "api.example", Cause: "retry"},
		event.SinkStalled{Sink: "out", StalledMs: 30000, ErrorType: "timeout", Cause: "sink"},
		event.CircuitChanged{Step: "stuck", Target: "api.example", State: "open", ErrorType: "timeout"},
		event.CircuitChanged{Step: "stuck", Target: "api.example", State: "half_open"},
		event.CircuitChanged{Step: "stuck", Target: "api.example", State: "open", ErrorType: "timeout"},
		event.CircuitChanged{Step: "stuck", Target: "b.example", State: "open", ErrorType: "timeout"},
		event.CircuitChanged{Step: "stuck", Target: "b.example", State: "closed"},
		event.PipelinePaused{Reason: "dead_letter_budget", Rejected: 101, Of: 1000, PauseMs: 60000},
		event.PipelineResumed{Reason: "dead_letter_budget", Rejected: 101, Of: 1000, PauseMs: 60000},
		event.PipelinePaused{Reason: "dead_letter_budget", Rejected: 101, Of: 1000, PauseMs: 60000},
		event.PipelineStats{IntervalMs: 15000, State: "paused", Backpressure: "high", BottleneckStep: "stuck", LagSum: -1, LagMax: -1, CommitAgeMaxMs: 45000,
			E2EP50Ms: math.NaN(), E2EP95Ms: math.NaN(), E2EP99Ms: math.NaN(), E2EMaxMs: math.NaN(), HeapBytes: 5 << 20, Goroutines: 9},
		event.StepStats{Step: "stuck", StepKind: "http", IntervalMs: 15000, BusyRatio: 0.75, IdleRatio: 0.25, ThrottleWaitMs: 1500, Throttled: 7, WindowLen: -1, WindowCap: -1,
			LatP50Ms: 900, LatP95Ms: 900, LatP99Ms: 900, LatMaxMs: 900},
	} {
		e.Emit(ev, "")
	}
	for p, lag := range []int64{20, 100} {
		rarer.Emit(event.SourcePartitionStats{Topic: "late", Partition: int64(p), Lag: lag, LagAgeMs: int64(p) * 60000,
			OffsetCommitted: -1, OffsetFetched: -1, OffsetHWM: -1, Uncommitted: -1, CommitAgeMs: -1}, "")
	}
	process.Emit(event.LogSuppressed{SuppressedEvent: "step.stats", SuppressedLevel: "info", Reason: "queue_full", Count: 7}, "")

	// A pod keeps its name over restarts. The log begins with an end in it; later it is killed, does not find its broker, and runs.
	pod := emitter("pod-1")
	unknown := math.NaN()
	ends := func(code int64, reason string) {
		pod.Emit(event.ProcessStopped{ExitCode: code, Reason: reason, E2EP50Ms: unknown, E2EP95Ms: unknown, E2EP99Ms: unknown, E2EMaxMs: unknown}, "")
	}
	ends(0, "signal")
	pod.Emit(event.ProcessStarted{ServiceVersion: "1.2.5"}, "")
	pod.Emit(event.ProcessStarted{ServiceVersion: "1.2.6"}, "")
	ends(3, "environment")
	pod.Emit(event.ProcessStarted{ServiceVersion: "1.2.7"}, "")

	failed := emitter("rare-2")
	failed.Emit(event.ProcessStarted{ServiceVersion: "1.2.4"}, "")
	failed.Pipeline("rare").Emit(event.PipelineStopped{Reason: "environment", ErrorMessage: "no broker", E2EP50Ms: math.NaN(), E2EP95Ms: math.NaN(), E2EP99Ms: math.NaN(), E2EMaxMs: math.NaN()}, "")
	failed.Emit(event.ProcessStopped{ExitCode: 1, Reason: "failed", ErrorMessage: "1 of 2 pipelines failed", E2EP50Ms: 1, E2EP95Ms: 2, E2EP99Ms: 3, E2EMaxMs: 4}, "")
	if err := event.ValidateAll(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
