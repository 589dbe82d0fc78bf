package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestRunNamesAllThatIsMissing: as check --connect does, a line each. The last line of the process has the first.
func TestRunNamesAllThatIsMissing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	writeFile(t, filepath.Join(dir, "taken"), "no folder\n")
	writeFile(t, filepath.Join(dir, "worse"), "no folder\n")
	writeFile(t, file, `pipeline: p
source: {replay: {files: [nowhere.jsonl]}}
sinks:
  - file: {path: taken/out.jsonl}
dead_letter: {file: {path: worse/out.jsonl}}
`)
	for _, args := range [][]string{{"check", "--connect", file}, {"run", "--log-format", "json", file}} {
		code, out, errs := command(t, args...)
		for _, missing := range []string{"nowhere.jsonl", "taken", "worse"} {
			n := 0
			for line := range strings.Lines(errs) {
				if strings.Contains(line, missing) && (args[0] == "check" || strings.Contains(line, `"event_name":"log"`)) {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%v: %d lines name %s", args, n, missing)
			}
		}
		if code != exitEnvironment || t.Failed() {
			t.Errorf("%v: %d\n%s%s", args, code, out, errs)
		}
	}
}
