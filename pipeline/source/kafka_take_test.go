package source

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka"
)

// A batch that makes no sense is not skipped because the source is to stop within it.
func TestKafkaDoesNotStopBehindACorruptBatch(t *testing.T) {
	s := DefaultKafka()
	s.Brokers, s.Topics = []string{"127.0.0.1:1"}, []string{"flights"}
	k, err := NewKafka(s, KafkaOptions{Pipeline: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer k.cancel()
	batch := kmsg.NewRecordBatch()
	batch.LastOffsetDelta, batch.NumRecords, batch.Magic = 3, 4, 2
	batch.Records = append([]byte{12, 0, 0, 0, 1, 0, 0}, make([]byte, 200)...) // one good record
	batch.Length = int32(49 + len(batch.Records))
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))

	p := &kafkaPartition{tp: kafka.TopicPartition{Topic: "flights"}, quit: make(chan struct{})}
	one := set{l: &fetchLoop{k: k}, p: p, q: &polled{part: p}, raw: raw, bound: 2}
	one.decode(&kafka.FetchedPartition{Set: raw})
	if p.next != 0 {
		t.Errorf("it goes on at %d: records are skipped", p.next)
	}
	select {
	case item := <-k.out:
		if item.err == nil || !strings.Contains(item.err.Error(), "on_corrupt") {
			t.Errorf("%+v", item)
		}
	default:
		t.Error("nobody is told")
	}
}
