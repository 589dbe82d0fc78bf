package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// A ledger adds up what a producer says that it holds.
type ledger struct{ sum, most, least atomic.Int64 }

func (l *ledger) add(n int64) {
	now := l.sum.Add(n)
	for most := l.most.Load(); now > most && !l.most.CompareAndSwap(most, now); most = l.most.Load() {
	}
	for least := l.least.Load(); now < least && !l.least.CompareAndSwap(least, now); least = l.least.Load() {
	}
}

// closed checks that everything has been given back.
func (l *ledger) closed(t interface{ Fatalf(string, ...any) }) {
	if sum, least := l.sum.Load(), l.least.Load(); sum != 0 || least != 0 {
		t.Fatalf("%d bytes are still counted behind Close; the least was %d", sum, least)
	}
}

// holds adds up what the producer holds, from what is there. Nothing may be under way.
func (p *Producer) holds() (bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for o := range p.all() {
		for _, b := range o.queue {
			bytes += int64(cap(b.room))
		}
	}
	for _, c := range p.calls {
		bytes += 4 * int64(cap(c.of)+cap(c.order))
	}
	m := &p.buffers
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.free {
		bytes += int64(cap(b))
	}
	for _, k := range m.packs {
		bytes += int64(cap(k.raw)+cap(k.out)) + p.config.Codec.Weight()
	}
	return bytes
}

// messagesOf gives n messages of size bytes each, which compress to about half, of one
// lane, spread over partitions.
func messagesOf(topic string, lane, partitions int32, n, size int) []Message {
	r := rand.New(rand.NewPCG(uint64(lane), uint64(size)))
	value := make([]byte, size)
	for i := range value {
		value[i] = "0123456789abcdef"[r.IntN(16)]
	}
	msgs := make([]Message, n)
	for i := range msgs {
		msgs[i] = Message{
			TopicPartition: TopicPartition{topic, int32(i) % partitions}, Value: value, Time: int64(i + 1),
			Origin: Origin{Topic: "in", Partition: lane, Offset: int64(i)},
		}
	}
	return msgs
}

// What a producer holds is told when it is made: it is never less than what is there, and
// it is bounded when nothing is under way, whatever was.
func TestWhatAProducerHoldsIsCounted(t *testing.T) {
	sizes := []int{200, 4 << 10, 100 << 10, 3 << 20}
	if testing.Short() { // the race detector is slow in compressors
		sizes = sizes[:2]
	}
	for codec := recordbatch.CodecNone; codec <= recordbatch.CodecZstd; codec++ {
		for _, size := range sizes {
			t.Run(fmt.Sprintf("%v/%d", codec, size), func(t *testing.T) {
				c := kafkatest.StartFake(t)
				topic := c.Topic(t, 4, "max.message.bytes=10000000")
				var l ledger
				p := testProducer(t, c, ProducerConfig{Codec: codec, Account: l.add})
				n, lanes := (1<<20)/size, 6
				if n == 0 {
					n, lanes = 1, 2
				}
				for range 3 {
					var all sync.WaitGroup
					for lane := range int32(lanes) {
						all.Go(func() {
							if err := p.Produce(soon(t), messagesOf(topic, lane, 4, n, size)); err != nil {
								t.Error(err)
							}
						})
					}
					all.Wait()
				}
				sum, there := l.sum.Load(), p.holds()
				if sum != there {
					t.Errorf("%d bytes are counted, %d are there", sum, there)
				}
				packs := int64(min(runtime.GOMAXPROCS(0), maxPacks)) * (2*maxPacked + codec.Weight())
				if codec == recordbatch.CodecNone {
					packs = 0
				}
				if limit := maxKept + maxCalls*8*maxCallRoom + packs; sum > limit {
					t.Errorf("%d bytes are kept, at most %d may be", sum, limit)
				}
				if bytes := int64(n * size / 3); l.most.Load() < bytes { // one lane's, compressed
					t.Errorf("at most %d bytes were counted, and one call alone had more than %d", l.most.Load(), bytes)
				}
				p.Close()
				l.closed(t)
			})
		}
	}
}

// Batches that wait for a broker are counted as they are, not as what they may be: for
// one that stands still, they are what the budget is for.
func TestBatchesThatWaitAreCounted(t *testing.T) {
	for _, codec := range []recordbatch.Codec{recordbatch.CodecNone, recordbatch.CodecZstd} {
		t.Run(codec.String(), func(t *testing.T) {
			c := kafkatest.StartFake(t)
			topic := c.Topic(t, 8)
			var l ledger
			p := testProducer(t, c, ProducerConfig{Codec: codec, Account: l.add})
			arrived, release := holdProduce(c)
			ctx, cancel := context.WithCancel(soon(t))
			done := make(chan error)
			go func() { done <- p.Produce(ctx, messagesOf(topic, 1, 8, 200, 4<<10)) }()
			<-arrived
			raw := int64(200 * 4 << 10)
			sum, packs := l.sum.Load(), int64(0)
			if codec != recordbatch.CodecNone {
				packs = 2<<20 + codec.Weight()
			}
			if sum < raw/50 || codec == recordbatch.CodecNone && sum < raw || sum > raw*5/4+64<<10+packs {
				t.Errorf("%d bytes of messages wait, and %d are counted", raw, sum)
			}
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if left := l.sum.Load(); left < raw/50 {
				t.Errorf("the caller has left its batches under way, and %d bytes are counted", left)
			}
			release()
			p.waitIdle(t)
			if sum, there := l.sum.Load(), p.holds(); sum != there {
				t.Errorf("%d bytes are counted, %d are there", sum, there)
			}
			p.Close()
			l.closed(t)
		})
	}
}

