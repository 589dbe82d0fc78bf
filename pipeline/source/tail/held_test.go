package tail

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/internal/heldtest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// TestWhatIsHeldIsCharged: headers that are made of lines are charged on top of the lines.
func TestWhatIsHeldIsCharged(t *testing.T) {
	const most = 4 << 20
	var headers []string
	for i := range 100 {
		headers = append(headers, fmt.Sprintf(`"name-%d","%020d"`, i, i))
	}
	for _, c := range []struct{ name, as, line string }{
		{"headers", "fixture", `{"headers":[` + strings.Join(headers, ",") + `],"payload_json":{}}`},
		{"escapes", "fixture", `{"payload":"` + strings.Repeat(`\"v`, 1<<10) + `"}`},
		{"values", "value", strings.Repeat("v", 100)},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "in")
			if err := os.WriteFile(file, []byte(strings.Repeat(c.line+"\n", most/len(c.line))), 0o600); err != nil {
				t.Fatal(err)
			}
			s := Settings{Files: []settings.Path{settings.Path(file)}, As: c.as, Position: settings.Path(filepath.Join(dir, "position")), Stop: "end"}
			src, err := New(s, Options{Pipeline: "p"})
			if err != nil {
				t.Fatal(err)
			}
			waiting, made := heldtest.Read(t, src, most)
			t.Logf("%d records, %d and %d bytes charged, %.2f and %.2f times that are held", made.Records, waiting.Charged, made.Charged, waiting.Ratio(), made.Ratio())
			if w, m := waiting.Ratio(), made.Ratio(); w > 1.3 || m < 0.8 || m > 1.3 {
				t.Errorf("%.2f times what is charged is held while batches wait, and %.2f times when records are made", w, m)
			}
		})
	}
}
