//go:build real

package dashboards_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// A promServer is a Prometheus of its own on loopback.
type promServer struct {
	base   string
	native bool // keeps native histograms, and then not the classic ones beside them
}

// A promSeries is one line of an answer.
type promSeries struct {
	Metric map[string]string
	Points []promPoint
}

// A promPoint is a value at a moment.
type promPoint struct {
	At    float64 // seconds since 1970
	Value float64
}

// programOf gives the path of a program of Prometheus.
func programOf(t *testing.T, env string) string {
	t.Helper()
	path := os.Getenv(env)
	if path == "" {
		t.Fatalf("%s is not set: run make test-real, which sets it", env)
	}
	return path
}

// startPrometheus starts one that scrapes target each second and has the rules that the daemon ships.
func startPrometheus(t *testing.T, target, rules string, native bool) *promServer {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: penstock
    static_configs: [{targets: [%q]}]
`, rules, target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "config", config)
	addr := freeAddress(t)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	cmd := exec.Command(programOf(t, "PENSTOCK_PROMETHEUS"), "--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr, "--log.level=warn")
	if native {
		cmd.Args = append(cmd.Args, "--enable-feature=native-histograms")
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, _ := os.ReadFile(log.Name()); t.Failed() && len(text) > 0 {
			t.Logf("Prometheus says:\n%s", text)
		}
	})
	p := &promServer{"http://" + addr, native}
	until(t, "Prometheus is ready", func() error { _, err := get(t, p.base+"/-/ready"); return err })
	return p
}

// promtool runs it, and fails when it finds something.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	promtoolReads(t, nil, args...)
}

// promtoolReads runs it with something to read. What it says at all is a finding.
func promtoolReads(t *testing.T, input []byte, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), programOf(t, "PENSTOCK_PROMTOOL"), args...)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil || input != nil && len(out) > 0 {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

// json reads the answer of a path.
func (p *promServer) json(t *testing.T, path string, into any) {
	t.Helper()
	text, err := get(t, p.base+path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// now gives the answer to expr at a moment.
func (p *promServer) now(t *testing.T, expr string, at time.Time) []promSeries {
	t.Helper()
	return p.ask(t, "query", url.Values{"query": {expr}, "time": {unix(at)}})
}

// over gives the answer to expr from begin to end, a value each second.
func (p *promServer) over(t *testing.T, expr string, begin, end time.Time) []promSeries {
	t.Helper()
	return p.ask(t, "query_range", url.Values{"query": {expr}, "start": {unix(begin)}, "end": {unix(end)}, "step": {"1"}})
}

// total gives the one value of an expression at a moment.
func (p *promServer) total(t *testing.T, expr string, at time.Time) (float64, error) {
	t.Helper()
	all := p.now(t, expr, at)
	if len(all) != 1 {
		return math.NaN(), fmt.Errorf("%s has %d answers", expr, len(all))
	}
	return all[0].Points[0].Value, nil
}

func unix(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

func (p *promServer) ask(t *testing.T, path string, v url.Values) (all []promSeries) {
	t.Helper()
	text, err := get(t, p.base+"/api/v1/"+path+"?"+v.Encode())
	if err != nil {
		t.Errorf("%s: %v", v.Get("query"), err)
		return nil
	}
	var answer struct {
		Warnings []string
		Data     struct {
			Result []struct {
				Metric    map[string]string
				Value     json.RawMessage
				Values    []json.RawMessage
				Histogram json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Errorf("%s: %v", v.Get("query"), err)
	}
	if len(answer.Warnings) > 0 {
		t.Errorf("%s: %v", v.Get("query"), answer.Warnings)
	}
	for _, r := range answer.Data.Result {
		if r.Value != nil {
			r.Values = append(r.Values, r.Value)
		}
		if len(r.Values) == 0 {
			t.Errorf("%s gives no figures but %s", v.Get("query"), r.Histogram)
		}
		s := promSeries{Metric: r.Metric}
		for _, raw := range r.Values {
			s.Points = append(s.Points, pointOf(t, raw))
		}
		all = append(all, s)
	}
	return all
}

// pointOf reads [1700000000.5, "12"].
func pointOf(t *testing.T, raw json.RawMessage) promPoint {
	t.Helper()
	var at float64
	var text string
	if err := json.Unmarshal(raw, &[]any{&at, &text}); err != nil {
		t.Fatalf("a value of Prometheus: %v: %s", err, raw)
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("a value of Prometheus: %v", err)
	}
	return promPoint{at, value}
}

// get gives the body of a page that is there.
func get(t *testing.T, address string) ([]byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status + ": " + string(text))
	}
	return text, err
}
