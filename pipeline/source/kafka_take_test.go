package source

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A batch that makes no sense is not skipped because the source is to stop within it.
func TestKafkaDoesNotStopBehindACorruptBatch(t *testing.T) {
	s := DefaultKafka()
	s.Brokers, s.Topics = []string{"127.0.0.1:1"}, []string{"flights"}
	k, err := NewKafka(s, KafkaOptions{Pipeline: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer k.cancel()
	batch := kmsg.NewRecordBatch()
	batch.LastOffsetDelta, batch.NumRecords, batch.Magic = 3, 4, 2
	batch.Records = append([]byte{12, 0, 0, 0, 1, 0, 0}, make([]byte, 200)...) // one good record
	batch.Length = int32(49 + len(batch.Records))
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))

	p := &kafkaPartition{tp: kafka.TopicPartition{Topic: "flights"}, quit: make(chan struct{})}
	one := set{l: &fetchLoop{k: k}, p: p, q: &polled{part: p}, raw: raw, bound: 2}
	one.decode(&kafka.FetchedPartition{Set: raw})
	if p.next != 0 {
		t.Errorf("it goes on at %d: records are skipped", p.next)
	}
	select {
	case item := <-k.out:
		if item.err == nil || !strings.Contains(item.err.Error(), "on_corrupt") {
			t.Errorf("%+v", item)
		}
	default:
		t.Error("nobody is told")
	}
}

// What is in flight when a gap is met cannot be read again: the source waits for it as
// long as it takes.
func TestKafkaGivesUpNothingAtAGap(t *testing.T) {
	k := kafkatest.StartFake(t)
	topic, group := k.Topic(t, 1), k.Group(t)
	fill(t, k, topic, 1, 0, 5)
	k.Fake().ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		k.Fake().KeepControl()
		req := kreq.(*kmsg.FetchRequest)
		if len(req.Topics) != 1 || len(req.Topics[0].Partitions) != 1 || req.Topics[0].Partitions[0].FetchOffset != 5 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		p := kmsg.NewFetchResponseTopicPartition()
		p.ErrorCode = int16(kafka.OffsetOutOfRange)
		answer := kmsg.NewFetchResponseTopic()
		answer.Topic, answer.TopicID = req.Topics[0].Topic, req.Topics[0].TopicID
		answer.Partitions = append(answer.Partitions, p)
		resp.Topics = append(resp.Topics, answer)
		return resp, nil, true
	})
	s := settings(k, group, topic)
	s.OnGap = "earliest"
	written, release := make(chan struct{}, 100), make(chan struct{})
	var given atomic.Bool
	r := startRun(t, s, func(o *pipeline.Options) {
		o.Source.(*Kafka).o.Drain = 50 * time.Millisecond
		o.Sinks[0].Timeout = time.Minute
		memory := o.Sinks[0].Sink
		o.Sinks[0].Sink = slowSink{memory, func(ctx context.Context) {
			written <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
				given.Store(true)
			}
		}}
	})
	<-written
	fill(t, k, topic, 1, 5, 5)
	cut := kadm.Offsets{}
	cut.AddOffset(topic, 0, 8, -1)
	if _, err := k.Admin(t).DeleteRecords(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	r.until("the gap is told", func() bool { return len(r.log.named("source.gap")) > 0 })
	select {
	case <-time.After(300 * time.Millisecond):
	case <-r.k.ctx.Done():
	}
	close(release)
	r.has(7)
	r.stop()
	if c := r.p.Snapshot().Counts; given.Load() || c.Abandoned != 0 || c.Out != 7 {
		t.Errorf("%+v", c)
	}
}

type slowSink struct {
	pipeline.Sink
	wait func(ctx context.Context)
}

func (s slowSink) Write(ctx context.Context, recs []*pipeline.Record) error {
	s.wait(ctx)
	return s.Sink.Write(ctx, recs)
}
