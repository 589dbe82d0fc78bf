//go:build unix

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDryRunOverLettersOfOthers: of letters that two pipelines share, those of the other one are neither to be replayed nor
// were they replayed, before the own are replayed and after.
func TestDryRunOverLettersOfOthers(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, records int) string {
		in := filepath.Join(dir, name+".txt")
		path := filepath.Join(dir, name+".yaml")
		text := fmt.Sprintf(`pipeline: %s
source:
  replay: {files: [%s.txt], as: value}
stages:
  - map: {set: {n: n + 1}}
sinks:
  - file: {path: "%s.out"}
dead_letter:
  file: {path: dead.jsonl}
log: {format: json}
`, name, name, name)
		for f, content := range map[string]string{in: strings.Repeat(`{"n":"odd"}`+"\n", records), path: text} {
			if err := os.WriteFile(f, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	own, other := file("own", 6), file("other", 8)
	run := func(want int, args ...string) string {
		t.Helper()
		code, out, log := penstock(t, args...)
		if code != want {
			t.Fatalf("%v ended with %d\n%s%s", args, code, out, log)
		}
		return out
	}
	run(exitDone, "run", own)
	run(exitDone, "run", other)
	says := func(want ...string) {
		t.Helper()
		got := run(exitDone, "dead-letter", "replay", own, "--dry-run")
		for _, w := range want {
			if !strings.Contains(got, w+"\n") {
				t.Errorf("the dry run lacks %q:\n%s", w, got)
			}
		}
	}
	says("6 letters would go through the pipeline from its first step, in this process", "0 were replayed already", "8 left of other pipelines")
	run(exitExpectation, "dead-letter", "replay", own)
	says("6 were replayed already", "8 left of other pipelines")
}
