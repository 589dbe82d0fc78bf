package dashboards_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/penstockio/penstock/pipeline/dashboards"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/metrics"
)

// metricsThere are the metrics that there are: penstock's, by the table they are made from, those of the
// process that are beside them, and what Prometheus itself says of a target.
func metricsThere() promNames {
	values := map[string][]string{}
	for _, f := range engine.PipelineFigures {
		if m := f.Metric; m.Name != "" && len(m.Values) > 0 {
			values["penstock_"+m.Name+" "+m.Label] = m.Values
		}
	}
	all := promNames{
		"up":                            {kind: "gauge", labels: map[string][]string{"runs": nil}}, // which the documents tell of
		"process_cpu_seconds_total":     {kind: "counter"},
		"process_resident_memory_bytes": {kind: "gauge"},
		"process_start_time_seconds":    {kind: "gauge"},
	}
	for _, n := range metrics.Names() {
		labels := map[string][]string{}
		for _, l := range n.Labels {
			labels[l] = values[n.Name+" "+l]
		}
		all[n.Name] = promMetric{n.Type, labels}
	}
	return all
}

// promFaults says what is wrong with the dashboards and rules on Prometheus, given what there is.
func promFaults(t *testing.T, names promNames) (faults []string) {
	note := func(where string, all []string) {
		for _, f := range all {
			faults = append(faults, where+": "+f)
		}
	}
	for _, d := range dashboards.OnPrometheus() {
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				for _, q := range p.Queries {
					note(fmt.Sprintf("%s, %s", d.Title, p.Title), queryFaults(t, names, p, q))
				}
			}
		}
		for _, a := range d.Annotations {
			s, wrong := checkPromQL(names, promFilled(t, a.Expr))
			note(d.Title+", "+a.Name, append(wrong, missing(s, a.Text)...))
		}
	}
	return append(faults, ruleFaults(names)...)
}

func queryFaults(t *testing.T, names promNames, p dashboards.Panel, q dashboards.Query) []string {
	t.Helper()
	s, faults := checkPromQL(names, promFilled(t, q.Expr))
	faults = append(faults, missing(s, q.Name)...)
	if p.Unit != dashboards.Text && p.Kind != dashboards.Table && !slices.Contains(unitsOf[p.Unit], s.unit) {
		faults = append(faults, fmt.Sprintf("a panel in %q shows %s, which is %+v", p.Unit, q.Expr, s.unit))
	}
	if s.kind != "" && p.Kind == dashboards.Lines && s.kind != "gauge" {
		faults = append(faults, fmt.Sprintf("a line shows a %s as it is: %s", s.kind, q.Expr))
	}
	return faults
}

// missing says which labels a text names that an answer does not have.
func missing(s promShape, text string) (faults []string) {
	for _, l := range promLabelsNamed(text) {
		if !s.labels[l] {
			faults = append(faults, fmt.Sprintf("%q names a label that the answer does not have: %s", text, l))
		}
	}
	return faults
}

func ruleFaults(names promNames) (faults []string) {
	names = maps.Clone(names)
	for _, g := range dashboards.PrometheusRules() {
		for _, r := range g.Records {
			s, wrong := checkPromQL(names, r.Expr)
			labels := map[string][]string{}
			for l := range promPresent(s.labels) {
				labels[l] = nil
			}
			level, _, _ := strings.Cut(r.Name, ":")
			if got := strings.Join(slices.Sorted(maps.Keys(labels)), "_"); got != level {
				wrong = append(wrong, "its name says other labels than it has: "+got)
			}
			if s.unit != unitOf(r.Name) {
				wrong = append(wrong, fmt.Sprintf("its name says %+v, and it is %+v", unitOf(r.Name), s.unit))
			}
			names[r.Name] = promMetric{"gauge", labels}
			for _, f := range wrong {
				faults = append(faults, r.Name+": "+f)
			}
		}
		for _, a := range g.Alerts {
			s, wrong := checkPromQL(names, a.Expr)
			wrong = append(wrong, missing(s, a.Summary)...)
			if quoted := queryOf.FindStringSubmatch(a.Summary); quoted != nil {
				_, more := checkPromQL(names, strings.ReplaceAll(quoted[1], "%s", "x"))
				wrong = append(wrong, more...)
			}
			for _, f := range append(wrong, missing(s, a.Runbook)...) {
				faults = append(faults, a.Name+": "+f)
			}
		}
	}
	return faults
}

// TestPrometheusNamesExist: every metric, label and value that a dashboard, a recording rule or an alert on
// Prometheus names exists, each is asked for as what it is, and each panel shows it in its unit.
func TestPrometheusNamesExist(t *testing.T) {
	oneGoroutine(t)
	for _, f := range promFaults(t, metricsThere()) {
		t.Error(f)
	}
}

