package kafkatest

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

type cluster struct{ m *testing.M }

func (c cluster) Run() int { return RunMain(c.m) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(cluster{m}) }

func TestRefereeReadsWhatItWrote(t *testing.T) {
	c := Start(t)
	topic := c.Topic(t, 2)
	if got := c.Consume(t, topic); len(got) != 0 {
		t.Fatalf("a new topic has %d records", len(got))
	}
	c.Produce(t, topic, &kgo.Record{Partition: 1, Value: []byte("b")},
		&kgo.Record{Partition: 0, Value: []byte("a")}, &kgo.Record{Partition: 1, Value: []byte("c")})
	for _, got := range [][]*kgo.Record{c.Consume(t, topic), c.ConsumeN(t, topic, 3)} {
		if len(got) != 3 || string(got[0].Value) != "a" || string(got[1].Value) != "b" || string(got[2].Value) != "c" {
			t.Fatalf("read %v", got)
		}
	}
	c.AddPartitions(t, topic, 4)
	if got := c.Committed(t, c.Group(t)); len(got) != 0 {
		t.Fatalf("a group that never was has offsets: %v", got)
	}
}

func TestEmbeddedBrokerHasItsTopics(t *testing.T) {
	b, err := Embedded(Settings{Topics: map[string]int32{"flights": 4}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.CreateTopic("flights", 4); err != nil {
		t.Errorf("creating a topic again: %v", err)
	}
	c := &Cluster{addrs: b.Addrs()}
	t.Cleanup(c.close)
	c.Produce(t, "flights", &kgo.Record{Partition: 3, Value: []byte("x")})
	if got := c.Consume(t, "flights"); len(got) != 1 || got[0].Partition != 3 {
		t.Errorf("read %v", got)
	}
}
