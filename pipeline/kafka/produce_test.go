package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// testProducer gives a producer on a client of its own; change may alter the client's
// configuration.
func testProducer(t kafkatest.T, c *kafkatest.Cluster, config ProducerConfig, change ...func(*Config)) *Producer {
	t.Helper()
	var l ledger
	if config.Account == nil {
		config.Account = l.add
	}
	p := NewProducer(testClient(t, c, change...), config)
	t.Cleanup(func() {
		p.Close()
		l.closed(t)
	})
	return p
}

func testClient(t kafkatest.T, c *kafkatest.Cluster, change ...func(*Config)) *Client {
	t.Helper()
	config := Config{Brokers: c.Addrs()}
	for _, f := range change {
		f(&config)
	}
	client, err := NewClient(config)
	if err != nil {
		t.Fatalf("making a client: %v", err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Fatalf("%v", err)
		}
	})
	return client
}

// soon bounds what a test waits for.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// numbered gives n messages for a partition whose values are their numbers from from.
func numbered(topic string, partition int32, from, n int) []Message {
	msgs := make([]Message, n)
	for i := range msgs {
		msgs[i] = Message{
			TopicPartition: TopicPartition{topic, partition},
			Value:          fmt.Appendf(nil, "%06d", from+i), Time: time.Now().UnixMilli(),
			Origin: Origin{Topic: "from", Partition: partition, Offset: int64(from + i)},
		}
	}
	return msgs
}

// values gives the values in a partition.
func values(t testing.TB, c *kafkatest.Cluster, topic string, partition int32) []string {
	t.Helper()
	var out []string
	for _, r := range c.Consume(t, topic) {
		if r.Partition == partition {
			out = append(out, string(r.Value))
		}
	}
	return out
}

func wantNumbers(t testing.TB, got []string, n int) {
	t.Helper()
	for i := range max(len(got), n) {
		if i >= len(got) || i >= n || got[i] != fmt.Sprintf("%06d", i) {
			t.Fatalf("%d records, want %d; the first difference is at %d: %v", len(got), n, i, got[max(i-1, 0):min(i+3, len(got))])
		}
	}
}

func TestProducedRecordsReadBackEqual(t *testing.T) {
	c := kafkatest.Start(t)
	for codec, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(name, func(t *testing.T) {
			topic := c.Topic(t, 3)
			p := testProducer(t, c, ProducerConfig{Codec: recordbatch.Codec(codec), MaxBatch: 4000})
			msgs := randomMessages(rand.New(rand.NewPCG(5, uint64(codec))), 300)
			var sent [3][]*Message
			for i := range msgs {
				msgs[i].TopicPartition = TopicPartition{topic, int32(i*7%13) % 3}
				sent[msgs[i].Partition] = append(sent[msgs[i].Partition], &msgs[i])
			}
			if err := p.Produce(soon(t), msgs); err != nil {
				t.Fatal(err)
			}
			got := c.Consume(t, topic)
			if len(got) != len(msgs) {
				t.Fatalf("%d records, sent %d", len(got), len(msgs))
			}
			for _, r := range got {
				sameMessage(t, sent[r.Partition][0], r)
				sent[r.Partition] = sent[r.Partition][1:]
			}
		})
	}
}

func TestMessageWithoutTimeGetsNow(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 1)
	p := testProducer(t, c, ProducerConfig{})
	m := numbered(topic, 0, 0, 1)
	m[0].Time = noTime
	before := time.Now().Truncate(time.Millisecond)
	if err := p.Produce(soon(t), m); err != nil {
		t.Fatal(err)
	}
	if at := c.Consume(t, topic)[0].Timestamp; at.Before(before) || at.After(time.Now()) {
		t.Errorf("time %v, sent at %v", at, before)
	}
}

// A deafConn loses the answer to the next produce request after the broker has given
// it, when armed.
type deafConn struct {
	net.Conn
	armed   *atomic.Bool
	produce bool
}

func (c *deafConn) Write(b []byte) (int, error) {
	if len(b) > 6 && b[4] == 0 && b[5] == 0 && c.armed.CompareAndSwap(true, false) {
		c.produce = true
	}
	return c.Conn.Write(b)
}

