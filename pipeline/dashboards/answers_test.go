//go:build unix

package dashboards_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/dashboards"
	"github.com/penstockio/penstock/pipeline/dashboards/internal/picture"
	"github.com/penstockio/penstock/pipeline/dashboards/internal/query"
)

// An asker answers the questions of pages from a log, by jq.
type asker struct {
	t       *testing.T
	log     []byte
	prelude string
	span    picture.Span
	known   map[string]picture.Answer
}

func newAsker(t *testing.T, r *run) *asker {
	t.Helper()
	prelude, err := os.ReadFile("penstock.jq")
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(r.log), []byte("\n"))
	a := &asker{t: t, log: r.log, prelude: string(prelude), known: map[string]picture.Answer{}}
	a.span.Step = r.every
	a.span.From = timeOf(t, lines[0]).Truncate(r.every).Add(-r.every)
	a.span.To = timeOf(t, lines[len(lines)-1]).Truncate(r.every).Add(r.every)
	return a
}

func timeOf(t *testing.T, line []byte) time.Time {
	var l struct{ Timestamp time.Time }
	if err := json.Unmarshal(line, &l); err != nil {
		t.Fatal(err)
	}
	return l.Timestamp
}

// ask answers a panel's query: of one that shows the present at the end of the time range, of others at each
// step of it. The windows of the steps touch, and do not overlap: each line counts in one.
func (a *asker) ask(p *dashboards.Panel, q dashboards.Query) picture.Answer {
	a.t.Helper()
	moments := []any{seconds(a.span.To)}
	if p.Kind == dashboards.Lines || p.Kind == dashboards.States {
		moments = moments[:0]
		for at := a.span.From; !at.After(a.span.To); at = at.Add(a.span.Step) {
			moments = append(moments, seconds(at))
		}
	}
	key := q.JQ + q.Name + string(p.Kind)
	if known, ok := a.known[key]; ok {
		return known
	}
	program := ". as $log | $moments | map(. as $at |\n" + a.prelude + "\n$log | " + q.JQ + "\n| {at: $at, answer: .})"
	answers, err := query.Run(a.t.Context(), query.Slurp, program, a.log, map[string]any{
		"$moments": moments, "$interval": a.span.Step.Seconds(), "$range": a.span.To.Sub(a.span.From).Seconds(),
	})
	if err != nil {
		a.t.Fatalf("%s: %v\n%s", p.Title, err, q.JQ)
	}
	text, err := json.Marshal(answers[0])
	if err != nil {
		a.t.Fatal(err)
	}
	answer := a.read(p, q, text)
	a.known[key] = answer
	return answer
}

func seconds(at time.Time) any { return float64(at.UnixMilli()) / 1000 }

// read makes series, or lines, of what jq says.
func (a *asker) read(p *dashboards.Panel, q dashboards.Query, text []byte) (out picture.Answer) {
	if p.Kind == dashboards.Log {
		var at []struct {
			Answer []struct {
				Timestamp      time.Time
				Level, Message string
			}
		}
		if err := json.Unmarshal(text, &at); err != nil {
			a.t.Fatal(err)
		}
		for _, l := range at[0].Answer {
			out.Lines = append(out.Lines, picture.Line{At: l.Timestamp, Level: l.Level, Message: l.Message})
		}
		return out
	}
	var at []struct {
		At     float64
		Answer []struct {
			Labels map[string]string
			Value  float64
		}
	}
	if err := json.Unmarshal(text, &at); err != nil {
		a.t.Fatalf("%s: %v", p.Title, err)
	}
	series := map[string]*picture.Series{}
	for _, moment := range at {
		for _, v := range moment.Answer {
			key, _ := json.Marshal(v.Labels)
			s := series[string(key)]
			if s == nil {
				s = &picture.Series{Name: named(q.Name, v.Labels), Labels: v.Labels}
				series[string(key)] = s
			}
			s.Points = append(s.Points, picture.Point{At: time.UnixMilli(int64(moment.At*1000 + 0.5)), Value: v.Value})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(series)) {
		out.Series = append(out.Series, *series[key])
	}
	return out
}

var inName = regexp.MustCompile(`\{\{(\w+)\}\}`)

// named fills a name in, as Grafana does.
func named(name string, labels map[string]string) string {
	return strings.TrimSpace(inName.ReplaceAllStringFunc(name, func(s string) string { return labels[strings.Trim(s, "{}")] }))
}
