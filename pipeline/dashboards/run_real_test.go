//go:build real

package dashboards_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A realRun is a daemon at work between topics of a real broker and a service with moods, so that there is
// something to see on every page.
type realRun struct {
	t       *testing.T
	client  *kgo.Client
	admin   *kadm.Client
	mood    atomic.Int32
	service string // where the service listens
	metrics string // where the daemon does
	daemon  *exec.Cmd
	log     *os.File
	fed     int // records that were produced
}

// The moods of the service.
const (
	quickMood int32 = iota
	slowMood
	downMood
)

const realPartitions = 4

const realPipeline = `pipeline: orders
source:
  kafka: {brokers: [%[1]s], topics: [in], start: earliest}
stages:
  - name: real
    filter: not test
  - name: price
    http: {url: "http://%[2]s/price/{item}", into: price}
    workers: 8
    timeout: 2s
    retry: {attempts: 3, backoff: 20ms}
    breaker: {failures: 50%%, calls: 10, open: 500ms, max_open: 1s}
    cache: {ttl: 2s, stale: 1h}
    limit: api
  - name: total
    map: {set: {total: price.amount * n}}
sinks:
  - kafka: {topic: out, key: item}
  - name: hook
    when: n %% 4 == 0
    http: {url: "http://%[2]s/hook"}
    batch: {records: 20, linger: 50ms}
    retry: {backoff: 50ms}
dead_letter:
  kafka: {topic: dead}
limits:
  rates:
    api: {rate: 150/s, burst: 10}
admin: {listen: "%[3]s"}
log: {format: json, stats_every: 1s}
`

func startRealRun(t *testing.T) *realRun {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	broker, err := kafkatest.StartReal(ctx, t.TempDir(), kafkatest.RealOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	addr := broker.Addrs()[0]
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	r := &realRun{t: t, client: client, admin: kadm.NewClient(client), metrics: freeAddress(t)}
	for topic, partitions := range map[string]int32{"in": realPartitions, "out": realPartitions, "dead": 1} {
		made, err := r.admin.CreateTopic(ctx, partitions, 1, nil, topic)
		if err == nil {
			err = made.Err
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r.serve()
	r.start(fmt.Sprintf(realPipeline, addr, r.service, r.metrics))
	return r
}

// serve starts the service: prices of items, and a hook. An item that begins with x has no price.
func (r *realRun) serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		wait := 3 * time.Millisecond
		switch r.mood.Load() {
		case slowMood:
			wait = 150 * time.Millisecond
		case downMood:
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		select {
		case <-time.After(wait):
		case <-req.Context().Done():
			return
		}
		if strings.HasPrefix(req.URL.Path, "/price/x") {
			http.NotFound(w, req)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"amount": 3}`)
	})}
	go func() { _ = server.Serve(l) }() // ends with Close
	r.t.Cleanup(func() { _ = server.Close() })
	r.service = l.Addr().String()
}

// start builds the daemon and runs it with the pipeline file text.
func (r *realRun) start(text string) {
	dir := r.t.TempDir()
	binary, file := filepath.Join(dir, "penstock"), filepath.Join(dir, "orders.yaml")
	if out, err := exec.CommandContext(r.t.Context(), "go", "build", "-o", binary, "../../cmd/penstock").CombinedOutput(); err != nil {
		r.t.Fatalf("building the daemon: %v\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.log = log
	r.daemon = exec.Command(binary, "run", file)
	r.daemon.Stderr = log
	if err := r.daemon.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if r.daemon.ProcessState == nil {
			_ = r.daemon.Process.Kill()
			_ = r.daemon.Wait()
		}
	})
	until(r.t, "the daemon answers", func() error { _, err := get(r.t, "http://"+r.metrics+"/metrics"); return err })
}

// feed produces for d at rate records a second: of ten, one is a test, which is filtered, three are of
// items that come once, and the rest of a few. One of a hundred is of an item without a price.
func (r *realRun) feed(d time.Duration, rate int) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for begin, sent := time.Now(), 0; time.Since(begin) < d; <-tick.C {
		for due := int(time.Since(begin).Seconds() * float64(rate)); sent < due; sent++ {
			n := r.fed
			item := fmt.Sprint("a", n%20)
			switch {
			case n%100 == 7:
				item = fmt.Sprint("x", n)
			case n%10 > 6:
				item = fmt.Sprint("b", n)
			}
			r.client.Produce(r.t.Context(), &kgo.Record{
				Topic: "in", Partition: int32(n % realPartitions), Key: []byte(item),
				Value: fmt.Appendf(nil, `{"n":%d,"item":%q,"test":%t}`, n, item, n%10 == 3),
			}, func(_ *kgo.Record, err error) {
				if err != nil {
					r.t.Errorf("producing: %v", err)
				}
			})
			r.fed++
		}
	}
}

// count gives the records of a topic.
func (r *realRun) count(topic string) (n float64) {
	ends, err := r.admin.ListEndOffsets(r.t.Context(), topic)
	if err != nil {
		r.t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += float64(o.Offset) })
	return n
}

// end stops the daemon and gives what its log says, line by line.
func (r *realRun) end() (events []map[string]any) {
	if err := r.daemon.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	if err := r.daemon.Wait(); err != nil {
		r.t.Errorf("the daemon ended with %v", err)
	}
	text, err := os.ReadFile(r.log.Name())
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			r.t.Fatalf("a line of the log is no JSON: %v: %s", err, line)
		}
		events = append(events, e)
	}
	return events
}

// lastEvent gives the last event of a name.
func lastEvent(t *testing.T, events []map[string]any, name string) map[string]any {
	t.Helper()
	for i := range events {
		if e := events[len(events)-1-i]; e["event_name"] == name {
			return e
		}
	}
	t.Fatalf("the log has no %s", name)
	return nil
}

// freeAddress gives an address of loopback on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// until asks until there is no error, and fails after a minute.
func until(t *testing.T, what string, ask func() error) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within a minute: %s: %v", what, err)
		}
	}
}
