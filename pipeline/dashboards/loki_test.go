//go:build unix && loki

package dashboards_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/dashboards"
	"github.com/penstockio/penstock/pipeline/dashboards/internal/picture"
	"github.com/penstockio/penstock/pipeline/dashboards/internal/query"
)

const lokiConfig = `auth_enabled: false
server: {http_listen_address: 127.0.0.1, http_listen_port: %[1]d, grpc_listen_address: 127.0.0.1, grpc_listen_port: %[2]d, log_level: error}
common:
  instance_addr: 127.0.0.1
  path_prefix: %[3]s
  replication_factor: 1
  ring: {kvstore: {store: inmemory}}
  storage: {filesystem: {chunks_directory: %[3]s/chunks, rules_directory: %[3]s/rules}}
schema_config:
  configs: [{from: 2020-10-24, store: tsdb, object_store: filesystem, schema: v13, index: {prefix: index_, period: 24h}}]
limits_config: {reject_old_samples: false, discover_service_name: [], allow_structured_metadata: true}
query_range: {cache_results: false}
ruler: {rule_path: %[3]s/scratch, storage: {type: local, local: {directory: %[3]s/rules}}, enable_api: true}
analytics: {reporting_enabled: false}
`

// A loki is a Loki of the test's own.
type loki struct {
	t    *testing.T
	base string
}