func (c *deafConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.produce && err == nil {
		_ = c.Close()
		return 0, errors.New("the answer is lost")
	}
	return n, err
}

func deaf(armed *atomic.Bool) func(*Config) {
	return func(config *Config) {
		config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &deafConn{Conn: conn, armed: armed}, nil
		}
	}
}

func TestLostAnswerGivesNoDuplicate(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 1)
	var armed atomic.Bool
	p := testProducer(t, c, ProducerConfig{}, deaf(&armed))
	for i := range 5 {
		armed.Store(true)
		if err := p.Produce(soon(t), numbered(topic, 0, i*10, 10)); err != nil {
			t.Fatal(err)
		}
		if armed.Load() {
			t.Fatal("no answer was lost")
		}
	}
	wantNumbers(t, values(t, c, topic, 0), 50)
}

func TestLeaderMovesUnderLoad(t *testing.T) {
	c := kafkatest.StartFake(t, kafkatest.Brokers(3))
	topic := c.Topic(t, 4)
	p := testProducer(t, c, ProducerConfig{})
	ctx := soon(t)
	var wg sync.WaitGroup
	for lane := range int32(4) {
		wg.Go(func() {
			for i := range 40 {
				if i%10 == 5 {
					c.Fake().ShufflePartitionLeaders()
				}
				if err := p.Produce(ctx, numbered(topic, lane, i*5, 5)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for lane := range int32(4) {
		wantNumbers(t, values(t, c, topic, lane), 200)
	}
}

func TestTooLargeRecordIsRefusedAlone(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 1, "max.message.bytes=2000")
	p := testProducer(t, c, ProducerConfig{})
	msgs := numbered(topic, 0, 0, 100)
	for _, i := range []int{0, 41, 42, 99} {
		msgs[i].Value = bytes.Repeat([]byte("x"), 3000)
	}
	err := p.Produce(soon(t), msgs)
	var failed *ProduceError
	if !errors.As(err, &failed) || len(failed.Failed) != 4 {
		t.Fatalf("producing: %v", err)
	}
	for i, at := range []int{0, 41, 42, 99} {
		var refused *RefusedError
		if f := failed.Failed[i]; f.Index != at || !errors.As(f.Err, &refused) || refused.Reason != RefusedTooLarge {
			t.Errorf("failure %d: %v", i, failed.Failed[i])
		}
	}
	got := values(t, c, topic, 0)
	want := 0
	for i := range 100 {
		if len(msgs[i].Value) > 6 {
			continue
		}
		if want >= len(got) || got[want] != string(msgs[i].Value) {
			t.Fatalf("%d records; record %d is missing or out of order", len(got), i)
		}
		want++
	}
	if len(got) != want {
		t.Errorf("%d records, want %d", len(got), want)
	}
}

func TestRecordRefusedByIndex(t *testing.T) {
	// A record without a key on a compacted topic is what a real broker refuses by
	// index; kfake takes it, so its answer is made by hand.
	c := kafkatest.Start(t)
	topic := c.Topic(t, 1, "cleanup.policy=compact")
	if fake := c.Fake(); fake != nil {
		fake.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			resp := req.ResponseKind().(*kmsg.ProduceResponse)
			rt, rp := kmsg.NewProduceResponseTopic(), kmsg.NewProduceResponseTopicPartition()
			rt.Topic, rp.ErrorCode = topic, kerr.InvalidRecord.Code
			for _, i := range []int32{3, 5} {
				r := kmsg.NewProduceResponseTopicPartitionErrorRecord()
				r.RelativeOffset = i
				rp.ErrorRecords = append(rp.ErrorRecords, r)
			}
			rt.Partitions = append(rt.Partitions, rp)
			resp.Topics = append(resp.Topics, rt)
			return resp, nil, true
		})
	}
	p := testProducer(t, c, ProducerConfig{})
	msgs := numbered(topic, 0, 0, 8)
	for i := range msgs {
		if i != 3 && i != 5 {
			msgs[i].Key = []byte{byte('a' + i)}
		}
	}
	err := p.Produce(soon(t), msgs)
	var failed *ProduceError
	var refused *RefusedError
	if !errors.As(err, &failed) || len(failed.Failed) != 2 || failed.Failed[0].Index != 3 || failed.Failed[1].Index != 5 ||
		!errors.As(failed.Failed[1].Err, &refused) || refused.Reason != RefusedInvalid {
		t.Fatalf("producing: %v", err)
	}
	if got := values(t, c, topic, 0); fmt.Sprint(got) != "[000000 000001 000002 000004 000006 000007]" {
		t.Errorf("stored %v", got)
	}
}

// holdProduce makes kfake leave the next produce request alone until release is called.
func holdProduce(c *kafkatest.Cluster) (arrived <-chan struct{}, release func()) {
	in, out := make(chan struct{}), make(chan struct{})
	fake := c.Fake()
	first := true
	fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.DropControl()
		if !first {
			return nil, nil, false
		}
		first = false
		fake.SleepControl(func() { close(in); <-out })
		return nil, nil, false
	})
	return in, sync.OnceFunc(func() { close(out) })
}

