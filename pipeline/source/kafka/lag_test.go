package kafkasource

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

func TestKafkaReportsWhatAHangingTransactionHoldsBack(t *testing.T) {
	k := kafkatest.Start(t)
	topic, group := k.Topic(t, 1), k.Group(t)
	into(t, k, topic, 0, 0, 2)
	w := k.Client(t, kgo.TransactionalID(group), kgo.DefaultProduceTopic(topic))
	if err := w.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := w.ProduceSync(t.Context(), &kgo.Record{Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	r := startRun(t, groupSettings(k, group, topic))
	r.has(2)
	r.until("what is held back is told as lag", func() bool {
		p := r.k.Report().Partitions[0]
		return p.Committed == 2 && p.Lag() == 3 && p.Held == 3
	})
	if err := w.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	r.has(5)
	r.until("nothing is held back", func() bool { return r.k.Report().Partitions[0].Held == 0 })
	r.stop()
}
