package dashboards_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/penstockio/penstock/pipeline/dashboards"
)

// TestScrapeConfigurationsInTheDocuments: what the pages show to be pasted is taken by a Prometheus of 2.42, as Debian has it, and
// there is one for an endpoint with TLS and a token.
func TestScrapeConfigurationsInTheDocuments(t *testing.T) {
	known := []string{"job_name", "static_configs", "scheme", "tls_config", "authorization"}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)\n *```")
	for _, page := range []string{"operations.md", "dashboards-prometheus.md"} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		jobs, guarded := 0, 0
		for _, m := range blocks.FindAllSubmatch(text, -1) {
			var shown struct {
				Jobs []map[string]any `yaml:"scrape_configs"`
			}
			if !strings.Contains(string(m[1]), "scrape_configs:") {
				continue
			}
			if err := yaml.Unmarshal(m[1], &shown); err != nil {
				t.Errorf("%s: %v", page, err)
			}
			for _, job := range shown.Jobs {
				jobs++
				if job["scheme"] == "https" && job["authorization"] != nil && job["tls_config"] != nil {
					guarded++
				}
				for key := range job {
					if !slices.Contains(known, key) {
						t.Errorf("%s: Prometheus 2.42 may not know %s", page, key)
					}
				}
			}
		}
		if jobs < 2 || guarded != 1 {
			t.Errorf("%s shows %d jobs, %d of them with TLS and a token", page, jobs, guarded)
		}
	}
}

// TestAlertsOnPrometheusAreInTheDocuments: docs/dashboards-prometheus.md has each alert with its severity, and no
// other, and names what is recorded.
func TestAlertsOnPrometheusAreInTheDocuments(t *testing.T) {
	page, err := os.ReadFile("../../docs/dashboards-prometheus.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	listed := map[string]string{}
	name := regexp.MustCompile("`(Penstock[A-Za-z]+)`")
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		severities := strings.Split(cells[3], ",")
		for i, m := range name.FindAllStringSubmatch(cells[1], -1) {
			listed[m[1]] = strings.TrimSpace(severities[min(i, len(severities)-1)])
		}
	}
	for _, g := range dashboards.PrometheusRules() {
		for _, a := range g.Alerts {
			if got := listed[a.Name]; got != string(a.Severity) {
				t.Errorf("the page says %q of %s, which is %s", got, a.Name, a.Severity)
			}
			delete(listed, a.Name)
		}
		for _, r := range g.Records {
			if !strings.Contains(text, "`"+r.Name+"`") {
				t.Errorf("the page does not name %s", r.Name)
			}
		}
	}
	for name := range listed {
		t.Errorf("the page has an alert %s, which is not there", name)
	}
}
