package script

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestPageOfScripts runs the examples of the reference: each script of it with the records below it.
func TestPageOfScripts(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/scripts.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```python\n(.*?)```\n\n```text\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 3 || len(blocks) != strings.Count(string(page), "```python") {
		t.Fatalf("%d scripts with records below them", len(blocks))
	}
	for _, b := range blocks {
		s := stage(t, b[1])
		for line := range strings.Lines(b[2]) {
			in, want, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "→")
			if !ok {
				t.Errorf("%q has no arrow", line)
			}
			rec := value(strings.TrimSpace(in))
			if got := came(rec, s.Process(t.Context(), rec)); got != strings.TrimSpace(want) {
				t.Errorf("%s gives %s, not %s\n%s", in, got, want, b[1])
			}
		}
	}
}
