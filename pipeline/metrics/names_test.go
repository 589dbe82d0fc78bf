package metrics

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// everything collects a snapshot that has a value for every metric.
func everything() *Collector {
	report := full()
	return New(Options{
		Snapshots: func() []engine.Snapshot { return []engine.Snapshot{report} }, Log: func() event.QueueCounts { return event.QueueCounts{Written: 1} },
		Traces:  func() TraceCounts { return TraceCounts{Sent: 1} },
		Version: "1.2.3", Revision: "abc", Go: "go1.26", Config: func() Config { return Config{Hash: "hash", Accepted: true, Applied: time.Unix(1, 0)} },
	})
}

// TestNamesAreWhatIsCollected: each name of Names is collected with its type, its labels and its
// help, and nothing else is.
func TestNamesAreWhatIsCollected(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(everything())
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	collected := map[string]bool{}
	for _, f := range all {
		collected[f.GetName()] = true
		i := slices.IndexFunc(Names(), func(n Name) bool { return n.Name == f.GetName() })
		if i < 0 {
			t.Errorf("%s is collected, and no name has it", f.GetName())
			continue
		}
		n := Names()[i]
		if is := strings.ToLower(f.GetType().String()); is != n.Type || f.GetHelp() != n.Help {
			t.Errorf("%s is a %s, %q; its name says %s, %q", n.Name, is, f.GetHelp(), n.Type, n.Help)
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		want := slices.Sorted(slices.Values(n.Labels))
		if !slices.Equal(labels, want) {
			t.Errorf("%s has the labels %v, its name says %v", n.Name, labels, want)
		}
	}
	for _, n := range Names() {
		if !collected[n.Name] {
			t.Errorf("%s is not collected", n.Name)
		}
	}
	if len(all) < 60 {
		t.Errorf("%d metrics", len(all))
	}
	problems, err := promlint.NewWithMetricFamilies(all).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestNamesAreNamedOnce: no name stands twice, and each has a type of Prometheus and a help that is a
// sentence.
func TestNamesAreNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range Names() {
		if seen[n.Name] || n.Help == "" || !strings.HasSuffix(n.Help, ".") || !slices.Contains([]string{"counter", "gauge", "histogram"}, n.Type) {
			t.Errorf("%+v", n)
		}
		seen[n.Name] = true
	}
}
