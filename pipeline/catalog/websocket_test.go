package catalog_test

import (
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
)

// TestManyClients: what clients may take is no part of the budget of records, the process may have it beside, and who lets in more than the process
// is made for is warned.
func TestManyClients(t *testing.T) {
	const file = `pipeline: p
source: {replay: {files: [in.jsonl], as: value}}
sinks:
  - websocket: {listen: 127.0.0.1:0MOST}
limits: {in_flight_bytes: BUDGET}
`
	for _, tt := range []struct {
		most, budget string
		beside       int64
		warning      string
	}{
		{"", "256MiB", 2000 * 44 << 10, ""},
		{", max_connections: 5957", "256MiB", 5957 * 44 << 10, ""},
		{", max_connections: 5958", "256MiB", 5958 * 44 << 10,
			"4:55: warning: websocket: 5958 clients may take 256 MiB, 44 KiB each, beside the 256MiB that the process has for all records"},
		{", max_connections: 10000", "1GiB", 10_000 * 44 << 10, ""},
	} {
		loader := &config.Loader{Kinds: catalog.Kinds()}
		set, err := loader.Load(write(t, strings.NewReplacer("MOST", tt.most, "BUDGET", tt.budget).Replace(file)))
		if err != nil {
			t.Errorf("%s: %v", tt.most, err)
			continue
		}
		if got := set.Beside(); got != tt.beside {
			t.Errorf("%s: %d bytes beside records, want %d", tt.most, got, tt.beside)
		}
		var got string
		for _, w := range set.Warnings {
			got += w.String()
		}
		if (got == "") != (tt.warning == "") || !strings.Contains(got, tt.warning) {
			t.Errorf("%s: warned of %q, want %q", tt.most, got, tt.warning)
		}
	}
}
