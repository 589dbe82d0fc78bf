package admin

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

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
		"of no partition": {sourceOf(pipeline.Report{Connected: true, Partitions: []pipeline.PartitionReport{partition}}),
			"connected partitions"},
		"of one of two": {sourceOf(pipeline.Report{Connected: true, Partitions: []pipeline.PartitionReport{partition, known}}),
			"connected lag_max lag_sum partitions"},
		"a partition": {sourceOf(pipeline.Report{Partitions: []pipeline.PartitionReport{partition}}).Partitions[0],
			"lag_held partition topic"},
		"a partition at its start": {sourceOf(pipeline.Report{Partitions: []pipeline.PartitionReport{known}}).Partitions[0],
			"lag lag_held offset_committed offset_fetched offset_hwm partition topic"},
		"nothing committed": {sourceOf(pipeline.Report{Partitions: []pipeline.PartitionReport{{Committed: -1, Fetched: 2, HighWatermark: 5}}}).Partitions[0],
			"lag lag_held offset_fetched offset_hwm partition topic"},
		"a step without a cache": {reportOf(pipeline.Report{}), ""},
		"a step with one":        {reportOf(pipeline.Report{CacheHits: 1, CacheMisses: 2}), "cache_hits_total cache_misses_total"},
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