// The buffers that are kept are bounded, and those that fit nothing any more make place.
func TestKeptBuffersAreBounded(t *testing.T) {
	var l ledger
	var m buffers
	m.init(l.add)
	sizes := []int{100, 5 << 10, 1 << 20, maxKept, maxKept + 1, 64 << 20, 300, 700 << 10}
	for _, n := range sizes {
		var taken [][]byte
		for range 2 * maxFree {
			b := m.take(n)
			if len(b) != 0 || cap(b) < n {
				t.Fatalf("%d bytes of %d for %d", len(b), cap(b), n)
			}
			taken = append(taken, b)
			if n > 1<<20 {
				break
			}
		}
		for _, b := range taken {
			m.put(b)
		}
		if m.kept > maxKept || len(m.free) > maxFree || int64(m.kept) != l.sum.Load() {
			t.Errorf("behind %d bytes %d buffers of %d bytes are kept, %d are counted", n, len(m.free), m.kept, l.sum.Load())
		}
		if n <= maxKept {
			before := l.sum.Load()
			if m.put(m.take(n)); l.sum.Load() != before {
				t.Errorf("a buffer for %d bytes is made anew although there are some", n)
			}
		}
	}
	m.put(m.take(200))
	if got := cap(m.take(100)); got > 8<<10 {
		t.Errorf("%d bytes for 100", got)
	}
	m.close()
	m.put(m.take(100))
	l.sum.Add(-int64(roundUp(200))) // the one that was taken and not put back
	if sum := l.sum.Load(); sum != 0 {
		t.Errorf("%d bytes are counted behind close", sum)
	}
}

// What compressors are said to hold is what they do.
func TestWeightOfCompressors(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing in it is concurrent")
	}
	src := messagesOf("t", 1, 1, 1, 2<<20)[0].Value
	dst := make([]byte, 0, 2*len(src))
	for codec := recordbatch.CodecGzip; codec <= recordbatch.CodecZstd; codec++ {
		got := int64(math.MaxInt64) // the least of some: goroutines of other tests may allocate meanwhile
		for range 4 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := new(recordbatch.Compressor).Append(codec, dst, src); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			got = min(got, int64(after.TotalAlloc-before.TotalAlloc))
		}
		if said := codec.Weight(); got > said+64<<10 || got < said*3/4 {
			t.Errorf("%v holds about %d bytes, %d are counted", codec, got, said)
		}
	}
}

// What is counted is what the process holds: batches for a broker that cannot be reached.
func TestWhatIsCountedIsWhatIsHeld(t *testing.T) {
	for _, codec := range []recordbatch.Codec{recordbatch.CodecNone, recordbatch.CodecLZ4, recordbatch.CodecZstd} {
		for _, size := range []int{200, 4 << 10, 100 << 10} {
			t.Run(fmt.Sprintf("%v/%d", codec, size), func(t *testing.T) {
				client, err := NewClient(Config{Brokers: []string{"127.0.0.1:9"}, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = client.Close() }()
				var l ledger
				p := NewProducer(client, ProducerConfig{Codec: codec, Account: l.add})
				const lanes, partitions = 16, 4
				var msgs [lanes][]Message
				for lane := range msgs {
					msgs[lane] = messagesOf("t", int32(lane), partitions, max(min(1<<20/size, 5000), partitions), size)
				}
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				ctx, cancel := context.WithCancel(t.Context())
				var all sync.WaitGroup
				for _, m := range msgs {
					all.Go(func() {
						if err := p.Produce(ctx, m); !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
					})
				}
				for queued := 0; queued < lanes; runtime.Gosched() {
					p.mu.Lock()
					queued = 0
					for o := range p.all() {
						if o.Partition == 0 {
							queued += len(o.queue)
						}
					}
					p.mu.Unlock()
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				there, sum := int64(after.HeapAlloc)-int64(before.HeapAlloc), l.sum.Load()
				if d := there - sum; d > sum/5+1<<20 || d < -sum/5-1<<20 {
					t.Errorf("%d bytes are counted, and the heap has grown by %d", sum, there)
				}
				cancel()
				all.Wait()
				if sum, there := l.sum.Load(), p.holds(); sum != there {
					t.Errorf("%d bytes are counted, %d are there", sum, there)
				}
				p.Close()
				l.closed(t)
			})
		}
	}
}
