package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/fixture"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/settings"
	kafkasource "github.com/penstockio/penstock/pipeline/source/kafka"
	filesink "github.com/penstockio/penstock/sinks/file"
	kafkasink "github.com/penstockio/penstock/sinks/kafka"
	"github.com/penstockio/penstock/stages"
)

const (
	poisonParts   = 3
	poisonRecords = 399         // of each partition
	poisonLimit   = 4096        // max.message.bytes of the output
	poisonMark    = "hush-hush" // in every value, and in no message
)

// poisoned are the records of each partition that end in the dead letters: by step,
// reason and words of the error.
var poisoned = map[int64]struct{ kind, step, reason, message string }{
	0:   {"torn", "even", pipeline.ReasonInvalidJSON, ""},
	7:   {"panic", "own", pipeline.ReasonPanic, "it bursts"},
	8:   {"exit", "own", pipeline.ReasonPanic, "runtime.Goexit"},
	9:   {"binary", "even", pipeline.ReasonInvalidJSON, ""},
	100: {"large", "out", pipeline.ReasonTooLarge, ""},
	101: {"panic", "own", pipeline.ReasonPanic, "it bursts"},
	102: {"text", "even", pipeline.ReasonNotObject, ""},
	253: {"exit", "own", pipeline.ReasonPanic, "runtime.Goexit"},
	256: {"large", "out", pipeline.ReasonTooLarge, ""},
	257: {"large", "out", pipeline.ReasonTooLarge, ""},
	398: {"large", "out", pipeline.ReasonTooLarge, ""},
}

func poisonInput() (recs []*kgo.Record) {
	for n := range int64(poisonRecords) {
		for p := range int32(poisonParts) {
			kind := poisoned[n].kind
			value := fmt.Appendf(nil, `{"n":%d,"p":%d,"kind":%q,"pad":%q}`, n, p, kind, poisonMark)
			switch kind {
			case "torn":
				value = value[:len(value)-3]
			case "binary":
				value = append([]byte{0xff, 0, '{'}, poisonMark...)
			case "text":
				value = fmt.Appendf(nil, `%q`, poisonMark)
			case "large":
				noise := make([]byte, 3*poisonLimit) // not to be compressed
				random := rand.NewChaCha8([32]byte{byte(n), byte(p)})
				_, _ = random.Read(noise) // never fails
				value = fmt.Appendf(nil, `{"n":%d,"p":%d,"pad":"%s%s"}`, n, p, poisonMark, base64.StdEncoding.EncodeToString(noise))
			}
			recs = append(recs, &kgo.Record{
				Partition: p, Key: fmt.Appendf(nil, "k%d", p), Value: value,
				Headers: []kgo.RecordHeader{{Key: "trace", Value: fmt.Appendf(nil, "%d", n)}, {Key: "none"}},
			})
		}
	}
	return recs
}

// burst is a stage of somebody's own that some records do no good.
type burst struct{}

func (burst) Process(_ context.Context, rec *pipeline.Record) error {
	switch {
	case bytes.Contains(rec.Value(), []byte(`"kind":"panic"`)):
		panic("it bursts")
	case bytes.Contains(rec.Value(), []byte(`"kind":"exit"`)):
		runtime.Goexit()
	}
	return nil
}

// A letter is a dead letter, wherever it was written.
type letter struct {
	key, value []byte
	headers    []pipeline.Header
}

// get gives the value of a header.
func (l letter) get(name string) string {
	i := slices.IndexFunc(l.headers, func(h pipeline.Header) bool { return h.Name == name })
	if i < 0 {
		return ""
	}
	return string(l.headers[i].Value)
}

func ofText[T any, P interface {
	*T
	UnmarshalText([]byte) error
}](t *testing.T, text string) (v T) {
	t.Helper()
	if err := P(&v).UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return v
}

