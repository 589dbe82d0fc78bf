package http

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestThePageHasAllReasons holds the page of the answers against the code: a reason that it does not explain helps nobody, and one that
// there is not misleads.
func TestThePageHasAllReasons(t *testing.T) {
	text, err := os.ReadFile("../../../docs/taking-posts.md")
	if err != nil {
		t.Fatal(err)
	}
	known, told := map[string]bool{}, map[string]bool{}
	for _, reason := range reasons {
		known[reason] = true
	}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.ContainsAny(cells[1], "0123456789") {
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[2], -1) {
			told[m[1]] = true
			if !known[m[1]] {
				t.Errorf("%s is no reason", m[1])
			}
		}
	}
	for _, reason := range reasons {
		if !told[reason] {
			t.Errorf("the page does not say what to do about %s", reason)
		}
	}
}
