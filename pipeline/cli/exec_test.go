//go:build unix

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/catalog"
)

// exampleOf runs the case of an example with the processes that it is about, in place of their recorded answers.
func exampleOf(t *testing.T, name string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(repo, "docs", "examples", name))); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "answers")); err != nil {
		t.Fatal(err)
	}
	cases, err := findCases([]string{dir}, catalog.Kinds())
	if err != nil || len(cases) != 1 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	if r := cases[0].run(t.Context(), nil, false); !r.ok() || r.records < 3 {
		t.Errorf("%d records\n%s", r.records, r.text())
	}
}

// examplesOfProcesses are the examples of exec, and what they need.
var examplesOfProcesses = map[string]string{"enrich-in-python": "python3", "enrich-in-node": "node"}

// The recorded answers of the examples are what their programs say, where these can be run. `make test-real` has
// them installed.
func TestExamplesOfProcesses(t *testing.T) {
	for name, program := range examplesOfProcesses {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("%s is not installed: what %s says was not compared with its recorded answers; make test-real does that", program, name)
			}
			exampleOf(t, name)
		})
	}
}

// daemonWithChild runs a pipeline whose process has the one record and says nothing, and gives the number of
// the process.
func daemonWithChild(t *testing.T) (r *running, pid int) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"in.jsonl": "{\"n\":1}\n",
		"child.sh": "trap '' TERM\nread -r line\necho $$ >pid.tmp\nmv pid.tmp pid\nsleep 1000\n",
		"p.yaml": `pipeline: p
source: {replay: {files: [in.jsonl], as: value}}
stages:
  - exec: {command: [sh, child.sh], stop_timeout: 100ms}
    timeout: 10m
    deadline: 10m
sinks: [{stdout: {}}]
limits: {drain: 200ms}
log: {format: json}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r = startDaemon(t, filepath.Join(dir, "p.yaml"))
	for end := time.Now().Add(patience); pid == 0; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err == nil {
			pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		if time.Now().After(end) {
			t.Fatal("the process gets no record")
		}
	}
	return r, pid
}

// gone waits until there is no process of that number, but one that nobody has waited for.
func gone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); syscall.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err == nil && strings.Contains(string(text), ") Z ") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %d is left", pid)
		}
	}
}

// A stop leaves no process, though one hangs and ignores SIGTERM, and keeps to its budget.
func TestNoProcessIsLeftByAStop(t *testing.T) {
	r, pid := daemonWithChild(t)
	r.signal(syscall.SIGTERM)
	if code := r.end(); code != exitAbandoned {
		t.Errorf("exit code %d", code)
	}
	gone(t, pid)
}

// Nor does a second signal, which waits for nobody, and on Linux SIGKILL.
func TestNoProcessIsLeftByAKill(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("processes are tied to the pipeline's on Linux alone")
	}
	for _, signals := range [][]os.Signal{{syscall.SIGTERM, syscall.SIGTERM}, {syscall.SIGKILL}} {
		r, pid := daemonWithChild(t)
		for _, s := range signals {
			_ = r.command.Process.Signal(s) // the first may have ended it
		}
		_ = r.end()
		gone(t, pid)
	}
}
