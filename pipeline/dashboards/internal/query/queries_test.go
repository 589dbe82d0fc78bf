package query_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/dashboards/internal/query"
)

// An answered run is a log with what is known of the runs that wrote it.
type answered struct {
	log   *query.Log
	lines []map[string]any
	names *strings.Replacer // of TOPIC, FIRST and SECOND in what is wanted
	found []map[string]any  // the answers of jq to the present question
}

// TestQueries asks every question of the page of queries. Its jq is run over the log of a real run, with lines
// behind it about what is rare, and has to give what the run did; its LogQL has to name what there is.
func TestQueries(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "queries.md"))
	if err != nil {
		t.Fatal(err)
	}
	log, topic := aRun(t)
	log = append(log, rare(t)...)
	stored, err := query.ReadLog(log, map[string]string{streamLabels: "penstock"})
	if err != nil {
		t.Fatal(err)
	}
	r := &answered{log: stored, lines: objects(t, log)}
	var instances []string
	for _, l := range r.of("process.started", "") {
		instances = append(instances, l["service_instance_id"].(string))
	}
	r.names = strings.NewReplacer("TOPIC", topic, "FIRST", instances[0], "SECOND", instances[1])
	seen := map[string]bool{}
	for _, q := range page(string(text)) {
		seen[q.title] = true
		t.Run(q.title, func(t *testing.T) {
			if err := q.check(); err != nil {
				t.Fatal(err)
			}
			answers, err := query.Run(t.Context(), q.mode, q.program, log, nil)
			if err != nil {
				t.Fatal(err)
			}
			want, ok := wanted[q.title]
			if !ok {
				t.Fatalf("nothing is known of what the answer should be: %v", answers)
			}
			r.compare(t, want, answers)
			r.inLogQL(t, q, want)
		})
	}
	for title := range wanted {
		if !seen[title] {
			t.Errorf("the page does not ask: %s", title)
		}
	}
}

func objects(t *testing.T, lines []byte) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(string(lines)) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// of gives the lines of an event, of one pipeline or of all.
func (r *answered) of(event, pipeline string) (all []map[string]any) {
	for _, l := range r.lines {
		if l["event_name"] == event && (pipeline == "" || l["pipeline"] == pipeline) {
			all = append(all, l)
		}
	}
	return all
}

// most gives the largest value of a key in lines.
func most(lines []map[string]any, key string) float64 {
	m := 0.0
	for _, l := range lines {
		f, _ := l[key].(float64)
		m = max(m, f)
	}
	return m
}

// compare compares the answers with what is wanted: one answer for each, equal in the keys that are named.
func (r *answered) compare(t *testing.T, want expectation, answers []any) {
	t.Helper()
	var got []map[string]any
	for _, a := range answers {
		if s, ok := a.(string); ok {
			a = map[string]any{"text": s}
		}
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, objects(t, b)...)
	}
	if want.that != nil {
		want.that(t, r, got)
	}
	r.found = got
	if want.lines == "" {
		return
	}
	left := slices.Clone(got)
	for _, w := range objects(t, []byte(r.names.Replace(want.lines))) {
		i := slices.IndexFunc(left, func(g map[string]any) bool { return holds(g, w) })
		if i < 0 {
			t.Errorf("no answer has %v", w)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, g := range left {
		t.Errorf("nobody wants the answer %v", g)
	}
}

// inLogQL asks the question in LogQL too: it can be answered, and where that is said of it the answer is that of jq.
func (r *answered) inLogQL(t *testing.T, q question, want expectation) {
	t.Helper()
	if strings.HasPrefix(q.logql, "{") {
		lines, err := r.log.Lines(q.logql)
		if err != nil {
			t.Error(err)
		}
		if want.sameLines != nil {
			want.sameLines(t, r.found, lines)
		}
		return
	}
	last, err := time.Parse(time.RFC3339Nano, r.lines[len(r.lines)-1]["timestamp"].(string))
	if err != nil {
		t.Fatal(err)
	}
	samples, err := r.log.Answer(q.logql, last)
	if err != nil {
		t.Error(err)
	}
	if want.sameFigure == "" {
		return
	}
	for _, s := range samples {
		as := map[string]any{want.sameFigure: s.Value}
		for k, v := range s.Labels {
			as[k] = v
		}
		if i := slices.IndexFunc(r.found, func(g map[string]any) bool { return holds(g, as) }); i < 0 {
			t.Errorf("LogQL answers %v, and jq does not", as)
		}
	}
	if len(samples) != len(r.found) {
		t.Errorf("LogQL has %d answers, jq %d", len(samples), len(r.found))
	}
}

// holds says whether g has all that w has.
func holds(g, w map[string]any) bool {
	for k, v := range w {
		if !reflect.DeepEqual(g[k], v) {
			return false
		}
	}
	return true
}
