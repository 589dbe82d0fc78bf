//go:build unix

package dashboards_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/dashboards"
	"github.com/penstockio/penstock/pipeline/dashboards/internal/picture"
)

var pictures = flag.Bool("pictures", false, "make a longer run, and draw the pages over it into docs/dashboards")

// TestPanelsAnswerWhatTheRunDid makes a run in which calls fail, are repeated and given up, a server is
// down for a while and a second copy comes and goes, and holds each answer of each page on Loki against what
// is known of the run otherwise: from the topics and files it wrote, from the server, and from the totals
// of its last lines.
func TestPanelsAnswerWhatTheRunDid(t *testing.T) {
	at := quick
	if *pictures {
		at = slow
	}
	r := makeRun(t, at)
	a := newAsker(t, r)
	t.Run("known from outside", func(t *testing.T) { a.t = t; outside(t, r, a) })
	t.Run("totals of the last lines", func(t *testing.T) { a.t = t; totals(t, r, a) })
	t.Run("each panel", func(t *testing.T) { oneGoroutine(t); a.t = t; each(t, a) })
	t.Run("in LogQL", func(t *testing.T) { oneGoroutine(t); a.t = t; inLogQL(t, r, a) })
	t.Run("alerts afterwards", func(t *testing.T) { oneGoroutine(t); alertsAfterwards(t, r, a) })
	t.Run("pictures", func(t *testing.T) { oneGoroutine(t); a.t = t; draw(t, a) })
}

// answered gives the answer to a query of a page, which is named by its panel's title and its own name.
func (a *asker) answered(page, title, name string) picture.Answer {
	a.t.Helper()
	for _, d := range dashboards.OnLoki() {
		for _, row := range d.Rows {
			for i := range row.Panels {
				for _, q := range row.Panels[i].Queries {
					if d.Name == page && row.Panels[i].Title == title && (name == "" || q.Name == name) {
						return a.ask(&row.Panels[i], q)
					}
				}
			}
		}
	}
	a.t.Fatalf("the page %s has no panel %s with a query %s", page, title, name)
	return picture.Answer{}
}

// sum adds up the points of the series that have these labels.
func sum(answer picture.Answer, labels ...string) (sum float64) {
	for _, s := range answer.Series {
		if has(s, labels...) {
			for _, p := range s.Points {
				sum += p.Value
			}
		}
	}
	return sum
}

