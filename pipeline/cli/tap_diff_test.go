package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/admin"
)

// TestDiffOfManyParts: of a split that makes more parts than are shown, and of parts of a part, which have no number yet, each part is
// compared with the record, and the record itself is not printed once more.
func TestDiffOfManyParts(t *testing.T) {
	line := func(seen int, side, value, more string) string {
		return fmt.Sprintf(`{"topic":"orders","partition":0,"offset":%d,"payload_json":%s,"step":"split","side":%q,"time":"2026-11-20T12:00:00.000Z","seen":%d%s}`, seen, value, side, seen, more)
	}
	for name, parts := range map[string]func(int) string{
		"more than are shown": func(n int) string { return fmt.Sprintf(`,"part":%d,"parts":20`, n) },
		"parts of a part":     func(int) string { return `,"parts":20` },
	} {
		var out strings.Builder
		o := tapOutput{w: &out, diff: true}
		lines := []string{line(1, "before", `{"all":[]}`, `,"became":"passed"`)}
		for n := range 16 {
			lines = append(lines, line(1, "after", fmt.Sprintf(`{"one":%d}`, n), parts(n+1)))
		}
		lines = append(lines, line(2, "before", `{"all":[1]}`, `,"became":"filtered"`))
		for _, l := range lines {
			if err := o.record([]byte(l)); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.flush(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), `{"all":[]}`) {
			t.Errorf("%s: the record that was split is printed once more:\n%s", name, out.String())
		}
		if n := strings.Count(out.String(), "+ one"); n != 16 || !strings.Contains(out.String(), "filtered") {
			t.Errorf("%s: %d of 16 parts are compared:\n%s", name, n, out.String())
		}
	}
}

func TestOneRecordIsOne(t *testing.T) {
	for shown, want := range map[int64]string{0: "0 records", 1: "1 record", 2: "2 records"} {
		o := tapOutput{shown: shown}
		if got := o.summary(admin.TapEnd{}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
