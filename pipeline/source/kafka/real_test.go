//go:build real

package kafkasource

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A pendingTransaction is about to move an offset of a group.
type pendingTransaction struct {
	t  *testing.T
	cl *kgo.Client
	id string
	producer
}

type producer struct {
	id    int64
	epoch int16
}

func beginTransaction(t *testing.T, k *kafkatest.Cluster, group, topic string, partition int32, offset int64) *pendingTransaction {
	t.Helper()
	x := &pendingTransaction{t: t, id: k.Name(t)}
	x.cl = k.Client(t, kgo.TransactionalID(x.id))
	var err error
	if x.producer.id, x.epoch, err = x.cl.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = x.id, x.producer.id, x.epoch, group
	added, err := add.RequestWith(t.Context(), x.cl)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = x.id, x.producer.id, x.epoch, group
	of := kmsg.NewTxnOffsetCommitRequestTopic()
	of.Topic = topic
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = partition, offset
	of.Partitions = append(of.Partitions, p)
	req.Topics = append(req.Topics, of)
	resp, err := req.RequestWith(t.Context(), x.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *pendingTransaction) abort() {
	x.t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = x.id, x.producer.id, x.epoch
	resp, err := req.RequestWith(x.t.Context(), x.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

func TestRealPendingTransactionHoldsNoOtherPartitionBack(t *testing.T) {
	k := kafkatest.Start(t)
	topic, group := k.Topic(t, 4), k.Group(t)
	fill(t, k, topic, 4, 0, 40)
	x := beginTransaction(t, k, group, topic, 1, 5)
	s := groupSettings(k, group, topic)
	a := startRun(t, s)
	a.until("the other partitions are read", func() bool { return len(a.sink.Records()) == 30 })
	b := startRun(t, s)
	b.until("the second member has its part", func() bool {
		return len(a.k.Report().Partitions) == 2 && len(b.k.Report().Partitions) == 2
	})
	x.abort()
	a.until("all is read", func() bool { return len(a.sink.Records())+len(b.sink.Records()) == 40 })
	b.stop()
	a.stop()
	check(t, 40, true, a.sink, b.sink)
}

// The only broker, and so the coordinator, does not answer for longer than a commit may
// take.
func TestRealFrozenCoordinatorIsReported(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	real, err := kafkatest.StartReal(ctx, t.TempDir(), kafkatest.RealOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer real.Stop()
	k := kafkatest.At(t, real.Addrs()...)
	topic, group := k.Topic(t, 2), k.Group(t)
	s := groupSettings(k, group, topic)
	s.Session = 30 * time.Second // it is not thrown out meanwhile
	r := startRun(t, s, func(o *engine.Options) { o.CommitEvery = time.Second })
	committed := func(want int64) func() bool {
		return func() bool { c := k.Committed(t, group)[topic]; return c[0] == want && c[1] == want }
	}
	fill(t, k, topic, 2, 0, 100)
	r.until("the first is committed", committed(50))
	fill(t, k, topic, 2, 100, 100)
	r.has(200)
	real.Freeze(1)
	r.until("the outage is told", func() bool { return len(r.log.named("commit.failed")) > 0 })
	real.Thaw(1)
	if e := r.log.named("commit.failed")[0]; e["error_type"] != "timeout" || e["topic"] != topic {
		t.Error(e)
	}
	r.until("all is committed", committed(100))
	r.stop()
	check(t, 200, true, r.sink)
}
