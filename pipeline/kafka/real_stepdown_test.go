//go:build real

package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A leader steps down while a batch waits for its replicas: it answers that it leads no
// more, and its successor has the batch. The lane's write ends before that is found
// out, another lane writes, then the first again. All that is acknowledged is in the
// log, once.
func TestLeaderStepsDownBehindTheAppend(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	real, err := kafkatest.StartReal(ctx, t.TempDir(), kafkatest.RealOptions{
		Nodes: 3, Properties: map[string]string{"broker.session.timeout.ms": "60000"}, // a frozen follower stays in sync
	})
	if err != nil {
		t.Fatal(err)
	}
	defer real.Stop()
	c := kafkatest.At(t, real.Addrs()...)
	for _, n := range []int{1, 2} { // as many records as the first lane's, and more
		t.Run(fmt.Sprint("then ", n), func(t *testing.T) { stepDown(ctx, t, c, real, n) })
	}
}

func stepDown(ctx context.Context, t *testing.T, c *kafkatest.Cluster, real *kafkatest.Real, n int) {
	r := replicasFor(ctx, t, c)
	topic, block := c.Name(t)+".out", c.Name(t)+".block"
	r.create(ctx, t, topic, r.first, r.then, r.frozen)
	r.create(ctx, t, block, r.then, r.first, r.frozen)
	// One request to a broker at a time: behind one that waits for the frozen replica,
	// the batch is not on its way when its caller leaves.
	p := testProducer(t, c, ProducerConfig{InFlight: 1})
	for _, name := range []string{topic, block} {
		if err := p.Produce(ctx, numbered(name, 0, 0, 1)); err != nil {
			t.Fatal(err)
		}
	}
	r.prefer(ctx, t, topic, r.then, r.first, r.frozen)
	before := r.size(ctx, t, r.then, topic)

	real.Freeze(int(r.frozen))
	thaw := func() { real.Thaw(int(r.frozen)) }
	defer thaw()
	blocked := make(chan error, 1)
	go func() { blocked <- p.Produce(ctx, numbered(block, 0, 1, 1)) }()
	write, leave := context.WithCancel(ctx)
	defer leave()
	first := numbered(topic, 0, 1, 1)
	left := make(chan error, 1)
	go func() { left <- p.Produce(write, first) }()
	until(ctx, t, "the other replica has the batch", func() bool { return r.size(ctx, t, r.then, topic) > before })

	r.elect(ctx, t, topic)
	until(ctx, t, "the old leader has answered", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		q := p.outputs[topic][0].queue
		return len(q) > 0 && errors.Is(q[0].last, NotLeaderOrFollower) && p.outputs[topic][0].leader == r.then
	})
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatalf("the first lane's write: %v", err)
	}
	second := numbered(topic, 0, 2, n)
	for i := range second {
		second[i].Origin.Partition = 77
	}
	other := make(chan error, 1)
	go func() { other <- p.Produce(ctx, second) }()
	until(ctx, t, "the other lane has queued", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		q := p.outputs[topic][0].queue
		return len(q) > 0 && q[len(q)-1].call != nil
	})
	thaw()
	for what, done := range map[string]chan error{"the blocking write": blocked, "the other lane's write": other} {
		if err := <-done; err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	if err := p.Produce(ctx, first); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, values(t, c, topic, 0), 2+n)
}

// until waits for a condition.
func until(ctx context.Context, t *testing.T, what string, is func() bool) {
	t.Helper()
	for !is() {
		if !sleep(ctx, 20*time.Millisecond) {
			t.Fatalf("waiting until %s: %v", what, ctx.Err())
		}
	}
}

// A replicated cluster of three, with the part that each broker has: the one that is
// frozen is not the controller, which is needed.
type replicated struct {
	admin               *kadm.Client
	client              *kgo.Client
	first, then, frozen int32
}

func replicasFor(ctx context.Context, t *testing.T, c *kafkatest.Cluster) *replicated {
	client := c.Client(t)
	q := kmsg.NewPtrDescribeQuorumRequest()
	qt := kmsg.NewDescribeQuorumRequestTopic()
	qt.Topic = "__cluster_metadata"
	qt.Partitions = append(qt.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	q.Topics = append(q.Topics, qt)
	quorum, err := q.RequestWith(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	frozen := quorum.Topics[0].Partitions[0].LeaderID%3 + 1
	first := frozen%3 + 1
	return &replicated{admin: kadm.NewClient(client), client: client, frozen: frozen, first: first, then: first%3 + 1}
}

// create makes a topic of one partition with these replicas, the first of which leads.
func (r *replicated) create(ctx context.Context, t *testing.T, topic string, replicas ...int32) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, -1, -1
	a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	a.Replicas = replicas
	rt.ReplicaAssignment = append(rt.ReplicaAssignment, a)
	req.Topics, req.TimeoutMillis = append(req.Topics, rt), 10_000
	resp, err := req.RequestWith(ctx, r.client)
	if err != nil || resp.Topics[0].ErrorCode != 0 {
		t.Fatalf("creating %s: %v, %+v", topic, err, resp)
	}
	r.untilPreferred(ctx, t, topic, replicas[0], replicas[0])
}

// prefer orders a topic's replicas anew; its leader stays.
func (r *replicated) prefer(ctx context.Context, t *testing.T, topic string, replicas ...int32) {
	t.Helper()
	var a kadm.AlterPartitionAssignmentsReq
	a.Assign(topic, 0, replicas)
	if _, err := r.admin.AlterPartitionAssignments(ctx, a); err != nil {
		t.Fatal(err)
	}
	r.untilPreferred(ctx, t, topic, replicas[0], r.first)
}

func (r *replicated) untilPreferred(ctx context.Context, t *testing.T, topic string, preferred, leader int32) {
	t.Helper()
	until(ctx, t, "all replicas of "+topic+" are in sync", func() bool {
		m, err := r.admin.Metadata(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		p := m.Topics[topic].Partitions[0]
		return len(p.Replicas) == 3 && p.Replicas[0] == preferred && p.Leader == leader && len(p.ISR) == 3
	})
}

// elect makes the preferred replica of a topic lead. Like size it asks one broker: the
// frozen one does not answer.
func (r *replicated) elect(ctx context.Context, t *testing.T, topic string) {
	t.Helper()
	req := kmsg.NewPtrElectLeadersRequest()
	rt := kmsg.NewElectLeadersRequestTopic()
	rt.Topic, rt.Partitions = topic, []int32{0}
	req.Topics, req.TimeoutMillis = append(req.Topics, rt), 10_000
	resp, err := r.client.Broker(int(r.first)).Request(ctx, req)
	if err != nil || resp.(*kmsg.ElectLeadersResponse).ErrorCode != 0 {
		t.Fatalf("electing the preferred leader: %v, %+v", err, resp)
	}
}

// size is how many bytes a broker has of a topic.
func (r *replicated) size(ctx context.Context, t *testing.T, broker int32, topic string) (n int64) {
	t.Helper()
	req := kmsg.NewPtrDescribeLogDirsRequest()
	rt := kmsg.NewDescribeLogDirsRequestTopic()
	rt.Topic, rt.Partitions = topic, []int32{0}
	req.Topics = append(req.Topics, rt)
	resp, err := r.client.Broker(int(broker)).Request(ctx, req)
	if err != nil {
		t.Fatalf("asking broker %d how much it has: %v", broker, err)
	}
	for _, dir := range resp.(*kmsg.DescribeLogDirsResponse).Dirs {
		for _, topic := range dir.Topics {
			for _, p := range topic.Partitions {
				n += p.Size
			}
		}
	}
	return n
}
