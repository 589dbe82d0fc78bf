//go:build unix

package cli

import (
	"fmt"
	"math"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

const steeredUnderLoad = `pipeline: late
source:
  kafka: {brokers: [%s], topics: [%s], group: %s, start: earliest}
stages:
  - filter: delay >= 15
  - http: {url: "%s/{n}", into: weather}
    workers: 8
    limit: api
sinks:
  - kafka: {topic: %s}
limits: {rates: {api: {rate: 1000/s, burst: 5}}}
admin: {listen: "unix:%s", commands: true}
log: {format: json}
`

// TestSteeredUnderLoad pauses and resumes a daemon and its partitions, changes workers and rates while records pass, and drains it at last, all by
// the command line: every record comes out once, in order per key, and all is committed.
func TestSteeredUnderLoad(t *testing.T) {
	c := kafkatest.Start(t)
	in, out, group := c.Topic(t, 4), c.Topic(t, 4), c.Group(t)
	// Each round lets some more calls through: however long commands take, records do not run out beside the first of them. What is
	// beyond waits for the next round, for less than an attempt may take.
	const round = flightsLate / 24
	var asked, let atomic.Int64
	let.Store(round)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		for until := time.Now().Add(5 * time.Second); n > let.Load() && time.Now().Before(until); time.Sleep(time.Millisecond) {
		}
		fmt.Fprint(w, "clear")
	}))
	defer server.Close()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "p.yaml")
	writeFile(t, file, fmt.Sprintf(steeredUnderLoad, c.Addrs()[0], in, group, server.URL, out, filepath.Join(dir, "s")))
	c.Produce(t, in, flightRecords(t, 0)...)
	r := startDaemon(t, file)
	r.read(`"event_name":"process.ready"`)
	followed := make(chan struct{})
	go func() { defer close(followed); r.follow("") }() // a full pipe would hold it up

	// passes waits until some more records have passed, or all have.
	passes := func() {
		let.Store(asked.Load() + round)
		for from := asked.Load(); asked.Load() < min(from+30, flightsLate); {
			select {
			case <-time.After(time.Millisecond):
			case <-r.dumped:
				t.Fatal("no record passes")
			}
		}
	}
	steer := func(args ...string) {
		t.Helper()
		if code, out, errs := command(t, append(args, file)...); code != exitDone {
			t.Fatalf("%v: %d\n%s%s", args, code, out, errs)
		}
	}
	random := rand.New(rand.NewSource(1))
	during := int64(0)
	for n := range 24 {
		switch n % 4 {
		case 0:
			steer("pause")
			steer("workers", "http", strconv.Itoa(1+random.Intn(32)))
			steer("resume")
		case 1:
			steer("rate", "api", strconv.Itoa(500+random.Intn(2000))+"/s")
		case 2:
			lane := in + "/" + strconv.Itoa(random.Intn(4))
			steer("pause", "--lane", lane)
			steer("rate", "api", "2000/s", "--burst", strconv.Itoa(1+random.Intn(20)))
			steer("resume", "--lane", lane)
		case 3:
			steer("workers", "http", strconv.Itoa(1+random.Intn(32)))
		}
		if asked.Load() < flightsLate {
			during++
		}
		passes()
	}
	if during < 12 {
		t.Errorf("only %d rounds while records passed: the load is too small", during)
	}
	let.Store(math.MaxInt64)
	steer("rate", "api", "100000/s")
	c.ConsumeN(t, out, flightsLate)
	steer("drain")
	<-followed
	if code := r.end(); code != exitDone {
		t.Fatalf("exit code %d\n%s", code, r.log.String())
	}
	last, seen := map[string]int64{}, map[int64]bool{}
	for _, rec := range c.Consume(t, out) {
		n := gjson.GetBytes(rec.Value, "n").Int()
		if before, ok := last[string(rec.Key)]; seen[n] || ok && before >= n {
			t.Errorf("of key %s, %d came behind %d; it has come: %v", rec.Key, n, before, seen[n])
		}
		seen[n], last[string(rec.Key)] = true, n
	}
	committed := int64(0)
	for _, offset := range c.Committed(t, group)[in] {
		committed += offset
	}
	if len(seen) != flightsLate || committed != 10_000 {
		t.Errorf("%d records came out, want %d; committed are %d, want 10000", len(seen), flightsLate, committed)
	}
	if n := strings.Count(r.log.String(), `"event_name":"command.done"`); n < 24 || strings.Contains(r.log.String(), `"outcome":"refused"`) {
		t.Errorf("%d commands in the log", n)
	}
}
