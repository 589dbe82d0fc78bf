package kafka

import (
	"context"
	"sync"
	"testing"

	"github.com/penstockio/penstock/pipeline/internal/cputime"
)

// BenchmarkProduceSmall is four callers with a record at a time, each for a partition of
// its own: what a little load is, and a burst of it.
func BenchmarkProduceSmall(b *testing.B) {
	const calls = 2000
	client, err := NewClient(Config{Brokers: []string{benchBroker(b)}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	p := NewProducer(client, ProducerConfig{})
	defer p.Close()
	value := make([]byte, 200)
	burst := func(partitions int) {
		var wg sync.WaitGroup
		for part := range partitions {
			wg.Go(func() {
				msgs := []Message{{TopicPartition: TopicPartition{"t", int32(part)}, Value: value}}
				if err := p.Produce(context.Background(), msgs); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
	burst(producePartitions)
	for _, size := range []int{1, producePartitions} {
		b.Run(map[int]string{1: "one", producePartitions: "burst"}[size], func(b *testing.B) {
			var used float64
			for b.Loop() {
				before := cputime.Used()
				for range calls {
					burst(size)
				}
				used += float64(cputime.Used() - before)
			}
			b.ReportMetric(used/float64(b.N)/float64(calls*size), "cpu-ns/record")
		})
	}
}
