package catalog_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/internal/cputime"
)

// lateFlights are the stages of the workload W2: 23 % of the flights pass.
const lateFlights = `pipeline: p
source:
  replay: {files: [in.jsonl], as: value}
stages:
  - filter: delay >= 15
  - map:
      set: {late_minutes: delay, route: origin + "-" + destination}
      remove: [delay]
sinks:
  - stdout: {}
`

// flightValues gives the real flights, each made 200 bytes long.
func flightValues(tb testing.TB) [][]byte {
	tb.Helper()
	text, err := os.ReadFile("../../testdata/flights/flights.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	var values [][]byte
	for l := range strings.Lines(string(text)) {
		v := strings.TrimSuffix(strings.TrimSpace(l), "}") + `,"pad":"`
		values = append(values, []byte(v+strings.Repeat("x", max(0, 198-len(v)))+`"}`))
	}
	return values
}

func flightSteps(tb testing.TB) []engine.Step {
	tb.Helper()
	o, err := catalog.Build(load(tb, write(tb, lateFlights)).Pipelines[0], catalog.Env{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = catalog.Close(context.Background(), o) })
	return o.Steps
}

// throughStages takes values through the steps as the engine does: a chunk of records
// through the first one, what is left through the next. out gets what a sink takes.
func throughStages(tb testing.TB, steps []engine.Step, places []pipeline.Record, values [][]byte, out func([]byte)) {
	left := make([]*pipeline.Record, 0, len(places))
	for len(values) > 0 {
		n := min(len(places), len(values))
		left = left[:0]
		for i, v := range values[:n] {
			places[i].Init(pipeline.Position{}, nil, v, nil, 0)
			left = append(left, &places[i])
		}
		values = values[n:]
		for _, s := range steps {
			kept := left[:0]
			for _, r := range left {
				err := s.Stage.Process(tb.Context(), r)
				if err == nil {
					kept = append(kept, r)
				} else if !errors.Is(err, pipeline.Filtered) {
					tb.Fatal(err)
				}
			}
			left = kept
		}
		for _, r := range left {
			out(r.Value())
		}
	}
}

// byHand is the same by a careful programmer with gjson and sjson.
func byHand(values [][]byte, out func([]byte)) {
	for _, value := range values {
		if gjson.GetBytes(value, "delay").Int() >= 15 {
			v, _ := sjson.SetRawBytes(value, "late_minutes", []byte(gjson.GetBytes(value, "delay").Raw))
			v, _ = sjson.SetBytes(v, "route", gjson.GetBytes(value, "origin").String()+"-"+gjson.GetBytes(value, "destination").String())
			v, _ = sjson.DeleteBytes(v, "delay")
			out(v)
		}
	}
}

// BenchmarkLateFlights takes the flights of W2 through its stages, and through the same
// work by hand on gjson and sjson: each in turn, on the same bytes.
func BenchmarkLateFlights(b *testing.B) {
	values, steps := flightValues(b), flightSteps(b)
	places := make([]pipeline.Record, 512)
	size := 0
	out := func(v []byte) { size += len(v) }
	sides := [2]struct {
		run    func()
		spent  []time.Duration
		allocs uint64
	}{
		{run: func() { throughStages(b, steps, places, values, out) }},
		{run: func() { byHand(values, out) }},
	}
	for i := range sides {
		sides[i].run()
	}
	for range b.N {
		for i := range sides {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := cputime.Used()
			sides[i].run()
			sides[i].spent = append(sides[i].spent, cputime.Used()-start)
			runtime.ReadMemStats(&after)
			sides[i].allocs += after.Mallocs - before.Mallocs
		}
	}
	for i := range sides {
		slices.Sort(sides[i].spent)
	}
	ours, theirs := sides[0].spent[b.N/2], sides[1].spent[b.N/2] // medians, of the processor: others use it too
	n := float64(len(values))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ours.Nanoseconds())/n, "ns/record")
	b.ReportMetric(float64(sides[0].allocs)/n/float64(b.N), "allocs/record")
	b.ReportMetric(float64(theirs.Nanoseconds())/n, "ns/hand")
	b.ReportMetric(float64(sides[1].allocs)/n/float64(b.N), "allocs/hand")
	b.ReportMetric(float64(ours)/float64(theirs), "x")
}

// TestLateFlights holds what the stages and the hand-written code give against each
// other: the benchmark compares the same work.
func TestLateFlights(t *testing.T) {
	values := flightValues(t)
	var ours, theirs []string
	throughStages(t, flightSteps(t), make([]pipeline.Record, 512), values, func(v []byte) { ours = append(ours, string(v)) })
	byHand(values, func(v []byte) { theirs = append(theirs, string(v)) })
	if len(ours) != len(theirs) || len(ours) == 0 {
		t.Fatalf("%d records, by hand %d", len(ours), len(theirs))
	}
	for i := range ours {
		if ours[i] != theirs[i] {
			t.Fatalf("record %d is %s, by hand %s", i, ours[i], theirs[i])
		}
	}
}
