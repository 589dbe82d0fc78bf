package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReplayOfAFileForTwoPipelines has two pipelines share a file of dead letters: that the letters of one
// were replayed says nothing about those of the other.
func TestReplayOfAFileForTwoPipelines(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("in.jsonl", strings.Repeat(`{"topic":"t","payload_json":{"n":"x"}}`+"\n", 3))
	var files []string
	for _, name := range []string{"one", "two"} {
		files = append(files, write(name+".yaml", fmt.Sprintf(`pipeline: %s
source:
  replay: {files: [in.jsonl]}
stages:
  - map: {set: {m: int(n)}}
sinks:
  - file: {path: %s.jsonl}
dead_letter:
  file: {path: dead.jsonl}
`, name, name)))
		if code, _, log := penstock(t, "run", files[len(files)-1]); code != exitDone {
			t.Fatalf("the run ended with %d\n%s", code, log)
		}
	}
	all := filepath.Join(dir, "all.jsonl")
	if err := os.Rename(filepath.Join(dir, "dead.jsonl"), all); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, want string }{
		{files[0], "3 of 3 letters replayed"}, {files[1], "3 of 3 letters replayed"}, {files[0], "0 of 0 letters replayed"},
	} {
		if _, out, log := penstock(t, "dead-letter", "replay", c.file, "--from", all); !strings.Contains(out, c.want) {
			t.Errorf("%s: no %q in\n%s%s", filepath.Base(c.file), c.want, out, log)
		}
	}
}
