//go:build unix

package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// A stopServer answers requests for numbers, and counts them. From one number on it waits with its answers until it is opened.
type stopServer struct {
	*httptest.Server
	fails   atomic.Bool
	waits   int
	waiting chan struct{} // closed when a request waits
	open    chan struct{}
	once    sync.Once

	mu    sync.Mutex
	asked map[string]int
}

func newStopServer(t *testing.T, waits int) *stopServer {
	s := &stopServer{waits: waits, waiting: make(chan struct{}), open: make(chan struct{}), asked: map[string]int{}}
	s.fails.Store(true)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.fails.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.mu.Lock()
		s.asked[r.URL.Path]++
		n := len(s.asked)
		s.mu.Unlock()
		if n >= s.waits {
			s.once.Do(func() { close(s.waiting) })
			select {
			case <-s.open:
			case <-r.Context().Done():
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"seen":%q}`, r.URL.Path)
	}))
	t.Cleanup(s.Close)
	return s
}

// rejected writes a pipeline that calls the server, and has it reject n records.
func (s *stopServer) rejected(t *testing.T, n int) (file, out string) {
	dir := t.TempDir()
	file, out = filepath.Join(dir, "p.yaml"), filepath.Join(dir, "out.jsonl")
	var in strings.Builder
	for i := range n {
		fmt.Fprintf(&in, `{"n":%d}`+"\n", i)
	}
	text := fmt.Sprintf(`pipeline: stops
source:
  replay: {files: [in.jsonl], as: value}
stages:
  - http: {url: "%s/{n}", into: answer}
    name: ask
    breaker: off
    workers: 8
    retry: {attempts: 1}
sinks:
  - file: {path: out.jsonl}
dead_letter:
  file: {path: dead.jsonl}
log: {format: json}
`, s.URL)
	for name, text := range map[string]string{"in.jsonl": in.String(), "p.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, log := penstock(t, "run", file); code != exitDone {
		t.Fatalf("the run ended with %d\n%s", code, log)
	}
	s.fails.Store(false)
	return file, out
}

// untilHandedBack asks a process for what is in flight until that is no more than n records.
func untilHandedBack(r *running, n int64) {
	r.t.Helper()
	over := make(chan struct{})
	go func() { // one that comes while the answer to another is written is left out
		for r.command.Process.Signal(syscall.SIGUSR1) == nil {
			select {
			case <-over:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	defer close(over)
	for gjson.Get(r.read("records in flight, oldest first"), "inflight").Int() > n {
	}
}

// TestReplayThatIsStoppedInThisProcess stops a replay on its way. What was called by then is finished and delivered, nothing else is
// called, and the next replay sends the others alone. The last line says how many are left.
func TestReplayThatIsStoppedInThisProcess(t *testing.T) {
	const all = 1000
	s := newStopServer(t, 300)
	file, out := s.rejected(t, all)
	r := startCommand(t, nil, nil, "dead-letter", "replay", file, "--to", "step")
	<-s.waiting
	r.signal(syscall.SIGTERM)
	untilHandedBack(r, 64)
	close(s.open)
	if code := r.end(); code != exitDone {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, r.log.String())
	}
	said := string(r.stdout)
	m := regexp.MustCompile(`\n(\d+) delivered, 0 filtered, 0 rejected again, (\d+) not sent\n(?s:.*)\nended before all were sent: (\d+) sent, (\d+) left(?:, and about \d+ more were not looked at)?; the same command goes on there\n$`).FindStringSubmatch(said)
	if sent := len(linesOf(t, out)); m == nil || m[1] != fmt.Sprint(sent) || m[3] != m[1] || m[4] != m[2] || sent < 250 || sent > 400 || strings.Contains(said, "may have") {
		t.Errorf("%d are delivered, and it says\n%s", sent, said)
	}
	code, said, log := penstock(t, "dead-letter", "replay", file, "--to", "step")
	if code != exitDone || strings.Contains(said, "ended before") {
		t.Fatalf("the next replay ended with %d\n%s%s", code, said, log)
	}
	times := map[string]int{}
	for _, line := range linesOf(t, out) {
		times[gjson.Get(line, "answer.seen").String()]++
	}
	for n := range all {
		if path := fmt.Sprintf("/%d", n); times[path] != 1 || s.asked[path] != 1 {
			t.Errorf("%s came %d times, and was asked for %d times", path, times[path], s.asked[path])
		}
	}
}

// TestReplayWhoseSinkHangs stops a replay while its sink has not answered, until the drain budget is spent, and by a second signal.
// What the sink has taken before is remembered. Of what it was given since then nobody knows, and of nothing else.
func TestReplayWhoseSinkHangs(t *testing.T) {
	for _, c := range []struct {
		drain  string
		forced bool
		code   int
	}{{"1s", false, exitAbandoned}, {"1h", true, exitTerminate}} {
		s := newStopServer(t, 12)
		s.fails.Store(false)
		dir := t.TempDir()
		var dead strings.Builder
		for n := range 40 {
			fmt.Fprintf(&dead, `{"topic":"t","partition":0,"offset":%d,"headers":["penstock-pipeline","hangs","penstock-step","s","penstock-reason","r",`+
				`"penstock-topic","t","penstock-partition","0","penstock-offset","%d"],"payload_json":{"n":%d}}`+"\n", n, n, n)
		}
		file := filepath.Join(dir, "p.yaml")
		text := fmt.Sprintf(`pipeline: hangs
source: {replay: {files: [in.jsonl]}}
sinks: [{http: {url: "%s/{n}"}, timeout: 30m, batch: {records: 1}}]
dead_letter: {file: {path: dead.jsonl}}
limits: {drain: %s}
log: {format: json}
`, s.URL, c.drain)
		for name, text := range map[string]string{"p.yaml": text, "dead.jsonl": dead.String()} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		r := startCommand(t, nil, nil, "dead-letter", "replay", file)
		select {
		case <-s.waiting:
		case <-r.dumped:
			t.Fatal("the sink is not written to")
		}
		r.signal(syscall.SIGTERM)
		if c.forced {
			r.force(syscall.SIGTERM)
		}
		if code := r.end(); code != c.code {
			t.Errorf("exit code %d, not %d\n%s", code, c.code, r.log.String())
		}
		for _, want := range []string{
			"11 of 40 letters replayed", "\n11 delivered, 0 filtered, 0 rejected again, 29 not sent\n",
			"\nat most 1 of those not sent may have arrived: a sink was given them, and has not said that it has them; the next replay sends them again\n",
			"\nended before all were sent: 11 sent, 29 left; mend what has ended it, and the same command goes on there\n",
		} {
			if said := string(r.stdout); !strings.Contains(said, want) {
				t.Errorf("%q is not in\n%s", want, said)
			}
		}
		close(s.open)
		if code, said, log := penstock(t, "dead-letter", "replay", file); code != exitDone || !strings.HasPrefix(said, "29 of 29 letters replayed") {
			t.Errorf("the next replay ended with %d\n%s%s", code, said, log)
		}
		if len(s.asked) != 40 || s.asked["/11"] != 2 || s.asked["/10"] != 1 || s.asked["/12"] != 1 {
			t.Errorf("asked for were %v", s.asked)
		}
	}
}
