//go:build real

package kafka

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/internal/cputime"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

const benchRecords = 1_000_000

// BenchmarkP5 compares what a record of 200 bytes costs this process in CPU time,
// fetched and decoded from a real broker: our own loop, franz-go, and kafka-go's
// Reader, one after another in turns, medians.
func BenchmarkP5(b *testing.B) {
	k := kafkatest.Start(b)
	for _, partitions := range []int32{1, 8} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			topic := k.Topic(b, partitions)
			benchFill(b, k, topic, partitions)
			cost := map[string][]float64{}
			for b.Loop() {
				for name, read := range map[string]func(*testing.B, []string, string, int32){
					"own": benchOwn, "own2": benchOwn, "franz": benchFranz, "reader": benchReader,
				} {
					before := cputime.Used()
					read(b, k.Addrs(), topic, partitions)
					cost[name] = append(cost[name], float64(cputime.Used()-before)/benchRecords)
				}
			}
			median := func(name string) float64 {
				slices.Sort(cost[name])
				return cost[name][len(cost[name])/2]
			}
			b.ReportMetric(0, "ns/op")
			for name := range cost {
				b.ReportMetric(median(name), name+"-cpu-ns/rec")
			}
			b.ReportMetric(median("own")/median("franz"), "own/franz")
			b.ReportMetric(median("own")/median("reader"), "own/reader")
			b.ReportMetric(median("own")/median("own2"), "A/A")
		})
	}
}

func benchFill(b *testing.B, k *kafkatest.Cluster, topic string, partitions int32) {
	w := k.Client(b, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(100_000), kgo.ProducerLinger(50*time.Millisecond))
	value := make([]byte, 200)
	for i := range benchRecords {
		w.Produce(context.Background(), &kgo.Record{Value: value, Partition: int32(i) % partitions}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := w.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// reuse keeps one buffer for each partition.
type reuse [][]byte

func (r reuse) get(i, n int) []byte {
	if cap(r[i]) < n {
		r[i] = make([]byte, n)
	}
	return r[i][:n]
}

func benchOwn(b *testing.B, addrs []string, topic string, partitions int32) {
	c, err := NewClient(Config{Brokers: addrs})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	req := &FetchRequest{MaxWait: 500 * time.Millisecond, MinBytes: 1, MaxBytes: 4 << 20, Committed: true}
	for p := range partitions {
		leader, epoch, err := c.Leader(ctx, TopicPartition{topic, p})
		if err != nil {
			b.Fatal(err)
		}
		req.Broker = leader
		req.Partitions = append(req.Partitions, FetchPartition{TopicPartition: TopicPartition{topic, p}, LeaderEpoch: epoch, MaxBytes: 1 << 20})
	}
	buffers := make(reuse, partitions)
	d := &recordbatch.Decoder{Committed: true}
	var answer FetchAnswer
	n, sum := 0, 0
	open := &recordbatch.Decompressor{}
	defer open.Close()
	visit := func(batch *recordbatch.Batch) bool {
		if err := open.Open(batch); err != nil {
			b.Fatal(err)
		}
		var r recordbatch.Record
		for batch.Next(&r) {
			n++
			sum += len(r.Value)
		}
		return true
	}
	for n < benchRecords {
		first := req.Partitions[0]
		copy(req.Partitions, req.Partitions[1:])
		req.Partitions[partitions-1] = first
		if err := c.Fetch(ctx, req, buffers.get, &answer); err != nil {
			b.Fatal(err)
		}
		for _, p := range answer.Partitions {
			res, err := d.Decode(p.Set, req.Partitions[p.Index].Offset, p.Aborted, visit)
			if err != nil {
				b.Fatal(err)
			}
			req.Partitions[p.Index].Offset = res.Next
		}
	}
	if sum != 200*benchRecords {
		b.Fatal(sum)
	}
}

func benchFranz(b *testing.B, addrs []string, topic string, _ int32) {
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxBytes(4<<20), kgo.FetchMaxPartitionBytes(1<<20))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	n, sum := 0, 0
	for n < benchRecords {
		f := c.PollFetches(context.Background())
		f.EachRecord(func(r *kgo.Record) { n++; sum += len(r.Value) })
	}
}

func benchReader(b *testing.B, addrs []string, topic string, partitions int32) {
	done := make(chan error, partitions)
	for p := range int(partitions) {
		go func() {
			r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: addrs, Topic: topic, Partition: p, MinBytes: 1, MaxBytes: 1 << 20})
			for n := 0; n < benchRecords/int(partitions); n++ {
				if _, err := r.FetchMessage(context.Background()); err != nil {
					done <- err
					return
				}
			}
			done <- r.Close()
		}()
	}
	for range partitions {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