func TestWriteAgainAfterItsContextEnded(t *testing.T) {
	for name, again := range map[string]struct {
		first, from, n int // the second call sends n from from
		release        bool
	}{
		"while it is under way":       {10, 0, 10, false},
		"after it was stored":         {10, 0, 10, true},
		"with more behind it":         {10, 0, 30, false},
		"stored, with more behind it": {10, 0, 30, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := kafkatest.StartFake(t)
			topic := c.Topic(t, 1)
			p := testProducer(t, c, ProducerConfig{})
			arrived, release := holdProduce(c)
			ctx, cancel := context.WithCancel(soon(t))
			go func() { <-arrived; cancel() }()
			first := numbered(topic, 0, 0, again.first)
			err := p.Produce(ctx, first)
			var failed *ProduceError
			if !errors.As(err, &failed) || len(failed.Failed) != again.first || !errors.Is(err, context.Canceled) {
				t.Fatalf("producing until the context ended: %v", err)
			}
			second := numbered(topic, 0, again.from, again.n)
			for i := range first {
				second[i].Time = first[i].Time
			}
			if again.release {
				release()
				p.waitIdle(t)
			} else {
				time.AfterFunc(time.Millisecond, release)
			}
			if err := p.Produce(soon(t), second); err != nil {
				t.Fatal(err)
			}
			wantNumbers(t, values(t, c, topic, 0), again.n)
		})
	}
}

// waitIdle waits until no output has a batch.
func (p *Producer) waitIdle(t testing.TB) {
	t.Helper()
	ctx := soon(t)
	for {
		p.mu.Lock()
		n := 0
		for o := range p.all() {
			n += len(o.queue)
		}
		p.mu.Unlock()
		if n == 0 {
			return
		}
		if !sleep(ctx, time.Millisecond) {
			t.Fatal("batches are still there")
		}
	}
}

func TestOtherLanesWaitForAnUnknownOutcome(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 1)
	p := testProducer(t, c, ProducerConfig{})
	arrived, release := holdProduce(c)
	ctx, cancel := context.WithCancel(soon(t))
	go func() { <-arrived; cancel() }()
	if err := p.Produce(ctx, numbered(topic, 0, 0, 10)); err == nil {
		t.Fatal("no error")
	}
	other := numbered(topic, 0, 10, 5)
	for i := range other {
		other[i].Origin.Partition = 77
	}
	done := make(chan error, 1)
	go func() { done <- p.Produce(soon(t), other) }()
	p.mu.Lock()
	for o := p.outputs[topic][0]; len(o.queue) < 2; {
		p.mu.Unlock()
		sleep(ctx, time.Millisecond)
		p.mu.Lock()
	}
	p.mu.Unlock()
	select {
	case err := <-done:
		t.Fatalf("the other lane did not wait: %v", err)
	default:
	}
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, values(t, c, topic, 0), 15)
}

func TestNothingIsSentAfterTheContextEndedInTheQueue(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 1)
	p := testProducer(t, c, ProducerConfig{})
	arrived, release := holdProduce(c)
	done := make(chan error, 1)
	go func() { done <- p.Produce(soon(t), numbered(topic, 0, 0, 10)) }()
	<-arrived
	ctx, cancel := context.WithCancel(soon(t))
	cancel()
	other := numbered(topic, 0, 500, 5)
	for i := range other {
		other[i].Origin.Partition = 77
	}
	if err := p.Produce(ctx, other); !errors.Is(err, context.Canceled) {
		t.Fatalf("producing with an ended context: %v", err)
	}
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := p.Produce(soon(t), numbered(topic, 0, 10, 1)); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, values(t, c, topic, 0), 11)
}

