package cli

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/top"
)

// TestTopHasNoControlsInJSONOnATerminal: a log has texts of others, and JSON escapes only some of what disturbs a terminal.
func TestTopHasNoControlsInJSONOnATerminal(t *testing.T) {
	store := top.NewStore("app\u009b31m.log", 0)
	top.NewLog(store).Line([]byte(`{"timestamp":"2026-11-20T12:00:00Z","event_name":"pipeline.stats","service_instance_id":"a\u202eb","pipeline":"\u009b1m\u007f","interval_ms":1000,"state":"running"}`))
	for _, terminal := range []bool{false, true} {
		var out strings.Builder
		if err := writeView(&out, store.View(top.ViewOf{Instance: top.All}), terminal); err != nil {
			t.Fatal(err)
		}
		if has := strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }); has == terminal {
			t.Errorf("terminal %v: %q", terminal, out.String())
		}
		var read struct{ Pipelines []struct{ Pipeline string } }
		if err := json.Unmarshal([]byte(out.String()), &read); err != nil || read.Pipelines[0].Pipeline != "\u009b1m\u007f" {
			t.Errorf("terminal %v: %v, %q", terminal, err, out.String())
		}
	}
}
