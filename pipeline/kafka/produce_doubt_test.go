package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// produceAnswered is an answer to a produce request for partition 0 of a topic.
func produceAnswered(req kmsg.Request, topic string, code int16, bad ...int32) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	rt, rp := kmsg.NewProduceResponseTopic(), kmsg.NewProduceResponseTopicPartition()
	rt.Topic, rp.ErrorCode = topic, code
	for _, i := range bad {
		r := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		r.RelativeOffset = i
		rp.ErrorRecords = append(rp.ErrorRecords, r)
	}
	rt.Partitions = append(rt.Partitions, rp)
	resp.Topics = append(resp.Topics, rt)
	return resp
}

func TestRefusalOfABatchInDoubtKeepsItsSequenceFromTheNext(t *testing.T) {
	// The answer to the first request is lost; the second is refused, because the
	// topic's settings have changed meanwhile. What comes behind must not be taken for
	// a repeat of the first.
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 1)
	var armed atomic.Bool
	p := testProducer(t, c, ProducerConfig{}, deaf(&armed))
	refuseSecond(c.Fake(), topic)
	armed.Store(true)
	var refused *RefusedError
	if err := p.Produce(soon(t), numbered(topic, 0, 0, 1)); !errors.As(err, &refused) {
		t.Fatalf("producing: %v", err)
	}
	if err := p.Produce(soon(t), numbered(topic, 0, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(values(t, c, topic, 0)); got != "[000000 000001]" {
		t.Errorf("stored %v, want both", got)
	}
}

// refuseSecond makes the broker store the first produce request and refuse the second.
func refuseSecond(fake *kfake.Cluster, topic string) {
	n := 0
	fake.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if n++; n == 2 {
			return produceAnswered(req, topic, kerr.InvalidTimestamp.Code), nil, true
		}
		return nil, nil, false
	})
}

func TestRefusalThatNamesNoRecordOfTheBatchIsNarrowedDown(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 1)
	fake := c.Fake()
	ctx, cancel := context.WithCancel(soon(t))
	n := 0
	fake.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if n++; n > 20 {
			cancel()
		}
		return produceAnswered(req, topic, kerr.InvalidRecord.Code, 99, -1), nil, true
	})
	p := testProducer(t, c, ProducerConfig{})
	err := p.Produce(ctx, numbered(topic, 0, 0, 4))
	var failed *ProduceError
	var refused *RefusedError
	if !errors.As(err, &failed) || len(failed.Failed) != 4 || !errors.As(err, &refused) {
		t.Fatalf("producing: %v", err)
	}
}
