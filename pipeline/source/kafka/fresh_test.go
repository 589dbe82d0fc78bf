package kafkasource

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// withoutLeader makes a partition of a new group's topic one whose first offset nobody
// tells.
func withoutLeader(k *kafkatest.Cluster, topic string, partition int32) *kfake.FaultHandle {
	return k.Fake().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: topic, Partitions: []int32{partition}, Err: kerr.LeaderNotAvailable, Count: -1,
	})
}

func TestKafkaPartitionWithoutLeaderHoldsNoOtherBack(t *testing.T) {
	k := kafkatest.StartFake(t)
	topic := k.Topic(t, 3)
	fill(t, k, topic, 3, 0, 30)
	dead := withoutLeader(k, topic, 1)
	r := startRun(t, groupSettings(k, k.Group(t), topic))
	r.until("the other partitions are read", func() bool { return len(r.sink.Records()) == 20 })
	dead.Remove()
	r.until("all are read once there is a leader", func() bool { return len(r.sink.Records()) == 30 })
	r.stop()
}

func TestKafkaPartitionWithoutLeaderIsGivenBack(t *testing.T) {
	k := kafkatest.StartFake(t)
	topic := k.Topic(t, 2)
	fill(t, k, topic, 2, 0, 20)
	dead := withoutLeader(k, topic, 1)
	s := groupSettings(k, k.Group(t), topic)
	a := startRun(t, s)
	a.until("the first member has joined", func() bool { return dead.Hits() > 0 })
	b := startRun(t, s)
	b.until("the second member has its part", func() bool { return len(b.log.named("source.assigned")) > 0 })
	dead.Remove()
	a.until("all is read", func() bool { return len(a.sink.Records())+len(b.sink.Records()) >= 20 })
	b.stop()
	a.stop()
}

func TestKafkaGapInAPartitionGivenUpStopsNothing(t *testing.T) {
	// The partition was taken away while the broker was asked what there is of it.
	k := &Source{out: make(chan queuedBatch, 1), ctx: t.Context()}
	k.s.OnGap = "stop"
	p := &partition{tp: kafka.TopicPartition{Topic: "flights"}, next: 3, quit: make(chan struct{})}
	p.giveUp()
	k.gap(p, gapDeleted, 5, 10)
	select {
	case item := <-k.out:
		t.Errorf("the source stops: %v", item.err)
	default:
	}
}
