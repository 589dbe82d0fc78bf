package engine

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fullSnapshot has another value in every field; scale tells two of them apart.
func fullSnapshot(scale int64) Snapshot {
	next := int64(0)
	n := func() int64 { next++; return next * scale }
	counts := func() Counts {
		return Counts{In: n(), Out: n(), Created: n(), Filtered: n(), Rejected: n(), Abandoned: n(), Errors: n(), Retries: n(), InFlight: n()}
	}
	latency := func() Latency {
		f := func() float64 { return float64(n()) + 0.12345 }
		return Latency{Count: n(), P50: f(), P95: f(), P99: f(), Max: f()}
	}
	ms := func() time.Duration { return time.Duration(n()) * time.Millisecond }
	at := time.Date(2026, 11, 20, 1, 2, 3, 4e6, time.UTC)
	report := func() pipeline.Report {
		return pipeline.Report{CacheHits: n(), CacheMisses: n(), CacheStale: n(), CallsJoined: n(), OpenCircuits: n()}
	}
	s := Snapshot{
		Pipeline: "p", State: "running", Err: errors.New("it <failed>"), Started: at, At: at.Add(time.Hour), Counts: counts(), InFlightBytes: n(),
		BytesIn: n(), BytesOut: n(), Latency: latency(), CommitAgeMax: ms(), OldestInFlight: ms(), Backpressure: "low", Bottleneck: "s",
		DeadLetterCount: n(),
		Source: pipeline.Report{Connected: true, Generation: n(), Partitions: []pipeline.PartitionReport{{
			Topic: "t", Partition: 3, Generation: n(), Committed: n(), Fetched: n(), HighWatermark: n(), Held: n(),
			Oldest: at.Add(time.Minute), CommittedAt: at.Add(2 * time.Minute),
		}}},
	}
	for i := range 2 { // the second has no window
		st := StepSnapshot{
			Name: "s", Kind: "http", Index: i, Counts: counts(), Workers: int(n()), QueueLen: int(n()), QueueCap: int(n()), HeldBack: int(n()),
			Busy: ms(), Idle: ms(), Blocked: ms(), Latency: latency(), OldestInFlight: ms(), Report: report(),
		}
		if i == 0 {
			st.WindowLen, st.WindowCap = int(n()), int(n())
			st.Throttled, st.ThrottleWait = int(n()), ms()
		}
		s.Steps = append(s.Steps, st)
	}
	s.Sinks = append(s.Sinks, SinkSnapshot{Name: "k", Kind: "file", Counts: counts(), Batches: n(), BatchRecords: latency(), Write: latency(), Report: report()})
	return s
}

// TestStatsEventsKeepTheirForm: what the figures are called in the events, and what each says,
// when everything is known and when nothing is.
func TestStatsEventsKeepTheirForm(t *testing.T) {
	var text strings.Builder
	say := func(e any) { fmt.Fprintf(&text, "%+v\n", e) }
	full, none := fullSnapshot(3), fullSnapshot(1)
	unknown := Latency{P50: math.NaN(), P95: math.NaN(), P99: math.NaN(), Max: math.NaN()}
	empty := Snapshot{
		State: "starting", Steps: []StepSnapshot{{Name: "s", Kind: "map", Latency: unknown}}, Sinks: []SinkSnapshot{{Name: "k", Kind: "file"}},
		Source: pipeline.Report{Partitions: []pipeline.PartitionReport{{Topic: "t", Committed: -1, Fetched: -1, HighWatermark: -1}}},
	}
	for _, c := range []struct{ now, was Snapshot }{{full, none}, {empty, Snapshot{}}} {
		s := stats{p: new(shared)}
		s.p.current.Store(&plan{hash: "hash"})
		e := s.pipelineStats(c.now, c.was, 15*time.Second)
		e.Goroutines, e.HeapBytes = 1, 2
		say(e)
		for i, st := range c.now.Steps {
			var was StepSnapshot
			if c.was.Steps != nil {
				was = c.was.Steps[i]
			}
			st.fullest = 0.25
			say(stepStats(st, was, 15*time.Second))
		}
		for i, si := range c.now.Sinks {
			var was SinkSnapshot
			if c.was.Sinks != nil {
				was = c.was.Sinks[i]
			}
			say(sinkStats(si, was, 15*time.Second))
		}
		for _, r := range c.now.Source.Partitions {
			say(partitionStats(PartitionSnapshot{r, c.now.At}))
		}
	}
	const path = "testdata/stats_events.golden.txt"
	if *update {
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("the events are\n%s\nwant\n%s", text.String(), want)
	}
}

// TestEveryKeyIsAFigure: each field of the stats events comes from one figure of its table,
// and each member of the answer too.
func TestEveryKeyIsAFigure(t *testing.T) {
	eachOnce(t, event.PipelineStats{}, PipelineFigures, "config_hash", "goroutines", "heap_bytes")
	eachOnce(t, event.StepStats{}, StepFigures)
	eachOnce(t, event.SinkStats{}, SinkFigures)
	eachOnce(t, event.SourcePartitionStats{}, PartitionFigures)
}

func eachOnce[S any](t *testing.T, of any, figures []Figure[S], others ...string) {
	t.Helper()
	keys, members := map[string]int{}, map[string]int{}
	for _, f := range figures {
		if f.Event == "" && f.During == "" && f.Admin == "" && f.Metric.Name == "" {
			t.Errorf("%T: a figure is shown nowhere", of)
		}
		if (f.Value == nil) == (f.over == nil) || f.over != nil && (f.Admin != "" || f.During != "") {
			t.Errorf("%T: %s%s is of a moment, or of an interval and then in the event alone", of, f.Event, f.Admin)
		}
		for _, key := range []string{f.Event, f.During} {
			keys[key]++
		}
		members[f.Admin]++
	}
	for _, key := range others {
		keys[key]++
	}
	delete(keys, "")
	delete(members, "")
	for key := range eventKeys[reflect.TypeOf(of)] {
		if keys[key] != 1 {
			t.Errorf("%T: %d figures are called %s", of, keys[key], key)
		}
		delete(keys, key)
	}
	for key := range keys {
		t.Errorf("%T has no key %s", of, key)
	}
	for name, n := range members {
		if n != 1 {
			t.Errorf("%T: %d figures are the member %s", of, n, name)
		}
	}
}
