package dashboards_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/dashboards"
)

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
