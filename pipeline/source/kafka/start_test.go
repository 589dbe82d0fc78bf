package kafkasource

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// latest are settings of a group that begins at the end.
func latest(k *kafkatest.Cluster, group string, topics ...string) Settings {
	s := groupSettings(k, group, topics...)
	s.Start = "latest"
	return s
}

// serves waits until a run reads n partitions.
func (r *testRun) serves(n int) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d partitions are read", n), func() bool {
		read := 0
		for _, p := range r.k.Report().Partitions {
			if p.Fetched >= 0 && r.opened(p.Partition, p.Topic) {
				read++
			}
		}
		return read == n
	})
}

// opened says whether a partition has a lane.
func (r *testRun) opened(partition int32, topic string) bool {
	r.k.mu.Lock()
	defer r.k.mu.Unlock()
	for tp, p := range r.k.parts {
		if tp.Topic == topic && tp.Partition == partition {
			return p.currentLane() != nil
		}
	}
	return false
}

func into(t *testing.T, k *kafkatest.Cluster, topic string, partition int32, first, n int) {
	t.Helper()
	recs := make([]*kgo.Record, n)
	for i := range recs {
		recs[i] = &kgo.Record{Partition: partition, Value: fmt.Appendf(nil, "%d", first+i)}
	}
	k.Produce(t, topic, recs...)
}

func TestKafkaPartitionThatComesLaterIsReadFromItsStart(t *testing.T) {
	k := kafkatest.Start(t)
	topic, group := k.Topic(t, 1), k.Group(t)
	into(t, k, topic, 0, 1000, 10) // before the group was there
	s := latest(k, group, topic)
	a := startRun(t, s)
	a.serves(1)
	into(t, k, topic, 0, 0, 10)
	a.has(10)
	k.AddPartitions(t, topic, 2)
	into(t, k, topic, 1, 10, 10) // before the group has noticed it
	a.has(20)
	a.stop()
	k.AddPartitions(t, topic, 3)
	into(t, k, topic, 2, 20, 10)
	into(t, k, topic, 0, 30, 10)
	b := startRun(t, s)
	b.has(20)
	b.stop()
	check(t, 40, true, a.sink, b.sink)
	if at := k.Committed(t, group)[topic]; at[0] != 30 || at[1] != 10 || at[2] != 10 {
		t.Errorf("committed %v", at)
	}
}

func TestKafkaMembersThatBeginTogetherSettleTheStartOnce(t *testing.T) {
	k := kafkatest.Start(t)
	topic, group := k.Topic(t, 4), k.Group(t)
	fill(t, k, topic, 4, 1000, 100)
	s := latest(k, group, topic)
	a, b := startRun(t, s), startRun(t, s)
	a.serves(2)
	b.serves(2)
	for p, at := range k.Committed(t, group)[topic] {
		if at != 25 {
			t.Errorf("partition %d begins at %d, not at 25", p, at)
		}
	}
	fill(t, k, topic, 4, 0, 100)
	a.until("all is read", func() bool { return len(a.sink.Records())+len(b.sink.Records()) >= 100 })
	a.stop()
	b.stop()
	check(t, 100, true, a.sink, b.sink)
}

func TestKafkaReadsNothingBeforeItsStartIsStored(t *testing.T) {
	k := kafkatest.StartFake(t)
	topic, group := k.Topic(t, 2), k.Group(t)
	fill(t, k, topic, 2, 1000, 10)
	out := k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Err: kerr.CoordinatorNotAvailable, Count: -1})
	r := startRun(t, latest(k, group, topic))
	r.until("storing it has been tried", func() bool { return out.Hits() > 1 })
	fill(t, k, topic, 2, 0, 10)
	r.until("it is reported and tried again", func() bool { return out.Hits() > 8 && r.log.has("beginning to read") })
	if n := len(r.sink.Records()); n > 0 {
		t.Errorf("%d records were read before the start was stored", n)
	}
	out.Remove()
	r.has(10) // what was written since the first try
	r.stop()
	check(t, 10, true, r.sink)
}
