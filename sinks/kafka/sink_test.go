package kafkasink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/connect"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// topicSettings are those of a sink to topic, a template, of c.
func topicSettings(t testing.TB, c *kafkatest.Cluster, topic string) Settings {
	t.Helper()
	s := Defaults()
	s.Brokers = c.Addrs()
	if err := s.Topic.UnmarshalText([]byte(topic)); err != nil {
		t.Fatal(err)
	}
	return s
}

func newSink(t testing.TB, s Settings) *Sink {
	t.Helper()
	k, err := New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return k
}

func record(offset int64, key, value string, headers ...pipeline.Header) *pipeline.Record {
	var r pipeline.Record
	r.Init(pipeline.Position{Topic: "in", Partition: 1, Offset: offset}, []byte(key), []byte(value), headers, 1_700_000_000_000+offset)
	return &r
}

// reasonsOf gives the reason of each failed record, "" for a transient one.
func reasonsOf(t *testing.T, err error) map[int]string {
	t.Helper()
	out := map[int]string{}
	var w *pipeline.WriteError
	if err != nil && !errors.As(err, &w) {
		t.Fatalf("writing: %v", err)
	}
	if w != nil {
		for _, f := range w.Failed {
			out[f.Index], _ = pipeline.IsPermanent(f.Err)
		}
	}
	return out
}

func TestKafkaConforms(t *testing.T) {
	pipelinetest.Sink(t, func(t *testing.T) pipelinetest.SinkUnderTest {
		c := kafkatest.StartFake(t)
		topic := c.Topic(t, 1, "max.message.bytes=200000") // one destination
		s := topicSettings(t, c, topic)
		s.Compression = "none"
		k, err := New(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		return pipelinetest.SinkUnderTest{
			Sink:   k,
			Reject: bytes.Repeat([]byte("x"), 300000),
			Stored: func() ([][]byte, error) {
				var out [][]byte
				for _, r := range c.Consume(t, topic) {
					out = append(out, r.Value)
				}
				return out, nil
			},
			Fail: func() func() {
				f := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1})
				return f.Remove
			},
			Hang: func() (<-chan struct{}, func()) {
				stuck, open := make(chan struct{}), make(chan struct{})
				first := true
				c.Fake().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
					c.Fake().DropControl()
					if first {
						first = false
						c.Fake().SleepControl(func() { close(stuck); <-open })
					}
					return nil, nil, false
				})
				return stuck, sync.OnceFunc(func() { close(open) })
			},
		}
	})
}

func TestKafkaKeepsKeyHeadersAndTime(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 4)
	k := newSink(t, topicSettings(t, c, topic))
	headers := []pipeline.Header{{Name: "a", Value: []byte("1")}, {Name: "a", Value: nil}, {Name: "b", Value: []byte{}}}
	tombstone := record(2, "k", "")
	tombstone.SetValue(nil)
	keyless := record(3, "", `{"a":3}`)
	keyless.SetKey(nil)
	edited := record(4, "k", `{"a":4}`)
	if err := edited.SetRaw("b", []byte("5")); err != nil {
		t.Fatal(err)
	}
	if err := k.Write(t.Context(), []*pipeline.Record{record(1, "k", "", headers...), tombstone, keyless, edited}); err != nil {
		t.Fatal(err)
	}
	got := map[int64]*kgo.Record{}
	for _, r := range c.Consume(t, topic) {
		got[r.Timestamp.UnixMilli()-1_700_000_000_000] = r
	}
	if len(got) != 4 {
		t.Fatalf("%d records", len(got))
	}
	r := got[1]
	if string(r.Key) != "k" || r.Value == nil || len(r.Value) != 0 || len(r.Headers) != 3 || r.Headers[1].Value != nil || r.Headers[2].Value == nil {
		t.Errorf("read %v", r)
	}
	if r.Partition != kafka.PartitionForKey([]byte("k"), 4) {
		t.Errorf("key k is in partition %d", r.Partition)
	}
	if got[2].Value != nil || got[3].Key != nil || string(got[4].Value) != `{"a":4,"b":5}` {
		t.Errorf("read %v, %v, %v", got[2], got[3], got[4])
	}
}

