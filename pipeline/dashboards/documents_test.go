package dashboards

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestAlertsAreInTheDocuments: the table of docs/dashboards.md has each alert for Loki with its severity, and no other.
func TestAlertsAreInTheDocuments(t *testing.T) {
	text, err := os.ReadFile("../../docs/dashboards.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	name := regexp.MustCompile("`(Penstock[A-Za-z]+)`")
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !name.MatchString(cells[1]) {
			continue
		}
		severities := strings.Split(cells[3], ",")
		for i, m := range name.FindAllStringSubmatch(cells[1], -1) {
			listed[m[1]] = strings.TrimSpace(severities[min(i, len(severities)-1)])
		}
	}
	for _, g := range LokiRules() {
		for _, a := range g.Alerts {
			if got := listed[a.Name]; got != string(a.Severity) {
				t.Errorf("docs/dashboards.md says %q of %s, which is %s", got, a.Name, a.Severity)
			}
			delete(listed, a.Name)
		}
	}
	for name := range listed {
		t.Errorf("docs/dashboards.md has an alert %s, which is not there", name)
	}
}

// TestPagesAreWhole: each page, panel and alert says what it is, and no two have one name.
func TestPagesAreWhole(t *testing.T) {
	seen := map[string]bool{}
	once := func(format string, args ...any) {
		if s := fmt.Sprintf(format, args...); seen[s] {
			t.Errorf("%s is there twice", s)
		} else {
			seen[s] = true
		}
	}
	for _, d := range All() {
		once("the page %s on %s", d.Name, d.Store)
		if d.Title == "" || d.Description == "" || len(d.Rows) == 0 {
			t.Errorf("%s on %s has no title, description or row", d.Name, d.Store)
		}
		for _, r := range d.Rows {
			width := 0
			for _, w := range r.Widths() {
				width += w
			}
			if width > columns {
				t.Errorf("%s on %s: the row %s is %d columns wide", d.Name, d.Store, r.Title, width)
			}
			for _, p := range r.Panels {
				once("the panel %s / %s / %s on %s", d.Name, r.Title, p.Title, d.Store)
				if p.Description == "" || len(p.Queries) == 0 {
					t.Errorf("%s / %s on %s has no description or query", d.Name, p.Title, d.Store)
				}
				for _, q := range p.Queries {
					if q.Name == "" && p.Kind != Log || (q.JQ == "") == (d.Store == Loki) {
						t.Errorf("%s / %s on %s: a query without a name, or jq in the wrong place", d.Name, p.Title, d.Store)
					}
				}
			}
		}
	}
	for _, g := range Rules() {
		for _, a := range g.Alerts {
			once("the alert %s on %s", a.Name, g.Store)
			if a.Summary == "" || a.Runbook == "" || a.Severity != Page && a.Severity != Ticket {
				t.Errorf("%s on %s has no summary, runbook or severity", a.Name, g.Store)
			}
		}
	}
}
