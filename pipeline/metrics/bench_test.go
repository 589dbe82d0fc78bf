package metrics

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/penstockio/penstock/pipeline/engine"
)

// BenchmarkScrape is a scrape of a pipeline of 6 steps, 2 sinks and 12 partitions, without its
// snapshot: what /metrics costs beside /api/v1/stats.
func BenchmarkScrape(b *testing.B) {
	s := full()
	var bars engine.Histogram
	for at := int64(100); at < 1e6; at += at/100 + 1 {
		bars.Bars = append(bars.Bars, engine.Bar{From: at, To: at, Count: 7})
		bars.Count, bars.Sum = bars.Count+7, bars.Sum+7*at
	}
	step, sink := s.Steps[0], s.Sinks[0]
	step.Durations, sink.Writes, sink.BatchSizes, s.Durations = bars, bars, bars, bars
	s.Steps, s.Sinks = nil, nil
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		step.Name = name
		s.Steps = append(s.Steps, step)
	}
	for _, name := range []string{"x", "y"} {
		sink.Name = name
		s.Sinks = append(s.Sinks, sink)
	}
	partition := s.Source.Partitions[0]
	s.Source.Partitions = nil
	for i := range int32(12) {
		partition.Partition = i
		s.Source.Partitions = append(s.Source.Partitions, partition)
	}
	h := Handler(Options{Snapshots: func() []engine.Snapshot { return []engine.Snapshot{s} }})
	for _, form := range []struct{ name, accept string }{
		{"text", "text/plain"},
		{"protobuf", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"},
	} {
		b.Run(form.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
				req.Header.Set("Accept", form.accept)
				req.Header.Set("Accept-Encoding", "gzip")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, req)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
				b.ReportMetric(float64(w.Body.Len()), "bytes")
			}
		})
	}
}