func TestSlowPartitionStopsNoOther(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 2)
	p := testProducer(t, c, ProducerConfig{})
	arrived, release := holdProduce(c)
	defer release()
	done := make(chan error, 1)
	go func() { done <- p.Produce(soon(t), numbered(topic, 0, 0, 10)) }()
	<-arrived
	for i := range 20 {
		if err := p.Produce(soon(t), numbered(topic, 1, i, 1)); err != nil {
			t.Fatal(err)
		}
	}
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, values(t, c, topic, 1), 20)
}

func TestNothingIsStoredBehindAFailedBatch(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 2)
	p := testProducer(t, c, ProducerConfig{MaxBatch: 500})
	denied := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Partitions: []int32{0}, Err: kerr.TopicAuthorizationFailed})
	msgs := numbered(topic, 0, 0, 100)
	for i := 1; i < 100; i += 2 {
		msgs[i].Partition = 1
	}
	err := p.Produce(soon(t), msgs)
	var failed *ProduceError
	if !errors.As(err, &failed) || !errors.Is(err, TopicAuthorizationFailed) || denied.Hits() != 1 {
		t.Fatalf("producing where it is not allowed: %v", err)
	}
	if len(failed.Failed) != 50 || failed.Failed[49].Index != 98 || !errors.Is(failed.Failed[49].Err, errHeldBack) {
		t.Errorf("%d messages listed: %v", len(failed.Failed), failed.Failed)
	}
	if a, b := len(values(t, c, topic, 0)), len(values(t, c, topic, 1)); a != 0 || b != 50 {
		t.Errorf("%d and %d records stored", a, b)
	}
}

func TestLostSequencesTakeAnotherProducerID(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch} {
		t.Run(e.Message, func(t *testing.T) {
			c := kafkatest.StartFake(t)
			topic := c.Topic(t, 2)
			p := testProducer(t, c, ProducerConfig{})
			send := func(from int) {
				t.Helper()
				if err := p.Produce(soon(t), append(numbered(topic, 0, from, 5), numbered(topic, 1, from, 5)...)); err != nil {
					t.Fatal(err)
				}
			}
			send(0)
			before := p.id
			c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Partitions: []int32{1}, Err: e})
			send(5)
			send(10)
			if p.id == before {
				t.Error("the producer id is the same")
			}
			if a := p.outputs[topic][0]; a.id != before {
				t.Error("the partition without trouble has another id")
			}
			wantNumbers(t, values(t, c, topic, 0), 15)
			wantNumbers(t, values(t, c, topic, 1), 15)
		})
	}
}

func TestProducerIDIsAskedForUntilThereIsOne(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 1)
	p := testProducer(t, c, ProducerConfig{})
	f := c.Fake().Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorLoadInProgress, Count: 2},
		kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorNotAvailable},
	)
	if err := p.Produce(soon(t), numbered(topic, 0, 0, 5)); err != nil {
		t.Fatal(err)
	}
	if f.Hits() != 3 {
		t.Errorf("%d answers without an id", f.Hits())
	}
	wantNumbers(t, values(t, c, topic, 0), 5)
}

func TestUnknownTopicFailsWhenTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.StartFake(t, virtual(1)...)
		p := testProducer(t, c, ProducerConfig{}, func(config *Config) { config.Dial = c.Dial })
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		err := p.Produce(ctx, numbered("nowhere", 0, 0, 2))
		if !errors.Is(err, UnknownTopicOrPartition) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("producing to a topic that is not there: %v", err)
		}
	})
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 1)
	p := testProducer(t, c, ProducerConfig{})
	arrived, release := holdProduce(c)
	defer release()
	done := make(chan error, 1)
	go func() { done <- p.Produce(soon(t), numbered(topic, 0, 0, 10)) }()
	<-arrived
	p.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("producing while closing: %v", err)
	}
	if err := p.Produce(soon(t), numbered(topic, 0, 0, 10)); !errors.Is(err, ErrClosed) {
		t.Errorf("producing after closing: %v", err)
	}
}
