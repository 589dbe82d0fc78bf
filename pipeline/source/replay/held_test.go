package replay

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/internal/heldtest"
)

// TestWhatIsHeldIsCharged: what batches and records keep in memory is charged, whatever the records look like. Headers were held
// three times for once that they were charged.
func TestWhatIsHeldIsCharged(t *testing.T) {
	const most = 4 << 20
	headers := func(n, size int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"name-%d","%s"`, i, strings.Repeat("h", size)))
		}
		return `"headers":[` + strings.Join(all, ",") + `],`
	}
	for _, c := range []struct{ name, line, as string }{
		{name: "few large headers", line: `{` + headers(4, 16<<10) + `"payload_json":{}}`},
		{name: "many small headers", line: `{` + headers(100, 20) + `"payload_json":{}}`},
		{name: "headers with escapes", line: `{` + strings.ReplaceAll(headers(40, 200), "h\",", `\t\u00e9\u00e9",`) + `"payload_json":{}}`},
		{name: "headers in base64", line: `{"headers_b64":["dHJhY2U=","` + strings.Repeat("QUJD", 100) + `"],"payload_b64":"` + strings.Repeat("QUJD", 100) + `"}`},
		{name: "a large key", line: `{"key":"` + strings.Repeat("k", 64<<10) + `","payload":""}`},
		{name: "a large value", line: `{"payload_json":["` + strings.Repeat("v", 200<<10) + `"]}`},
		{name: "a value with escapes", line: `{"payload":"` + strings.Repeat(`\"v`, 1<<10) + `"}`},
		{name: "small values", line: `{"payload_json":["` + strings.Repeat("v", 80) + `"]}`},
		{name: "bare values", line: strings.Repeat("v", 100), as: "value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Repeat(c.line+"\n", 1+most/len(c.line))
			s := Settings{Files: files(t, "in.jsonl", text), As: c.as}
			text = ""
			waiting, made := heldtest.Read(t, replay(t, s, Options{}), most)
			t.Logf("%d records, %d and %d bytes charged, %.2f and %.2f times that are held", made.Records, waiting.Charged, made.Charged, waiting.Ratio(), made.Ratio())
			made.Live -= 8 * batchRecords * recordBytes // slices for the next batches
			if w, m := waiting.Ratio(), made.Ratio(); w < 0.8 || w > 1.3 || m < 0.8 || m > 1.3 {
				t.Errorf("%.2f times what is charged is held while batches wait, and %.2f times when records are made", w, m)
			}
		})
	}
}