func kafkaSink(t *testing.T, src pipeline.Source, topic, partitioner string) pipeline.Sink {
	t.Helper()
	s := kafkasink.Defaults()
	s.Topic, s.Partitioner = ofText[expr.Template](t, topic), partitioner
	k, err := kafkasink.New(s, src)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestPoison: a malformed record, a record that ends or panics a stage, and one that
// the output does not take each end in the dead letters, as they came, with their
// position; everything else arrives in order, and everything is committed.
func TestPoison(t *testing.T) {
	c := kafkatest.Start(t)
	in := c.Topic(t, poisonParts)
	sent := c.Produce(t, in, poisonInput()...)
	for _, waits := range []bool{false, true} {
		name := "working stage"
		if waits {
			name = "waiting stage"
		}
		t.Run(name+", dead letters in a topic", func(t *testing.T) {
			dead := c.Topic(t, 2)
			runPoison(t, c, in, waits, func(src pipeline.Source) pipeline.Sink { return kafkaSink(t, src, dead, "murmur2") })
			var got []letter
			for _, r := range c.Consume(t, dead) {
				l := letter{key: r.Key, value: r.Value}
				for _, h := range r.Headers {
					l.headers = append(l.headers, pipeline.Header{Name: h.Key, Value: h.Value})
				}
				got = append(got, l)
			}
			checkLetters(t, in, sent, got)
		})
		t.Run(name+", dead letters in a file", func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "dead.jsonl")
			runPoison(t, c, in, waits, func(pipeline.Source) pipeline.Sink {
				s := filesink.Defaults()
				s.Path, s.As = ofText[expr.Template](t, file), "fixture"
				f, err := filesink.New(s)
				if err != nil {
					t.Fatal(err)
				}
				return f
			})
			checkLetters(t, in, sent, lettersOf(t, file, in))
		})
	}
}

// lettersOf reads a file of dead letters, whose position in the line must be that in
// the headers.
func lettersOf(t *testing.T, file, topic string) (got []letter) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := fixture.NewReader(bytes.NewReader(text), file)
	for range bytes.Count(text, []byte("\n")) {
		var rec pipeline.Record
		if _, err := lines.Next(&rec); err != nil {
			t.Fatal(err)
		}
		key, value, headers := rec.Original()
		l := letter{bytes.Clone(key), bytes.Clone(value), slices.Clone(headers)}
		at := fmt.Sprintf("%s/%s@%s", topic, l.get("penstock-partition"), l.get("penstock-offset"))
		if rec.Position.String() != at {
			t.Errorf("the line stands at %v, its headers say %s", rec.Position, at)
		}
		got = append(got, l)
	}
	return got
}

