//go:build real

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

func produceNumbers(t *testing.T, c *kafkatest.Cluster, topic string, n int) {
	t.Helper()
	recs := make([]*kgo.Record, n)
	for i := range recs {
		recs[i] = &kgo.Record{Value: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	c.Produce(t, topic, recs...)
}

// makeAgain deletes a topic and makes it again, with n records.
func makeAgain(t *testing.T, c *kafkatest.Cluster, topic string, n int) {
	t.Helper()
	if _, err := c.Admin(t).DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		r, err := c.Admin(t).CreateTopic(t.Context(), 1, 1, nil, topic)
		if err == nil && r.Err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err, r.Err)
		}
	}
	if n > 0 {
		produceNumbers(t, c, topic, n)
	}
}

// TestRealStopEndAndATopicThatIsMadeAgain runs to the end, has the topic made again, and
// runs to the end again: the offset of before is no end, whoever stored it.
func TestRealStopEndAndATopicThatIsMadeAgain(t *testing.T) {
	c := kafkatest.Start(t)
	for name, tc := range map[string]struct {
		records int
		others  bool // another client stores the offset, so that nothing beside it names the topic
		reason  string
	}{
		"shorter":                          {10, false, "topic_recreated"},
		"empty":                            {0, false, "topic_recreated"},
		"as long":                          {20, false, "topic_recreated"},
		"longer":                           {30, false, "topic_recreated"},
		"shorter, another client's offset": {10, true, "beyond_the_end"},
		"empty, another client's offset":   {0, true, "beyond_the_end"},
	} {
		t.Run(name, func(t *testing.T) {
			topic, group := c.Topic(t, 1), c.Group(t)
			produceNumbers(t, c, topic, 20)
			file := filepath.Join(t.TempDir(), "again.yaml")
			text := fmt.Sprintf("pipeline: again\nsource:\n  kafka: {brokers: [%s], topics: [%s], group: %s, stop: end}\nsinks:\n  - stdout: {}\n", c.Addrs()[0], topic, group)
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if code, out, log := penstock(t, "run", file); code != exitDone || strings.Count(out, "\n") != 20 {
				t.Fatalf("exit code %d\n%s\n%s", code, out, log)
			}
			stored, err := c.Admin(t).FetchOffsets(t.Context(), group)
			if err != nil {
				t.Fatal(err)
			}
			o, _ := stored.Lookup(topic, 0)
			makeAgain(t, c, topic, tc.records)
			// Deleting a topic deletes what groups have stored for it, unless they are told
			// late, or a tool copies offsets back.
			commit := kadm.Offsets{}
			commit.Add(o.Offset)
			if tc.others {
				commit = kadm.Offsets{}
				commit.AddOffset(topic, 0, o.At, -1)
			}
			for deadline := time.Now().Add(patience); ; {
				if err := c.Admin(t).CommitAllOffsets(t.Context(), group, commit); err == nil {
					break
				} else if time.Now().After(deadline) {
					t.Fatal(err)
				}
			}
			if code, out, _ := penstock(t, "lag", file); code != exitDone || !strings.Contains(out, fmt.Sprintf("%s/0 has offsets 0 to %d, and the committed 20 is not one of them: %s", topic, tc.records, tc.reason)) ||
				!strings.Contains(out, fmt.Sprintf("\n%d records behind", tc.records)) {
				t.Errorf("lag: %d\n%s", code, out)
			}
			code, out, log := penstock(t, "run", "--log-format", "json", file)
			if code != exitFailed || out != "" || !strings.Contains(log, `"reason":"`+tc.reason+`"`) {
				t.Errorf("exit code %d\n%s\n%s", code, out, log)
			}
			code, out, log = penstock(t, "run", "--log-format", "json", "--set", "source.kafka.on_gap=earliest", file)
			if code != exitDone || strings.Count(out, "\n") != tc.records || !strings.Contains(log, `"reason":"`+tc.reason+`"`) {
				t.Errorf("on_gap: earliest: exit code %d\n%s\n%s", code, out, log)
			}
			if at := c.Committed(t, group)[topic][0]; at != int64(tc.records) {
				t.Errorf("committed at %d, not at %d", at, tc.records)
			}
		})
	}
}
