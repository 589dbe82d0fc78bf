package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/dashboards"
	"github.com/penstockio/penstock/pipeline/metrics"
)

// TestMetricsReference keeps the page of metrics current: -update rewrites it.
func TestMetricsReference(t *testing.T) {
	path := filepath.Join(repo, "docs", "reference", "metrics.md")
	want := metricsReference()
	if *updateCases {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not current: go test ./pipeline/cli -run MetricsReference -update", path)
	}
}

// metricName is a name of ours in a text, with what a recording rule has around it. One that ends in _ is
// the beginning of some.
var metricName = regexp.MustCompile(`[a-z_:]*penstock_[a-z_]+[a-z0-9_:]*`)

// TestMetricsInTheDocumentsExist: each metric that a page names is one that there is. What the rules for Prometheus
// record is named after metrics, and is held against the rules themselves (pipeline/dashboards).
func TestMetricsInTheDocumentsExist(t *testing.T) {
	known := map[string]bool{}
	for _, n := range metrics.Names() {
		for _, s := range n.Series() {
			known[s] = true
		}
	}
	var recorded []string
	for _, g := range dashboards.PrometheusRules() {
		for _, r := range g.Records {
			recorded = append(recorded, r.Name, "")
		}
	}
	measured := strings.NewReplacer(recorded...)
	named := 0
	for _, page := range documents(t) {
		text, err := os.ReadFile(filepath.Join(repo, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range metricName.FindAllString(measured.Replace(string(text)), -1) {
			named++
			if !known[name] && !strings.HasSuffix(name, "_") {
				t.Errorf("%s names %s, which is no metric", page, name)
			}
		}
	}
	if named < 80 {
		t.Errorf("the pages name %d metrics", named)
	}
}

const metricsHead = `# Metrics

Generated from the table of figures; ` + "`go test ./pipeline/cli -run MetricsReference -update`" + ` rewrites it.

` + "`/metrics`" + ` of the endpoint that ` + "`admin`" + ` of a pipeline file opens answers Prometheus. The figures are those of the stats events and
of ` + "`/api/v1/stats`" + `: all three are made from one table, and of one moment they say the same.

- Units are seconds, bytes and records. A name that ends in ` + "`_total`" + ` is a counter from the start of the process, which never falls.
- What is not known has no series. A 0 means that the figure is known and is 0.
- There are no percentages and rates: the query makes them. The share of the time that a step is at work is ` + "`rate(penstock_step_busy_seconds_total[5m])`" + ` divided by
  ` + "`penstock_step_workers`" + `.
- Times are kept in whole milliseconds.
- Histograms count from the start, so those of several processes can be added. Each has classic buckets. It has native ones too, 8 for each doubling, for a Prometheus that
  takes those in: older versions with ` + "`--enable-feature=native-histograms`" + `, newer ones with ` + "`scrape_native_histograms: true`" + `, a setting that the older
  ones refuse. Sums and counts are exact. A value that is above the bound of a bucket by less than 0.8 % may count for that bucket.
- The sink of the dead letters is among the sinks, under its name.
- A pipeline has its state also when it has failed, and when it never started because something was missing. A partition has series only while it is assigned to the
  process.
- ` + "`go_` and `process_`" + ` beside these are of the Go runtime and of the operating system: memory, goroutines, CPU, open files.
`

// metricLevels are the beginnings of names, and what they are of.
var metricLevels = []struct{ prefix, heading string }{
	{"penstock_pipeline_", "Pipelines"},
	{"penstock_source_", "Sources"},
	{"penstock_partition_", "Partitions"},
	{"penstock_step_", "Steps"},
	{"penstock_sink_", "Sinks"},
	{"penstock_", "The process"},
}

// metricsReference writes the page from the table.
func metricsReference() []byte {
	var b bytes.Buffer
	b.WriteString(metricsHead)
	left := metrics.Names()
	for _, l := range metricLevels {
		fmt.Fprintf(&b, "\n## %s\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n", l.heading)
		var others []metrics.Name
		for _, n := range left {
			if !strings.HasPrefix(n.Name, l.prefix) {
				others = append(others, n)
				continue
			}
			labels := ""
			if len(n.Labels) > 0 {
				labels = "`" + strings.Join(n.Labels, "`, `") + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", n.Name, n.Type, labels, n.Help)
		}
		left = others
	}
	return b.Bytes()
}
