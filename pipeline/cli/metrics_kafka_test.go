//go:build unix

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// scraped gives what /metrics of a process says now.
func (r *running) scraped() map[string]*dto.MetricFamily {
	r.t.Helper()
	_, body := r.get("/metrics")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		r.t.Fatalf("%v\n%s", err, body)
	}
	return families
}

// sumOf adds all series of a metric; of a histogram, their counts. -1: there is none.
func sumOf(families map[string]*dto.MetricFamily, name string) float64 {
	f, ok := families["penstock_"+name]
	if !ok {
		return -1
	}
	sum := 0.0
	for _, m := range f.GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return sum
}

// TestMetricsOfARunAreItsTotals: what the metrics of a daemon say when it is done is what came in, what
// came out and what its last line says.
func TestMetricsOfARunAreItsTotals(t *testing.T) {
	c := kafkatest.Start(t)
	in, out, group := c.Topic(t, 4), c.Topic(t, 4), c.Group(t)
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "late.yaml"), filepath.Join(dir, "s")
	text := fmt.Sprintf(`pipeline: late
source:
  kafka: {brokers: [%s], topics: [%s], group: %s, start: earliest}
stages:
  - filter: delay >= 15
  - name: set
    map: {set: {long: 'delay >= 120 ? int(origin) : delay'}}
sinks:
  - name: out
    kafka: {topic: %s}
dead_letter:
  file: {path: dead.jsonl}
admin: {listen: "unix:%s"}
log: {format: json, stats_every: 100ms}
`, c.Addrs()[0], in, group, out, socket)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c.Produce(t, in, flightRecords(t, 0)...)
	r := startDaemon(t, file)
	r.socket = socket
	r.read(`"event_name":"process.ready"`)
	ended := make(chan struct{})
	go func() { defer close(ended); r.follow(`"event_name":"process.stopping"`) }() // a full pipe would hold it up
	families := r.scraped()
	for deadline := time.Now().Add(time.Minute); sumOf(families, "partition_committed_offset") < 10_000; families = r.scraped() {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute %v offsets are committed of %v records", sumOf(families, "partition_committed_offset"), sumOf(families, "pipeline_records_in_total"))
		}
	}
	r.signal(syscall.SIGTERM)
	<-ended
	if code := r.end(); code != exitDone {
		t.Fatalf("exit code %d\n%s", code, r.log.String())
	}

	var last map[string]any
	if err := json.Unmarshal([]byte(lastLine(r.log.String())), &last); err != nil {
		t.Fatal(err)
	}
	total := func(key string) float64 { return last[key].(float64) }
	dead, err := os.ReadFile(filepath.Join(dir, "dead.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	letters, delivered := float64(bytes.Count(dead, []byte("\n"))), float64(len(c.Consume(t, out)))
	if letters == 0 || delivered == 0 || delivered+letters != flightsLate {
		t.Fatalf("%v records came out, and there are %v dead letters of %d", delivered, letters, flightsLate)
	}
	for name, want := range map[string]float64{
		"pipeline_records_in_total":       total("records_in_total"),
		"pipeline_records_out_total":      total("records_out_total"),
		"pipeline_records_filtered_total": total("filtered_total"),
		"pipeline_records_rejected_total": total("rejected_total"),
		"pipeline_duration_seconds":       10_000,
		"pipeline_dead_letters_total":     letters,
		"pipeline_inflight_records":       0,
		"pipeline_state":                  1,
		"pipeline_backpressure":           1,
		"sink_records_out_total":          delivered + letters, // the sink of dead letters is one
		"step_errors_total":               letters,
		"step_errors_by_type_total":       letters,
		"pipeline_lag_records":            0,
		"partition_lag_records":           0,
		"partition_lag_seconds":           0,
		"partition_uncommitted_records":   0,
		"source_partitions":               4,
		"log_lines_dropped_total":         0,
		"build_info":                      1,
	} {
		if got := sumOf(families, name); got != want {
			t.Errorf("%s is %v, and the run says %v", name, got, want)
		}
	}
	if total("records_out_total") != delivered || total("rejected_total") != letters {
		t.Errorf("%v came out, %v were rejected; the last line says %v", delivered, letters, last)
	}
}
