//go:build unix

package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// numberedRecords gives n records in eight partitions.
func numberedRecords(n int) (recs []*kgo.Record) {
	for i := range n {
		recs = append(recs, &kgo.Record{Key: fmt.Append(nil, i%97), Value: fmt.Appendf(nil, `{"n":%d}`, i), Partition: int32(i % 8)})
	}
	return recs
}

// startFile writes a pipeline file and runs it, with its administration endpoint.
func startFile(t *testing.T, text string) *running {
	t.Helper()
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "p.yaml"), filepath.Join(dir, "s")
	text += fmt.Sprintf("admin: {listen: \"unix:%s\"}\nlog: {format: json}\n", socket)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r := startDaemon(t, file)
	r.socket = socket
	r.read(`"event_name":"process.ready"`)
	return r
}

// follows reads the log in the background: a full pipe would hold the process up.
func (r *running) follows() (read <-chan struct{}) {
	done := make(chan struct{})
	go func() { defer close(done); r.follow("") }()
	return done
}

// figure asks for a figure of the first pipeline.
func (r *running) figure(path string) int64 {
	r.t.Helper()
	_, body := r.get("/api/v1/stats")
	v := gjson.Get(body, "pipelines.0."+path)
	if !v.Exists() {
		r.t.Fatalf("no %s in %s", path, body)
	}
	return v.Int()
}

// until waits until a figure is right.
func (r *running) until(path string, ok func(int64) bool) {
	r.t.Helper()
	for last := int64(-1); ; {
		n := r.figure(path)
		if ok(n) {
			return
		}
		if n != last {
			last = n
			r.t.Logf("%s is %d", path, n)
		}
		select {
		case <-r.dumped:
			r.t.Fatalf("%s stays at %d", path, n)
		default:
		}
	}
}

// TestStopBeforeASlowStep: SIGTERM with a backlog in front of a step that is slow hands
// it back at once. Nothing further is asked for, the process ends with 0, and the next one
// goes on where this one was: each record comes out once.
func TestStopBeforeASlowStep(t *testing.T) {
	const records = 4000
	c := kafkatest.Start(t)
	in, out, group := c.Topic(t, 8), c.Topic(t, 1), c.Group(t)
	c.Produce(t, in, numberedRecords(records)...)
	var asked atomic.Int64
	free := int64(20) // these are answered at once
	answer := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > free {
			select {
			case <-answer:
			case <-r.Context().Done():
			}
		}
		fmt.Fprint(w, `"clear"`)
	}))
	defer server.Close()
	text := fmt.Sprintf(`pipeline: slow
source:
  kafka: {brokers: [%s], topics: [%s], group: %s, start: earliest}
stages:
  - map: {set: {seen: true}}
  - http: {url: "%s/{n}", into: weather}
    workers: 2
    timeout: 10m
    deadline: 10m
sinks:
  - kafka: {topic: %s}
limits: {drain: 1h}
`, c.Addrs()[0], in, group, server.URL, out)
	first := startFile(t, text)
	read := first.follows()
	first.until("inflight", func(n int64) bool { return n > 1000 && asked.Load() == free+2 })
	first.signal(syscall.SIGTERM)
	first.until("inflight", func(n int64) bool { return n == 2 }) // while the two are not answered
	close(answer)
	<-read
	if code := first.end(); code != exitDone {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, first.log.String())
	}
	if n := asked.Load(); n != free+2 {
		t.Errorf("%d were asked for, %d of them after the signal", n, n-free-2)
	}
	if n := len(c.Consume(t, out)); n != int(free)+2 {
		t.Errorf("%d records came out", n)
	}

	second := startFile(t, text)
	read = second.follows()
	got := c.ConsumeN(t, out, records)
	second.signal(syscall.SIGTERM)
	<-read
	if code := second.end(); code != exitDone {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, second.log.String())
	}
	seen := map[int64]bool{}
	for _, r := range c.Consume(t, out) {
		n := gjson.GetBytes(r.Value, "n").Int()
		if seen[n] {
			t.Errorf("record %d came twice", n)
		}
		seen[n] = true
	}
	if len(seen) != records || len(got) != records {
		t.Errorf("%d records came out, want %d", len(seen), records)
	}
	if n := asked.Load(); n != records {
		t.Errorf("%d were asked for, want each once", n)
	}
}

// TestInFlightIsBounded: a sink that takes nothing leaves limits.in_flight records in
// flight, and one for each partition at most.
func TestInFlightIsBounded(t *testing.T) {
	c := kafkatest.Start(t)
	in, group := c.Topic(t, 8), c.Group(t)
	c.Produce(t, in, numberedRecords(8000)...)
	taken := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else nobody notices that the client has gone
		taken <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	r := startFile(t, fmt.Sprintf(`pipeline: stuck
source:
  kafka: {brokers: [%s], topics: [%s], group: %s, start: earliest}
stages:
  - map: {set: {seen: true}}
sinks:
  - http: {url: "%s"}
    timeout: 10m
limits: {drain: 100ms, in_flight: 100}
`, c.Addrs()[0], in, group, server.URL))
	read := r.follows()
	most := int64(0)
	full := func(n int64) bool { most = max(most, n); return n >= 100 }
	r.until("inflight", full)
	for range 8 { // all lanes are at it
		<-taken
	}
	for range 200 {
		full(r.figure("inflight"))
	}
	if most > 108 {
		t.Errorf("%d records in flight", most)
	}
	r.signal(syscall.SIGTERM)
	<-read
	if code := r.end(); code != exitAbandoned { // a sink that hangs
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
}
