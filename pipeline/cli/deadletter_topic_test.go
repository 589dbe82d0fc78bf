//go:build unix

package cli

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/source/letters"
)

// endsOnTheWay is the last line of a replay that a signal has ended.
var endsOnTheWay = regexp.MustCompile(`\nended before all were sent: [1-9]\d* sent, \d+ left(, and about \d+ more were not looked at)?; the same command goes on there\n$`)

// TestReplayThatEnds ends a replay midway, by SIGTERM and by SIGKILL, and starts another: each
// letter is sent back, after SIGTERM once, after SIGKILL no more than a batch of them twice.
func TestReplayThatEnds(t *testing.T) {
	o := newOutage(t)
	for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signalName(how), func(t *testing.T) {
			r := newRedriveRun(t, o)
			o.fail.Store(true)
			stop := r.run()
			const all = 1000
			r.produce(0, all)
			r.c.ConsumeN(t, r.dead, all)
			stop()

			first := startCommand(t, nil, nil, "dead-letter", "replay", r.file, "--rate", "1000/s")
			r.c.ConsumeN(t, r.in, all+all/4)
			first.signal(how)
			first.follow("\x00") // to the end of its log
			if code := first.end(); how == syscall.SIGTERM && code != exitDone {
				t.Fatalf("exit code %d after SIGTERM\n%s", code, first.log.String())
			}
			if said := string(first.stdout); how == syscall.SIGTERM && !endsOnTheWay.MatchString(said) {
				t.Errorf("after SIGTERM the replay says\n%s", said)
			}
			r.replay(exitDone)
			times := map[string]int{}
			twice := 0
			for _, rec := range r.c.Consume(t, r.in) {
				if header(rec, deadletter.Replayed) == "" {
					continue
				}
				if times[string(rec.Value)]++; times[string(rec.Value)] == 2 {
					twice++
				}
			}
			if len(times) != all || twice > letters.BatchRecords || how == syscall.SIGTERM && twice > 0 {
				t.Errorf("%d of %d were sent back, %d of them twice", len(times), all, twice)
			}
		})
	}
}

// TestReplayInThisProcess replays letters of a topic at the step that rejected them, beside the
// running daemon: its sinks go to the cluster of the file's source, its letters to their topic.
func TestReplayInThisProcess(t *testing.T) {
	o := newOutage(t)
	r := newRedriveRun(t, o)
	o.fail.Store(true)
	stop := r.run()
	r.produce(0, 300)
	r.c.ConsumeN(t, r.dead, 300)
	if got := r.replay(exitExpectation, "--to", "step", "--where", "n == 7"); !strings.Contains(got, "0 delivered, 0 filtered, 1 rejected again\n") {
		t.Fatalf("while it fails the replay says\n%s", got)
	}
	o.fail.Store(false)
	got := r.replay(exitDone, "--to", "step")
	if !strings.HasPrefix(got, "300 of 300 letters replayed on at the steps") || !strings.Contains(got, "  300      weather (attempts)\n300 delivered, 0 filtered, 0 rejected again\n") {
		t.Fatalf("the replay says\n%s", got)
	}
	stop()
	var recs []*kgo.Record
	for _, rec := range r.c.Consume(t, r.out) {
		if gjson.GetBytes(rec.Value, "n").Int() != 7 { // its second letter stands behind all others
			recs = append(recs, rec)
		}
	}
	r.eachOnce(recs, 299, 0)
	if n := len(r.c.Consume(t, r.out)); n != 300 {
		t.Errorf("%d records came out, not 300", n)
	}
	if n := len(r.c.Consume(t, r.in)); n != 300 {
		t.Errorf("%d records are in the topic that was read, not 300: nothing goes back there", n)
	}
}

// TestReplayKeepsEveryByte sends back records that are no JSON, without keys, with headers of
// nothing, of another time: they are in the topic again as they were, in the same partition, with one header more. So they are where
// the letters have keys of their own.
func TestReplayKeepsEveryByte(t *testing.T) {
	for _, key := range []string{"", ", key: string(meta.offset)"} {
		t.Run(key, func(t *testing.T) { replayKeepsEveryByte(t, key) })
	}
}

func replayKeepsEveryByte(t *testing.T, key string) {
	c := kafkatest.Start(t)
	in, dead, name := c.Topic(t, 3), c.Topic(t, 2), strings.ToLower(c.Group(t))
	file := filepath.Join(t.TempDir(), "odd.yaml")
	text := fmt.Sprintf(`pipeline: %s
source:
  kafka: {brokers: [%s], topics: [%s], start: earliest, stop: end}
stages:
  - map: {set: {a: 1}}
sinks:
  - stdout: {}
dead_letter:
  kafka: {topic: %s%s}
log: {format: json}
`, name, c.Addrs()[0], in, dead, key)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-48 * time.Hour).Truncate(time.Millisecond)
	odd := []*kgo.Record{
		{Value: []byte("no json"), Partition: 2, Timestamp: at},
		{Key: []byte{}, Value: []byte{}, Partition: 1, Timestamp: at.Add(time.Second)},
		{Key: []byte{0, 0xff}, Value: []byte{0xfe, 0, '\n'}, Partition: 0, Timestamp: at.Add(time.Hour),
			Headers: []kgo.RecordHeader{{Key: "null"}, {Key: "empty", Value: []byte{}}, {Key: "twice", Value: []byte("1")}, {Key: "twice", Value: []byte{0xff}},
				{Key: "penstock-mine", Value: []byte("keep")}, {Key: deadletter.Pipeline, Value: []byte("another")}, {Key: deadletter.Value, Value: []byte("old")}}},
		{Key: []byte("k"), Value: bytes.Repeat([]byte("long "), 40_000), Partition: 2, Timestamp: at},
	}
	c.Produce(t, in, odd...)
	if code, _, log := penstock(t, "run", file); code != exitDone {
		t.Fatalf("the run ended with %d\n%s", code, log)
	}
	code, out, log := penstock(t, "dead-letter", "replay", file)
	if code != exitDone || !strings.HasPrefix(out, "4 of 4 letters replayed") {
		t.Fatalf("the replay ended with %d\n%s%s", code, out, log)
	}
	found := 0
	for _, got := range c.Consume(t, in) {
		if header(got, deadletter.Replayed) != "1 1" {
			continue
		}
		found++
		want := odd[0]
		switch {
		case got.Partition == 0:
			want = odd[2]
		case got.Partition == 1:
			want = odd[1]
		case got.Key != nil:
			want = odd[3]
		}
		headers := got.Headers[:len(got.Headers)-1]
		if !bytes.Equal(got.Value, want.Value) || got.Value == nil || !bytes.Equal(got.Key, want.Key) || (got.Key == nil) != (want.Key == nil) ||
			!got.Timestamp.Equal(want.Timestamp) || fmt.Sprint(headers) != fmt.Sprint(want.Headers) || got.Partition != want.Partition {
			t.Errorf("partition %d has key %q, %d bytes, at %v, headers %v", got.Partition, got.Key, len(got.Value), got.Timestamp, headers)
		}
	}
	if found != 4 {
		t.Errorf("%d came back", found)
	}
}

