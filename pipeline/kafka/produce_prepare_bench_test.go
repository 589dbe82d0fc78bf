package kafka

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/penstockio/penstock/pipeline/internal/cputime"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// BenchmarkPrepare is what one Produce of 5,000 records of 200 bytes costs before anything
// is sent, and what it takes to be done with the batches, a record: sorting by partition,
// encoding and the numbers. No broker is asked.
func BenchmarkPrepare(b *testing.B) {
	for _, partitions := range []int32{1, 8, 64} {
		for _, codec := range []recordbatch.Codec{recordbatch.CodecNone, recordbatch.CodecLZ4} {
			b.Run(fmt.Sprintf("%v/%d", codec, partitions), func(b *testing.B) { benchPrepare(b, partitions, codec) })
		}
	}
}

func benchPrepare(b *testing.B, partitions int32, codec recordbatch.Codec) {
	client, err := NewClient(Config{Brokers: []string{"127.0.0.1:9"}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	p := NewProducer(client, ProducerConfig{Codec: codec})
	defer p.Close()
	value, keys := bytes.Repeat([]byte("0123456789"), 20), produceKeys()
	msgs := make([]Message, 5000)
	for i := range msgs {
		key := keys[i*31%len(keys)]
		msgs[i] = Message{
			TopicPartition: TopicPartition{"t", PartitionForKey(key, partitions)}, Key: key, Value: value,
			Time: int64(i), Origin: Origin{Topic: "in", Offset: int64(i)},
		}
	}
	b.ReportAllocs()
	before := cputime.Used()
	for b.Loop() {
		c := p.newCall(msgs)
		if err := p.prepare(c); err != nil {
			b.Fatal(err)
		}
		p.mu.Lock()
		for _, batch := range c.batches {
			p.recycle(batch)
			p.reuseBatch(batch)
		}
		p.mu.Unlock()
		p.endCall(c)
	}
	b.ReportMetric(float64(cputime.Used()-before)/float64(b.N)/float64(len(msgs)), "cpu-ns/record")
}
