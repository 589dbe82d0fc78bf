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

// reloadedFile is a pipeline whose stage says which version of the file a record has passed.
func reloadedFile(broker, in, out, group string, version int, limit string) string {
	return fmt.Sprintf(`pipeline: late
source:
  kafka: {brokers: [%s], topics: [%s], group: %s, start: earliest}
stages:
  - name: version
    map: {set: {version: "%d"}}
  - name: once
    dedupe: {key: string(n), ttl: 1h}
sinks:
  - name: out
    kafka: {topic: %s}
log: {format: json, stats_every: 100ms}
%s`, broker, in, group, version, out, limit)
}

func rewrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// TestReloadsUnderLoad: SIGHUP with good files, with bad ones and with one that would need a restart, under load, from topic to topic: every record comes out
// once, in order of its partition, those of a later file behind those of an earlier one, and the group has one generation.
func TestReloadsUnderLoad(t *testing.T) {
	c := kafkatest.Start(t)
	in, out, group := c.Topic(t, 4), c.Topic(t, 4), c.Group(t)
	reloadUnderLoad(t, c, in, out, group, 20, 500)
}

// reloadUnderLoad runs rounds of so many records each, with a reload in each.
func reloadUnderLoad(t *testing.T, c *kafkatest.Cluster, in, out, group string, rounds, records int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "late.yaml")
	text := func(version int, more string) string {
		return reloadedFile(c.Addrs()[0], in, out, group, version, more)
	}
	rewrite(t, file, text(0, ""))
	r := startDaemon(t, file)
	r.read(`"event_name":"process.ready"`)
	n, version := 0, 0
	for round := range rounds {
		var recs []*kgo.Record
		for range records {
			recs = append(recs, &kgo.Record{Key: fmt.Append(nil, n%4), Value: fmt.Appendf(nil, `{"n":%d}`, n), Partition: int32(n % 4)})
			n++
		}
		c.Produce(t, in, recs...)
		want := `"event_name":"config.applied"`
		switch round % 4 {
		case 1:
			rewrite(t, file, text(version, "nonsense: true\n"))
			want = `"event_name":"config.rejected"`
		case 2:
			rewrite(t, file, text(version, "limits: {in_flight: 77}\n"))
			want = `"event_name":"config.rejected"`
		default:
			version++
			rewrite(t, file, text(version, ""))
		}
		r.signal(syscall.SIGHUP)
		line := r.read(want)
		if reason := gjson.Get(line, "error_first").String(); round%4 == 1 && !strings.Contains(reason, "nonsense") || round%4 == 2 && !strings.Contains(reason, "limits.in_flight") {
			t.Errorf("round %d: %s", round, line)
		}
		if changed := gjson.Get(line, "changed_steps").String(); strings.Contains(want, "applied") && changed != "version" {
			t.Errorf("round %d has changed %q: %s", round, changed, line)
		}
	}
	read := make(chan struct{})
	go func() { defer close(read); r.follow(`"event_name":"process.stopping"`) }() // a full pipe would hold it up
	c.ConsumeN(t, out, n)
	r.signal(syscall.SIGTERM)
	<-read
	if code := r.end(); code != exitDone {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, r.log.String())
	}
	got := c.Consume(t, out)
	seen, last, lastVersion := map[int64]bool{}, map[int64]int64{}, map[int64]int64{}
	versions := map[int64]bool{}
	for _, rec := range got {
		n, v := gjson.GetBytes(rec.Value, "n").Int(), gjson.GetBytes(rec.Value, "version").Int()
		lane := n % 4
		if before, ok := last[lane]; seen[n] || ok && (before >= n || lastVersion[lane] > v) {
			t.Errorf("record %d of version %d is twice, %t, or comes behind %d of version %d", n, v, seen[n], before, lastVersion[lane])
		}
		seen[n], last[lane], lastVersion[lane], versions[v] = true, n, v, true
	}
	if len(seen) != n || len(versions) < 2 {
		t.Errorf("%d records came out, want %d; of the versions %v", len(seen), n, versions)
	}
	for _, once := range []string{`"event_name":"source.assigned"`, `"event_name":"source.revoked"`} {
		if k := strings.Count(r.log.String(), once); k != 1 {
			t.Errorf("%s is %d times in the log: the member has not kept its partitions", once, k)
		}
	}
	committed := int64(0)
	for _, offset := range c.Committed(t, group)[in] {
		committed += offset
	}
	if committed != int64(n) {
		t.Errorf("the committed offsets sum to %d, want %d", committed, n)
	}
}

// TestWatchedFiles: with --watch a file is loaded again when it, one that it includes, or a script has changed, by being written or by being replaced.
func TestWatchedFiles(t *testing.T) {
	c := kafkatest.Start(t)
	in, out, group := c.Topic(t, 1), c.Topic(t, 1), c.Group(t)
	dir := t.TempDir()
	file, part, script := filepath.Join(dir, "late.yaml"), filepath.Join(dir, "part.yaml"), filepath.Join(dir, "one.star")
	rewrite(t, part, "set: {a: \"1\"}\n")
	rewrite(t, script, "def process(record):\n    return record\n")
	text := func(sink string) string {
		return fmt.Sprintf(`pipeline: late
source:
  kafka: {brokers: [%s], topics: [%s], group: %s, start: earliest}
stages:
  - name: one
    script: {file: one.star}
  - name: two
    map: {include: part.yaml}
sinks:
  - name: %s
    kafka: {topic: %s}
log: {format: json}
`, c.Addrs()[0], in, group, sink, out)
	}
	rewrite(t, file, text("out"))
	r := startCommand(t, nil, nil, "run", "--watch", file)
	r.read(`"event_name":"process.ready"`)
	for name, step := range map[string]struct {
		change func()
		want   string
	}{
		"the file":   {func() { rewrite(t, file, text("other")) }, "other,out"},
		"a part":     {func() { rewrite(t, part, "set: {a: \"2\"}\n") }, "two"},
		"the script": {func() { writeInto(t, script, "def process(record):\n    return  record\n") }, "one"},
	} {
		step.change()
		line := r.read(`"event_name":"config.applied"`)
		if changed, trigger := gjson.Get(line, "changed_steps").String(), gjson.Get(line, "trigger").String(); changed != step.want || trigger != "watch" {
			t.Errorf("%s: changed %q, by %s: %s", name, changed, trigger, line)
		}
	}
	rewrite(t, file, "pipeline: [")
	r.read(`"event_name":"config.rejected"`)
	rewrite(t, file, text("other"))
	r.read(`nothing has changed in it`)
	r.signal(syscall.SIGTERM)
	if code := r.end(); code != exitDone {
		t.Fatalf("exit code %d\n%s", code, r.log.String())
	}
}

// writeInto writes into a file that there is, with another time.
func writeInto(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(time.Second)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}
