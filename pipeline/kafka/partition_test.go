package kafka

import (
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The vectors are those of Apache Kafka's own UtilsTest.
func TestMurmur2IsJavas(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2 of %q: %d, want %d", key, got, want)
		}
	}
}

func TestKeysGoWhereFranzSendsThem(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	p := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	for range 5000 {
		key := make([]byte, r.IntN(40))
		for i := range key {
			key[i] = byte(r.Uint32())
		}
		n := 1 + r.IntN(100)
		if got, want := PartitionForKey(key, int32(n)), p.Partition(&kgo.Record{Key: key}, n); int(got) != want {
			t.Fatalf("key %x of %d partitions: %d, franz-go sends it to %d", key, n, got, want)
		}
	}
}

func TestKeylessMessagesStayTogetherAndSpread(t *testing.T) {
	used, changes, last := map[int32]bool{}, 0, int32(-1)
	for i := range int64(100_000) {
		p := PartitionForOrigin(Origin{Topic: "flights", Partition: 3, Offset: i}, 8)
		if used[p] = true; p != last {
			changes++
		}
		last = p
	}
	if len(used) != 8 || changes > 100 {
		t.Errorf("%d of 8 partitions used, %d changes in 100 runs", len(used), changes)
	}
}
