//go:build unix

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// TestBrokersFromOneVariable runs the process with one variable that holds the addresses
// of all brokers, the first of which does not answer, for the source, a sink and the dead
// letters, and with one that holds the topics.
func TestBrokersFromOneVariable(t *testing.T) {
	c := kafkatest.Start(t)
	first, second, out, dead := c.Topic(t, 1), c.Topic(t, 1), c.Topic(t, 1), c.Topic(t, 1)
	for i, topic := range []string{first, second} {
		c.Produce(t, topic, &kgo.Record{Value: fmt.Appendf(nil, `{"n":%d}`, i)}, &kgo.Record{Value: []byte("no JSON")})
	}
	file := filepath.Join(t.TempDir(), "p.yaml")
	text := fmt.Sprintf(`pipeline: lists
source:
  kafka: {brokers: "${BROKERS}", topics: "${TOPICS}", group: %s, stop: end}
stages:
  - map: {set: {m: n + 1}}
sinks:
  - kafka: {topic: %s, brokers: ["${BROKERS}"]}
dead_letter:
  kafka: {topic: %s, brokers: "${BROKERS}"}
`, c.Group(t), out, dead)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BROKERS", "127.0.0.1:1, "+strings.Join(c.Addrs(), ","))
	t.Setenv("TOPICS", first+","+second)
	for _, args := range [][]string{{"check", "--connect", file}, {"run", file}, {"lag", file}} {
		if code, stdout, log := penstock(t, args...); code != exitDone || args[0] == "lag" && !strings.Contains(stdout, "\n0 records behind in 2 partitions\n") {
			t.Fatalf("%s: exit code %d\n%s\n%s", args[0], code, stdout, log)
		}
	}
	if n, m := len(c.ConsumeN(t, out, 2)), len(c.ConsumeN(t, dead, 2)); n != 2 || m != 2 {
		t.Errorf("%d records came out, and %d dead letters", n, m)
	}
}
