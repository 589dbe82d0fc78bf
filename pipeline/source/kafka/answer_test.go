package kafkasource

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

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
	s := groupSettings(k, group, topic)
	s.OnGap = "earliest"
	written, release := make(chan struct{}, 100), make(chan struct{})
	var given atomic.Bool
	r := startRun(t, s, func(o *engine.Options) {
		o.Source.(*Source).o.Drain = 50 * time.Millisecond
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
