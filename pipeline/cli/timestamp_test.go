package cli

import (
	order "encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	kafkasource "github.com/penstockio/penstock/pipeline/source/kafka"
)

// maxTimestamp is where the largest time of its records stands in a record batch.
const maxTimestamp = 35

// refuseTimes makes the fake broker refuse batches with a time of more than an hour
// ahead, as Kafka 4 does by default.
func refuseTimes(c *kafkatest.Cluster) {
	c.Fake().ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.Fake().KeepControl()
		req := r.(*kmsg.ProduceRequest)
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		refused := false
		for _, topic := range req.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic = topic.Topic
			for _, p := range topic.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition = p.Partition
				at := int64(order.BigEndian.Uint64(p.Records[maxTimestamp:]))
				if at > time.Now().Add(time.Hour).UnixMilli() {
					rp.ErrorCode, refused = 32, true
				} else {
					rp.ErrorCode = 7 // comes again alone
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, refused
	})
}

// A record whose time no topic takes, as one in microseconds, ends in the dead letters,
// which have a time of their own; the records behind it are delivered, and all is
// committed. Times that are odd and taken pass as they are.
func TestATimeThatNoTopicTakes(t *testing.T) {
	c := kafkatest.Start(t)
	in := c.Topic(t, 1, "message.timestamp.after.max.ms=9223372036854775807", "message.timestamp.before.max.ms=9223372036854775807", "retention.ms=-1")
	now := time.Now()
	const odd = 3
	far := time.Date(2200, 1, 2, 3, 4, 5, 6_000_000, time.UTC) // as far as the independent client can write
	var recs []*kgo.Record
	for i := range 8 {
		at := now
		switch i {
		case odd:
			at = far
		case 5:
			at = time.UnixMilli(0)
		}
		recs = append(recs, &kgo.Record{Value: fmt.Appendf(nil, `{"i":%d}`, i), Timestamp: at})
	}
	c.Produce(t, in, recs...)
	if !c.Real() {
		refuseTimes(c)
	}
	out, dead, group := c.Topic(t, 1, "retention.ms=-1"), c.Topic(t, 1), c.Group(t)
	src, err := kafkasource.New(kafkasource.Settings{
		Brokers: c.Addrs(), Topics: []string{in}, Group: group, Start: "earliest", Stop: "end",
	}, kafkasource.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	events := event.New(&log, event.Options{})
	p, err := engine.New(engine.Options{
		Name: "times", Source: src, Events: events.Pipeline("times"),
		Sinks:      []engine.Output{{Name: "out", Kind: "kafka", Sink: kafkaSink(t, src, out, "murmur2")}},
		DeadLetter: engine.DeadLetter{Name: "dead", Kind: "kafka", Sink: kafkaSink(t, src, dead, "murmur2")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.Close()
	var arrived []string
	for _, r := range c.Consume(t, out) {
		arrived = append(arrived, string(r.Value))
	}
	want := []string{`{"i":0}`, `{"i":1}`, `{"i":2}`, `{"i":4}`, `{"i":5}`, `{"i":6}`, `{"i":7}`}
	if !slices.Equal(arrived, want) {
		t.Errorf("%v arrived, want %v", arrived, want)
	}
	letters := c.Consume(t, dead)
	if len(letters) != 1 {
		t.Fatalf("%d dead letters, want 1", len(letters))
	}
	l := letters[0]
	headers := map[string]string{}
	for _, h := range l.Headers {
		headers[h.Key] = string(h.Value)
	}
	if string(l.Value) != `{"i":3}` || headers["penstock-reason"] != kafka.RefusedTimestamp || headers["penstock-timestamp"] != fmt.Sprint(far.UnixMilli()) {
		t.Errorf("the dead letter is %s with %v", l.Value, headers)
	}
	if l.Timestamp.Before(now.Add(-time.Minute)) || l.Timestamp.After(time.Now().Add(time.Minute)) {
		t.Errorf("the dead letter's time is %v, want that of the rejection", l.Timestamp)
	}
	if n := c.Committed(t, group)[in][0]; n != int64(len(recs)) {
		t.Errorf("%d is committed, want %d", n, len(recs))
	}
}
