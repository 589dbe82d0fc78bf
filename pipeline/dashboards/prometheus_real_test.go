//go:build real

package dashboards_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/dashboards"
	"github.com/penstockio/penstock/pipeline/dashboards/internal/picture"
)

// emptyInTheRun are the panels that need not have an answer in the run of this test: what they show depends
// on how the machine's time falls.
var emptyInTheRun = []string{
	"overview: Bottleneck",
	"source: Done in",
}

// TestPrometheusAnswers scrapes a run of the daemon with two of Prometheus, one of which keeps native
// histograms and one classic ones. Both load the rules and answer every panel, and what they answer is
// what the run says of itself and what the broker has.
func TestPrometheusAnswers(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(rules, dashboards.RuleFile(dashboards.PrometheusRules()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", rules)
	promtool(t, "test", "rules", filepath.Join("testdata", "alerts-prometheus.test.yaml"))
	run := startRealRun(t)
	stores := map[string]*promServer{
		"classic": startPrometheus(t, run.metrics, rules, false),
		"native":  startPrometheus(t, run.metrics, rules, true),
	}
	begin, pace := time.Now(), time.Second
	if *pictures {
		pace *= 3
	}
	run.feed(15*pace, 80)
	run.mood.Store(slowMood)
	run.feed(15*pace, 80)
	run.mood.Store(downMood)
	run.feed(10*pace, 80)
	run.mood.Store(quickMood)
	run.feed(20*pace, 80)

	for name, p := range stores {
		until(t, name+" has seen everything", func() error { return p.settled(t, run.fed) })
	}
	end := time.Now()
	page, err := get(t, "http://"+run.metrics+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	promtoolReads(t, page, "check", "metrics")
	for name, p := range stores {
		t.Run(name, func(t *testing.T) { p.checkRules(t) })
	}
	out, dead := run.count("out"), run.count("dead")
	events := run.end()
	for name, p := range stores {
		t.Run(name, func(t *testing.T) {
			p.checkPanels(t, begin, end)
			p.checkTotals(t, events, end, float64(run.fed), out, dead)
		})
	}
	if *pictures {
		stores["native"].draw(t, begin, end)
	}
}

// settled says what is missing until every record has its outcome, is committed, and was scraped since.
func (p *promServer) settled(t *testing.T, fed int) error {
	for expr, want := range map[string]float64{
		"penstock_pipeline_records_in_total": float64(fed), "penstock_pipeline_inflight_records": 0, "penstock_pipeline_lag_records": 0,
	} {
		if got, err := p.total(t, expr, time.Now()); err != nil || got != want {
			return fmt.Errorf("%s is %v, want %v (%v)", expr, got, want, err)
		}
	}
	return nil
}

// checkRules looks whether every rule could be computed, and whether the run set off the alert that it had to.
func (p *promServer) checkRules(t *testing.T) {
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError, Type string }
			}
		}
	}
	p.json(t, "/api/v1/rules", &answer)
	seen := map[string]bool{}
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			seen[r.Name] = true
			if r.Health == "err" || r.LastError != "" {
				t.Errorf("rule %s: %s %s", r.Name, r.Health, r.LastError)
			}
			if r.Type == "recording" {
				if all := p.now(t, r.Name, time.Now()); len(all) == 0 {
					t.Errorf("rule %s recorded nothing", r.Name)
				}
			}
		}
	}
	for _, g := range dashboards.PrometheusRules() {
		for _, r := range g.Records {
			if !seen[r.Name] {
				t.Errorf("rule %s was not loaded", r.Name)
			}
		}
		for i := range g.Alerts {
			if !seen[g.Alerts[i].Name] {
				t.Errorf("alert %s was not loaded", g.Alerts[i].Name)
			}
		}
	}
	until(t, "the alert on rejected records fires", func() error {
		const fires = `ALERTS{alertname="PenstockRejected",alertstate="firing"}`
		if all := p.now(t, fires, time.Now()); len(all) != 1 {
			return fmt.Errorf("%s has %d answers", fires, len(all))
		}
		return nil
	})
	if all := p.now(t, `ALERTS{alertname=~"PenstockSilent|PenstockDown|PenstockPipelineFailed"}`, time.Now()); len(all) != 0 {
		t.Errorf("nothing is down, and there is %v", all)
	}
}

