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

// sharing is a pipeline whose calls keep to a rate that stands in one of the files of the process. Its
// calls begin one after another: at a stop none is held back that stands before one that has begun.
const sharing = `pipeline: %s
source:
  replay: {files: [twenty.jsonl]}
stages:
  - http: {url: "%s/%[1]s/{n}", into: weather}
    workers: 1
    limit: api
sinks:
  - file: {path: %[1]s.jsonl}
log: {format: json, stats_every: 100ms}
`

// TestPipelinesShareARate: two pipelines of a process make together what one rate allows. What waits
// for it is said on request, is rejected by nobody, and is handed back at a stop.
func TestPipelinesShareARate(t *testing.T) {
	server, dir := startHolding(t), t.TempDir()
	close(server.answer)
	const rate = "limits: {rates: {api: {rate: 1/h, burst: 5}}}\n"
	var lines strings.Builder
	for i := range 20 {
		fmt.Fprintf(&lines, `{"topic":"t","partition":0,"offset":%d,"payload":"{\"n\":%[1]d}"}`+"\n", i)
	}
	for name, text := range map[string]string{
		"one.yaml": fmt.Sprintf(sharing, "one", server.URL) + rate, "two.yaml": fmt.Sprintf(sharing, "two", server.URL), "twenty.jsonl": lines.String(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := startCommand(t, nil, nil, "run", dir)
	for range 5 {
		select {
		case <-server.asked:
		case <-r.dumped:
			r.read("five requests")
		}
	}
	for waiting := map[string]bool{}; len(waiting) < 2; { // both, before they are asked what for
		line := r.read(`"throttled":`)
		for _, name := range []string{"one", "two"} {
			if strings.Contains(line, `"pipeline":"`+name+`"`) && !strings.Contains(line, `"throttled":0`) {
				waiting[name] = true
			}
		}
	}
	r.signal(syscall.SIGUSR1)
	for range 2 { // one pipeline after the other
		r.read("records in flight")
		if line := r.read(`"for":`); !strings.Contains(line, `"for":"rate api"`) || !strings.Contains(line, `"state":"throttled"`) || !strings.Contains(line, `"held_ms":`) {
			t.Errorf("a record that is held back: %s", line)
		}
	}
	r.signal(syscall.SIGTERM)
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
	written := 0
	for _, name := range []string{"one", "two"} {
		text, err := os.ReadFile(filepath.Join(dir, name+".jsonl"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for i, line := range strings.SplitAfter(string(text), "\n") {
			if line != "" && !strings.Contains(line, fmt.Sprintf(`"n":%d,`, i)) {
				t.Errorf("%s: line %d is %s", name, i, line)
			}
		}
		written += strings.Count(string(text), "\n")
	}
	if written != 5 || len(server.asked) > 0 {
		t.Errorf("%d records written, %d more calls than 5", written, len(server.asked))
	}
	if strings.Contains(r.log.String(), `"rejected":1`) || strings.Contains(r.log.String(), "record.rejected") {
		t.Errorf("records are rejected for waiting\n%s", r.log.String())
	}
}