// runPoison runs the pipeline to the end of the topic, and checks what came out, what
// was counted and what was committed.
func runPoison(t *testing.T, c *kafkatest.Cluster, in string, waits bool, dead func(pipeline.Source) pipeline.Sink) {
	t.Helper()
	out, group := c.Topic(t, poisonParts, fmt.Sprintf("max.message.bytes=%d", poisonLimit)), c.Group(t)
	src, err := kafkasource.New(kafkasource.Settings{
		Brokers: c.Addrs(), Topics: []string{in}, Group: group, Start: "earliest", Stop: "end",
	}, kafkasource.Options{})
	if err != nil {
		t.Fatal(err)
	}
	even, err := stages.NewFilter(stages.FilterSettings{When: ofText[expr.Condition](t, `n == nil || n % 4 != 3`)})
	if err != nil {
		t.Fatal(err)
	}
	half, err := stages.NewMap(stages.MapSettings{Set: settings.Fields[expr.Expr]{{Name: "twice", Value: ofText[expr.Expr](t, `2 * n`)}}})
	if err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	events := event.New(&log, event.Options{})
	own := engine.Step{Name: "own", Kind: "own", Stage: burst{}, Workers: 4}
	if waits {
		own.Wait = &engine.Wait{}
	}
	p, err := engine.New(engine.Options{
		Name: "poison", Source: src, Events: events.Pipeline("poison"),
		Steps:      []engine.Step{own, {Name: "even", Kind: "filter", Stage: even}, {Name: "half", Kind: "map", Stage: half}},
		Sinks:      []engine.Output{{Name: "out", Kind: "kafka", Sink: kafkaSink(t, src, out, "source")}},
		DeadLetter: engine.DeadLetter{Name: "dead", Kind: "kafka", Sink: dead(src)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.Close()

	arrived := c.Consume(t, out)
	filtered := 0
	for part := range int32(poisonParts) {
		var want, got []string
		for n := range int64(poisonRecords) {
			switch {
			case poisoned[n].kind != "":
			case n%4 == 3:
				filtered++
			default:
				want = append(want, fmt.Sprintf(`{"n":%d,"p":%d,"kind":"","pad":%q,"twice":%d}`, n, part, poisonMark, 2*n))
			}
		}
		for _, r := range arrived {
			if r.Partition == part {
				got = append(got, string(r.Value))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("partition %d: %d records arrived, want %d; from the first that differs:\n%s", part, len(got), len(want), firstOther(got, want))
		}
		if n := c.Committed(t, group)[in][part]; n != poisonRecords {
			t.Errorf("partition %d: %d is committed, want %d", part, n, poisonRecords)
		}
	}
	want := engine.Counts{In: poisonParts * poisonRecords, Filtered: int64(filtered), Rejected: int64(poisonParts * len(poisoned)), Out: int64(len(arrived))}
	s := p.Snapshot()
	if got := (engine.Counts{In: s.In, Filtered: s.Filtered, Rejected: s.Rejected, Out: s.Out, Created: s.Created, Abandoned: s.Abandoned, InFlight: s.InFlight}); got != want {
		t.Errorf("counted were %+v, want %+v", got, want)
	}
	if s.Retries != 0 {
		t.Errorf("%d retries: a record that is refused costs no backoff", s.Retries)
	}
	log.lines(t)
	if bytes.Contains(log.b.Bytes(), []byte(poisonMark)) {
		t.Error("the log quotes a value")
	}
}

func firstOther(got, want []string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("got  %.200q\nwant %.200q", got[min(i, len(got)):min(i+2, len(got))], want[min(i, len(want)):min(i+2, len(want))])
}

// checkLetters compares dead letters with the records that they were.
func checkLetters(t *testing.T, topic string, sent []*kgo.Record, got []letter) {
	t.Helper()
	left := map[string]*kgo.Record{}
	for _, r := range sent {
		if poisoned[r.Offset].kind != "" {
			left[fmt.Sprintf("%d@%d", r.Partition, r.Offset)] = r
		}
	}
	last := map[string]int64{} // of the partition, and whether a step or a sink rejected it
	for _, l := range got {
		at := l.get("penstock-partition") + "@" + l.get("penstock-offset")
		r := left[at]
		if r == nil {
			t.Errorf("%s: no dead letter, or not another one", at)
			continue
		}
		delete(left, at)
		want := poisoned[r.Offset]
		if !bytes.Equal(l.key, r.Key) || !bytes.Equal(l.value, r.Value) {
			t.Errorf("%s: key and value are not those of the record", at)
		}
		var names []string
		for _, h := range l.headers {
			names = append(names, h.Name)
		}
		// The value as the step got it is there where the steps before had changed it.
		if g := strings.TrimSuffix(strings.Join(names, " "), " penstock-value"); g != "trace none penstock-pipeline penstock-step penstock-reason penstock-error penstock-attempts penstock-topic penstock-partition penstock-offset penstock-time penstock-timestamp" {
			t.Errorf("%s: the headers are %s", at, g)
			continue
		}
		if l.get("trace") != strconv.FormatInt(r.Offset, 10) || l.headers[1].Value != nil {
			t.Errorf("%s: its own headers are %q", at, l.headers[:2])
		}
		if g := l.get("penstock-pipeline") + " " + l.get("penstock-step") + " " + l.get("penstock-reason") + " " + l.get("penstock-attempts") + " " + l.get("penstock-topic"); g != "poison "+want.step+" "+want.reason+" 1 "+topic {
			t.Errorf("%s: rejected by %s", at, g)
		}
		if g := l.get("penstock-error"); g == "" || !strings.Contains(g, want.message) || strings.Contains(g, poisonMark) {
			t.Errorf("%s: the error is %q", at, g)
		}
		if g := l.get("penstock-time"); !strings.HasSuffix(g, "Z") {
			t.Errorf("%s: the time is %s", at, g)
		} else if _, err := time.Parse("2006-01-02T15:04:05.000Z", g); err != nil {
			t.Errorf("%s: %v", at, err)
		}
		place := fmt.Sprintf("%d %t", r.Partition, want.step == "out")
		if before, ok := last[place]; ok && before > r.Offset {
			t.Errorf("%s: behind the dead letter of %d", at, before)
		}
		last[place] = r.Offset
	}
	for at := range left {
		t.Errorf("%s: no dead letter", at)
	}
}
