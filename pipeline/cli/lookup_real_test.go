//go:build real

package cli

import (
	"context"
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

// tableBound is what the reference promises: how long after a change of its file a table
// is in force.
const tableBound = 2 * time.Second

// A slowTopic is a daemon that looks up, with a topic that gets a record now and then.
type slowTopic struct {
	*subject
	t        *testing.T
	producer *kgo.Client
	consumer *kgo.Client
	table    string
	sent     int
}

func startSlowTopic(t *testing.T) *slowTopic {
	t.Helper()
	k := cluster(t, kafkatest.RealOptions{})
	topics(t, adminOf(t, k.Addrs()), 1, 1, "in", "out")
	s := &slowTopic{t: t, table: filepath.Join(t.TempDir(), "t.csv")}
	s.replace(tableText(0))
	var err error
	if s.producer, err = kgo.NewClient(kgo.SeedBrokers(k.Addrs()...), kgo.DefaultProduceTopic("in")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.producer.Close)
	s.consumer, err = kgo.NewClient(kgo.SeedBrokers(k.Addrs()...), kgo.ConsumeTopics("out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.consumer.Close)
	s.subject = start(t, "slow", fmt.Sprintf(`pipeline: slow
source:
  kafka: {brokers: [%s], topics: [in], start: earliest}
stages:
  - lookup:
      table: {file: %s, key: iata}
      match: origin
      into: from
sinks:
  - kafka: {topic: out}
`, strings.Join(k.Addrs(), ", "), s.table))
	s.await("process.ready", time.Minute, nil)
	return s
}

// tableText is the text of a version of the table, one digit.
func tableText(n int) string { return fmt.Sprintf("iata,v\nDTW,%d\n", n) }

// write writes a version of the table over the one before, of the same size, in one go: a
// disk that stalls between cutting the file off and writing it would leave an empty table
// for as long, which is another case.
func (s *slowTopic) write(n int) {
	s.t.Helper()
	f, err := os.OpenFile(s.table, os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(tableText(n)), 0); err != nil {
		s.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// replace puts a file with that text into the place of the table.
func (s *slowTopic) replace(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.table+".new", []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(s.table+".new", s.table); err != nil {
		s.t.Fatal(err)
	}
}

// gets sends one record, and wants it back with that version of the table.
func (s *slowTopic) gets(n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	s.sent++
	r := &kgo.Record{Value: fmt.Appendf(nil, `{"n":%d,"origin":"DTW"}`, s.sent)}
	if err := s.producer.ProduceSync(ctx, r).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	var out []*kgo.Record
	for len(out) == 0 {
		fetches := s.consumer.PollFetches(ctx)
		if ctx.Err() != nil {
			s.t.Fatalf("record %d did not come; last lines:\n%s", s.sent, s.tail(15))
		}
		out = fetches.Records()
	}
	value := string(out[0].Value)
	if sent := gjson.Get(value, "n").Int(); len(out) != 1 || sent != int64(s.sent) {
		s.t.Fatalf("%d records came, the first is %d, want %d alone", len(out), sent, s.sent)
	}
	if v := gjson.Get(value, "from.v").String(); v != fmt.Sprint(n) {
		s.t.Errorf("record %d has version %q of the table, want %d; last lines:\n%s", s.sent, v, n, s.tail(5))
	}
	s.t.Logf("table %d is in force: %s", n, value)
}

// logLines gives the lines of that level that name the table and hold the text.
func (s *slowTopic) logLines(level, text string) (lines []string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for i, l := range s.lines {
		if l["level"] == level && strings.Contains(s.raw[i], s.table) && strings.Contains(s.raw[i], text) {
			lines = append(lines, s.raw[i])
		}
	}
	return lines
}

// warned waits for n warnings of the table.
func (s *slowTopic) warned(n int) {
	s.t.Helper()
	s.await("log", time.Minute, func(line) bool { return len(s.logLines("warn", "")) >= n })
}

// exactly wants n lines of that level with the text.
func (s *slowTopic) exactly(n int, level, text string) {
	s.t.Helper()
	if lines := s.logLines(level, text); len(lines) != n {
		s.t.Errorf("%d lines of %s with %q, want %d:\n%s", len(lines), level, text, n, strings.Join(lines, "\n"))
	}
}

// On a topic with hardly a record each record gets the version of the table that is in
// force, also the first behind a pause; a table that becomes empty or goes away leaves the
// old one, and is told about once.
func TestLookupTableOfASlowTopic(t *testing.T) {
	s := startSlowTopic(t)
	s.gets(0)
	for n := 1; n <= 6; n++ {
		if n%2 == 0 {
			s.replace(tableText(n))
		} else {
			s.write(n)
		}
		pass(t, tableBound)
		if n > 3 {
			pass(t, 4*time.Second)
		}
		s.gets(n)
	}
	s.exactly(0, "warn", "")
	s.exactly(6, "info", "read the changed table")

	faults := 0
	for _, text := range []string{"", "iata,v\n", "iata,v\rDTW,1\r"} {
		s.replace(text)
		s.warned(faults + 1)
		for range 2 {
			pass(t, tableBound)
			s.gets(6 + faults)
		}
		faults++
		s.exactly(faults, "warn", "")
		s.replace(tableText(6 + faults))
		pass(t, tableBound)
		s.gets(6 + faults)
		s.exactly(faults, "info", "can be used again")
	}
	if err := os.Remove(s.table); err != nil {
		t.Fatal(err)
	}
	s.warned(faults + 1)
	pass(t, 2*tableBound)
	s.gets(6 + faults)
	s.replace(tableText(0))
	pass(t, tableBound)
	s.gets(0)
	s.exactly(faults+1, "warn", "")
	s.exactly(faults+1, "info", "can be used again")
	t.Logf("warnings:\n%s", strings.Join(s.logLines("warn", ""), "\n"))
	if exit, _ := s.stop(syscall.SIGTERM, time.Minute); exit != 0 {
		t.Errorf("exit code %d, want 0", exit)
	}
}
