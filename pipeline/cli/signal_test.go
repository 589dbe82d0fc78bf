//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// A holding server takes requests and answers none before it is told to.
type holding struct {
	*httptest.Server
	asked  chan string
	answer chan struct{}
}

func startHolding(t *testing.T) *holding {
	h := &holding{asked: make(chan string, 100), answer: make(chan struct{})}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.asked <- r.URL.Path
		select {
		case <-h.answer:
			fmt.Fprint(w, "clear")
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	return h
}

// A running is the command in a process of its own, with its log.
type running struct {
	t       *testing.T
	command *exec.Cmd
	socket  string // of the administration endpoint
	lines   *bufio.Scanner
	log     bytes.Buffer
	out     io.ReadCloser // standard output
	stdout  []byte        // what came out, at the end
	dumped  chan struct{} // closed when it has been made to show its goroutines
}

// patience is how long a process may take for a test. Then SIGQUIT makes it write where
// it hangs, and end: the test fails with that instead of waiting for ever.
const patience = 2 * time.Minute

// startRun runs a pipeline of three records, each of which waits for the server.
func startRun(t *testing.T, h *holding, drain string) *running {
	t.Helper()
	return startRunTo(t, h, drain, nil, nil)
}

// startRunTo is startRun with files in place of the pipes that the test reads; nil: such a
// pipe.
func startRunTo(t *testing.T, h *holding, drain string, stdout, stderr *os.File) *running {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	for name, text := range map[string]string{
		"input.jsonl": `{"topic":"flights","partition":3,"offset":7,"payload":"{\"o\":\"a\"}"}` + "\n" +
			`{"topic":"flights","partition":3,"offset":8,"payload":"{\"o\":\"b\"}"}` + "\n" +
			`{"topic":"flights","partition":3,"offset":9,"payload":"{\"o\":\"c\"}"}` + "\n",
		"p.yaml": fmt.Sprintf(`pipeline: p
source:
  replay: {files: [input.jsonl]}
stages:
  - http: {url: "%s/{o}", into: weather}
    timeout: 10m
    deadline: 10m
sinks:
  - stdout: {}
limits: {drain: %s}
admin: {listen: "unix:%s"}
log: {format: json}
`, h.URL, drain, socket),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := startDaemonTo(t, filepath.Join(dir, "p.yaml"), stdout, stderr)
	r.socket = socket
	for range 3 {
		select {
		case <-h.asked:
		case <-r.dumped:
			if r.lines == nil {
				t.Fatal("the pipeline does not ask the server")
			}
			r.read("a third request")
		}
	}
	return r
}

// startDaemon runs a file as a process of its own.
func startDaemon(t *testing.T, file string) *running {
	t.Helper()
	return startDaemonTo(t, file, nil, nil)
}

// startDaemonTo is startDaemon with files in place of the pipes that the test reads; nil:
// such a pipe.
func startDaemonTo(t *testing.T, file string, stdout, stderr *os.File) *running {
	t.Helper()
	return startCommand(t, stdout, stderr, "run", file)
}

// startCommand runs a command as a process of its own.
func startCommand(t *testing.T, stdout, stderr *os.File, args ...string) *running {
	t.Helper()
	return startCommandOn(t, nil, stdout, stderr, args...)
}

// startCommandOn is startCommand with a standard input.
func startCommandOn(t *testing.T, stdin, stdout, stderr *os.File, args ...string) *running {
	t.Helper()
	r := &running{t: t, command: exec.Command("penstock", args...), dumped: make(chan struct{})}
	if stdin != nil {
		r.command.Stdin = stdin
	}
	if stdout != nil {
		r.command.Stdout = stdout
	} else {
		out, err := r.command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		r.out = out
	}
	if stderr != nil {
		r.command.Stderr = stderr
	} else {
		log, err := r.command.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		r.lines = bufio.NewScanner(log)
	}
	if err := r.command.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(patience, func() {
		if stderr != nil {
			_ = r.command.Process.Kill() // nobody would read where it hangs
		} else {
			_ = r.command.Process.Signal(syscall.SIGQUIT)
		}
		close(r.dumped)
	})
	t.Cleanup(func() {
		guard.Stop()
		_ = r.command.Process.Kill() // it has ended, unless the test failed
	})
	return r
}

// read reads log lines up to one that holds text, which must come; "": to the end.
func (r *running) read(text string) string {
	r.t.Helper()
	line, found := r.follow(text)
	if text != "" && !found {
		r.t.Fatalf("the log ended before %s:\n%s", text, r.log.String())
	}
	return line
}

// follow reads log lines up to one that holds text, or to the end.
func (r *running) follow(text string) (line string, found bool) {
	for r.lines.Scan() {
		r.log.Write(append(r.lines.Bytes(), '\n'))
		if text != "" && strings.Contains(r.lines.Text(), text) {
			return r.lines.Text(), true
		}
	}
	return "", false
}

func (r *running) signal(s os.Signal) {
	r.t.Helper()
	if err := r.command.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// force signals until the process has ended: a signal right behind the first counts as
// the same.
func (r *running) force(s os.Signal) {
	go func() {
		for r.command.Process.Signal(s) == nil {
			<-time.After(sameSignal / 4)
		}
	}()
}

// end waits for the end of the process, checks its log, and gives the exit code.
func (r *running) end() int {
	r.t.Helper()
	if r.lines != nil {
		r.read("")
	}
	if r.out != nil {
		r.stdout, _ = io.ReadAll(r.out) // nothing, when it has been closed
	}
	err := r.command.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	if err := event.ValidateAll(r.log.Bytes()); err != nil {
		r.t.Error(err)
	}
	return r.command.ProcessState.ExitCode()
}

// untilStopping waits until the process says that it has taken a signal: without its log.
func (r *running) untilStopping() {
	r.t.Helper()
	for {
		if _, body := r.get("/readyz"); strings.Contains(body, "stopping") {
			return
		}
		select {
		case <-r.dumped:
			r.t.Fatal("the process does not take the signal")
		default:
		}
	}
}

// get asks the administration endpoint.
func (r *running) get(path string) (status int, body string) {
	r.t.Helper()
	return r.getAs(path, "")
}

// getAs is get that asks for a type.
func (r *running) getAs(path, accept string) (status int, body string) {
	r.t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.socket)
	}}}
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := c.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestEndpoint asks a real process how it is, running and draining.
func TestEndpoint(t *testing.T) {
	h := startHolding(t)
	r := startRun(t, h, "1h")
	r.read(`"event_name":"process.ready"`)
	for path, want := range map[string]string{"/livez": "", "/readyz": "", "/version": `"service": ?"penstock"`, "/api/v1/stats": `"in_?flight": ?3`,
		"/metrics": `penstock_pipeline_inflight_records\{pipeline="p"\} 3`} {
		status, body := r.get(path)
		if ok, err := regexp.MatchString(want, body); status != http.StatusOK || err != nil || !ok {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	r.signal(syscall.SIGTERM)
	r.read(`"event_name":"process.stopping"`)
	if status, body := r.get("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz while draining: %d %s", status, body)
	}
	close(h.answer)
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
}

// TestSignals covers what a signal does to a real process with records in flight.
func TestSignals(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run("drain on "+s.String(), func(t *testing.T) {
			h := startHolding(t)
			r := startRun(t, h, "1h")
			r.signal(s)
			r.read(`"event_name":"process.stopping"`)
			close(h.answer)
			if code := r.end(); code != exitDone {
				t.Errorf("exit code %d\n%s", code, r.log.String())
			}
			if n := strings.Count(string(r.stdout), `"weather":"clear"`); n != 3 {
				t.Errorf("%d records came out\n%s", n, string(r.stdout))
			}
		})
	}

	t.Run("the drain budget runs out", func(t *testing.T) {
		h := startHolding(t)
		r := startRun(t, h, "100ms")
		r.signal(syscall.SIGTERM)
		if code := r.end(); code != exitAbandoned {
			t.Errorf("exit code %d\n%s", code, r.log.String())
		}
		if !strings.Contains(r.log.String(), `"reason":"drain_timeout"`) || !strings.Contains(r.log.String(), `"abandoned":3`) {
			t.Errorf("the log does not say so:\n%s", r.log.String())
		}
		if len(r.stdout) > 0 {
			t.Errorf("records came out: %s", string(r.stdout))
		}
	})

	for s, want := range map[os.Signal]int{syscall.SIGTERM: exitTerminate, os.Interrupt: exitInterrupt} {
		t.Run("forced by "+s.String(), func(t *testing.T) {
			h := startHolding(t)
			r := startRun(t, h, "1h")
			r.signal(syscall.SIGTERM)
			r.read(`"event_name":"process.stopping"`)
			r.force(s)
			if code := r.end(); code != want {
				t.Errorf("exit code %d, want %d\n%s", code, want, r.log.String())
			}
		})
	}

	t.Run("hangup and dump", func(t *testing.T) {
		h := startHolding(t)
		r := startRun(t, h, "1h")
		r.signal(syscall.SIGHUP)
		r.read(`"event_name":"config.applied"`)
		r.read("nothing has changed in it")
		r.signal(syscall.SIGUSR1)
		line := r.read(`"cause":"call"`)
		for _, want := range []string{`"lane":"input.jsonl"`, `"offset":7,`, `"step":"http"`, `"attempt":1`, `"target":"127.0.0.1`, "flights/3@7: http, host 127.0.0.1", "2 records behind it"} {
			if !strings.Contains(line, want) {
				t.Errorf("what holds the mark lacks %s: %s", want, line)
			}
		}
		for _, want := range []string{"7", "8", "9"} {
			line := r.read(`"message":"in flight","topic":"flights","partition":3,"offset":`)
			if !strings.Contains(line, `"offset":`+want+",") || !strings.Contains(line, `"step":"http"`) || strings.Contains(line, `"o"`) {
				t.Errorf("in flight, want offset %s: %s", want, line)
			}
		}
		close(h.answer)
		if code := r.end(); code != exitDone {
			t.Errorf("exit code %d\n%s", code, r.log.String())
		}
	})
}

// TestAReaderThatGoesAway: a closed pipe is an error of the write, and the process ends
// in order.
func TestAReaderThatGoesAway(t *testing.T) {
	h := startHolding(t)
	r := startRun(t, h, "1h")
	if err := r.out.Close(); err != nil {
		t.Fatal(err)
	}
	close(h.answer)
	if code := r.end(); code != exitFailed {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
	if !strings.Contains(r.log.String(), `"reason":"failed"`) {
		t.Errorf("the log does not say so:\n%s", r.log.String())
	}
}
