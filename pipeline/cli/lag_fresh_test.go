//go:build unix

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// TestLagOfAGroupThatHasCommittedNothing: the records that a step holds from the first on are
// behind, although all of them have been fetched, and the daemon says so as `penstock lag` does.
func TestLagOfAGroupThatHasCommittedNothing(t *testing.T) {
	const records = 40
	c, o := kafkatest.Start(t), newOutage(t)
	o.fail.Store(true)
	topic, group, dir := c.Topic(t, 1), c.Group(t), t.TempDir()
	file, socket := filepath.Join(dir, "held.yaml"), filepath.Join(dir, "s")
	text := fmt.Sprintf(`pipeline: held
source:
  kafka: {brokers: [%s], topics: [%s], group: %s, start: earliest}
stages:
  - name: ask
    http: {url: 'http://%s/x', into: answer}
sinks:
  - stdout: {}
admin: {listen: "unix:%s"}
log: {format: json, stats_every: 100ms, partitions_every: 100ms}
`, c.Addrs()[0], topic, group, o.address, socket)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for n := range records {
		c.Produce(t, topic, &kgo.Record{Value: fmt.Appendf(nil, `{"n":%d}`, n)})
	}
	r := startDaemon(t, file)
	r.socket = socket
	r.read(fmt.Sprintf(`"offset_fetched":%d,`, records))
	line := lastLine(r.log.String())
	ended := make(chan struct{})
	go func() { defer close(ended); r.follow(`"event_name":"process.stopping"`) }() // a full pipe would hold it up

	code, told, log := penstock(t, "lag", "--json", file)
	if code != exitDone || gjson.Get(told, "lag").Int() != records {
		t.Fatalf("lag: exit code %d, %s%s", code, told, log)
	}
	for _, name := range []string{"lag", "uncommitted"} {
		if got := gjson.Get(line, name).Int(); got != records {
			t.Errorf("%s of the event is %d: %s", name, got, line)
		}
	}
	if !gjson.Get(line, "commit_age_ms").Exists() {
		t.Errorf("the event does not say how long nothing has been committed: %s", line)
	}
	if got := r.figure("source.lag_sum"); got != records {
		t.Errorf("/api/v1/stats says a lag of %d", got)
	}
	families := r.scraped()
	for _, name := range []string{"pipeline_lag_records", "partition_lag_records", "partition_uncommitted_records"} {
		if got := sumOf(families, name); got != records {
			t.Errorf("%s is %v", name, got)
		}
	}
	if at := sumOf(families, "partition_commit_age_seconds"); at < 0 {
		t.Error("no metric says how long nothing has been committed")
	}

	o.fail.Store(false)
	for deadline := time.Now().Add(time.Minute); r.figure("source.lag_sum") > 0; {
		if time.Now().After(deadline) {
			t.Fatal("a minute after the server answers again the records are still behind")
		}
	}
	r.signal(syscall.SIGTERM)
	<-ended
	if code := r.end(); code != exitDone || strings.Count(string(r.stdout), "\n") != records {
		t.Fatalf("exit code %d, %d records\n%s", code, strings.Count(string(r.stdout), "\n"), r.log.String())
	}
}