// startLoki starts the binary that PENSTOCK_TEST_LOKI names, with the alerts loaded.
func startLoki(t *testing.T) *loki {
	binary := os.Getenv("PENSTOCK_TEST_LOKI")
	if binary == "" {
		t.Fatal("PENSTOCK_TEST_LOKI does not name the binary of a Loki")
	}
	dir := t.TempDir()
	web, rpc := freePort(t), freePort(t)
	if err := os.MkdirAll(filepath.Join(dir, "rules", "fake"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"loki.yaml": fmt.Appendf(nil, lokiConfig, web, rpc, dir), "rules/fake/alerts.yaml": dashboards.RuleFile(dashboards.LokiRules()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	said := &lockedBuffer{}
	cmd := exec.Command(binary, "-config.file="+filepath.Join(dir, "loki.yaml"))
	cmd.Stderr, cmd.Stdout, cmd.Dir = said, said, dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	l := &loki{t: t, base: fmt.Sprintf("http://127.0.0.1:%d", web)}
	beat := time.NewTicker(100 * time.Millisecond)
	defer beat.Stop()
	for range 1200 {
		if answer, err := http.Get(l.base + "/ready"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return l
			}
		}
		<-beat.C
	}
	t.Fatalf("Loki does not get ready\n%s", said.bytes())
	return nil
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// push gives Loki a log, as a shipper does.
func (l *loki) push(log []byte) {
	var values [][2]string
	for line := range strings.Lines(string(log)) {
		line = strings.TrimSuffix(line, "\n")
		values = append(values, [2]string{strconv.FormatInt(timeOf(l.t, []byte(line)).UnixNano(), 10), line})
	}
	body, err := json.Marshal(map[string]any{"streams": []any{map[string]any{"stream": map[string]string{"service_name": "penstock"}, "values": values}}})
	if err != nil {
		l.t.Fatal(err)
	}
	answer, err := http.Post(l.base+"/loki/api/v1/push", "application/json", strings.NewReader(string(body)))
	if err != nil {
		l.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(answer.Body)
		l.t.Fatalf("Loki answers a push with %s: %s", answer.Status, text)
	}
}

// A lokiAnswer is Loki's answer to a query.
type lokiAnswer struct {
	Data struct {
		ResultType string
		Result     []struct {
			Metric, Stream map[string]string
			Value          [2]any
			Values         [][2]any
		}
	}
}

// get asks Loki: of a time range, or when step is 0 of its end.
func (l *loki) get(expr string, span picture.Span, step time.Duration) lokiAnswer {
	l.t.Helper()
	path, v := "/loki/api/v1/query", url.Values{"query": {expr}, "time": {strconv.FormatInt(span.To.UnixNano(), 10)}}
	if step > 0 {
		path = "/loki/api/v1/query_range"
		v = url.Values{"query": {expr}, "start": {strconv.FormatInt(span.From.UnixNano(), 10)}, "end": {strconv.FormatInt(span.To.UnixNano(), 10)},
			"step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)}, "limit": {"5000"}}
	}
	answer, err := http.Get(l.base + path + "?" + v.Encode())
	if err != nil {
		l.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	var out lokiAnswer
	if answer.StatusCode != http.StatusOK {
		l.t.Errorf("Loki answers with %s: %s\n%s", answer.Status, text, expr)
	} else if err := json.Unmarshal(text, &out); err != nil {
		l.t.Fatal(err)
	}
	return out
}

// TestLokiAnswersAsJQ asks a real Loki every question of the pages, over the log of a run, and wants the
// answer of jq to each, step by step. So every other test of the answers holds for Loki too.
func TestLokiAnswersAsJQ(t *testing.T) {
	l := startLoki(t)
	r := makeRun(t, quick)
	a := newAsker(t, r)
	l.push(r.log)
	fill := strings.NewReplacer("$service", "penstock", "$pipeline", ".*", "$__interval", ms(a.span.Step), "$__range", ms(a.span.To.Sub(a.span.From)))
	queries, figures, lines := 0, 0, 0
	for _, d := range dashboards.OnLoki() {
		for _, row := range d.Rows {
			for i := range row.Panels {
				p := &row.Panels[i]
				for _, q := range p.Queries {
					queries++
					expr, where := fill.Replace(q.Expr), d.Name+" / "+p.Title+" / "+q.Name
					if p.Kind == dashboards.Log {
						lines += l.sameLines(where, l.get(expr, a.span, a.span.Step), a.ask(p, q))
						continue
					}
					step := a.span.Step
					if p.Instant() {
						step = 0
					}
					figures += l.sameFigures(where+"\n"+expr+"\n"+q.JQ, pointsOf(t, l.get(expr, a.span, step)), a.ask(p, q))
				}
			}
		}
		for _, m := range d.Annotations {
			l.get(fill.Replace(m.Expr), a.span, a.span.Step)
		}
	}
	t.Logf("%d queries: %d figures and %d lines are the same", queries, figures, lines)
	l.alerts(a.span)
	l.alertsAsAnswered(r.log, a.span.To)
}

// TestLokiAlertsAsAnswered compares the alerts over logs in which they have something to say.
func TestLokiAlertsAsAnswered(t *testing.T) {
	for _, log := range []func(time.Time) []byte{crashes, quiet} {
		now := time.Now().UTC().Truncate(time.Second)
		l := startLoki(t)
		l.push(log(now))
		l.alertsAsAnswered(log(now), now)
	}
}

// alertsAsAnswered: what make test computes of the alerts is what Loki does.
func (l *loki) alertsAsAnswered(log []byte, at time.Time) {
	stored, err := query.ReadLog(log, map[string]string{"service_name": "penstock"})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, g := range dashboards.LokiRules() {
		for _, alert := range g.Alerts {
			var want picture.Answer
			all, err := stored.Answer(alert.Expr, at)
			if err != nil {
				l.t.Errorf("%s: %v", alert.Name, err)
			}
			for _, s := range all {
				want.Series = append(want.Series, picture.Series{Labels: s.Labels, Points: []picture.Point{{At: at, Value: s.Value}}})
			}
			l.sameFigures(alert.Name, pointsOf(l.t, l.get(alert.Expr, picture.Span{To: at}, 0)), want)
		}
	}
}

// ms writes a time as Loki reads it: it knows no fractions.
func ms(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

// pointsOf gives the figures of an answer by labels and moment.
func pointsOf(t *testing.T, answer lokiAnswer) map[string]float64 {
	points := map[string]float64{}
	for _, s := range answer.Data.Result {
		values := s.Values
		if answer.Data.ResultType == "vector" {
			values = [][2]any{s.Value}
		}
		for _, v := range values {
			figure, err := strconv.ParseFloat(v[1].(string), 64)
			if err != nil {
				t.Fatal(err)
			}
			if !math.IsNaN(figure) {
				points[pointKey(s.Metric, int64(math.Round(v[0].(float64)*1000)))] = figure
			}
		}
	}
	return points
}

func pointKey(labels map[string]string, ms int64) string {
	text, _ := json.Marshal(labels)
	return fmt.Sprintf("%s at %d", text, ms)
}

func (l *loki) sameFigures(where string, got map[string]float64, want picture.Answer) (n int) {
	wanted := map[string]float64{}
	for _, s := range want.Series {
		for _, p := range s.Points {
			wanted[pointKey(s.Labels, p.At.UnixMilli())] = p.Value
		}
	}
	for key, w := range wanted {
		g, ok := got[key]
		if !ok || math.Abs(g-w) > 1e-6*max(1, math.Abs(w)) {
			l.t.Errorf("%s\n%s: Loki says %v (%v), jq %v", where, key, g, ok, w)
			return n
		}
		n++
	}
	for key := range got {
		if _, ok := wanted[key]; !ok {
			l.t.Errorf("%s\n%s: Loki says %v, jq nothing", where, key, got[key])
			return n
		}
	}
	return n
}

// sameLines compares lines with their times. Of two that look the same at the same time, as of two copies, Loki gives
// one.
func (l *loki) sameLines(where string, got lokiAnswer, want picture.Answer) (n int) {
	key := func(ns int64, text string) string {
		return strconv.FormatInt(ns/1e6, 10) + " " + strings.Join(strings.Fields(text), " ")
	}
	wanted, there := map[string]bool{}, map[string]bool{}
	for _, line := range want.Lines {
		wanted[key(line.At.UnixNano(), line.Message)] = true
	}
	for _, s := range got.Data.Result {
		for _, v := range s.Values {
			ns, err := strconv.ParseInt(v[0].(string), 10, 64)
			if err != nil {
				l.t.Fatal(err)
			}
			there[key(ns, v[1].(string))] = true
		}
	}
	if !maps.Equal(wanted, there) {
		l.t.Errorf("%s: jq and Loki have other lines: %d and %d", where, len(wanted), len(there))
	}
	return len(there)
}

// alerts asks what each alert says during the run, and wants those that the run has cause for, and no others.
func (l *loki) alerts(span picture.Span) {
	var loaded struct {
		Data struct {
			Groups []struct{ Rules []struct{ Name string } }
		}
	}
	answer, err := http.Get(l.base + "/prometheus/api/v1/rules")
	if err != nil {
		l.t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&loaded); err != nil {
		l.t.Fatal(err)
	}
	names := 0
	for _, g := range loaded.Data.Groups {
		names += len(g.Rules)
	}
	want := map[string]bool{"PenstockRejected": true, "PenstockErrorsHigh": true, "PenstockBreakerOpen": true, "PenstockErrorsVeryHigh": false}
	all := 0
	for _, g := range dashboards.LokiRules() {
		for _, alert := range g.Alerts {
			all++
			later := span
			later.From = span.From.Add(4 * span.Step)
			said := len(l.get(alert.Expr, later, span.Step).Data.Result) > 0
			// In what share of these intervals a step was the limit is left to the machine: the alert wants it for half an hour.
			if said != want[alert.Name] && alert.Name != "PenstockBackpressure" {
				l.t.Errorf("%s: it has an answer: %t, want %t\n%s", alert.Name, said, want[alert.Name], alert.Expr)
			}
		}
	}
	if names != all {
		l.t.Errorf("Loki's ruler has loaded %d of %d alerts", names, all)
	}
}
