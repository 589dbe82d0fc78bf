package metrics

import (
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/penstockio/penstock/pipeline/engine"
)

// TestNamesOfOpenMetricsAreUnique: a counter goes there by its name without _total, and must not meet a gauge of that name, as in the metrics of the
// Go runtime: a strict reader takes nothing of the whole answer then. Other forms have both.
func TestNamesOfOpenMetricsAreUnique(t *testing.T) {
	ask := func(accept string) map[string]int {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		Handler(Options{Snapshots: func() []engine.Snapshot { return []engine.Snapshot{{Pipeline: "p"}} }, Traces: func() TraceCounts { return TraceCounts{} }}).ServeHTTP(w, r)
		names := map[string]int{}
		for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(w.Body.String(), -1) {
			names[m[1]]++
		}
		return names
	}
	open := ask("application/openmetrics-text; version=1.0.0")
	for name, n := range open {
		if n != 1 {
			t.Errorf("%s is there %d times", name, n)
		}
	}
	if open["go_memstats_alloc_bytes"] == 0 || open["penstock_trace_spans_sent"] == 0 {
		t.Errorf("%v", open)
	}
	if plain := ask("text/plain; version=0.0.4"); plain["go_memstats_alloc_bytes"] != 1 || plain["go_memstats_alloc_bytes_total"] != 1 {
		t.Errorf("%v", plain)
	}
}
