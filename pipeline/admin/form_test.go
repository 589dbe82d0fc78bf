package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// full is a snapshot that has a value for every member of the answer.
func full() engine.Snapshot {
	next := int64(0)
	n := func() int64 { next++; return next }
	counts := func() engine.Counts {
		return engine.Counts{In: n(), Out: n(), Created: n(), Filtered: n(), Rejected: n(), Abandoned: n(), Errors: n(), Retries: n(), InFlight: n()}
	}
	latency := func() engine.Latency {
		f := func() float64 { return float64(n()) + 0.12345 }
		return engine.Latency{Count: n(), P50: f(), P95: f(), P99: f(), Max: f()}
	}
	ms := func() time.Duration { return time.Duration(n()) * time.Millisecond }
	at := time.Date(2026, 11, 20, 1, 2, 3, 4e6, time.UTC)
	report := func() pipeline.Report {
		return pipeline.Report{CacheHits: n(), CacheMisses: n(), CacheStale: n(), CallsJoined: n(), OpenCircuits: n()}
	}
	s := engine.Snapshot{
		Pipeline: "p", State: "running", Err: errors.New("it <failed>"), Started: at, At: at.Add(time.Hour), Counts: counts(),
		InFlightBytes: n(), BytesIn: n(), BytesOut: n(), Latency: latency(), CommitAgeMax: ms(), OldestInFlight: ms(),
		Backpressure: "low", Bottleneck: "s", DeadLetterCount: n(),
		Steps: []engine.StepSnapshot{{
			Name: "s", Kind: "http", Index: int(n()), Counts: counts(), Workers: int(n()), QueueLen: int(n()), QueueCap: int(n()),
			HeldBack: int(n()), WindowLen: int(n()), WindowCap: int(n()), Throttled: int(n()), ThrottleWait: ms(), Busy: ms(), Idle: ms(), Blocked: ms(), Latency: latency(),
			OldestInFlight: ms(), Report: report(),
		}, {Name: "no window", Kind: "map"}},
		Sinks: []engine.SinkSnapshot{{
			Name: "k", Kind: "file", Counts: counts(), Batches: n(), BatchRecords: latency(), Write: latency(), Report: report(),
		}},
		Source: pipeline.Report{Connected: true, Generation: n(), Partitions: []pipeline.PartitionReport{{
			Topic: "t", Partition: 3, Generation: n(), Committed: n(), Fetched: n(), HighWatermark: n(), Held: n(),
			Oldest: at.Add(time.Minute), CommittedAt: at.Add(2 * time.Minute),
		}}},
	}
	s.DeadLetter = &engine.SinkSnapshot{Name: "dead", Kind: "file", Counts: counts(), Batches: n(), BatchRecords: latency(), Write: latency()}
	return s
}

// TestStatsKeepTheirForm: the names of the members, their order, and what each says.
func TestStatsKeepTheirForm(t *testing.T) {
	text, err := json.MarshalIndent(statsOf([]engine.Snapshot{full(), {Pipeline: "empty", State: "starting", At: t0}}), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	const path = "testdata/stats.golden.json"
	if *update {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != string(want) {
		t.Errorf("the answer is\n%s\nwant\n%s", text, want)
	}
}

// reporting is a source in memory that reports a partition.
type reporting struct{ *pipelinetest.Values }

func (r reporting) Report() pipeline.Report {
	return pipeline.Report{Connected: true, Generation: 4, Partitions: []pipeline.PartitionReport{
		{Topic: "t", Partition: 3, Generation: 4, Committed: 5, Fetched: 6, HighWatermark: 9, Held: 1},
	}}
}

// filters is a stage that filters what has the value 2, and has a cache.
type filters struct{}

func (filters) Process(_ context.Context, rec *pipeline.Record) error {
	if string(rec.Value()) == "2" {
		return pipeline.Filtered
	}
	return nil
}

func (filters) Report() pipeline.Report { return pipeline.Report{CacheHits: 3, CacheMisses: 2} }

// TestEventsAndAnswerAgree: the stats events of a run and the answer after it say the same,
// field by field, under the names that the one table of figures has for both.
func TestEventsAndAnswerAgree(t *testing.T) {
	var log bytes.Buffer
	events := event.New(&log, event.Options{Service: "test", Instance: "test"})
	p, err := engine.New(engine.Options{
		Name: "p", Source: reporting{pipelinetest.NewValues("1", "2", "3")}, Events: events, StatsEvery: time.Hour,
		Steps: []engine.Step{{Name: "s", Kind: "filter", Stage: filters{}}, {Name: "w", Kind: "http", Stage: filters{}, Wait: &engine.Wait{}}},
		Sinks: []engine.Output{{Name: "k", Kind: "memory", Sink: &pipelinetest.Memory{}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.Close()
	lines := map[string][]map[string]any{}
	for line := range bytes.Lines(log.Bytes()) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		name := m["event_name"].(string)
		lines[name] = append(lines[name], m)
	}
	snapshot := p.Snapshot()
	text, err := json.Marshal(pipelineOf(&snapshot))
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	item := func(list any, i int) map[string]any { return list.([]any)[i].(map[string]any) }
	agree(t, engine.PipelineFigures, lines["pipeline.stats"][0], answer)
	for i := range 2 {
		agree(t, engine.StepFigures, lines["step.stats"][i], item(answer["steps"], i))
	}
	agree(t, engine.SinkFigures, lines["sink.stats"][0], item(answer["sinks"], 0))
	agree(t, engine.PartitionFigures, lines["source.partition.stats"][0], item(answer["source"].(map[string]any)["partitions"], 0))
}

func agree[S any](t *testing.T, figures []engine.Figure[S], line, answer map[string]any) {
	t.Helper()
	both := 0
	for _, f := range figures {
		for _, key := range []string{f.Event, f.During} { // the first interval is the whole run
			if key == "" || f.Admin == "" || key == "state" || key == "inflight_bytes" { // both change when the run is over
				continue
			}
			both++
			emitted, inEvent := line[key]
			shown, inAnswer := any(nil), false
			if object, member, ok := strings.Cut(f.Admin, "."); ok {
				shown, inAnswer = answer[object].(map[string]any)[member]
			} else {
				shown, inAnswer = answer[f.Admin]
			}
			if n, ok := shown.(float64); ok && strings.HasPrefix(key, "batch_records") {
				shown = math.Trunc(n) // the event has whole records
			}
			switch {
			case inEvent && inAnswer && emitted != shown:
				t.Errorf("%s is %v, %s is %v", key, emitted, f.Admin, shown)
			case inEvent && !inAnswer && emitted != 0.0, inAnswer && !inEvent && !(f.Zero && shown == 0.0):
				t.Errorf("%s is there: %v, %s is there: %v", key, inEvent, f.Admin, inAnswer)
			}
		}
	}
	if both < 8 {
		t.Errorf("%d figures are in both forms", both)
	}
}
