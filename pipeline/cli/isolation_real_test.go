//go:build real

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// isolated is a pipeline that copies a topic of its own, and stops at a record that is no
// number.
const isolated = `pipeline: %[1]s
source:
  kafka: {brokers: [%[2]q], topics: [%[1]s-in], group: %[1]s, start: earliest}
stages:
  - filter: n >= 0
    on_error: stop
sinks:
  - kafka: {topic: %[1]s-out}
`

// TestOneOfTwoPipelinesFailsAtARealBroker: a poison record stops one of two pipelines of a
// process; the other goes on to deliver and to commit what comes afterwards, and SIGTERM
// ends it in order. A third has a broker that is not there, and fails at the start.
func TestOneOfTwoPipelinesFailsAtARealBroker(t *testing.T) {
	r := cluster(t, kafkatest.RealOptions{})
	addrs := r.Addrs()
	admin := adminOf(t, addrs)
	topics(t, admin, 2, 1, "good-in", "good-out", "bad-in", "bad-out")
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	bad, lost := filepath.Join(dir, "bad.yaml"), filepath.Join(dir, "lost.yaml")
	for file, text := range map[string]string{
		bad: fmt.Sprintf(isolated, "bad", addrs[0]), lost: fmt.Sprintf(isolated, "lost", "127.0.0.1:1"),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := fmt.Sprintf(isolated, "good", addrs[0]) + fmt.Sprintf("admin: {listen: \"unix:%s\"}\n", socket)
	d := start(t, "good", good, bad, lost)
	d.await("pipeline.stopped", time.Minute, func(l line) bool { return l["pipeline"] == "lost" && l["reason"] == "environment" })
	for _, name := range []string{"good", "bad"} {
		d.await("source.assigned", time.Minute, func(l line) bool { return l["pipeline"] == name })
	}

	feeds := map[string]*feed{}
	for _, name := range []string{"good", "bad"} {
		feeds[name] = newFeed(t, addrs, name+"-in", 2, 200)
		feeds[name].load(1000)
	}
	eventually(t, d, "bad delivers as long as it can", func() bool { return endOf(t, admin, "bad-out") == 1000 })
	poison := &kgo.Record{Topic: "bad-in", Partition: 0, Value: []byte(`{"n":"none"}`)}
	if err := feeds["bad"].client.ProduceSync(t.Context(), poison).FirstErr(); err != nil {
		t.Fatal(err)
	}
	d.await("pipeline.stopped", time.Minute, func(l line) bool {
		return l["pipeline"] == "bad" && l["reason"] == "failed" && strings.Contains(fmt.Sprint(l["error_message"]), "bad-in/0@500")
	})

	feeds["good"].load(5000) // behind the failure
	eventually(t, d, "good goes on to deliver", func() bool { return endOf(t, admin, "good-out") == 6000 })
	eventually(t, d, "good goes on to commit", func() bool { return sum(committed(t, admin, "good", "good-in")) == 6000 })
	if n := sum(committed(t, admin, "bad", "bad-in")); n != 1000 {
		t.Errorf("bad has committed %d: the poison record must come again, and nothing else", n)
	}
	asked := &running{t: t, socket: socket}
	for path, want := range map[string]string{"/livez": "pipeline bad has failed: ", "/readyz": "pipeline lost has failed: "} {
		if status, body := asked.get(path); status != 503 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if state := groupState(t, admin, "bad"); strings.TrimSpace(state) != "Empty" { // another process gets its partitions at once
		t.Errorf("the group of bad: %s", state)
	}

	exit, took := d.stop(syscall.SIGTERM, time.Minute)
	last := d.await("process.stopped", time.Second, nil)
	t.Logf("ended with %d after %v: %v", exit, took, last)
	if exit != exitFailed || last["failed_pipelines"] != "bad,lost" {
		t.Errorf("exit code %d, %v\n%s", exit, last, d.tail(10))
	}
	if !strings.Contains(fmt.Sprint(last["error_message"]), "2 of 3 pipelines failed: ") {
		t.Errorf("the last line: %v", last["error_message"])
	}
}

// endOf gives how many records a topic has.
func endOf(t *testing.T, a *kadm.Client, topic string) (n int64) {
	t.Helper()
	ends, err := a.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

func sum(m map[int32]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

// eventually asks until it is so.
func eventually(t *testing.T, d *subject, what string, ok func() bool) {
	t.Helper()
	for limit := time.After(time.Minute); !ok(); {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-d.done:
			t.Fatalf("%s: ended with exit code %d\n%s", what, d.exit, d.tail(15))
		case <-limit:
			t.Fatalf("%s: not within a minute\n%s", what, d.tail(15))
		}
	}
}