func TestKafkaKeyAndTopicOfARecord(t *testing.T) {
	c := kafkatest.Start(t)
	prefix := c.Name(t)
	c.CreateTopic(t, prefix+"-one", 2)
	s := topicSettings(t, c, prefix+"-{to}")
	s.Key = new(expr.Expr)
	if err := s.Key.UnmarshalText([]byte("to")); err != nil {
		t.Fatal(err)
	}
	k := newSink(t, s)
	var recs []*pipeline.Record
	for i, v := range []string{`{"to":"one"}`, `{"to":"nowhere"}`, `{"to":"a b"}`, `{}`, `no JSON`, `{"to":"one","n":2}`, `{"to":"nowhere"}`} {
		recs = append(recs, record(int64(i), "old", v))
	}
	got := fmt.Sprint(reasonsOf(t, k.Write(t.Context(), recs)))
	if want := "map[1:unknown_topic 2:invalid_topic 3:expression 4:invalid_json 6:unknown_topic]"; got != want {
		t.Errorf("rejected %s, want %s", got, want)
	}
	stored := c.Consume(t, prefix+"-one")
	if len(stored) != 2 || string(stored[0].Key) != "one" || string(stored[1].Value) != `{"to":"one","n":2}` {
		t.Errorf("stored %v", stored)
	}
}

// The key of a dead letter is made of a record that may be no JSON at all: where that
// cannot be, it keeps its own. A dead letter is never dropped, so an error would stop
// the pipeline at this record, at every start.
func TestKafkaKeyOfADeadLetter(t *testing.T) {
	c := kafkatest.Start(t)
	dead := c.Topic(t, 1)
	s := topicSettings(t, c, dead)
	s.Key = new(expr.Expr)
	if err := s.Key.UnmarshalText([]byte(`to + ""`)); err != nil {
		t.Fatal(err)
	}
	recs := []*pipeline.Record{record(0, "k", `{"to":"a"}`), record(1, "l", `[1,2]`), record(2, "m", `{`), record(3, "n", `{"to":7}`)}
	if got := reasonsOf(t, newSink(t, s).Write(t.Context(), recs)); len(got) != 3 {
		t.Errorf("records that are no dead letters: %v", got)
	}
	s.DeadLetters = true
	if err := newSink(t, s).Write(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, r := range c.Consume(t, dead) {
		keys = append(keys, string(r.Key))
	}
	if got := strings.Join(keys, " "); got != "a a l m n" {
		t.Errorf("keys %s", got)
	}
}

// A dead letter whose key is another one than the record's says which the record's was: without, it could never be sent
// back into its place among the records of its key. One that keeps its key says nothing, and neither do other records.
func TestKafkaDeadLetterSaysTheKeyThatItCameWith(t *testing.T) {
	c := kafkatest.Start(t)
	for _, dead := range []bool{true, false} {
		topic := c.Topic(t, 1)
		s := topicSettings(t, c, topic)
		s.DeadLetters, s.Key = dead, new(expr.Expr)
		if err := s.Key.UnmarshalText([]byte(`string(meta.offset)`)); err != nil {
			t.Fatal(err)
		}
		var recs []*pipeline.Record
		for i, key := range [][]byte{[]byte("k"), nil, {}, []byte("3")} {
			rec := new(pipeline.Record)
			rec.Init(pipeline.Position{Topic: "in", Offset: int64(i)}, key, []byte("{}"), []pipeline.Header{{Name: deadletter.Key, Value: []byte("its own")}, {Name: "penstock-pipeline", Value: []byte("p")}}, 5)
			recs = append(recs, rec)
		}
		if err := newSink(t, s).Write(t.Context(), recs); err != nil {
			t.Fatal(err)
		}
		got := c.Consume(t, topic)
		for i, want := range [][]byte{{'k'}, nil, {}, nil} {
			headers := got[i].Headers
			if string(got[i].Key) != fmt.Sprint(i) {
				t.Errorf("letter %d has key %q", i, got[i].Key)
			}
			if !dead || i == 3 {
				if len(headers) != 2 {
					t.Errorf("dead letters %v: record %d has headers %v", dead, i, headers)
				}
				continue
			}
			last := headers[len(headers)-1]
			if len(headers) != 3 || last.Key != deadletter.Key || string(last.Value) != string(recs[i].Key()) || (last.Value == nil) != (want == nil) {
				t.Errorf("letter %d has headers %v", i, headers)
			}
		}
	}
}

func TestKafkaBoundsItsTopics(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 1)
	k := newSink(t, topicSettings(t, c, "{to}"))
	for i := range maxTopics {
		k.learn(fmt.Sprint("t", i), 1)
	}
	got := reasonsOf(t, k.Write(t.Context(), []*pipeline.Record{record(0, "k", `{"to":"`+topic+`"}`)}))
	if got[0] != reasonTooManyTopics {
		t.Errorf("failed: %v", got)
	}
}

