//go:build unix

package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// penstock runs the command in a process of its own and gives what it says.
func penstock(t *testing.T, args ...string) (code int, out, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "penstock", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// gapFile writes a file that reads a topic to its end, whose group has an offset that
// the log does not have.
func gapFile(t *testing.T, c *kafkatest.Cluster, start, at int64) (file, topic, group string) {
	t.Helper()
	topic, group = c.Topic(t, 2), c.Group(t)
	for i := range 20 {
		for p := range int32(2) {
			c.Produce(t, topic, &kgo.Record{Partition: p, Value: fmt.Appendf(nil, `{"n":%d,"p":%d}`, i, p)})
		}
	}
	deleteTo, commit := kadm.Offsets{}, kadm.Offsets{}
	deleteTo.AddOffset(topic, 1, start, -1)
	commit.AddOffset(topic, 1, at, -1)
	if _, err := c.Admin(t).DeleteRecords(t.Context(), deleteTo); err != nil {
		t.Fatal(err)
	}
	if err := c.Admin(t).CommitAllOffsets(t.Context(), group, commit); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "gap.yaml")
	text := fmt.Sprintf(`pipeline: gap
source:
  kafka: {brokers: [%s], topics: [%s], group: %s, stop: end}
sinks:
  - stdout: {}
`, c.Addrs()[0], topic, group)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file, topic, group
}

// TestStopEndWithAGap runs the process over an offset that the log does not have: it
// stops as without an end, says what lag says, and reads what there is when it is told to.
func TestStopEndWithAGap(t *testing.T) {
	c := kafkatest.Start(t)
	for name, tc := range map[string]struct {
		start, at int64
		reason    string
		rest      int
	}{
		"beyond the end": {10, 500, "beyond_the_end", 10},
		"all deleted":    {20, 3, "deleted", 0},
	} {
		t.Run(name, func(t *testing.T) {
			file, topic, group := gapFile(t, c, tc.start, tc.at)
			want := fmt.Sprintf("%s/1 has offsets %d to 20, and the committed %d is not one of them: %s", topic, tc.start, tc.at, tc.reason)
			if code, out, _ := penstock(t, "lag", file); code != exitDone || !strings.Contains(out, want) {
				t.Errorf("lag: %d\n%s", code, out)
			}
			if _, out, _ := penstock(t, "lag", "--json", file); gjson.Get(out, `..#(partition==1).gap`).String() != tc.reason || gjson.Get(out, `..#(partition==0).gap`).Exists() {
				t.Errorf("lag --json:\n%s", out)
			}
			code, out, log := penstock(t, "run", "--log-format", "json", file)
			if code != exitFailed || !strings.Contains(log, `"event_name":"source.gap"`) || !strings.Contains(log, tc.reason) {
				t.Errorf("run: exit code %d\n%s", code, log)
			}
			if at := c.Committed(t, group)[topic][1]; at != tc.at {
				t.Errorf("committed at %d, not at %d as before", at, tc.at)
			}
			first := strings.Count(out, `"p":0`)
			code, out, log = penstock(t, "run", "--log-format", "json", "--set", "source.kafka.on_gap=earliest", file)
			if code != exitDone || first+strings.Count(out, `"p":0`) < 20 || strings.Count(out, `"p":1`) != tc.rest {
				t.Errorf("on_gap: earliest: exit code %d, %d of the whole partition before\n%s\n%s", code, first, out, log)
			}
			if at := c.Committed(t, group)[topic][1]; at != 20 {
				t.Errorf("committed at %d, not at 20", at)
			}
			if _, out, _ := penstock(t, "lag", file); !strings.Contains(out, "\n0 records behind in 2 partitions\n") || strings.Contains(out, "not one of them") {
				t.Errorf("lag afterwards:\n%s", out)
			}
		})
	}
}
