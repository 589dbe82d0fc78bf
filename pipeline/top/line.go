package top

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// An envelope is what every line of the log has.
type envelope struct {
	Timestamp time.Time `json:"timestamp"`
	Level     string    `json:"level"`
	Event     string    `json:"event_name"`
	Instance  string    `json:"service_instance_id"`
	Pipeline  string    `json:"pipeline"`
	Message   string    `json:"message"`
}

// wrapped are the keys under which shippers and container runtimes put a line, as a text.
type wrapped struct {
	Log     string `json:"log"`     // Docker's json-file
	Message string `json:"MESSAGE"` // journalctl -o json
	Line    string `json:"line"`
}

// mostStarts is how many braces are tried as the begin of a line's object.
const mostStarts = 4

// findLine finds the object of a line of the log in what a file or a pipe has: behind a prefix, as of kubectl --prefix or of
// journald, or as text in an object of a container runtime. It gives nil when there is none.
func findLine(raw []byte) ([]byte, *envelope) {
	for range mostStarts {
		at := bytes.Index(raw, []byte(`{"`))
		if at < 0 {
			return nil, nil
		}
		raw = raw[at:]
		var e envelope
		if json.Unmarshal(raw, &e) == nil && e.Event != "" && !e.Timestamp.IsZero() {
			return raw, &e
		}
		var w wrapped
		if json.Unmarshal(raw, &w) == nil {
			for _, text := range []string{w.Log, w.Message, w.Line} {
				if line, e := findInner([]byte(text)); e != nil {
					return line, e
				}
			}
			return nil, nil
		}
		raw = raw[1:]
	}
	return nil, nil
}

// findInner finds the object of a line in the text of an object. That is one level deep: no runtime wraps twice.
func findInner(text []byte) ([]byte, *envelope) {
	at := bytes.Index(text, []byte(`{"`))
	if at < 0 {
		return nil, nil
	}
	var e envelope
	if json.Unmarshal(text[at:], &e) != nil || e.Event == "" || e.Timestamp.IsZero() {
		return nil, nil
	}
	return text[at:], &e
}

// decode reads the fields of an event. What the line leaves out is not known: NaN, or what the field's tag says.
func decode[E any](line []byte) (e E, ok bool) {
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		switch f, t := v.Field(i), v.Type().Field(i); f.Kind() {
		case reflect.Float64:
			f.SetFloat(math.NaN())
		case reflect.Int64:
			if t.Tag.Get("unknown") == "-1" {
				f.SetInt(-1)
			}
		}
	}
	return e, json.Unmarshal(line, &e) == nil
}

func statsOf(e *event.PipelineStats, env *envelope) *Pipeline {
	seconds := float64(e.IntervalMs) / 1000
	return &Pipeline{
		Name: env.Pipeline, State: e.State, At: env.Timestamp, IntervalMs: e.IntervalMs,
		Counts: Counts{e.RecordsInTotal, e.RecordsOutTotal, e.CreatedTotal, e.FilteredTotal, e.RejectedTotal, e.AbandonedTotal,
			e.ErrorsTotal, e.RetriesTotal, e.Inflight},
		Rate:          Rates{e.RateIn, e.RateOut, perSecond(e.Errors, seconds), perSecond(e.Rejected, seconds)},
		E2E:           Latency{e.E2EP50Ms, e.E2EP95Ms, e.E2EP99Ms, e.E2EMaxMs},
		Lag:           Lag{e.LagSum, e.LagMax, -1, e.LagUnit},
		InFlightBytes: e.InflightBytes, CommitAgeMs: e.CommitAgeMaxMs, OldestMs: e.OldestInflightMs,
		Backpressure: e.Backpressure, Bottleneck: e.BottleneckStep, ConfigHash: e.ConfigHash,
		PausedBy: e.PausedBy, PausedLanes: e.PausedLanes, Skipped: e.Skipped,
	}
}

func stepOf(e *event.StepStats) *Step {
	seconds := float64(e.IntervalMs) / 1000
	return &Step{
		Name: e.Step, Kind: e.StepKind, Role: RoleStep, Index: e.StepIndex,
		Counts: Counts{e.RecordsInTotal, e.RecordsOutTotal, e.CreatedTotal, e.FilteredTotal, e.RejectedTotal, e.AbandonedTotal,
			e.ErrorsTotal, e.RetriesTotal, e.Inflight},
		Rate:    Rates{e.RateIn, e.RateOut, perSecond(e.Errors, seconds), perSecond(e.Rejected, seconds)},
		Latency: Latency{e.LatP50Ms, e.LatP95Ms, e.LatP99Ms, e.LatMaxMs},
		Shares:  Shares{e.BusyRatio, e.IdleRatio, e.BlockedRatio},
		Queue:   Queue{e.QueueLen, e.QueueCap, e.QueueFillMaxRatio},
		Workers: e.Workers, OldestMs: e.OldestInflightMs, HeldBack: e.HeldBack + e.Throttled, Circuits: e.CircuitsOpen,
	}
}

func sinkOf(e *event.SinkStats) *Step {
	seconds := float64(e.IntervalMs) / 1000
	role := RoleSink
	if e.Sink == deadLetterName {
		role = RoleDeadLetters
	}
	return &Step{
		Name: e.Sink, Kind: e.SinkKind, Role: role,
		Counts: Counts{e.RecordsInTotal, e.RecordsOutTotal, 0, e.FilteredTotal, e.RejectedTotal, e.AbandonedTotal,
			e.ErrorsTotal, e.RetriesTotal, e.Inflight},
		Rate: Rates{perSecond(e.RecordsIn, seconds), perSecond(e.RecordsOut, seconds),
			perSecond(e.Errors, seconds), perSecond(e.Rejected, seconds)},
		Latency: Latency{e.WriteP50Ms, math.NaN(), e.WriteP99Ms, math.NaN()},
		Shares:  Shares{math.NaN(), math.NaN(), math.NaN()},
		Queue:   Queue{-1, -1, math.NaN()},
		Workers: -1, OldestMs: -1,
	}
}

// deadLetterName is that of the sink of dead letters, which no other can have.
const deadLetterName = "dead_letter"

func perSecond(n int64, seconds float64) float64 {
	if seconds <= 0 {
		return math.NaN()
	}
	return float64(n) / seconds
}

func partitionOf(e *event.SourcePartitionStats, instance string) *Partition {
	return &Partition{
		Topic: e.Topic, Partition: e.Partition, Committed: e.OffsetCommitted, End: e.OffsetHWM, Lag: e.Lag, LagUnit: e.LagUnit, AgeMs: e.LagAgeMs,
		CommitAgeMs: e.CommitAgeMs, Generation: e.Generation, Paused: e.Paused, PausedBy: e.PausedBy, Instance: instance,
	}
}
