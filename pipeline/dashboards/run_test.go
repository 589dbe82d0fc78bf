//go:build unix

package dashboards_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/cli"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A broker runs the tests beside a broker, when they were built for a real one.
type broker struct{ m *testing.M }

func (b broker) Run() int { return kafkatest.RunMain(b.m) }

// TestMain makes this test binary, under the name penstock, the daemon itself.
func TestMain(m *testing.M) {
	testscript.Main(broker{m}, map[string]func(){"penstock": func() { os.Exit(cli.Main()) }})
}

// A run is what two copies of a daemon with two pipelines did, over a broker and a server in which
// things go wrong: the log of both, and what others have seen of it.
type run struct {
	log      []byte // of both copies, in the order of time
	every    time.Duration
	produced int64 // records in the topic that both pipelines read
	// What each sink has, and the dead letters.
	scored, express, rejected, audited int64
	failures                           int64 // answers of the server other than 200
	copies                             int64
}

// A tempo says how long a run takes.
type tempo struct {
	every, burst time.Duration // interval of figures; time between two bursts of records
	bursts, size int
	outage       [2]int // in which bursts the server is down, from and to
	second       [2]int // in which bursts the second copy runs
}

// quick is for the test, slow for the pictures in the documents.
var (
	quick = tempo{every: 250 * time.Millisecond, burst: 100 * time.Millisecond, bursts: 30, size: 60, outage: [2]int{12, 16}, second: [2]int{5, 22}}
	slow  = tempo{every: time.Second, burst: 250 * time.Millisecond, bursts: 160, size: 70, outage: [2]int{80, 100}, second: [2]int{30, 120}}
)

const (
	ordersFile = `pipeline: orders
source:
  kafka: {brokers: [%[1]s], topics: [orders], group: orders, start: earliest}
stages:
  - name: worth
    filter: amount >= 20
  - name: score
    http: {url: "%[2]s/score/{customer}?amount={amount}", into: score, retry_status: [503]}
    workers: 8
    timeout: 5s
    deadline: 15s
    retry: {attempts: 6, backoff: 20ms}
    breaker: {failures: 50%%, calls: 10, open: 200ms, max_open: 400ms}
    cache: {ttl: 10s}
  - name: label
    map: {set: {handled_by: '"penstock"'}}
sinks:
  - name: scored
    kafka: {topic: scored, key: customer}
  - name: express
    file: {path: express.jsonl}
    when: express == true
dead_letter:
  kafka: {topic: rejected}
log: {format: json, stats_every: %[3]s, partitions_every: %[3]s}
limits: {drain: 20s}
`
	auditFile = `pipeline: audit
source:
  kafka: {brokers: [%[1]s], topics: [orders], group: audit, start: earliest}
stages:
  - name: slim
    map: {remove: [note]}
sinks:
  - name: audited
    file: {path: audited.jsonl}
`
)

// scorer is the server: slow now and then, failing now and then, and of some customers it knows nothing.
type scorer struct {
	*httptest.Server
	down            atomic.Bool
	asked, failures atomic.Int64
}

