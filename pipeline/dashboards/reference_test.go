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

Generated from the data in ` + "`pipeline/dashboards`" + `; ` + "`go test ./pipeline/dashboards -run Reference -update`" + ` rewrites it.

This is each panel of the [pages on Loki](../dashboards.md): its row and its title, what it shows, and its queries. Above a query stands how the panel names its lines, in
which ` + "`{{pipeline}}`" + ` is the value of that label. The query is there twice:

- in LogQL, as Grafana puts it to Loki. Grafana fills in ` + "`$service` and `$pipeline`" + ` from the head of the page, ` + "`$__interval`" + ` as the time between two
  points of a picture, and ` + "`$__range`" + ` as the time range of the page.
- in jq, for a log in a file. The functions are those of ` + "`pipeline/dashboards/penstock.jq`" + `, and [dashboards.md](../dashboards.md#without-loki) has a
  command to try.
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
