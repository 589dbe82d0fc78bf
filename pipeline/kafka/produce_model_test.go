package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// Answers of a broker to a batch that it has not stored, to one that it has, and to
// one whose producer it has lost track of.
var (
	refusals = []*kerr.Error{kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.LeaderNotAvailable,
		kerr.KafkaStorageError, kerr.TopicAuthorizationFailed, kerr.UnknownTopicOrPartition}
	doubts    = []*kerr.Error{kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend}
	forgotten = []*kerr.Error{kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch}
)

// Lanes write to partitions that they share, as the engine does: what failed is
// written again. Whatever the broker answers and whenever a write's context ends,
// every partition holds each lane's messages once and in order.
func TestSequencesUnderFaults(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var failed any // rapid ends a run by a panic, which must not cross the bubble
		synctest.Test(t, func(t *testing.T) {
			defer func() { failed = recover() }()
			sequencesUnderFaults(t, rt)
		})
		if failed != nil {
			panic(failed)
		}
	})
}

func sequencesUnderFaults(t *testing.T, rt *rapid.T) {
	c := kafkatest.StartFake(t, kafkatest.Virtual())
	m := &produceModel{t: rt, c: c, topic: c.Topic(t, 2), next: map[int32]int64{},
		p: testProducer(t, c, ProducerConfig{MaxBatch: 200}, func(config *Config) { config.Dial = c.Dial })}
	for range rapid.IntRange(1, 8).Draw(rt, "writes") {
		m.write()
	}
	got := map[int32]map[int32][]int64{0: {}, 1: {}}
	for _, r := range c.Consume(t, m.topic) {
		var lane int32
		var offset int64
		if _, err := fmt.Sscanf(string(r.Value), "%d:%d", &lane, &offset); err != nil {
			rt.Fatal(err)
		}
		got[r.Partition][lane] = append(got[r.Partition][lane], offset)
	}
	for lane, n := range m.next {
		var all []int64
		for partition := range int32(2) {
			if log := got[partition][lane]; !slices.IsSorted(log) {
				rt.Fatalf("lane %d in partition %d: %v", lane, partition, log)
			}
			all = append(all, got[partition][lane]...)
		}
		slices.Sort(all)
		if int64(len(all)) != n || len(slices.Compact(all)) != len(all) {
			rt.Fatalf("lane %d: %d messages written, stored: %v", lane, n, all)
		}
	}
}

type produceModel struct {
	t     *rapid.T
	c     *kafkatest.Cluster
	p     *Producer
	topic string
	next  map[int32]int64 // by lane
}

func (m *produceModel) write() {
	lane := rapid.Int32Range(0, 2).Draw(m.t, "lane")
	msgs := make([]Message, rapid.IntRange(1, 12).Draw(m.t, "messages"))
	for i := range msgs {
		offset := m.next[lane]
		m.next[lane]++
		msgs[i] = Message{
			TopicPartition: TopicPartition{m.topic, rapid.Int32Range(0, 1).Draw(m.t, "partition")},
			Value:          fmt.Appendf(nil, "%d:%d", lane, offset), Time: 1 + offset,
			Origin: Origin{Topic: "in", Partition: lane, Offset: offset},
		}
	}
	remove := m.faults()
	defer remove()
	for try := 0; len(msgs) > 0; try++ {
		if try > 30 {
			m.t.Fatalf("%d messages are still not stored", len(msgs))
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if rapid.IntRange(0, 3).Draw(m.t, "leaves early") == 0 && try < 3 {
			cancel()
			ctx, cancel = context.WithTimeout(context.Background(), time.Duration(rapid.IntRange(0, 3).Draw(m.t, "ms"))*time.Millisecond)
		}
		err := m.p.Produce(ctx, msgs)
		cancel()
		var failed *ProduceError
		if err == nil {
			return
		}
		if !errors.As(err, &failed) {
			m.t.Fatal(err)
		}
		again := make([]Message, 0, len(failed.Failed))
		for _, f := range failed.Failed {
			var refused *RefusedError
			if errors.As(f.Err, &refused) {
				m.t.Fatal(f.Err)
			}
			again = append(again, msgs[f.Index])
		}
		msgs = again
	}
}

// faults puts some in the way of each partition. One that loses track of the producer
// does not go with one that leaves a batch in doubt: a broker that has the batch knows
// the producer.
func (m *produceModel) faults() (remove func()) {
	var handles []*kfake.FaultHandle
	for partition := range int32(2) {
		kinds := append(slices.Clone(refusals), doubts...)
		if rapid.Bool().Draw(m.t, "forgets") {
			kinds = append(slices.Clone(refusals), forgotten...)
		}
		for range rapid.IntRange(0, 3).Draw(m.t, "faults") {
			handles = append(handles, m.c.Fake().Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Produce}, Topic: m.topic, Partitions: []int32{partition},
				Err: rapid.SampledFrom(kinds).Draw(m.t, "fault"), Count: rapid.IntRange(1, 2).Draw(m.t, "count"),
			}))
		}
	}
	return func() {
		for _, h := range handles {
			h.Remove()
		}
	}
}
