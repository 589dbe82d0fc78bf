//go:build real

package dashboards

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGrafanaReadsLogQL: the grammar of Grafana's own editor reads each query of pages and alerts, with the variables
// filled in as Grafana does it, and those of docs/queries.md.
func TestGrafanaReadsLogQL(t *testing.T) {
	fill := strings.NewReplacer("$service", "penstock", "$pipeline", ".*", "$__interval", "15s", "$__range", "3600s")
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "queries.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := questions()
	inPages := len(all)
	for _, m := range regexp.MustCompile("(?s)```logql\n(.*?)```").FindAllSubmatch(page, -1) {
		all = append(all, question{where: "docs/queries.md", logql: string(m[1])})
	}
	if inPages == 0 || len(all) == inPages {
		t.Fatalf("%d queries, %d of them of docs/queries.md", len(all), len(all)-inPages)
	}
	var queries []string
	for _, q := range all {
		queries = append(queries, fill.Replace(q.logql))
	}
	const broken = `sum by (step (rate({service_name="penstock"} | json step="step" [15s]))`
	answers := parsedLogQL(t, append(queries, broken))
	for i, q := range all {
		for _, at := range answers[i] {
			t.Errorf("%s: the grammar does not know what begins at %q in\n%s", q.where, at, queries[i])
		}
	}
	if len(answers[len(queries)]) == 0 {
		t.Error("the grammar reads a query that is broken")
	}
}

// parsedLogQL gives for each query where the grammar fails.
func parsedLogQL(t *testing.T, queries []string) (wrong [][]string) {
	t.Helper()
	if os.Getenv("PENSTOCK_LEZER_LOGQL") == "" {
		t.Fatal("PENSTOCK_LEZER_LOGQL does not say where the grammar of LogQL is installed: testdata/real/run.sh sets it")
	}
	input, err := json.Marshal(queries)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", filepath.Join("..", "..", "testdata", "real", "logql", "parse.cjs"))
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &wrong); err != nil {
		t.Fatal(err)
	}
	if len(wrong) != len(queries) {
		t.Fatalf("%d answers to %d queries", len(wrong), len(queries))
	}
	return wrong
}
