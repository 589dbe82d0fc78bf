package dashboards

import (
	"bytes"
	"fmt"
	"os"
	"testing"
)

const referencePage = "../../docs/reference/panels.md"

// TestReference: docs/reference/panels.md has every panel on the log with what it asks, in LogQL and in jq.
func TestReference(t *testing.T) {
	want := reference()
	if *update {
		if err := os.WriteFile(referencePage, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/reference/panels.md is out of date; go test ./pipeline/dashboards -run Reference -update writes it")
	}
}

func reference() []byte {
	var b bytes.Buffer
	b.WriteString(`# What the pages on the log ask

Generated from the data in ` + "`pipeline/dashboards`" + `; ` + "`go test ./pipeline/dashboards -run Reference -update`" + ` rewrites it. Of each
[panel](../dashboards.md) the question is first in LogQL, as Grafana puts it to Loki, and then in jq, in the words of
` + "`pipeline/dashboards/penstock.jq`" + `, over a log without Loki.
`)
	for _, d := range OnLoki() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", d.Title, d.Description)
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				fmt.Fprintf(&b, "\n### %s: %s\n\n%s\n", r.Title, p.Title, p.Description)
				for _, q := range p.Queries {
					if q.Name != "" {
						fmt.Fprintf(&b, "\n`%s`\n", q.Name)
					}
					fmt.Fprintf(&b, "\n```logql\n%s\n```\n\n```jq\n%s\n```\n", q.Expr, q.JQ)
				}
			}
		}
	}
	return b.Bytes()
}
