package query_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/cli"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// asDaemon makes this test binary the daemon itself.
const asDaemon = "PENSTOCK_QUERY_TEST_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" {
		os.Exit(cli.Main())
	}
	os.Exit(kafkatest.RunMain(m))
}

// run runs a daemon to its end, and gives its log.
func run(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"run", "--log-format", "json"}, args...)...)
	cmd.Env = append(os.Environ(), asDaemon+"=1", "GORACE=atexit_sleep_ms=0")
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	if err := event.ValidateAll(log.Bytes()); err != nil {
		t.Fatal(err)
	}
	return log.Bytes()
}

// What the orders of a run are, by their kinds: as many of each in every partition.
const (
	partitions = 4
	plain      = 40 // of each partition: go through
	skipped    = 10 // are filtered
	odd        = 5  // are rejected by the step priced: the amount is no number
	unknown    = 15 // are rejected by the step weather: the server has none of them
	flaky      = 5  // come through with the second call
	orders     = plain + skipped + odd + unknown + flaky
	invoices   = 30 // of the other pipeline, one made two by a split
)

// server answers calls about orders: those that it does not know with 404, and the first one about a flaky one with 503.
func server(t *testing.T) string {
	var (
		mu   sync.Mutex
		seen = map[string]bool{}
	)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		first := !seen[r.URL.Path]
		seen[r.URL.Path] = true
		mu.Unlock()
		switch {
		case strings.Contains(r.URL.Path, "unknown"):
			w.WriteHeader(http.StatusNotFound)
		case strings.Contains(r.URL.Path, "flaky") && first:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			fmt.Fprint(w, `{"sky": "clear"}`)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// produce fills a topic with the orders.
func produce(t *testing.T, c *kafkatest.Cluster, topic string) {
	var records []*kgo.Record
	for p := range int32(partitions) {
		for i := range orders {
			kind, amount := "plain", "1"
			switch n := i; {
			case n < plain:
			case n < plain+skipped:
				kind = "skipped"
			case n < plain+skipped+odd:
				kind, amount = "odd", `"much"`
			case n < plain+skipped+odd+unknown:
				kind = "unknown"
			default:
				kind = "flaky"
			}
			records = append(records, &kgo.Record{Partition: p, Value: fmt.Appendf(nil, `{"id":"%s-%d-%d","kind":%q,"amount":%s}`, kind, p, i, kind, amount)})
		}
	}
	c.Produce(t, topic, records...)
}

const ordersFile = `pipeline: orders
source:
  kafka: {brokers: [%s], topics: [%s], group: %s, start: earliest, stop: end}
stages:
  - filter: kind != "skipped"
  - name: priced
    map: {set: {price: amount * 2}}
  - name: weather
    http: {url: "%s/{id}", into: weather}
    retry: {attempts: 3, backoff: 1ms, budget: 100%%}
    breaker: off # how many failures come close together is left to chance
    workers: 8
sinks:
  - name: out
    file: {path: %s/orders.jsonl}
dead_letter:
  file: {path: %s/letters.jsonl}
log: {stats_every: 100ms, partitions_every: 100ms}
`

const invoicesFile = `pipeline: invoices
source:
  replay: {files: [%s], as: value}
stages:
  - split: {field: lines}
sinks:
  - file: {path: %s/invoices.jsonl}
`

// aRun runs a daemon with two pipelines, and then again, when there is nothing left of the topic. It gives the logs of
// both one behind the other, and the name of the topic.
func aRun(t *testing.T) (log []byte, topic string) {
	t.Helper()
	c := kafkatest.Start(t)
	topic, group := c.Topic(t, partitions), c.Group(t)
	produce(t, c, topic)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	input := write("invoices", strings.Repeat(`{"lines":[{"n":1},{"n":2}]}`+"\n", invoices))
	ordered := write("orders.yaml", fmt.Sprintf(ordersFile, c.Addrs()[0], topic, group, server(t), dir, dir))
	invoiced := write("invoices.yaml", fmt.Sprintf(invoicesFile, input, dir))
	log = run(t, ordered, invoiced)
	return append(log, run(t, ordered)...), topic
}