func startScorer(t *testing.T) *scorer {
	s := &scorer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := s.asked.Add(1)
		pause := 4 * time.Millisecond
		if n%40 == 0 {
			pause = 120 * time.Millisecond
		}
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
		status := http.StatusOK
		switch {
		case s.down.Load() || n%25 == 0:
			status = http.StatusServiceUnavailable
		case strings.HasPrefix(r.URL.Path, "/score/unknown"):
			status = http.StatusUnprocessableEntity
		}
		if status != http.StatusOK {
			s.failures.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"points":%d}`, n%100)
	}))
	t.Cleanup(s.Close)
	return s
}

// orders gives the records of one burst, in four partitions.
func orders(burst, size int) (recs []*kgo.Record) {
	for i := range size {
		n := burst*size + i
		customer := fmt.Sprintf("c%d", n%97)
		if n%31 == 0 {
			customer = "unknown" + customer
		}
		value := fmt.Sprintf(`{"n":%d,"customer":"%s","amount":%d,"express":%t,"note":"as agreed"}`, n, customer, n%101, n%4 == 0)
		recs = append(recs, &kgo.Record{Key: []byte(customer), Value: []byte(value), Partition: int32(n % 97 % 4)})
	}
	return recs
}

// A daemon is one copy.
type daemon struct {
	cmd    *exec.Cmd
	dir    string
	stderr *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.b.Bytes())
}

func startCopy(t *testing.T, broker, server string, every time.Duration) *daemon {
	t.Helper()
	d := &daemon{dir: t.TempDir(), stderr: &lockedBuffer{}}
	for name, text := range map[string]string{"orders.yaml": fmt.Sprintf(ordersFile, broker, server, every), "audit.yaml": fmt.Sprintf(auditFile, broker)} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d.cmd = exec.Command("penstock", "run", "orders.yaml", "audit.yaml")
	d.cmd.Dir, d.cmd.Stderr = d.dir, d.stderr
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	return d
}

// stop ends a copy as an orchestrator does, and wants it to end well.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		t.Fatalf("the daemon ended with %v\n%s", err, d.stderr.bytes())
	}
}

func (d *daemon) lines(t *testing.T, file string) int64 {
	text, err := os.ReadFile(filepath.Join(d.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return int64(bytes.Count(text, []byte("\n")))
}

// awaitShare goes on producing until the copy has written something to its file, and gives how many records that were: on a
// machine that has much to do a copy may be slow to begin.
func (d *daemon) awaitShare(t *testing.T, c *kafkatest.Cluster, at tempo, beat *time.Ticker) (produced int64) {
	t.Helper()
	for until := time.Now().Add(2 * time.Minute); ; <-beat.C {
		if info, err := os.Stat(filepath.Join(d.dir, "express.jsonl")); err == nil && info.Size() > 0 {
			return produced
		}
		if time.Now().After(until) {
			t.Fatalf("a copy writes nothing\n%s", d.stderr.bytes())
		}
		recs := orders(at.bursts+int(produced)/at.size, at.size)
		c.Produce(t, "orders", recs...)
		produced += int64(len(recs))
	}
}

// makeRun makes a run, which has read all that was produced when it ends.
func makeRun(t *testing.T, at tempo) *run {
	c := kafkatest.StartFake(t)
	for _, topic := range []string{"orders", "scored", "rejected"} {
		c.CreateTopic(t, topic, 4)
	}
	server := startScorer(t)
	r := &run{every: at.every, copies: 2}
	first := startCopy(t, c.Addrs()[0], server.URL, at.every)
	var second *daemon
	beat := time.NewTicker(at.burst)
	defer beat.Stop()
	for burst := range at.bursts {
		server.down.Store(burst >= at.outage[0] && burst < at.outage[1])
		switch burst {
		case at.second[0]:
			second = startCopy(t, c.Addrs()[0], server.URL, at.every)
		case at.second[1]:
			r.produced += second.awaitShare(t, c, at, beat)
			second.stop(t)
		}
		size := at.size
		if burst%20 > 14 {
			size *= 3 // more than the server is fast enough for
		}
		recs := orders(burst, size)
		c.Produce(t, "orders", recs...)
		r.produced += int64(len(recs))
		<-beat.C
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for committed(t, c, "orders") < r.produced || committed(t, c, "audit") < r.produced {
		select {
		case <-ctx.Done():
			t.Fatalf("not everything is committed\n%s", first.stderr.bytes())
		case <-beat.C:
		}
	}
	first.stop(t)
	r.scored, r.rejected = int64(len(c.Consume(t, "scored"))), int64(len(c.Consume(t, "rejected")))
	r.express = first.lines(t, "express.jsonl") + second.lines(t, "express.jsonl")
	r.audited = first.lines(t, "audited.jsonl") + second.lines(t, "audited.jsonl")
	r.failures = server.failures.Load()
	r.log = merged(t, first.stderr.bytes(), second.stderr.bytes())
	return r
}

func committed(t *testing.T, c *kafkatest.Cluster, group string) (sum int64) {
	for _, offset := range c.Committed(t, group)["orders"] {
		sum += offset
	}
	return sum
}

// merged gives the valid lines of several logs in the order of time.
func merged(t *testing.T, logs ...[]byte) []byte {
	var lines [][]byte
	for _, log := range logs {
		if err := event.ValidateAll(log); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, bytes.SplitAfter(bytes.TrimSuffix(log, []byte("\n")), []byte("\n"))...)
	}
	for i, l := range lines {
		lines[i] = append(bytes.TrimSuffix(l, []byte("\n")), '\n')
	}
	slices.SortStableFunc(lines, func(a, b []byte) int { return bytes.Compare(stamp(a), stamp(b)) })
	return bytes.Join(lines, nil)
}

// stamp gives the timestamp that each line begins with.
func stamp(line []byte) []byte { return line[:len(`{"timestamp":"2026-11-30T09:22:23.123Z"`)] }