func has(s picture.Series, labels ...string) bool {
	for i := 0; i < len(labels); i += 2 {
		if s.Labels[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

func outside(t *testing.T, r *run, a *asker) {
	seconds := r.every.Seconds()
	produced := float64(r.produced)
	stopped := func(field string) (sum float64) {
		for _, l := range r.lines(t, "pipeline.stopped") {
			if l["pipeline"] == "orders" {
				sum += l[field].(float64)
			}
		}
		return sum
	}
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"records read, of orders", seconds * sum(a.answered("overview", "Records", "{{pipeline}} in"), "pipeline", "orders"), stopped("records_in_total")},
		{"records abandoned, of orders", sum(a.answered("overview", "Not delivered", "{{pipeline}} abandoned"), "pipeline", "orders"), stopped("abandoned")},
		{"records delivered, of orders", seconds * sum(a.answered("overview", "Records", "{{pipeline}} out"), "pipeline", "orders"), float64(r.scored)},
		{"records delivered, of audit", seconds * sum(a.answered("overview", "Records", "{{pipeline}} out"), "pipeline", "audit"), float64(r.audited)},
		{"records filtered, of orders", sum(a.answered("overview", "Not delivered", "{{pipeline}} filtered"), "pipeline", "orders"), stopped("filtered_total")},
		{"records rejected, of orders", sum(a.answered("overview", "Rejected", ""), "pipeline", "orders"), float64(r.rejected)},
		{"records rejected by the step", sum(a.answered("steps", "Over the time range", "Rejected"), "step", "score"), float64(r.rejected)},
		{"records in the sink scored", sum(a.answered("sinks", "Over the time range", "Out"), "sink", "scored"), float64(r.scored)},
		{"records in the sink express", sum(a.answered("sinks", "Over the time range", "Out"), "sink", "express"), float64(r.express)},
		{"records in the sink audited", sum(a.answered("sinks", "Over the time range", "Out"), "sink", "audited"), float64(r.audited)},
		{"dead letters", sum(a.answered("sinks", "Over the time range", "Out"), "sink", "dead_letter"), float64(r.rejected)},
		{"failed attempts, by the server", sum(a.answered("steps", "Over the time range", "Errors"), "step", "score"), float64(r.failures)},
		{"failed attempts, by kind", sum(a.answered("errors", "By step and kind", ""), "step", "score"), float64(r.failures)},
		{"failed attempts, by kind over time", sum(a.answered("errors", "By step and kind, over time", ""), "step", "score"), float64(r.failures)},
		{"starts", sum(a.answered("overview", "Starts and ends", "started {{service_version}}")), float64(r.copies)},
		{"ends by a signal", sum(a.answered("overview", "Starts and ends", "stopped: {{reason}}"), "reason", "signal"), float64(r.copies)},
		{"lag of orders at the end", newest(a.answered("overview", "Lag", ""), "pipeline", "orders"), 0},
		{"lag of the partitions at the end", sum(a.answered("source", "Partitions now", "Lag")), 0},
		{"committed offsets of orders at the end", sum(a.answered("source", "Partitions now", "Committed"), "pipeline", "orders"), produced},
		{"ends of the topic", sum(a.answered("source", "Partitions now", "End of the topic"), "pipeline", "audit"), produced},
		{"the slowest record", highest(a.answered("overview", "From read to outcome", "{{pipeline}} slowest")), r.slowest(t)},
		{"in flight at the end", newest(a.answered("overview", "In flight", "")), 0},
	} {
		if math.Abs(c.got-c.want) > 1e-6*max(1, c.want) {
			t.Errorf("%s: the panel says %v, the run %v", c.what, c.got, c.want)
		}
	}
	// A record that was filtered behind one that was handed back is read, and filtered, again.
	if ended := stopped("records_out_total") + stopped("filtered_total") + stopped("rejected_total"); ended < produced || float64(r.audited) < produced {
		t.Errorf("%d records were produced, of which orders has ended %v, and audit %d", r.produced, ended, r.audited)
	}
	if r.failures == 0 || r.rejected == 0 || r.scored == 0 || r.express == 0 {
		t.Errorf("nothing went wrong, or nothing right: %d failures, %d rejected, %d scored, %d express", r.failures, r.rejected, r.scored, r.express)
	}
}

// newest adds up the last figures of the series with these labels.
func newest(answer picture.Answer, labels ...string) (sum float64) {
	for _, s := range answer.Series {
		if has(s, labels...) {
			sum += s.Points[len(s.Points)-1].Value
		}
	}
	return sum
}

func highest(answer picture.Answer) (most float64) {
	for _, s := range answer.Series {
		for _, p := range s.Points {
			most = max(most, p.Value)
		}
	}
	return most
}

// lines gives the lines of an event.
func (r *run) lines(t *testing.T, name string) (all []map[string]any) {
	for line := range bytes.Lines(r.log) {
		var l map[string]any
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if l["event_name"] == name {
			all = append(all, l)
		}
	}
	return all
}

// slowest is what the whole runs of the copies say at their end.
func (r *run) slowest(t *testing.T) (most float64) {
	for _, l := range r.lines(t, "process.stopped") {
		most = max(most, l["e2e_max_ms"].(float64))
	}
	return most
}

// adding is a question for a figure that adds up.
var adding = regexp.MustCompile(`^lines\("((?:pipeline|step|sink|error)\.stats)"; (\$interval|\$range)\) \| (sum_over|rate_over)\((?:\$interval; )?\[(.*?)\]; \.(\w+)\)$`)

// totals holds each figure that adds up and of which the lines have the total, too, against the totals of the
// last lines of all copies, for each set of labels.
func totals(t *testing.T, r *run, a *asker) {
	checked := 0
	for _, d := range dashboards.OnLoki() {
		for _, row := range d.Rows {
			for i := range row.Panels {
				p := &row.Panels[i]
				for _, q := range p.Queries {
					m := adding.FindStringSubmatch(q.JQ)
					if m == nil || strings.Contains(p.Title, "Ratio") {
						continue
					}
					labels := strings.Split(strings.ReplaceAll(m[4], `"`, ""), ", ")
					want := r.lastTotals(t, m[1], m[5]+"_total", labels)
					if len(want) == 0 {
						continue
					}
					checked++
					factor := 1.0
					if m[3] == "rate_over" {
						factor = r.every.Seconds()
					}
					got := map[string]float64{}
					for _, s := range a.ask(p, q).Series {
						got[keyOf(s.Labels, labels)] = factor * sum(picture.Answer{Series: []picture.Series{s}})
					}
					for key, w := range want {
						if math.Abs(got[key]-w) > 1e-6*max(1, w) {
							t.Errorf("%s / %s / %s, %s: the panel says %v, the totals %v", d.Name, p.Title, q.Name, key, got[key], w)
						}
					}
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d queries were checked", checked)
	}
}

func keyOf(values map[string]string, labels []string) (key string) {
	for _, l := range labels {
		key += values[l] + " "
	}
	return key
}

// lastTotals adds up, by labels, what the last line of each copy says of each part of it.
func (r *run) lastTotals(t *testing.T, event, field string, labels []string) map[string]float64 {
	last := map[string]map[string]any{}
	for _, l := range r.lines(t, event) {
		if l[field] != nil {
			last[fmt.Sprint(l["service_instance_id"], l["pipeline"], l["step"], l["sink"], l["error_type"])] = l
		}
	}
	sums := map[string]float64{}
	for _, l := range last {
		values := map[string]string{}
		for _, name := range labels {
			values[name] = fmt.Sprint(l[name])
		}
		sums[keyOf(values, labels)] += l[field].(float64)
	}
	return sums
}

// silent are the panels and queries of which the run had nothing to show.
var silent = []string{
	"Commits that failed", "Brokers that do not answer", "Gaps and corrupt batches", "Stalls", "Panics", "Pauses", "Configuration refused",
	"sinks / What stalled", "Bottleneck", "Lines of the log not written", "Not written to the log", // the last three: it may, and it may not
}

// each wants an answer to every query, and figures that can be.
func each(t *testing.T, a *asker) {
	for _, d := range dashboards.OnLoki() {
		for _, row := range d.Rows {
			for i := range row.Panels {
				p := &row.Panels[i]
				quiet := slices.Contains(silent, p.Title) || slices.Contains(silent, d.Name+" / "+p.Title)
				for _, q := range p.Queries {
					where := d.Name + " / " + p.Title + " / " + q.Name
					answer := a.ask(p, q)
					if len(answer.Series)+len(answer.Lines) == 0 && !quiet {
						t.Errorf("%s has no answer:\n%s", where, q.JQ)
					}
					for _, s := range answer.Series {
						plausible(t, where, p, s)
					}
				}
			}
		}
	}
}

func plausible(t *testing.T, where string, p *dashboards.Panel, s picture.Series) {
	for _, point := range s.Points {
		if point.Value < 0 || math.IsNaN(point.Value) || p.Max != 0 && point.Value > p.Max {
			t.Errorf("%s, %s: the figure is %v", where, s.Name, point.Value)
		}
	}
	if strings.Contains(s.Name, "{{") || s.Name == "" {
		t.Errorf("%s: a series is named %q", where, s.Name)
	}
}

// draw draws each page over the run.
func draw(t *testing.T, a *asker) {
	for _, d := range dashboards.OnLoki() {
		var b bytes.Buffer
		err := picture.Draw(&b, d, a.span, func(row, panel, q int) picture.Answer {
			p := &d.Rows[row].Panels[panel]
			return a.ask(p, p.Queries[q])
		})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b.Bytes(), []byte("<polyline")) {
			t.Errorf("the picture of %s has no line", d.Name)
		}
		if !*pictures {
			continue
		}
		if err := os.WriteFile(filepath.Join("..", "..", "docs", "dashboards", "loki-"+d.Name+".svg"), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
