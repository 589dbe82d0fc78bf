//go:build unix

package cli

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

const flightsLate = 2293 // of the ten thousand: 15 minutes or more

// flightRecords gives the flights keyed by origin, numbered from n on, each origin in
// one of four partitions.
func flightRecords(t *testing.T, n int) (recs []*kgo.Record) {
	text, err := os.ReadFile(filepath.Join(repo, "testdata", "flights", "flights.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		origin := gjson.GetBytes(line, "origin").String()
		h := fnv.New32a()
		fmt.Fprint(h, origin)
		value := fmt.Appendf(nil, `{"n":%d,%s`, n, bytes.TrimSpace(line[1:]))
		recs = append(recs, &kgo.Record{Key: []byte(origin), Value: value, Partition: int32(h.Sum32() % 4)})
		n++
	}
	return recs
}

// TestDaemonFromTopicToTopic stops a daemon under load with SIGTERM and starts another:
// every record comes out once, in order per key, and the log is valid.
func TestDaemonFromTopicToTopic(t *testing.T) {
	c := kafkatest.Start(t)
	in, out, group := c.Topic(t, 4), c.Topic(t, 4), c.Group(t)
	file := filepath.Join(t.TempDir(), "late.yaml")
	text := fmt.Sprintf(`pipeline: late
source:
  kafka: {brokers: [%s], topics: [%s], group: %s, start: earliest}
stages:
  - filter: delay >= 15
  - map: {remove: [distance]}
sinks:
  - kafka: {topic: %s}
log: {format: json, stats_every: 100ms}
`, c.Addrs()[0], in, group, out)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}

	c.Produce(t, in, flightRecords(t, 0)...)
	first := startDaemon(t, file)
	first.read(`"event_name":"process.ready"`)
	first.read(`"event_name":"step.stats"`) // somewhere in the middle, or at the end
	first.signal(syscall.SIGTERM)
	if code := first.end(); code != exitDone {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, first.log.String())
	}

	c.Produce(t, in, flightRecords(t, 10_000)...)
	second := startDaemon(t, file)
	read := make(chan struct{})
	go func() { defer close(read); second.follow(`"event_name":"process.stopping"`) }() // a full pipe would hold it up
	c.ConsumeN(t, out, 2*flightsLate)
	second.signal(syscall.SIGTERM)
	<-read
	if code := second.end(); code != exitDone {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, second.log.String())
	}

	last, seen := map[string]int64{}, map[int64]bool{}
	for _, r := range c.Consume(t, out) {
		n := gjson.GetBytes(r.Value, "n").Int()
		if seen[n] {
			t.Errorf("record %d came twice", n)
		}
		if before, ok := last[string(r.Key)]; ok && before >= n {
			t.Errorf("of key %s, %d came behind %d", r.Key, n, before)
		}
		seen[n], last[string(r.Key)] = true, n
	}
	if len(seen) != 2*flightsLate {
		t.Errorf("%d records came out, want %d", len(seen), 2*flightsLate)
	}
	committed := int64(0)
	for _, offset := range c.Committed(t, group)[in] {
		committed += offset
	}
	if committed != 20_000 {
		t.Errorf("the committed offsets sum to %d, want 20000", committed)
	}
}
