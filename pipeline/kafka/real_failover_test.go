//go:build real

package kafka

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// Three brokers; the leader of a partition and the coordinator of a group are killed
// while lanes write and members commit.
func TestBrokersDieUnderLoad(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	real, err := kafkatest.StartReal(ctx, t.TempDir(), kafkatest.RealOptions{Nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer real.Stop()
	c := kafkatest.At(t, real.Addrs()...)
	topic := c.Topic(t, 4)
	client := testClient(t, c)

	config := quick(c, t, topic)
	config.Session, config.Rebalance, config.Watch = 20*time.Second, 30*time.Second, time.Second
	a := follow(t, c, config, false)
	a.untilServing(4)
	b := follow(t, c, config, false)
	a.untilServing(2)
	b.untilServing(2)

	w := &steadyWriters{p: testProducer(t, c, ProducerConfig{Codec: recordbatch.CodecLZ4, Timeout: 3 * time.Second}), topic: topic}
	w.start(t, ctx)
	for range 2 {
		w.advance(t, ctx, 100)
		leader, _, err := client.Leader(ctx, TopicPartition{topic, 0})
		if err != nil {
			t.Fatal(err)
		}
		real.Kill(int(leader))
		begin := time.Now()
		w.advance(t, ctx, 20)
		t.Logf("broker %d, a leader, killed: all lanes write again after %v", leader, time.Since(begin))
		if err := real.Restart(ctx, int(leader)); err != nil {
			t.Fatal(err)
		}
		w.advance(t, ctx, 100)
	}
	coordinator, err := client.Coordinator(ctx, config.Group)
	if err != nil {
		t.Fatal(err)
	}
	real.Kill(int(coordinator))
	begin := time.Now()
	for _, f := range []*follower{a, b} {
		f.mu.Lock()
		tps := sortedPartitions(f.serving)
		f.mu.Unlock()
		for _, tp := range tps {
			if err := f.Commit(ctx, map[TopicPartition]Mark{tp: {Offset: 42, Term: f.termOf(tp)}}); err != nil {
				t.Errorf("committing %v after the coordinator died: %v", tp, err)
			}
		}
	}
	t.Logf("broker %d, the coordinator, killed: commits again after %v; lives %d, %d", coordinator, time.Since(begin), a.Life(), b.Life())
	w.advance(t, ctx, 100)
	w.stop()
	if err := real.Restart(ctx, int(coordinator)); err != nil {
		t.Fatal(err)
	}
	for lane := range w.written {
		wantNumbers(t, values(t, c, topic, int32(lane)), int(w.written[lane].Load()))
	}
}

// steadyWriters write numbers, each to a partition of its own, and the next when the
// one before is stored, as the engine does: a write that ends without an outcome is
// written again.
type steadyWriters struct {
	p       *Producer
	topic   string
	written [4]atomic.Int64
	end     atomic.Bool
	all     sync.WaitGroup
}

func (w *steadyWriters) start(t *testing.T, ctx context.Context) {
	for lane := range int32(len(w.written)) {
		w.all.Go(func() {
			for !w.end.Load() {
				msgs := numbered(w.topic, lane, int(w.written[lane].Load()), 5)
				for {
					one, cancel := context.WithTimeout(ctx, 2*time.Second)
					err := w.p.Produce(one, msgs)
					cancel()
					if err == nil {
						break
					}
					if ctx.Err() != nil {
						t.Error(err)
						return
					}
				}
				w.written[lane].Add(5)
			}
		})
	}
}

// advance waits until each lane has made n more writes.
func (w *steadyWriters) advance(t *testing.T, ctx context.Context, n int64) {
	t.Helper()
	for lane := range w.written {
		for from := w.written[lane].Load(); w.written[lane].Load() < from+5*n; {
			if !sleep(ctx, 5*time.Millisecond) {
				w.stop()
				t.Fatalf("lane %d stands still", lane)
			}
		}
	}
}

func (w *steadyWriters) stop() {
	w.end.Store(true)
	w.all.Wait()
}
