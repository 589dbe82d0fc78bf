package kafkasink

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A Write may have more than a broker takes at once: it is cut into batches, and those
// into halves, and each record that no batch has place for is rejected by its own index,
// in the order of the rest.
func TestKafkaWriteOfManyRecords(t *testing.T) {
	for _, compression := range []string{"none", "lz4", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			c := kafkatest.StartFake(t)
			topic := c.Topic(t, 3, "max.message.bytes=60000")
			s := topicSettings(t, c, topic)
			s.Compression = compression
			k := newSink(t, s)
			noise := make([]byte, 100_000) // that no codec makes small
			for i, x := 0, uint32(1); i < len(noise); i++ {
				x = x*1664525 + 1013904223
				noise[i] = byte(x >> 24)
			}
			const n = 5000
			recs, want := make([]*pipeline.Record, n), map[int]string{}
			for i := range recs {
				value := fmt.Sprintf(`{"n":%d,"pad":"%x"}`, i, noise[i*11%90_000:][:90])
				if i == 0 || i%1777 == 5 || i == n-1 {
					value, want[i] = fmt.Sprintf(`{"n":%d,"pad":"%x"}`, i, noise), "too_large"
				}
				recs[i] = record(int64(i), fmt.Sprintf("k%d", i%7), value)
			}
			if got := reasonsOf(t, k.Write(t.Context(), recs)); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("rejected %v, want %v", got, want)
			}
			next, stored := map[string]int{}, 0
			for _, r := range c.Consume(t, topic) {
				var i int
				if _, err := fmt.Sscanf(string(r.Value), `{"n":%d,`, &i); err != nil {
					t.Fatal(err)
				}
				if key := string(r.Key); i < next[key] || !bytes.Equal(recs[i].Value(), r.Value) || key != string(recs[i].Key()) {
					t.Fatalf("record %d of key %s comes behind %d, or is another", i, key, next[key])
				}
				next[string(r.Key)] = i
				stored++
			}
			if stored != n-len(want) {
				t.Errorf("%d records are stored, want %d", stored, n-len(want))
			}
		})
	}
}

// Everything that the sink and its producer hold is charged, and is given back with
// Close; what they keep between Writes is bounded whatever was written.
func TestKafkaChargesWhatItHolds(t *testing.T) {
	for name, output := range map[string]string{"fixed": "", "named by the record": "{a}"} {
		for _, size := range []int{200, 4 << 10, 100 << 10} {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				c := kafkatest.StartFake(t)
				topic := c.Topic(t, 8)
				k, err := New(topicSettings(t, c, cmp.Or(output, topic)), nil)
				if err != nil {
					t.Fatal(err)
				}
				var charged, most atomic.Int64
				k.Account(func(n int64) {
					now := charged.Add(n)
					for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
					}
				})
				n, lanes := min((1<<20)/size, 5000), 10
				for range 2 {
					var all sync.WaitGroup
					for lane := range int32(lanes) {
						all.Go(func() {
							recs := make([]*pipeline.Record, n)
							for i := range recs {
								recs[i] = record(int64(i), fmt.Sprint(i), fmt.Sprintf(`{"a":%q,"b":"%0*d"}`, topic, size, i), pipeline.Header{Name: "h"})
								recs[i].Partition = lane
							}
							if err := k.Write(t.Context(), recs); err != nil {
								t.Error(err)
							}
						})
					}
					all.Wait()
				}
				if charged.Load() <= 0 || most.Load() < int64(n)*136 {
					t.Errorf("%d bytes are charged, at most %d were", charged.Load(), most.Load())
				}
				if charged.Load() > 32<<20 {
					t.Errorf("%d bytes are kept between Writes", charged.Load())
				}
				if err := k.Close(context.Background()); err != nil {
					t.Error(err)
				}
				if charged.Load() != 0 {
					t.Errorf("%d bytes are still charged behind Close", charged.Load())
				}
			})
		}
	}
}

// Batches are kept for later Writes within a bound, whatever their sizes.
func TestKafkaKeepsFewBatches(t *testing.T) {
	c := kafkatest.StartFake(t)
	k := newSink(t, topicSettings(t, c, c.Topic(t, 1)))
	var charged atomic.Int64
	k.Account(func(n int64) { charged.Add(n) })
	for _, n := range []int{10, 5000, 100_000} {
		recs := make([]*pipeline.Record, n)
		for i := range recs {
			recs[i] = record(int64(i), "k", "v")
		}
		var taken []*batch
		for range 20 {
			b := k.takeBatch()
			k.gather(t.Context(), recs, b)
			k.weigh(b)
			taken = append(taken, b)
		}
		if least := int64(20 * n * 136); charged.Load() < least {
			t.Errorf("20 batches for %d records hold %d bytes, not %d", n, charged.Load(), least)
		}
		for _, b := range taken {
			k.putBatch(b)
		}
		if charged.Load() > maxSpare || charged.Load() != k.spared {
			t.Errorf("%d bytes are charged, %d kept", charged.Load(), k.spared)
		}
	}
}