// checkPanels asks every panel's questions, and wants answers.
func (p *promServer) checkPanels(t *testing.T, begin, end time.Time) {
	asked := 0
	for _, d := range dashboards.OnPrometheus() {
		for _, r := range d.Rows {
			for i := range r.Panels {
				answers := p.panel(t, &r.Panels[i], begin, end)
				for q, all := range answers {
					asked++
					name := d.Name + ": " + r.Panels[i].Title
					if len(all) == 0 && !slices.Contains(emptyInTheRun, name) {
						t.Errorf("%s has no answer to %s", name, r.Panels[i].Queries[q].Expr)
					}
					for _, s := range all {
						if slices.ContainsFunc(s.Points, func(p promPoint) bool { return math.IsInf(p.Value, 0) }) {
							t.Errorf("%s has no figure but infinity: %s", name, r.Panels[i].Queries[q].Expr)
						}
					}
				}
			}
		}
		for _, a := range d.Annotations {
			p.over(t, promFilledFor(t, a.Expr, 2*time.Second, end.Sub(begin)), begin, end)
		}
	}
	if asked < 100 {
		t.Errorf("only %d questions were asked", asked)
	}
}

// panel gives the answers to the questions of a panel, in their order.
func (p *promServer) panel(t *testing.T, panel *dashboards.Panel, begin, end time.Time) (all [][]promSeries) {
	t.Helper()
	for _, q := range panel.Queries {
		all = append(all, p.query(t, panel, q, begin, end))
	}
	return all
}

func (p *promServer) query(t *testing.T, panel *dashboards.Panel, q dashboards.Query, begin, end time.Time) []promSeries {
	t.Helper()
	expr := promFilledFor(t, q.Expr, 2*time.Second, end.Sub(begin))
	if panel.Kind == dashboards.Lines || panel.Kind == dashboards.States {
		return p.over(t, expr, begin, end)
	}
	return p.now(t, expr, end)
}

// table gives a table's figures: by heading, and by the values of its labels.
func (p *promServer) table(t *testing.T, page, title string, end time.Time) map[string]map[string]float64 {
	t.Helper()
	columns := map[string]map[string]float64{}
	for _, d := range dashboards.OnPrometheus() {
		for _, r := range d.Rows {
			for i := range r.Panels {
				if d.Name != page || r.Panels[i].Title != title {
					continue
				}
				for q, all := range p.panel(t, &r.Panels[i], end, end) {
					column := map[string]float64{}
					for _, s := range all {
						column[rowOf(s)] = s.Points[0].Value
					}
					columns[r.Panels[i].Queries[q].Name] = column
				}
			}
		}
	}
	if len(columns) == 0 {
		t.Fatalf("page %s has no table %s", page, title)
	}
	return columns
}

// rowOf is the name of a line in a table: what its labels say but for the pipeline, of which there is one.
func rowOf(s promSeries) (name string) {
	for _, l := range slices.Sorted(maps.Keys(s.Metric)) {
		if l != "pipeline" && l != "kind" {
			name += "/" + s.Metric[l]
		}
	}
	return name
}

// checkTotals compares the tables with the run's own totals: those of its log, and those of the broker.
func (p *promServer) checkTotals(t *testing.T, events []map[string]any, end time.Time, fed, out, dead float64) {
	same := func(what string, got map[string]float64, row string, want any) {
		t.Helper()
		if value, there := got[row]; !there || want == nil || value != want {
			t.Errorf("%s%s: %v, %v, and the run says %v", what, row, value, there, want)
		}
	}
	stopped, stats := lastEvent(t, events, "process.stopped"), lastEvent(t, events, "pipeline.stats")
	table := p.table(t, "overview", "Records since the start", end)
	for column, keys := range map[string][2]string{
		"In": {"records_in_total", "records_in_total"}, "Delivered": {"records_out_total", "records_out_total"},
		"Filtered": {"filtered_total", "filtered_total"}, "Rejected": {"rejected_total", "rejected_total"},
		"Abandoned": {"abandoned", "abandoned_total"}, "Created": {"", "created_total"},
		"Failed attempts": {"", "errors_total"}, "Retries": {"", "retries_total"},
	} {
		if keys[0] != "" {
			same(column, table[column], "", stopped[keys[0]])
		}
		same(column, table[column], "", stats[keys[1]])
	}
	same("In, by what was produced", table["In"], "", fed)
	same("Under way", table["Under way"], "", 0.0)
	same("Dead letters, by the broker", table["Dead letters"], "", dead)
	same("Rejected, by the broker", table["Rejected"], "", dead)

	sinks := p.table(t, "sinks", "Sinks since the start", end)
	same("Stored, by the broker", sinks["Stored"], "/kafka", out)
	for column, key := range map[string]string{"In": "records_in_total", "Stored": "records_out_total", "Rejected": "rejected_total", "Failed attempts": "errors_total", "Retries": "retries_total"} {
		for _, e := range lastOfEach(events, "sink.stats", "sink") {
			same("sinks, "+column, sinks[column], fmt.Sprint("/", e["sink"]), e[key])
		}
	}
	steps := p.table(t, "steps", "Steps since the start", end)
	for column, key := range map[string]string{"In": "records_in_total", "Out": "records_out_total", "Filtered": "filtered_total", "Rejected": "rejected_total", "Failed attempts": "errors_total", "Retries": "retries_total"} {
		for _, e := range lastOfEach(events, "step.stats", "step") {
			same("steps, "+column, steps[column], fmt.Sprint("/", e["step"]), e[key])
		}
	}
	p.checkErrors(t, events, end)
	p.checkPartitions(t, end, fed)
	p.checkTimes(t, stopped, end)
}

