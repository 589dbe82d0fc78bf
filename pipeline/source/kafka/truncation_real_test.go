//go:build real

package kafkasource

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A replica that is behind is elected, and gets more records than were read of the old
// log: no offset is missing, and yet records are.
func TestKafkaUncleanElectionIsNoSilentSkip(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	real, err := kafkatest.StartReal(ctx, t.TempDir(), kafkatest.RealOptions{Nodes: 3, Heap: "320m", Properties: map[string]string{
		"min.insync.replicas": "1", "offsets.topic.replication.factor": "3", "transaction.state.log.min.isr": "1",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer real.Stop()
	k := kafkatest.At(t, real.Addrs()...)
	topic, group := k.Name(t), k.Group(t)
	admin := k.Admin(t)
	created, err := admin.CreateTopic(ctx, 1, 2, map[string]*string{"min.insync.replicas": kadm.StringPtr("1")}, topic)
	if err != nil || created.Err != nil {
		t.Fatal(err, created.Err)
	}
	replicas := func() (leader int32, others []int32) {
		m, err := admin.Metadata(ctx, topic)
		if err != nil {
			return -1, nil
		}
		p := m.Topics[topic].Partitions[0]
		for _, id := range p.Replicas {
			if id != p.Leader {
				others = append(others, id)
			}
		}
		return p.Leader, others
	}
	s := groupSettings(k, group, topic)
	s.OnGap = "earliest"
	r := startRun(t, s)
	fill(t, k, topic, 1, 0, 10)
	r.has(10)
	leader, others := replicas()
	behind := others[0]
	real.Kill(int(behind))
	fill(t, k, topic, 1, 100, 10) // which the other replica will never get
	r.has(20)
	r.until("it is committed", func() bool { return r.k.Report().Partitions[0].Committed == 20 })
	r.stop() // so that it cannot see the log while it is shorter
	real.Kill(int(leader))
	if err := real.Restart(ctx, int(behind)); err != nil {
		t.Fatal(err)
	}
	for now, _ := replicas(); now != behind; now, _ = replicas() {
		if ctx.Err() != nil {
			t.Fatal("the replica that is behind is not elected")
		}
		_, _ = admin.ElectLeaders(ctx, kadm.ElectLiveReplica, kadm.TopicsSet{topic: {0: {}}})
	}
	fill(t, k, topic, 1, 10, 30) // at offsets 10 to 39
	again := startRun(t, s)
	again.until("the end is read", func() bool {
		recs := again.sink.Records()
		return len(recs) > 0 && recs[len(recs)-1].Offset == 39
	})
	again.stop()
	gaps := again.log.named("source.gap")
	if len(gaps) != 1 || gaps[0]["reason"] != gapTruncated || gaps[0]["offset_to"] != 10.0 || gaps[0]["offset_from"] != 20.0 {
		t.Fatal(gaps)
	}
	if v := again.sink.Values(); len(v) != 30 || string(v[0]) != "10" {
		t.Errorf("%d of 30 records came, from %s on", len(v), v[0])
	}
}
