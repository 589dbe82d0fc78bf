package top

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestLagOfFilesIsInBytes: on the screen, in the text and in JSON, of a log as of an endpoint.
func TestLagOfFilesIsInBytes(t *testing.T) {
	l := newTestLog("i")
	l.started()
	l.at = l.at.Add(time.Second)
	l.line("pipeline.stats", "app", `"interval_ms":1000,"state":"running","records_in_total":5,"lag_sum":12345,"lag_max":12345,"lag_unit":"bytes"`)
	l.line("source.partition.stats", "app", `"topic":"app.log","partition":0,"lag":12345,"lag_unit":"bytes","offset_committed":100`)
	s := read(t, l.String())
	screen := NewModel(s, Options{}).Screen().Text()
	has(t, screen, "lag 12.3 kB", "LAG BYTES", "12,345")
	var text, object bytes.Buffer
	if err := WriteTable(&text, s.View(all())); err != nil {
		t.Fatal(err)
	}
	if strings.Count(text.String(), "12345 bytes") != 2 {
		t.Errorf("of the pipeline and of the file:\n%s", text.String())
	}
	if err := WriteJSON(&object, s.View(all())); err != nil {
		t.Fatal(err)
	}
	has(t, object.String(), `"lag_sum":12345,"lag_max":12345,"lag_unit":"bytes"`, `"lag":12345,"lag_unit":"bytes"`)
}

func TestSizes(t *testing.T) {
	for want, n := range map[string]float64{"0 B": 0, "999 B": 999, "1.0 kB": 1000, "99.9 kB": 99_900, "100 kB": 99_960, "1.0 MB": 999_600, "4.6 MB": 4_600_000, "1200 TB": 1.2e15} {
		if got := size(n); got != want {
			t.Errorf("%v: %q, want %q", n, got, want)
		}
	}
}
