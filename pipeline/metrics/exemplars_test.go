package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/engine"
)

// TestExemplars: they stand in the bucket of their value, that above all bounds too, and only in OpenMetrics, which is answered only
// where records are traced.
func TestExemplars(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	s := engine.Snapshot{Pipeline: "p", Durations: engine.Histogram{
		Count: 2, Sum: 400_000_250, Bars: []engine.Bar{{From: 250, To: 250, Count: 1}, {From: 400_000_000, To: 400_000_000, Count: 1}},
		Exemplars: []engine.Exemplar{{Value: 250, TraceID: "small", At: at}, {Value: 400_000_000, TraceID: "large", At: at}},
	}}
	ask := func(traces func() TraceCounts, accept string) string {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		Handler(Options{Snapshots: func() []engine.Snapshot { return []engine.Snapshot{s} }, Traces: traces}).ServeHTTP(w, r)
		return w.Body.String()
	}
	traced := func() TraceCounts { return TraceCounts{} }
	const open, plain = "application/openmetrics-text; version=1.0.0", "text/plain; version=0.0.4"
	got := ask(traced, open)
	for _, want := range []string{
		`penstock_pipeline_duration_seconds_bucket{pipeline="p",le="0.0005"} 1 # {trace_id="small"} 0.00025 1.7e+09`,
		`penstock_pipeline_duration_seconds_bucket{pipeline="p",le="+Inf"} 2 # {trace_id="large"} 400.0 1.7e+09`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not there: %s\n%s", want, got)
		}
	}
	if n := strings.Count(got, `penstock_pipeline_duration_seconds_bucket{pipeline="p",le="+Inf"}`); n != 1 || !strings.HasSuffix(got, "# EOF\n") {
		t.Errorf("%d buckets without a bound", n)
	}
	for name, text := range map[string]string{"not traced": ask(nil, open), "plain": ask(traced, plain)} {
		if strings.Contains(text, "# EOF") || strings.Contains(text, "trace_id") {
			t.Errorf("%s: OpenMetrics is answered", name)
		}
	}
}