// TestReplayRefusesLoops refuses a pipeline that reads its own dead letters, and leaves a letter
// whose topic it does not read, and one of another pipeline.
func TestReplayRefusesLoops(t *testing.T) {
	c := kafkatest.Start(t)
	in, dead, name := c.Topic(t, 1), c.Topic(t, 1), strings.ToLower(c.Group(t))
	dir := t.TempDir()
	write := func(topics string) string {
		file := filepath.Join(dir, "loop.yaml")
		text := fmt.Sprintf("pipeline: %s\nsource:\n  kafka: {brokers: [%s], topics: [%s]}\nsinks:\n  - stdout: {}\ndead_letter:\n  kafka: {topic: %s}\nlog: {format: json}\n",
			name, c.Addrs()[0], topics, dead)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	letter := func(pipeline, topic string) *kgo.Record {
		rec := &kgo.Record{Value: []byte("{}")}
		for _, h := range [][2]string{{deadletter.Pipeline, pipeline}, {deadletter.Step, "s"}, {deadletter.Reason, "permanent"}, {deadletter.Topic, topic}, {deadletter.Partition, "0"}, {deadletter.Offset, "3"}} {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
		}
		return rec
	}
	c.Produce(t, dead, letter("other", in), letter(name, "elsewhere"), letter(name, in), &kgo.Record{Value: []byte("no letter")})
	if code, _, log := penstock(t, "dead-letter", "replay", write(in+", "+dead)); code != exitUsage || !strings.Contains(log, "which holds its dead letters") {
		t.Errorf("a loop: %d\n%s", code, log)
	}
	code, out, log := penstock(t, "dead-letter", "replay", write(in))
	if code != exitExpectation || !strings.HasPrefix(out, "1 of 1 letter replayed") || !strings.Contains(out, "1 refused\n  1        other_topic\n") ||
		!strings.Contains(out, "1 left of other pipelines\n1 left that are no dead letters\n") {
		t.Errorf("exit code %d\n%s%s", code, out, log)
	}
	if n := len(c.Consume(t, in)); n != 1 {
		t.Errorf("%d records went back", n)
	}
}

// TestReplayOfWhatTheTopicRefuses has a topic refuse one letter's record for its size: those behind
// it go back, it stays, and is there for the next replay.
func TestReplayOfWhatTheTopicRefuses(t *testing.T) {
	c := kafkatest.Start(t)
	in, dead, name := c.Topic(t, 1, "max.message.bytes=3000"), c.Topic(t, 1), strings.ToLower(c.Group(t))
	file := filepath.Join(t.TempDir(), "p.yaml")
	text := fmt.Sprintf("pipeline: %s\nsource:\n  kafka: {brokers: [%s], topics: [%s]}\nsinks:\n  - stdout: {}\ndead_letter:\n  kafka: {topic: %s}\nlog: {format: json}\n",
		name, c.Addrs()[0], in, dead)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 5000)                    // which no codec makes smaller
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // it never fails
	for i := range 20 {
		rec := &kgo.Record{Value: fmt.Append(nil, i)}
		if i == 4 {
			rec.Value = noise
		}
		for _, h := range [][2]string{{deadletter.Pipeline, name}, {deadletter.Step, "s"}, {deadletter.Reason, "permanent"},
			{deadletter.Topic, in}, {deadletter.Partition, "0"}, {deadletter.Offset, fmt.Sprint(i)}} {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
		}
		c.Produce(t, dead, rec)
	}
	for _, want := range []string{"19 of 19 letters replayed", "0 of 0 letters replayed"} {
		code, out, log := penstock(t, "dead-letter", "replay", file)
		if code != exitExpectation || !strings.HasPrefix(out, want) || !strings.Contains(out, "1 refused\n  1        too_large\n") {
			t.Errorf("exit code %d\n%s%s", code, out, log)
		}
	}
	if _, out, _ := penstock(t, "dead-letter", "ls", file, "--waiting", "--json"); strings.Count(out, "\n") != 1 || gjson.Get(out, "offset").Int() != 4 {
		t.Errorf("these wait:\n%s", out)
	}
	if n := len(c.Consume(t, in)); n != 19 {
		t.Errorf("%d records went back", n)
	}
}
