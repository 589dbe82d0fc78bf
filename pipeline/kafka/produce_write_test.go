package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A countingConn counts the calls of Write.
type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// Each batch of a request is one write, with what stands in front of it, once the link
// has shown that it takes so much.
func TestARequestIsWrittenInAsManyCallsAsItHasBatches(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 4)
	var writes atomic.Int64
	p := testProducer(t, c, ProducerConfig{}, func(config *Config) {
		config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return countingConn{conn, &writes}, err
		}
	})
	msgs := messagesOf(topic, 1, 4, 4*60, 1<<10)
	ctx, sent := soon(t), 0
	for writes.Load() != 4 { // on a busy machine the link may look slow for a while
		if ctx.Err() != nil {
			t.Fatalf("%d calls for a request with 4 batches of 60 KiB", writes.Load())
		}
		writes.Store(0)
		if err := p.Produce(ctx, msgs); err != nil {
			t.Fatal(err)
		}
		sent += len(msgs)
	}
	if got := c.Consume(t, topic); len(got) != sent {
		t.Errorf("%d records, sent %d", len(got), sent)
	}
}

// What stands in front of an attachment is written behind or together with it, whatever
// room there is.
func TestAttachments(t *testing.T) {
	for _, front := range []int{0, 3, 4, 20, 100} {
		for _, n := range []int{0, 5, minAttached - 1, minAttached, minAttached + 9} {
			w, want := &writer{}, []byte{}
			for i := range 3 {
				w.string("something")
				room := make([]byte, front+n)
				for j := range room {
					room[j] = byte(i + j)
				}
				want = append(want, w.b[len(w.b)-11:]...)
				want = append(want, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
				want = append(want, room[front:]...)
				w.attach(room, front)
			}
			w.bool(true)
			want = append(want, 1)
			for range 2 { // a request may be sent again
				var got collected
				if err := w.writeTo(&got); err != nil || string(got) != string(want) || w.size() != len(want) {
					t.Errorf("attachments of %d bytes behind %d: %d bytes of %d, size %d, %v", n, front, len(got), len(want), w.size(), err)
				}
			}
		}
	}
}

type collected []byte

func (c *collected) Write(b []byte) (int, error) {
	*c = append(*c, b...)
	return len(b), nil
}

// A request has batches of several topics, and the answers may come in another order.
func TestBatchesOfSeveralTopics(t *testing.T) {
	c := kafkatest.StartFake(t)
	p := testProducer(t, c, ProducerConfig{})
	var msgs []Message
	topics := make([]string, 5)
	for i := range topics {
		topics[i] = c.Topic(t, 3)
	}
	for i := range 300 {
		msgs = append(msgs, numbered(topics[i%len(topics)], int32(i/len(topics))%3, i, 1)...)
	}
	for range 2 {
		if err := p.Produce(soon(t), msgs); err != nil {
			t.Fatal(err)
		}
	}
	for _, topic := range topics {
		if got := c.Consume(t, topic); len(got) != 2*60 {
			t.Errorf("topic %s has %d records, want 120", topic, len(got))
		}
	}
}

func TestAnswersInAnyOrder(t *testing.T) {
	var batches []*batch
	for _, topic := range []string{"a", "b", "c"} {
		for partition := range int32(3) {
			batches = append(batches, &batch{out: &output{TopicPartition: TopicPartition{topic, partition}}})
		}
	}
	for seed := range uint64(20) {
		order := rand.New(rand.NewPCG(seed, 1)).Perm(len(batches))[:len(batches)-1] // one is left out
		w := &writer{}
		w.array(len(order))
		for _, i := range order {
			w.string(batches[i].out.Topic)
			w.array(1)
			w.int32(batches[i].out.Partition)
			w.int16(int16(100 + i))
			for range 3 {
				w.int64(-1)
			}
		}
		answers := make([]produceAnswer, len(batches))
		if err := readProduceAnswer(w.b, 7, batches, answers); err != nil {
			t.Fatal(err)
		}
		found := 0
		for i, a := range answers {
			if a.found {
				found++
			}
			if a.found && a.code != Error(100+i) {
				t.Errorf("order %v: batch %d has the answer %d", order, i, a.code)
			}
		}
		if found != len(order) {
			t.Error(fmt.Sprint(order), found)
		}
	}
}
