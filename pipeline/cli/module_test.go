package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A module outside this one has a stage and a daemon of its own, in a few lines, and that
// daemon knows the stage in all its commands. The module is testdata/module; its go.mod is
// made here, as it names this folder.
func TestAModuleOfOnesOwn(t *testing.T) {
	oneGoroutine(t)
	root, err := filepath.Abs(repo)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "testdata", "module"))); err != nil {
		t.Fatal(err)
	}
	for file, most := range map[string]int{"shout.go": 15, "main.go": 10} {
		if n := codeLines(t, filepath.Join(dir, file)); n > most {
			t.Errorf("%s takes %d lines of code beside its imports", file, n)
		}
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"shout.go", "main.go"} {
		if code := body(t, filepath.Join(dir, file)); !strings.Contains(string(readme), code) {
			t.Errorf("the README does not show what %s has:\n%s", file, code)
		}
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	_, needs, _ := strings.Cut(string(mod), "\n") // without the name of the module
	own := "module example.com/own\n" + needs + "\nrequire " + module + " v0.0.0\nreplace " + module + " => " + root + "\n"
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"go.mod": own, "go.sum": string(sum)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	daemon := filepath.Join(dir, "own")
	build := exec.CommandContext(t.Context(), "go", "build", "-mod=mod", "-o", daemon, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	runs := func(want string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), daemon, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("own %s: %v; nothing says %q in\n%s", strings.Join(args, " "), err, want, out)
		}
	}
	file := filepath.Join("cases", "shout-city", "pipeline.yaml")
	runs("makes a field upper case", "list", "shout")
	runs("shout", "list")
	runs("shout-city is right", "check", file)
	runs("BOSTON", "replay", file, filepath.Join("cases", "shout-city", "input.jsonl"))
	runs("1 passed, 0 failed", "test", "cases")
	wanted := filepath.Join("cases", "shout-city", "want", "stdout.jsonl")
	want, err := os.ReadFile(filepath.Join(dir, wanted))
	if err != nil || !strings.Contains(string(want), `{"city":"ZÜRICH \"HB\"","n":2}`) {
		t.Errorf("the case wants %s, %v", want, err)
	}
	if err := os.Remove(filepath.Join(dir, wanted)); err != nil {
		t.Fatal(err)
	}
	runs("new  shout-city", "test", "--update", "cases")
	if got, err := os.ReadFile(filepath.Join(dir, wanted)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the case wrote %s, %v", got, err)
	}

	if err := os.WriteFile(filepath.Join(dir, "wrong.yaml"), []byte("source: {replay: {files: [x]}}\nstages:\n  - shout: {feld: city}\nsinks: [stdout: {}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := exec.CommandContext(t.Context(), daemon, "check", "wrong.yaml")
	wrong.Dir = dir
	out, err := wrong.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != exitUsage || !strings.Contains(string(out), "wrong.yaml:3:13") {
		t.Errorf("a misspelt setting: %v\n%s", err, out)
	}
}

// codeLines counts the lines of a file that are neither empty nor comments nor imports.
func codeLines(t *testing.T, path string) (n int) {
	t.Helper()
	for line := range strings.Lines(body(t, path)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			n++
		}
	}
	return n
}

// body gives what stands behind the imports of a file.
func body(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, body, found := strings.Cut(string(text), "\n)\n")
	if !found {
		t.Fatalf("%s has no block of imports", path)
	}
	return strings.TrimSpace(body)
}