func TestKafkaRejectsTheRecordThatIsTooLarge(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 1, "max.message.bytes=2000")
	s := topicSettings(t, c, topic)
	s.Compression = "none"
	k := newSink(t, s)
	recs := []*pipeline.Record{record(0, "k", "a"), record(1, "k", strings.Repeat("x", 3000)), record(2, "k", "b")}
	if got := reasonsOf(t, k.Write(t.Context(), recs)); len(got) != 1 || got[1] != pipeline.ReasonTooLarge {
		t.Errorf("failed: %v", got)
	}
	if got := c.Consume(t, topic); len(got) != 2 || string(got[1].Value) != "b" {
		t.Errorf("stored %v", got)
	}
}

func TestKafkaPartitionOfTheSource(t *testing.T) {
	c := kafkatest.Start(t)
	in, wide, narrow := c.Topic(t, 2), c.Topic(t, 3), c.Topic(t, 1)
	from := &fakeSource{config: kafka.Config{Brokers: c.Addrs()}, topics: []string{in}}
	for topic, good := range map[string]bool{wide: true, narrow: false} {
		s := topicSettings(t, c, topic)
		s.Brokers, s.Partitioner = nil, "source"
		k, err := New(s, from)
		if err != nil {
			t.Fatal(err)
		}
		err = k.Ping(t.Context())
		var env *pipeline.EnvironmentError
		if (err == nil) != good || err != nil && (!errors.As(err, &env) || !strings.Contains(err.Error(), narrow)) {
			t.Errorf("start-up with a topic that is wide enough %v: %v", good, err)
		}
		got := reasonsOf(t, k.Write(t.Context(), []*pipeline.Record{record(0, "k", "a"), record(1, "l", "b")}))
		if good != (len(got) == 0) || !good && (len(got) != 2 || got[0] != "") {
			t.Errorf("wide enough %v: failed %v", good, got)
		}
		if err := k.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, r := range c.Consume(t, wide) {
		if r.Partition != 1 {
			t.Errorf("partition %d", r.Partition)
		}
	}
}

type fakeSource struct {
	pipeline.Source
	config kafka.Config
	topics []string
}

func (f *fakeSource) KafkaConfig() kafka.Config { return f.config }
func (f *fakeSource) KafkaTopics() []string     { return f.topics }

func TestKafkaPingNamesTheTopic(t *testing.T) {
	c := kafkatest.StartFake(t)
	k := newSink(t, topicSettings(t, c, "nowhere"))
	err := k.Ping(t.Context())
	var env *pipeline.EnvironmentError
	if !errors.As(err, &env) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("start-up without the topic: %v", err)
	}
	if len(c.Fake().PartitionInfos("nowhere")) != 0 {
		t.Error("the topic has been created")
	}
}

func TestKafkaSettingsAreChecked(t *testing.T) {
	var good, bad expr.Template
	if err := errors.Join(good.UnmarshalText([]byte("t")), bad.UnmarshalText([]byte("a/b"))); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Settings{Topic: good, Partitioner: "murmur2", Compression: "lz4"}, nil); err == nil || !strings.Contains(err.Error(), "brokers") {
		t.Errorf("no brokers and no Kafka source: %v", err)
	}
	s := Settings{Topic: bad, Partitioner: "x", Compression: "y", SASL: &connect.SASL{}, TLS: &connect.TLS{Cert: "c"}}
	err := s.Validate()
	for _, field := range []string{"topic", "partitioner", "compression", "sasl", "sasl.mechanism", "sasl.username", "tls"} {
		if err == nil || !strings.Contains(err.Error(), field+":") {
			t.Errorf("%s is not found: %v", field, err)
		}
	}
	far := Settings{Topic: good, Partitioner: "murmur2", Compression: "lz4", Brokers: []string{"kafka.example:9092"},
		SASL: &connect.SASL{Mechanism: "plain", Username: "u", Password: "secret"}}
	if err := far.Validate(); err == nil || !strings.Contains(err.Error(), "unencrypted") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a password over the open network: %v", err)
	}
	far.SASL.Plaintext = true
	if err := far.Validate(); err != nil {
		t.Error(err)
	}
}
