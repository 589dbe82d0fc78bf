//go:build unix

package cli

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/deadletter"
)

// A steadyServer answers each request within a few milliseconds, counts them, and says when so many have come.
type steadyServer struct {
	*httptest.Server
	asked, until atomic.Int64
	reached      chan struct{}
}

func newSteadyServer(t *testing.T) *steadyServer {
	s := &steadyServer{reached: make(chan struct{}, 1)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		if s.asked.Add(1) == s.until.Load() {
			s.reached <- struct{}{}
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"seen":%q}`, r.URL.Path)
	}))
	t.Cleanup(s.Close)
	return s
}

// stopReplay starts a replay and stops it after some of the requests that it makes, at most n.
func (s *steadyServer) stopReplay(t *testing.T, file string, how syscall.Signal, n int64) {
	t.Helper()
	s.until.Store(s.asked.Load() + 1 + rand.Int64N(n))
	r := startCommand(t, nil, nil, "dead-letter", "replay", file, "--to", "step")
	select {
	case <-s.reached:
	case <-r.dumped:
		t.Fatal("the replay does not come so far")
	}
	s.until.Store(-1)
	r.signal(how)
	r.follow("\x00") // to the end of its log
	if code := r.end(); how == syscall.SIGTERM && code != exitDone {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, r.log.String())
	}
}

// TestReplayStoppedAgainAndAgain stops the replay of one topic at many places, and each time the next one goes on: in the end
// each letter was called for once, and delivered once.
func TestReplayStoppedAgainAndAgain(t *testing.T) {
	const stops, all = 6, 1500
	server := newSteadyServer(t)
	s := newSentBack(t, "stages:\n  - http: {url: \""+server.URL+"/{n}\", into: answer}\n    name: ask\n    workers: 16\nsinks:\n  - kafka: {topic: OUT}\n")
	out := s.c.Topic(t, 2)
	s.replaceInFile("OUT", out)
	var recs []*kgo.Record
	for n := range all {
		rec := &kgo.Record{Key: fmt.Append(nil, n%50), Value: fmt.Appendf(nil, `{"n":%d}`, n)}
		for _, h := range [][2]string{{deadletter.Pipeline, s.name}, {deadletter.Step, "ask"}, {deadletter.Reason, "attempts"},
			{deadletter.Topic, s.in}, {deadletter.Partition, "0"}, {deadletter.Offset, fmt.Sprint(n)}} {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
		}
		recs = append(recs, rec)
	}
	s.c.Produce(t, s.dead, recs...)
	for range stops {
		server.stopReplay(t, s.file, syscall.SIGTERM, all/stops)
	}
	s.replay(exitDone, "--to", "step")
	times := make([]int, all)
	for _, rec := range s.c.Consume(t, out) {
		times[gjson.GetBytes(rec.Value, "n").Int()]++
	}
	for n, k := range times {
		if k != 1 {
			t.Errorf("letter %d came %d times", n, k)
		}
	}
	if n := server.asked.Load(); n != all {
		t.Errorf("for %d letters %d requests came", all, n)
	}
}

// TestReplayKilledAgainAndAgain kills the replay of one file at many places: each letter is delivered, and none more often than
// the replay was begun.
func TestReplayKilledAgainAndAgain(t *testing.T) {
	kills, all := 6, 1500
	if testing.Short() {
		kills, all = 3, 750
	}
	server, dir := newSteadyServer(t), t.TempDir()
	var dead strings.Builder
	for n := range all {
		fmt.Fprintf(&dead, `{"topic":"t","partition":0,"offset":%d,"headers":["penstock-pipeline","kills","penstock-step","ask","penstock-reason","attempts",`+
			`"penstock-topic","t","penstock-partition","0","penstock-offset","%d"],"payload_json":{"n":%d}}`+"\n", n, n, n)
	}
	file := filepath.Join(dir, "p.yaml")
	text := fmt.Sprintf(`pipeline: kills
source: {replay: {files: [in.jsonl]}}
stages: [{http: {url: "%s/{n}", into: answer}, name: ask, workers: 16}]
sinks: [{file: {path: out.jsonl}}]
dead_letter: {file: {path: dead.jsonl}}
log: {format: json}
`, server.URL)
	for name, text := range map[string]string{"p.yaml": text, "dead.jsonl": dead.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for range kills {
		server.stopReplay(t, file, syscall.SIGKILL, int64(all/kills))
	}
	if code, out, log := penstock(t, "dead-letter", "replay", file, "--to", "step"); code != exitDone || strings.Contains(out, "ended before") {
		t.Fatalf("the last replay ended with %d\n%s%s", code, out, log)
	}
	times := make([]int, all)
	for _, line := range linesOf(t, filepath.Join(dir, "out.jsonl")) {
		times[gjson.Get(line, "n").Int()]++
	}
	for n, k := range times {
		if k < 1 || k > kills+1 {
			t.Errorf("letter %d came %d times", n, k)
		}
	}
}
