//go:build unix

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReloadOverTheEndpoint: a reload answers when it is done, with what ran and runs. While one is under way another is refused; one
// of a bad file is refused with its first problem, and one that needs a restart with what does.
func TestReloadOverTheEndpoint(t *testing.T) {
	h := startHolding(t)
	dir, err := os.MkdirTemp("", "s") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file, socket := filepath.Join(dir, "p.yaml"), filepath.Join(dir, "s")
	text := func(stage, more string) string {
		return fmt.Sprintf(`pipeline: asked
source:
  tail: {files: [grows.log], position: position}
stages:
  - name: ask
    http: {url: "%s/{o}", into: %s}
    timeout: 10m
    deadline: 10m
sinks:
  - file: {path: out.log}
admin: {listen: "unix:%s", commands: true}
log: {format: json}
%s`, h.URL, stage, socket, more)
	}
	rewrite(t, file, text("a", "limits: {drain: 1h}\n"))
	writeFile(t, filepath.Join(dir, "grows.log"), `{"o":"x"}`+"\n")
	r := startDaemon(t, file)
	r.socket = socket
	r.read(`"event_name":"process.ready"`)
	select {
	case <-h.asked:
	case <-r.dumped:
		r.read("a request")
	}
	type said struct {
		code      int
		out, errs string
	}
	reload := func() (s said) {
		s.code, s.out, s.errs = command(t, "reload", "--addr", "unix:"+socket)
		return s
	}

	rewrite(t, file, text("a", "limits: {drain: 1h}\nnonsense: true\n"))
	if s := reload(); s.code != exitFailed || !strings.Contains(s.errs, `p.yaml:`) || !strings.Contains(s.errs, "nonsense") {
		t.Errorf("a bad file: %+v", s)
	}
	rewrite(t, file, text("a", "limits: {drain: 1h, in_flight: 77}\n"))
	if s := reload(); s.code != exitFailed || !strings.Contains(s.errs, "limits.in_flight") {
		t.Errorf("one that needs a restart: %+v", s)
	}

	// The record that waits for its answer holds up one of two, and that one the other.
	rewrite(t, file, text("b", "limits: {drain: 1h}\n"))
	both := make(chan said, 2)
	for range 2 {
		go func() { both <- reload() }()
	}
	if s := <-both; s.code != exitFailed || !strings.Contains(s.errs, "another reload is under way: ask again when it is done") {
		t.Errorf("the other one: %+v", s)
	}
	close(h.answer)
	if s := <-both; s.code != exitDone || !strings.Contains(s.out, " (it was ") {
		t.Errorf("the one: %+v", s)
	}
	r.signal(syscall.SIGTERM)
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	log := r.log.String()
	for want, n := range map[string]int{`"event_name":"config.rejected"`: 2, `"trigger":"api"`: 3, `"changed_steps":"ask"`: 1, `"command":"reload","outcome":"refused"`: 3, `"command":"reload","outcome":"done"`: 1} {
		if got := strings.Count(log, want); got != n {
			t.Errorf("%s is %d times in the log, want %d:\n%s", want, got, n, log)
		}
	}
}
