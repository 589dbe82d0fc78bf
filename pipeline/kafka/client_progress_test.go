package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// noise gives n values that no compression makes smaller.
func noise(n, size int) [][]byte {
	r := rand.New(rand.NewSource(1))
	out := make([][]byte, n)
	for i := range out {
		out[i] = make([]byte, size)
		r.Read(out[i])
	}
	return out
}

// fetchOne reads the first records of a partition, at most so many bytes.
func fetchOne(ctx context.Context, c *Client, topic string, most int32) (int, error) {
	leader, epoch, err := c.Leader(ctx, TopicPartition{topic, 0})
	if err != nil {
		return 0, err
	}
	var a FetchAnswer
	err = c.Fetch(ctx, &FetchRequest{
		Broker: leader, MaxWait: 500 * time.Millisecond, MinBytes: 1, MaxBytes: most,
		Partitions: []FetchPartition{{TopicPartition: TopicPartition{topic, 0}, LeaderEpoch: epoch, MaxBytes: most}},
	}, nil, &a)
	if err != nil {
		return 0, err
	}
	return len(a.Partitions[0].Set), a.Partitions[0].Err
}

// An answer may take as long as it gets on. One that stands still, or nearly, is given
// up in a time that does not depend on its size.
func TestFetchOverASlowLink(t *testing.T) {
	for _, tc := range []struct {
		name  string
		link  *kafkatest.Narrow
		fails time.Duration // at most; 0: it comes
	}{
		{"60 KB a second", &kafkatest.Narrow{Rate: 60_000}, 0},
		{"5 KB a second", &kafkatest.Narrow{Rate: 5_000}, 0},
		{"a trickle", &kafkatest.Narrow{Rate: 600}, time.Minute},
		{"stalled in the answer", &kafkatest.Narrow{Rate: 60_000, Stall: 100_000, Stalls: 100}, 20 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := kafkatest.StartFake(t, virtual(1)...)
				topic := k.Topic(t, 1)
				var recs []*kgo.Record
				for _, v := range noise(10, 90_000) {
					recs = append(recs, &kgo.Record{Value: v})
				}
				k.Produce(t, topic, recs...)
				fast := client(t, k.Addrs(), func(c *Config) { c.Dial = k.Dial })
				want, err := fetchOne(context.Background(), fast, topic, 1<<20)
				if err != nil || want < 900_000 {
					t.Fatal(want, err)
				}
				link := tc.link
				link.Under = k.Dial
				c := client(t, k.Addrs(), func(c *Config) { c.Dial = link.Dial })
				if _, _, err := c.Leader(context.Background(), TopicPartition{topic, 0}); err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				got, err := fetchOne(context.Background(), c, topic, 1<<20)
				took := time.Since(begin)
				var broker *BrokerError
				switch {
				case tc.fails > 0 && (!errors.As(err, &broker) || broker.ErrorType() != "timeout" || took > tc.fails):
					t.Errorf("%d bytes after %v: %v", got, took, err)
				case tc.fails == 0 && (err != nil || got != want):
					t.Errorf("%d bytes of %d after %v: %v", got, want, took, err)
				}
			})
		})
	}
}

// A broker that is silent is given up when its time is over, and not later for what
// is sent to it slowly.
func TestSilentBrokerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := kafkatest.StartFake(t, virtual(1)...)
		topic := k.Topic(t, 1)
		c := client(t, k.Addrs(), func(c *Config) { c.Dial = k.Dial })
		if _, _, err := c.Leader(context.Background(), TopicPartition{topic, 0}); err != nil {
			t.Fatal(err)
		}
		over := make(chan struct{})
		defer close(over)
		k.Fake().ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			k.Fake().SleepControl(func() { <-over })
			return nil, nil, false
		})
		begin := time.Now()
		_, err := fetchOne(context.Background(), c, topic, 1<<20)
		if took := time.Since(begin); err == nil || took > 11*time.Second {
			t.Fatalf("after %v: %v", took, err)
		}
	})
}

// Sends are slow too: a batch that takes longer than the broker's answer may, and
// longer than its caller waits, is sent once.
func TestProduceOverASlowLink(t *testing.T) {
	requests := int32(0) // that a link without limit takes
	for _, link := range []*kafkatest.Narrow{{}, {Rate: 60_000}, {Rate: 60_000, Buffer: 256 << 10}, {Rate: 5_000}, {Rate: 5_000, Buffer: 64 << 10}, {Rate: 1_500}} {
		t.Run(fmt.Sprintf("%d bytes a second and %d in a buffer", link.Rate, link.Buffer), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := kafkatest.StartFake(t, virtual(1)...)
				topic := k.Topic(t, 1)
				link.Under = k.Dial
				var sent atomic.Int32
				k.Fake().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
					k.Fake().KeepControl()
					sent.Add(1)
					return nil, nil, false
				})
				p := testProducer(t, k, ProducerConfig{}, func(c *Config) { c.Dial = link.Dial })
				values := noise(9, 100_000)
				msgs := make([]Message, len(values))
				for i, v := range values {
					msgs[i] = Message{
						TopicPartition: TopicPartition{topic, 0}, Value: v, Time: time.Now().UnixMilli(), Origin: Origin{Topic: "from", Offset: int64(i)},
					}
				}
				for begin := time.Now(); ; {
					ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
					err := p.Produce(ctx, msgs)
					cancel()
					if err == nil {
						break
					}
					var failed *ProduceError
					if !errors.As(err, &failed) || time.Since(begin) > 20*time.Minute {
						t.Fatal(err)
					}
					var left []Message
					for _, f := range failed.Failed {
						left = append(left, msgs[f.Index])
					}
					msgs = left
				}
				if got := k.Consume(t, topic); len(got) != 9 {
					t.Errorf("%d records are stored", len(got))
				}
				if link.Rate == 0 {
					requests = sent.Load()
				} else if sent.Load() != requests {
					t.Errorf("sent %d requests for %d", sent.Load(), requests)
				}
			})
		})
	}
}

// When an exchange is late, by what has happened of it.
func TestDeadlineOfAnExchange(t *testing.T) {
	start := time.Unix(1_000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	for _, c := range []struct {
		what string
		p    *progress
		want time.Time
	}{
		{"nothing is written", &progress{}, start.Add(startTimeout)},
		{"it is being written", &progress{begun: at(1), last: at(5), moved: 1 << 20}, at(5).Add(15 * time.Second)},
		{"a trickle is being written", &progress{begun: at(1), last: at(40), moved: 10}, at(1).Add(15*time.Second + 10*time.Second/leastRate)},
		{"it is written", &progress{begun: at(1), sent: at(31), last: at(31)}, at(31).Add(15*time.Second + 30*time.Second)},
		{"it is answered", &progress{begun: at(1), sent: at(2), answer: at(9), last: at(12), moved: 1 << 20}, at(12).Add(stallTimeout)},
		{"a trickle of an answer", &progress{begun: at(1), sent: at(2), answer: at(9), last: at(90), moved: leastRate}, at(9).Add(stallTimeout + time.Second)},
	} {
		c.p.start, c.p.patience = start, 15*time.Second
		if got := c.p.deadline(); !got.Equal(c.want) {
			t.Errorf("%s: late after %v, want %v", c.what, got.Sub(start), c.want.Sub(start))
		}
	}
}
