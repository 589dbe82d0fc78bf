package kafka

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

func TestCreateTopicsWaitsForEveryBroker(t *testing.T) {
	k := kafkatest.Start(t, kafkatest.Brokers(3))
	c := client(t, k.Addrs())
	a, b := k.Name(t), k.Name(t)
	topics := []NewTopic{{Name: a, Partitions: 3, Replicas: 1, Config: map[string]string{"retention.ms": "3600000"}}, {Name: b, Partitions: 1}}
	for range 2 { // those that exist are no error
		if err := c.CreateTopics(deadline(t), topics...); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := c.Partitions(deadline(t), a); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	err := c.CreateTopics(deadline(t), NewTopic{Name: a + "x", Partitions: 1, Replicas: 99})
	if !errors.Is(err, Error(38)) || !strings.Contains(err.Error(), "creating topic "+a+"x") {
		t.Fatal(err)
	}
}

func TestListOffsets(t *testing.T) {
	k := kafkatest.Start(t, kafkatest.Brokers(3))
	c := client(t, k.Addrs())
	topic := k.Topic(t, 3)
	now := time.Now().UnixMilli()
	for i := range int64(10) {
		k.Produce(t, topic, &kgo.Record{Partition: 1, Value: []byte("x"), Timestamp: time.UnixMilli(now - 10000 + i*1000)})
	}
	for at, want := range map[int64]int64{Earliest: 0, Latest: 10, now - 6500: 4, now + 60000: -1} {
		got, err := c.ListOffsets(deadline(t), map[TopicPartition]int64{{topic, 1}: at, {topic, 0}: Latest, {topic, 2}: Earliest}, true)
		if err != nil || got[TopicPartition{topic, 1}] != want || len(got) != 3 {
			t.Errorf("at %d: %v %v", at, got, err)
		}
	}
	if _, err := c.ListOffsets(deadline(t), nil, true); err != nil {
		t.Fatal(err)
	}
}

func TestLag(t *testing.T) {
	k := kafkatest.Start(t, kafkatest.Brokers(2))
	c := client(t, k.Addrs())
	topic, group := k.Topic(t, 2), k.Group(t)
	for range 7 {
		k.Produce(t, topic, &kgo.Record{Partition: 0, Value: []byte("x")})
	}
	k.Produce(t, topic, &kgo.Record{Partition: 1, Value: []byte("x")})
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 3, -1)
	if err := k.Admin(t).CommitAllOffsets(deadline(t), group, offsets); err != nil {
		t.Fatal(err)
	}
	lag, err := c.Lag(deadline(t), group, []string{topic}, true)
	if err != nil || len(lag) != 2 || lag[0] != (PartitionLag{TopicPartition{topic, 0}, 3, 0, 7, 4, 0, ""}) || lag[1] != (PartitionLag{TopicPartition{topic, 1}, -1, 0, 1, 1, 0, ""}) {
		t.Fatal(lag, err)
	}
	if lag, err = c.Lag(deadline(t), group, nil, true); err != nil || len(lag) != 1 || lag[0].Lag != 4 {
		t.Fatal(lag, err)
	}
}

// A transaction that hangs: what is behind its start is there, and held back.
func TestLagShowsWhatATransactionHoldsBack(t *testing.T) {
	k := kafkatest.Start(t)
	c := client(t, k.Addrs())
	topic, group := k.Topic(t, 1), k.Group(t)
	k.Produce(t, topic, &kgo.Record{Value: []byte("x")})
	w := k.Client(t, kgo.TransactionalID(group), kgo.DefaultProduceTopic(topic))
	if err := w.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := w.ProduceSync(deadline(t), &kgo.Record{Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 1, -1)
	if err := k.Admin(t).CommitAllOffsets(deadline(t), group, offsets); err != nil {
		t.Fatal(err)
	}
	lag, err := c.Lag(deadline(t), group, []string{topic}, true)
	if err != nil || lag[0] != (PartitionLag{TopicPartition{topic, 0}, 1, 0, 4, 3, 3, ""}) {
		t.Error(lag, err)
	}
	if lag, err = c.Lag(deadline(t), group, []string{topic}, false); err != nil || lag[0].Lag != 3 || lag[0].Held != 0 {
		t.Error("uncommitted:", lag, err)
	}
	if err := w.EndTransaction(deadline(t), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	for ctx := deadline(t); ; { // the broker answers before the end stands in the log
		if lag, err = c.Lag(ctx, group, []string{topic}, true); err != nil {
			t.Fatal("after the end:", lag, err)
		}
		if lag[0].Held == 0 {
			break
		}
	}
}

func TestListOffsetsWantsEveryPartitionAnswered(t *testing.T) {
	k := kafkatest.StartFake(t)
	c := client(t, k.Addrs())
	topic := k.Topic(t, 1)
	k.Fake().ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		return req.ResponseKind(), nil, true // of no partition
	})
	got, err := c.ListOffsets(deadline(t), map[TopicPartition]int64{{topic, 0}: Latest}, false)
	if err == nil || !strings.Contains(err.Error(), topic) {
		t.Errorf("an answer without the partition: %v %v", got, err)
	}
}
