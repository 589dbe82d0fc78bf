//go:build real

package kafkasource

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/connect"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Log-ins end every few seconds under load: nothing of it is seen. No record is lost
// or comes twice, no partition moves, no event says that a broker was away.
func TestLogInsEndUnderLoad(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	real, err := kafkatest.StartReal(ctx, t.TempDir(), kafkatest.RealOptions{Properties: map[string]string{"connections.max.reauth.ms": "4000"}})
	if err != nil {
		t.Fatal(err)
	}
	defer real.Stop()
	k := kafkatest.At(t, real.Addrs()...)
	topic := k.Topic(t, 4)
	// Each renewal opens a connection: how many were opened tells how often it happened.
	counting := func(n *atomic.Int32) kafka.DialFunc {
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			n.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	}
	var reads, writes atomic.Int32
	s := groupSettings(k, k.Group(t), topic)
	s.Brokers = real.ScramAddrs()
	s.TLS = &connect.TLS{CA: settings.Path(real.Certs().CA)}
	s.SASL = &connect.SASL{Mechanism: "scram-sha-512", Username: kafkatest.User, Password: kafkatest.Password}
	r := newTestRun(t, s, Options{Pipeline: "test", Drain: 5 * time.Second, Dial: counting(&reads)})
	r.begin(context.WithCancel(ctx))

	config := r.k.KafkaConfig()
	config.Dial = counting(&writes)
	client, err := kafka.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	producer := kafka.NewProducer(client, kafka.ProducerConfig{})
	defer producer.Close()
	begin := time.Now()
	n := 0
	for reads.Load() < 24 || writes.Load() < 10 {
		msgs := make([]kafka.Message, 40)
		for i := range msgs {
			msgs[i] = kafka.Message{
				TopicPartition: kafka.TopicPartition{Topic: topic, Partition: int32(n % 4)},
				Value:          fmt.Append(nil, n), Time: time.Now().UnixMilli(),
			}
			n++
		}
		if err := producer.Produce(ctx, msgs); err != nil {
			t.Fatal(err)
		}
		r.has(n - 4000) // the reader keeps up
	}
	t.Logf("%d records in %v; %d connections to read, %d to write", n, time.Since(begin).Round(time.Second), reads.Load(), writes.Load())
	r.has(n)
	r.stop()
	check(t, n, true, r.sink)
	for _, name := range []string{"source.disconnected", "source.gap", "commit.failed"} {
		if got := r.log.named(name); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := r.log.named("source.assigned"); len(got) != 1 {
		t.Errorf("assigned %v", got)
	}
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	for _, m := range r.log.all {
		if m["level"] != "info" {
			t.Error(m)
		}
	}
}
