//go:build unix

package dashboards_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/dashboards"
	"github.com/penstockio/penstock/pipeline/dashboards/internal/picture"
	"github.com/penstockio/penstock/pipeline/dashboards/internal/query"
)

func logOf(t *testing.T, lines []byte) *query.Log {
	t.Helper()
	log, err := query.ReadLog(lines, map[string]string{"service_name": "penstock"})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// inLogQL: each figure that jq gives to a panel is the one that its LogQL gives.
func inLogQL(t *testing.T, r *run, a *asker) {
	log, figures := logOf(t, r.log), 0
	length := func(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }
	fill := strings.NewReplacer("$service", "penstock", "$pipeline", ".*", "$__interval", length(a.span.Step), "$__range", length(a.span.To.Sub(a.span.From)))
	for _, d := range dashboards.OnLoki() {
		for _, row := range d.Rows {
			for i := range row.Panels {
				p := &row.Panels[i]
				for _, q := range p.Queries {
					if p.Kind == dashboards.Log {
						continue
					}
					at := a.span.To
					if p.Kind == dashboards.Lines || p.Kind == dashboards.States {
						at = a.span.From.Add(a.span.To.Sub(a.span.From) / 2).Truncate(a.span.Step)
					}
					got, err := log.Answer(fill.Replace(q.Expr), at)
					if err != nil {
						t.Errorf("%s / %s: %v\n%s", d.Name, p.Title, err, q.Expr)
					}
					figures += sameAsJQ(t, d.Name+" / "+p.Title+" / "+q.Name, got, a.ask(p, q), at)
				}
			}
		}
	}
	if figures < 150 {
		t.Errorf("only %d figures were compared", figures)
	}
}

func sameAsJQ(t *testing.T, where string, got []query.Sample, want picture.Answer, at time.Time) (n int) {
	t.Helper()
	wanted := map[string]float64{}
	for _, s := range want.Series {
		for _, p := range s.Points {
			if p.At.Equal(at) {
				wanted[fmt.Sprint(s.Labels)] = p.Value
			}
		}
	}
	for _, s := range got {
		if math.IsNaN(s.Value) { // 0 divided by 0, of which jq says nothing
			continue
		}
		labels := fmt.Sprint(s.Labels)
		w, ok := wanted[labels]
		if !ok || math.Abs(w-s.Value) > 1e-6*max(1, math.Abs(w)) {
			t.Errorf("%s, %s: LogQL %v, jq %v (%t)", where, labels, s.Value, w, ok)
		}
		delete(wanted, labels)
		n++
	}
	for labels, w := range wanted {
		t.Errorf("%s, %s: jq %v, LogQL nothing", where, labels, w)
	}
	return n
}

// said gives which alerts on Loki have an answer at a moment, and of what pipelines.
func said(t *testing.T, log *query.Log, at time.Time) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, g := range dashboards.LokiRules() {
		for _, alert := range g.Alerts {
			samples, err := log.Answer(alert.Expr, at)
			if err != nil {
				t.Errorf("%s: %v", alert.Name, err)
			}
			var about []string
			for _, s := range samples {
				about = append(about, s.Labels["pipeline"])
			}
			slices.Sort(about)
			if about = slices.Compact(about); len(about) > 0 {
				all[alert.Name] = strings.Join(about, " ")
			}
		}
	}
	return all
}

// alertsAfterwards: a quarter of an hour after copies that were asked to end have done so, no alert says anything. Had they been killed,
// their pipelines would be silent.
func alertsAfterwards(t *testing.T, r *run, a *asker) {
	later := a.span.To.Add(15 * time.Minute)
	if got := said(t, logOf(t, r.log), later); len(got) > 0 {
		t.Errorf("after the run there are alerts: %v", got)
	}
	var killed []byte
	for line := range bytes.Lines(r.log) {
		if !bytes.Contains(line, []byte(`"state":"stopped"`)) && !bytes.Contains(line, []byte(`"event_name":"process.stopped"`)) &&
			!bytes.Contains(line, []byte(`"event_name":"pipeline.stopped"`)) {
			killed = append(killed, line...)
		}
	}
	if got, want := said(t, logOf(t, killed), later), map[string]string{"PenstockSilent": "audit orders"}; !maps.Equal(got, want) {
		t.Errorf("after a run that was killed there are alerts %v, want %v", got, want)
	}
}

// TestLokiAlertsOfEnds: what a daemon itself writes when its pipeline has done its work, and when it fails, sets off what it has to.
func TestLokiAlertsOfEnds(t *testing.T) {
	const file = `pipeline: %s
source: {replay: {files: [in.jsonl], as: value}}
stages:
  - map: {set: {twice: n * 2}}
    on_error: stop
sinks:
  - file: {path: out.jsonl}
log: {format: json}
`
	for _, c := range []struct {
		name, input string
		code        int
		want        map[string]string
	}{
		{"works", `{"n":1}`, 0, map[string]string{}},
		{"fails", `{"n":"one"}`, 1, map[string]string{"PenstockFailed": "fails"}},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"in.jsonl": c.input + "\n", "file.yaml": fmt.Sprintf(file, c.name)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var log bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "penstock", "run", "file.yaml")
		cmd.Dir, cmd.Stderr = dir, &log
		err := cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != c.code {
			t.Fatalf("%s: exit code %d (%v), want %d\n%s", c.name, got, err, c.code, log.Bytes())
		}
		lines := bytes.Split(bytes.TrimSpace(log.Bytes()), []byte("\n"))
		if got := said(t, logOf(t, log.Bytes()), timeOf(t, lines[len(lines)-1]).Add(11*time.Minute)); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v\n%s", c.name, got, c.want, log.Bytes())
		}
	}
}
