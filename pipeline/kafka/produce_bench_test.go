package kafka

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/internal/cputime"
)

// benchBrokerEnv makes the test binary a broker that forgets what it is sent, so that
// a benchmark's own CPU time is that of the client alone. It ends with its input.
const benchBrokerEnv = "PENSTOCK_BENCH_BROKER"

func serveBenchBroker() int {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(producePartitions, "t"), kfake.BlackholeProduce())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer c.Close()
	fmt.Println(c.ListenAddrs()[0])
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func benchBroker(b *testing.B) string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), benchBrokerEnv+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

const (
	producePartitions = 4
	produceLanes      = 4
	producedRecords   = 400_000
	produceRounds     = 5
)

func produceKeys() [][]byte {
	keys := make([][]byte, 300)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "K%02d", i)
	}
	return keys
}

// lanes runs f for each lane's first record and number of records.
func lanes(f func(lane, records int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, produceLanes)
	for lane := range produceLanes {
		wg.Go(func() { errs[lane] = f(lane, producedRecords/produceLanes) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func produceByUs(addr string, keys [][]byte, value []byte) error {
	client, err := NewClient(Config{Brokers: []string{addr}})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	p := NewProducer(client, ProducerConfig{})
	defer p.Close()
	return lanes(func(lane, records int) error {
		msgs := make([]Message, 1000)
		for n := 0; n < records; n += len(msgs) {
			for i := range msgs {
				key := keys[(n+i*31)%len(keys)]
				msgs[i] = Message{
					TopicPartition: TopicPartition{"t", PartitionForKey(key, producePartitions)}, Key: key, Value: value,
					Time: int64(n + i), Origin: Origin{Topic: "in", Partition: int32(lane), Offset: int64(n + i)},
				}
			}
			if err := p.Produce(context.Background(), msgs); err != nil {
				return err
			}
		}
		return nil
	})
}

func produceByFranz(addr string, keys [][]byte, value []byte) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(20_000))
	if err != nil {
		return err
	}
	defer cl.Close()
	var once sync.Once
	var failed error
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			once.Do(func() { failed = err })
		}
	}
	if err := lanes(func(_, records int) error {
		for n := range records {
			cl.Produce(context.Background(), &kgo.Record{Topic: "t", Key: keys[(n*31)%len(keys)], Value: value, Timestamp: time.UnixMilli(int64(n))}, promise)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := cl.Flush(context.Background()); err != nil {
		return err
	}
	return failed
}

func produceByWriter(addr string, keys [][]byte, value []byte) error {
	transport := &kafkago.Transport{}
	defer transport.CloseIdleConnections()
	w := &kafkago.Writer{Addr: kafkago.TCP(addr), Topic: "t", Balancer: kafkago.Murmur2Balancer{}, Transport: transport,
		BatchSize: 4000, BatchBytes: 1 << 20, BatchTimeout: 5 * time.Millisecond, RequiredAcks: kafkago.RequireAll}
	defer func() { _ = w.Close() }()
	return lanes(func(_, records int) error {
		msgs := make([]kafkago.Message, 4000)
		for n := 0; n < records; n += len(msgs) {
			for i := range msgs {
				msgs[i] = kafkago.Message{Key: keys[(n+i*31)%len(keys)], Value: value}
			}
			if err := w.WriteMessages(context.Background(), msgs...); err != nil {
				return err
			}
		}
		return nil
	})
}

// BenchmarkProduce is P6: CPU of the client for a record of 200 bytes, produced
// idempotently to four partitions by four lanes, beside franz-go (target: at most half)
// and kafka-go's Writer (at most 0.35), which is not idempotent.
func BenchmarkProduce(b *testing.B) {
	addr, keys, value := benchBroker(b), produceKeys(), []byte(strings.Repeat("0123456789", 20))
	kinds := []struct {
		name string
		run  func(string, [][]byte, []byte) error
	}{{"ours", produceByUs}, {"control", produceByUs}, {"franz", produceByFranz}, {"writer", produceByWriter}}
	for range b.N {
		used := make([][]float64, len(kinds))
		for range produceRounds {
			for i, k := range kinds {
				before := cputime.Used()
				if err := k.run(addr, keys, value); err != nil {
					b.Fatal(err)
				}
				used[i] = append(used[i], float64(cputime.Used()-before)/producedRecords)
			}
		}
		median := make([]float64, len(kinds))
		for i := range used {
			slices.Sort(used[i])
			median[i] = used[i][produceRounds/2]
			b.ReportMetric(median[i], kinds[i].name+"-cpu-ns/record")
		}
		b.ReportMetric(median[0]/median[1], "x-control")
		b.ReportMetric(median[0]/median[2], "x-franz")
		b.ReportMetric(median[0]/median[3], "x-writer")
		if median[0] > 0.5*median[2] || median[0] > 0.35*median[3] {
			b.Errorf("P6 is missed: %.0f ns a record, franz-go %.0f, Writer %.0f", median[0], median[2], median[3])
		}
	}
}
