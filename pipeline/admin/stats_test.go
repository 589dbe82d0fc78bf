package admin

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
)

// members gives the names of all members of an object of the answer, sorted.
func members(t *testing.T, of any) []string {
	t.Helper()
	text, err := json.Marshal(of)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// at gives a member of an object, nil when it has none of the name.
func (o *object) at(name string) any {
	if i := slices.Index(o.names, name); i >= 0 {
		return o.values[i]
	}
	return nil
}

func percentilesOf(l engine.Latency) any {
	return objectOf(engine.SinkFigures, &engine.SinkSnapshot{Write: l}).at("write_ms")
}

func sourceOf(r pipeline.Report) *object {
	return pipelineOf(&engine.Snapshot{Source: r}).at("source").(*object)
}

func partitionOf(p pipeline.PartitionReport) any {
	return sourceOf(pipeline.Report{Partitions: []pipeline.PartitionReport{p}}).at("partitions").([]*object)[0]
}

// reportOf gives what a step has of the report of its stage.
func reportOf(r pipeline.Report) any {
	of := &object{}
	step := objectOf(engine.StepFigures, &engine.StepSnapshot{Report: r})
	for i, name := range step.names[slices.Index(step.names, "oldest_inflight_ms")+1:] {
		of.set(name, i)
	}
	return of
}

// TestWhatIsNotKnownIsLeftOut: -1, 0 and null would be figures.
func TestWhatIsNotKnownIsLeftOut(t *testing.T) {
	partition := pipeline.PartitionReport{Topic: "t", Committed: -1, Fetched: -1, HighWatermark: -1}
	known := pipeline.PartitionReport{Topic: "t", Committed: 0, Fetched: 0, HighWatermark: 0}
	for name, c := range map[string]struct {
		of   any
		want string
	}{
		"percentiles of nothing":     {percentilesOf(engine.Latency{P50: math.NaN()}), "count"},
		"percentiles":                {percentilesOf(engine.Latency{Count: 1}), "count max p50 p95 p99"},
		"percentiles without values": {percentilesOf(engine.Latency{Count: 1, P50: math.NaN(), P95: math.Inf(1), P99: 1}), "count max p99"},
		"no partitions yet":          {sourceOf(pipeline.Report{}), "connected"},
		"a member without any":       {sourceOf(pipeline.Report{Connected: true}), "connected lag_max lag_sum"},
		"a source that is away":      {sourceOf(pipeline.Report{Away: "broker b:9092: refused", AwaySince: time.Now()}), "away away_since connected"},
		"of no partition": {sourceOf(pipeline.Report{Connected: true, Partitions: []pipeline.PartitionReport{partition}}),
			"connected partitions"},
		"of one of two": {sourceOf(pipeline.Report{Connected: true, Partitions: []pipeline.PartitionReport{partition, known}}),
			"connected lag_max lag_sum partitions"},
		"a partition": {partitionOf(partition),
			"lag_held partition paused topic"},
		"a partition at its start": {partitionOf(known),
			"lag lag_age_ms lag_held offset_committed offset_fetched offset_hwm partition paused topic uncommitted"},
		"nothing committed": {partitionOf(pipeline.PartitionReport{Committed: -1, Fetched: 2, HighWatermark: 5}),
			"lag lag_held offset_fetched offset_hwm partition paused topic"},
		"a step without a cache": {reportOf(pipeline.Report{}), ""},
		"a step with one":        {reportOf(pipeline.Report{CacheHits: 1, CacheMisses: 2}), "cache_hits_total cache_misses_total"},
		"a step with calls": {reportOf(pipeline.Report{CacheStale: 1, CallsJoined: 1, OpenCircuits: 1}),
			"cache_stale_total calls_joined_total circuits_open"},
	} {
		if got := strings.Join(members(t, c.of), " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestAPipelineThatHasNotStarted has no start, no error and nothing that holds it up, and
// lists that are empty.
func TestAPipelineThatHasNotStarted(t *testing.T) {
	text, err := json.Marshal(statsOf([]engine.Snapshot{{Pipeline: "p", State: "starting", At: time.Now()}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, no := range []string{"0001-", "null", "NaN", `"error"`, `"started"`, `"bottleneck_step"`} {
		if strings.Contains(string(text), no) {
			t.Errorf("%s in %s", no, text)
		}
	}
	if !strings.Contains(string(text), `"steps":[],"sinks":[]`) {
		t.Errorf("%s", text)
	}
}

// TestStalledPlacesAreNamed: in the form of /api/v1/why; without any there is no such member.
func TestStalledPlacesAreNamed(t *testing.T) {
	s := engine.Snapshot{Pipeline: "p", State: "running", At: time.Now()}
	s.Stalled = []engine.Hold{{Lane: "t/0", Where: "out", State: "retrying", Cause: engine.CauseSink, Attempt: 9, ErrorType: "timeout", Since: time.Minute}}
	for _, want := range []bool{true, false} {
		text, err := json.Marshal(statsOf([]engine.Snapshot{s}))
		if err != nil {
			t.Fatal(err)
		}
		says := `attempt 9 of a write fails with timeout; no progress for 1 min 0 s"}],"steps"`
		if got := strings.Contains(string(text), `"stalled":[{"lane":"t/0",`) && strings.Contains(string(text), says); got != want {
			t.Errorf("named: %t, want %t: %s", got, want, text)
		}
		if s.Stalled = nil; !want && strings.Contains(string(text), "stalled") {
			t.Errorf("%s", text)
		}
	}
}

// TestWhatIsPausedIsShown: by what the pipeline is, how many of its lanes are by themselves, and which partitions; each of them once.
func TestWhatIsPausedIsShown(t *testing.T) {
	p := engine.Snapshot{Pipeline: "p", State: "paused", PausedBy: "command", PausedLanes: []string{"orders/3"}}
	p.Source.Partitions = []pipeline.PartitionReport{{Topic: "orders", Partition: 3, Paused: true, Commanded: true}, {Topic: "orders", Partition: 4, Paused: true}}
	text, err := json.Marshal(statsOf([]engine.Snapshot{p, {Pipeline: "q"}}))
	if err != nil {
		t.Fatal(err)
	}
	all := gjson.ParseBytes(text).Get("pipelines")
	for path, want := range map[string]string{
		"0.paused_by": `"command"`, "0.paused_lanes": "1", "0.source.partitions.#.paused_by": `["command"]`,
		"1.paused_by": "", "1.paused_lanes": "0", "1.source.partitions": "",
	} {
		if got := all.Get(path).Raw; got != want {
			t.Errorf("%s: %s, want %s: %s", path, got, want, text)
		}
	}
	if n := strings.Count(string(text), `"paused_lanes"`); n != 2 {
		t.Errorf("paused_lanes stands there %d times: %s", n, text)
	}
}
