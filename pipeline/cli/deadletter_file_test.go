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

// TestLettersThatCannotBeJudged: what is said of a record that is no letter is not said of one on which --where failed.
func TestLettersThatCannotBeJudged(t *testing.T) {
	dir := t.TempDir()
	file, from := filepath.Join(dir, "p.yaml"), filepath.Join(dir, "some.jsonl")
	headers := `["penstock-pipeline","p","penstock-step","s","penstock-reason","r","penstock-topic","t","penstock-partition","0","penstock-offset","7"]`
	for name, text := range map[string]string{
		file: "pipeline: p\nsource:\n  replay: {files: [in.jsonl]}\nsinks:\n  - file: {path: out.jsonl}\n",
		from: `{"topic":"t","headers":` + headers + `,"payload_json":{"a":"x"}}` + "\n" + `{"topic":"t","payload_json":{"a":1}}` + "\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"ls", file}, {"replay", file, "--dry-run"}} {
		_, out, log := penstock(t, append(append([]string{"dead-letter"}, args...), "--from", from, "--where", "a > 1")...)
		for line := range strings.Lines(out + log) {
			if strings.Contains(line, "--where failed") && (!strings.Contains(line, "the last") || strings.Contains(line, "penstock-pipeline")) {
				t.Errorf("%s says %s", args[0], line)
			}
		}
		if !strings.Contains(out+log, "--where failed") {
			t.Errorf("%s says\n%s%s", args[0], out, log)
		}
	}
}