// lastOfEach gives the last event of a name for each value of a field.
func lastOfEach(events []map[string]any, name, field string) map[any]map[string]any {
	all := map[any]map[string]any{}
	for _, e := range events {
		if e["event_name"] == name {
			all[e[field]] = e
		}
	}
	return all
}

// checkErrors: the errors by type of a step or a sink make its errors together.
func (p *promServer) checkErrors(t *testing.T, events []map[string]any, end time.Time) {
	for _, c := range []struct{ title, event, field string }{
		{"Errors of steps since the start", "step.stats", "step"}, {"Errors of sinks since the start", "sink.stats", "sink"},
	} {
		sums := map[string]float64{}
		for row, n := range p.table(t, "errors", c.title, end)["Errors"] {
			_, of, _ := strings.Cut(row[1:], "/") // error_type/step
			sums[of] += n
		}
		if len(sums) == 0 {
			t.Errorf("%s: there are none", c.title)
		}
		for _, e := range lastOfEach(events, c.event, c.field) {
			if got := sums[fmt.Sprint(e[c.field])]; got != e["errors_total"] {
				t.Errorf("%s: %v of %v, and its log says %v", c.title, got, e[c.field], e["errors_total"])
			}
		}
	}
}

// checkPartitions: everything produced is committed, and nothing is left.
func (p *promServer) checkPartitions(t *testing.T, end time.Time, fed float64) {
	table := p.table(t, "source", "Partitions", end)
	for column, want := range map[string]float64{"Committed": fed, "End": fed, "Behind": 0} {
		sum := 0.0
		for _, v := range table[column] {
			sum += v
		}
		if len(table[column]) != realPartitions || sum != want {
			t.Errorf("partitions, %s: %v in %d partitions, want %v", column, sum, len(table[column]), want)
		}
	}
}

// checkTimes: the slowest hundredth of the whole run is the same in the histogram and in the last line of
// the log, as far as the buckets go: a native one is 9 % wide, a classic one up to the double and a half.
func (p *promServer) checkTimes(t *testing.T, stopped map[string]any, end time.Time) {
	want, _ := stopped["e2e_p99_ms"].(float64)
	for _, c := range []struct {
		expr string
		most float64
	}{
		{`histogram_quantile(0.99, penstock_pipeline_duration_seconds)`, 1.1},
		{`histogram_quantile(0.99, sum by (le) (penstock_pipeline_duration_seconds_bucket))`, 3},
	} {
		all := p.now(t, c.expr, end)
		if len(all) == 0 && p.native == (c.most < 2) {
			t.Errorf("%s has no answer", c.expr)
		}
		for _, s := range all {
			if off := s.Points[0].Value * 1000 / want; !(off < c.most && off > 1/c.most) {
				t.Errorf("%s is %v s, and the run says %v ms", c.expr, s.Points[0].Value, want)
			}
		}
	}
}

// draw draws each page over the run.
func (p *promServer) draw(t *testing.T, begin, end time.Time) {
	for _, d := range dashboards.OnPrometheus() {
		var b bytes.Buffer
		span := picture.Span{From: begin, To: end, Step: time.Second}
		err := picture.Draw(&b, d, span, func(row, panel, query int) picture.Answer {
			q := d.Rows[row].Panels[panel].Queries[query]
			return p.answer(t, &d.Rows[row].Panels[panel], q, begin, end)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("..", "..", "docs", "dashboards", "prometheus-"+d.Name+".svg"), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// answer gives an answer as a picture takes it.
func (p *promServer) answer(t *testing.T, panel *dashboards.Panel, q dashboards.Query, begin, end time.Time) (out picture.Answer) {
	for _, s := range p.query(t, panel, q, begin, end) {
		series := picture.Series{Name: named(q.Name, s.Metric), Labels: s.Metric}
		for _, point := range s.Points {
			if !math.IsNaN(point.Value) {
				series.Points = append(series.Points, picture.Point{At: time.UnixMilli(int64(point.At * 1000)), Value: point.Value})
			}
		}
		if len(series.Points) > 0 {
			out.Series = append(out.Series, series)
		}
	}
	return out
}
