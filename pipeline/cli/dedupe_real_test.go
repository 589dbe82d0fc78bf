//go:build real

package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A record that is rejected behind dedupe and sent again from the dead letters, while
// the daemon runs, is delivered; repetitions before and after that are filtered.
func TestRejectedBehindDedupeIsDeliveredWhenSentAgain(t *testing.T) {
	addrs := cluster(t, kafkatest.RealOptions{}).Addrs()
	a := adminOf(t, addrs)
	topics(t, a, 1, 1, "orders", "priced", "rejected")
	var mended atomic.Bool
	prices := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/1") && !mended.Load() {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"price":5}`)
	}))
	defer prices.Close()

	d := start(t, "orders", fmt.Sprintf(`
pipeline: orders
source: {kafka: {brokers: [%[1]q], topics: [orders], group: orders, start: earliest}}
stages:
  - dedupe: {key: id, ttl: 1h}
  - http: {url: "%[2]s/price/{id}", into: price}
sinks:
  - kafka: {brokers: [%[1]q], topic: priced}
dead_letter:
  kafka: {brokers: [%[1]q], topic: rejected}
`, addrs[0], prices.URL))
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.DefaultProduceTopic("orders"),
		kgo.ConsumeTopics("priced", "rejected"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send := func(recs ...*kgo.Record) {
		t.Helper()
		if err := c.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	order := func(id, note string) *kgo.Record {
		return &kgo.Record{Value: fmt.Appendf(nil, `{"id":%s,"note":%q}`, id, note), Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte(note)}}}
	}
	got := map[string][]*kgo.Record{}
	until := func(topic string, n int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for len(got[topic]) < n {
			f := c.PollFetches(ctx)
			if err := f.Err0(); err != nil {
				t.Fatalf("%s has %d records, not %d: %v; last lines:\n%s", topic, len(got[topic]), n, err, d.tail(15))
			}
			f.EachRecord(func(r *kgo.Record) { got[r.Topic] = append(got[r.Topic], r) })
		}
	}

	send(order("1", "first"), order("2", "other"), order("2", "other again"), order("3", "third"))
	until("priced", 2)
	until("rejected", 1)
	mended.Store(true)

	letter := got["rejected"][0]
	resent := &kgo.Record{Key: letter.Key, Value: letter.Value}
	for _, h := range letter.Headers {
		if !strings.HasPrefix(h.Key, "penstock-") {
			resent.Headers = append(resent.Headers, h)
		}
	}
	send(resent)
	until("priced", 3)
	send(order("1", "a repetition"), order("1.0", "the same number"), order(`"1"`, "a text"), order("4", "last"))
	until("priced", 5)

	if exit, _ := d.stop(syscall.SIGTERM, 30*time.Second); exit != 0 {
		t.Errorf("exit code %d; last lines:\n%s", exit, d.tail(15))
	}
	var values []string
	for _, r := range got["priced"] {
		values = append(values, string(r.Value))
	}
	if text := strings.Join(values, "\n"); text != `{"id":2,"note":"other","price":{"price":5}}
{"id":3,"note":"third","price":{"price":5}}
{"id":1,"note":"first","price":{"price":5}}
{"id":"1","note":"a text","price":{"price":5}}
{"id":4,"note":"last","price":{"price":5}}` {
		t.Errorf("delivered:\n%s", text)
	}
	if len(got["rejected"]) != 1 {
		t.Errorf("%d dead letters", len(got["rejected"]))
	}
	last := d.await("step.stats", time.Second, func(l line) bool { return l["step"] == "dedupe" && l["filtered_total"] == 3.0 })
	if last["records_in_total"] != 9.0 {
		t.Errorf("the last figures of dedupe: %v", last)
	}
}