// TestPrometheusNamesAreGuarded: the test above fails when a metric or a label is renamed that something
// names, or when a value is no longer one.
func TestPrometheusNamesAreGuarded(t *testing.T) {
	oneGoroutine(t)
	there := metricsThere()
	text := promText()
	checked := 0
	for name, m := range there {
		if !strings.Contains(text, name) {
			continue
		}
		less := maps.Clone(there)
		delete(less, name)
		less[name+"_renamed"] = m
		if len(promFaults(t, less)) == 0 {
			t.Errorf("nothing fails when %s is renamed", name)
		}
		checked++
	}
	if checked < 60 {
		t.Errorf("only %d metrics are on a dashboard or in a rule", checked)
	}
	for _, c := range []struct{ metric, label, to string }{
		{"penstock_partition_lag_records", "topic", "topics"},
		{"penstock_step_errors_by_type_total", "error_type", "type"},
		{"penstock_sink_records_out_total", "sink", "name"},
		{"penstock_pipeline_bottleneck", "step", "name"},
	} {
		other := maps.Clone(there)
		labels := map[string][]string{c.to: nil}
		maps.Copy(labels, other[c.metric].labels)
		delete(labels, c.label)
		other[c.metric] = promMetric{other[c.metric].kind, labels}
		if len(promFaults(t, other)) == 0 {
			t.Errorf("nothing fails when label %s of %s is renamed", c.label, c.metric)
		}
	}
	for metric, label := range map[string]string{"penstock_pipeline_state": "state", "penstock_pipeline_backpressure": "level"} {
		other := maps.Clone(there)
		labels := map[string][]string{}
		maps.Copy(labels, other[metric].labels)
		labels[label] = []string{"another"}
		other[metric] = promMetric{other[metric].kind, labels}
		if len(promFaults(t, other)) == 0 {
			t.Errorf("nothing fails when %s of %s has other values", label, metric)
		}
	}
}

// promText is every expression on Prometheus, and the texts that hold one.
func promText() string {
	var b strings.Builder
	for _, d := range dashboards.OnPrometheus() {
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				for _, q := range p.Queries {
					fmt.Fprintln(&b, q.Expr)
				}
			}
		}
		for _, a := range d.Annotations {
			fmt.Fprintln(&b, a.Expr)
		}
	}
	for _, g := range dashboards.PrometheusRules() {
		for _, r := range g.Records {
			fmt.Fprintln(&b, r.Expr)
		}
		for _, a := range g.Alerts {
			fmt.Fprintln(&b, a.Expr, a.Summary)
		}
	}
	return b.String()
}

// TestEveryAlertIsTried: the tests of the rules, which promtool runs in make test-real, let each alert fire.
func TestEveryAlertIsTried(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "alerts-prometheus.test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			Alerts []struct {
				Name  string `yaml:"alertname"`
				Fires []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	fires := map[string]bool{}
	for _, test := range file.Tests {
		for _, a := range test.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Fires) > 0
		}
	}
	for _, g := range dashboards.PrometheusRules() {
		for i := range g.Alerts {
			if !fires[g.Alerts[i].Name] {
				t.Errorf("nothing in testdata lets %s fire", g.Alerts[i].Name)
			}
		}
	}
}

// What the check of expressions finds.
func TestPromQLCheckFinds(t *testing.T) {
	names := promNames{
		"c_total": {"counter", map[string][]string{"pipeline": nil}},
		"g_bytes": {"gauge", map[string][]string{"pipeline": nil, "state": {"on", "off"}}},
		"h":       {"histogram", map[string][]string{"pipeline": nil}},
	}
	for expr, want := range map[string]string{
		`rate(c_total[5m])`:                                         "",
		`sum by (job, pipeline) (rate(c_total[5m]))`:                "",
		`histogram_quantile(0.9, sum by (le) (rate(h_bucket[5m])))`: "",
		`histogram_quantile(0.9, sum(rate(h[5m])))`:                 "",
		`g_bytes{state="on"} and on (pipeline) c_total`:             "",
		`rate(c_total[5m`:                                           "parse error",
		`d_total`:                                                   "there is no metric d_total",
		`c_bucket`:                                                  "there is no metric c_bucket",
		`c_total{step="x"}`:                                         "c_total has no label step",
		`g_bytes{state="gone"}`:                                     `state of g_bytes is never "gone"`,
		`sum by (step) (g_bytes)`:                                   "has no label step",
		`rate(g_bytes[5m])`:                                         "is of a gauge",
		`deriv(c_total[5m])`:                                        "is of a counter",
		`max by (pipeline) (c_total)`:                               "the largest of counters",
		`histogram_quantile(0.9, sum(rate(h_bucket[5m])))`:          "is not of a histogram's rates",
		`histogram_quantile(0.9, sum(rate(h_count[5m])))`:           "is not of a histogram's rates",
		`rate(c_total[5m]) / g_bytes`:                               "have different labels",
		`rate(c_total[5m]) > on (pipeline) g_bytes`:                 "are of different units",
		`c_total and on (step) c_total`:                             "have the label step",
	} {
		_, faults := checkPromQL(names, expr)
		if got := strings.Join(faults, "; "); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}
