//go:build unix

package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A lateOutage is a server whose answers to the first calls come when it is told, and say that it cannot; later ones are good.
type lateOutage struct {
	*httptest.Server
	asked  chan struct{} // receives for each of the first calls
	answer chan struct{} // closed: they are answered
	mended atomic.Bool
}

func newLateOutage(t *testing.T) *lateOutage {
	o := &lateOutage{asked: make(chan struct{}, 10_000), answer: make(chan struct{})}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.mended.Load() {
			fmt.Fprint(w, "ok")
			return
		}
		o.asked <- struct{}{}
		select {
		case <-o.answer:
			w.WriteHeader(http.StatusServiceUnavailable)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { o.CloseClientConnections(); o.Close() })
	return o
}

// TestAStopInAnOutageWritesNoLettersBeyondTheBudget: 64 calls are under way when SIGTERM comes, and all of them fail then. The budget
// bounds how many of their records are rejected; the others are not committed, and are delivered by the next process.
func TestAStopInAnOutageWritesNoLettersBeyondTheBudget(t *testing.T) {
	const n, budget = 500, 10
	for then, want := range map[string]int{"pause": exitDone, "stop": exitFailed} {
		t.Run(then, func(t *testing.T) {
			o := newLateOutage(t)
			c := kafkatest.Start(t)
			in, out, dead := c.Topic(t, 2), c.Topic(t, 1), c.Topic(t, 1)
			file := filepath.Join(t.TempDir(), "p.yaml")
			if err := os.WriteFile(file, fmt.Appendf(nil, `pipeline: %s
source:
  kafka: {brokers: [%s], topics: [%s], start: earliest}
stages:
  - http: {url: "%s/{n}", into: answer}
    breaker: off
    workers: 64
    max_per_host: 64
    retry: {attempts: 1}
sinks:
  - kafka: {topic: %s}
dead_letter:
  kafka: {topic: %s}
  budget: {rejected: %d, of: 1000, then: %s}
log: {format: json}
`, strings.ToLower(c.Group(t)), c.Addrs()[0], in, o.URL, out, dead, budget, then), 0o644); err != nil {
				t.Fatal(err)
			}
			recs := make([]*kgo.Record, n)
			for i := range recs {
				recs[i] = &kgo.Record{Value: fmt.Appendf(nil, `{"n":%d}`, i), Partition: int32(i % 2)}
			}
			c.Produce(t, in, recs...)
			d := startDaemon(t, file)
			d.read(`"event_name":"process.ready"`)
			for range 64 {
				select {
				case <-o.asked:
				case <-d.dumped:
					t.Fatalf("64 calls are not made\n%s", d.log.String())
				}
			}
			d.signal(syscall.SIGTERM)
			d.read(`"event_name":"process.stopping"`)
			close(o.answer)
			if code := d.end(); code != want {
				t.Errorf("exit code %d, want %d\n%s", code, want, d.log.String())
			}
			letters := c.Consume(t, dead)
			if len(letters) > budget || len(c.Consume(t, out)) != 0 {
				t.Errorf("%d letters with a budget of %d, %d records delivered", len(letters), budget, len(c.Consume(t, out)))
			}
			o.mended.Store(true)
			d = startDaemon(t, file)
			delivered := c.ConsumeN(t, out, n-len(letters))
			d.signal(syscall.SIGTERM)
			if code := d.end(); code != exitDone {
				t.Errorf("exit code %d of the second process\n%s", code, d.log.String())
			}
			seen := map[int64]int{}
			for _, rec := range append(delivered, letters...) {
				seen[gjson.GetBytes(rec.Value, "n").Int()]++
			}
			if len(seen) != n || len(c.Consume(t, dead)) != len(letters) {
				t.Errorf("%d of %d records are delivered or rejected; %d letters, %d before", len(seen), n, len(c.Consume(t, dead)), len(letters))
			}
		})
	}
}
