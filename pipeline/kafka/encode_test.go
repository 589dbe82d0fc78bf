package kafka

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func randomMessages(r *rand.Rand, n int) []Message {
	some := func() []byte {
		switch r.IntN(5) {
		case 0:
			return nil
		case 1:
			return []byte{}
		default:
			b := make([]byte, r.IntN(300))
			for i := range b {
				b[i] = byte(r.IntN(7))
			}
			return b
		}
	}
	msgs := make([]Message, n)
	now := time.Now().UnixMilli()
	for i := range msgs {
		m := &msgs[i]
		m.Key, m.Value, m.Time = some(), some(), now-int64(r.IntN(100000))
		for range r.IntN(4) {
			m.Headers = append(m.Headers, Header{Name: string("naeme"[:r.IntN(6)]), Value: some()})
		}
	}
	return msgs
}

func all(msgs []Message) []int32 {
	out := make([]int32, len(msgs))
	for i := range msgs {
		out[i] = int32(i)
	}
	return out
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// sameMessage compares what was sent with what franz-go has read.
func sameMessage(t *testing.T, m *Message, r *kgo.Record) {
	t.Helper()
	if !same(m.Key, r.Key) || !same(m.Value, r.Value) || m.Time != r.Timestamp.UnixMilli() || len(m.Headers) != len(r.Headers) {
		t.Fatalf("offset %d: sent %v, read %v", r.Offset, m, r)
	}
	for i, h := range m.Headers {
		if h.Name != r.Headers[i].Key || !same(h.Value, r.Headers[i].Value) {
			t.Fatalf("offset %d: header %d: sent %v, read %v", r.Offset, i, h, r.Headers[i])
		}
	}
}

func TestSealRefusesABatchWithoutProducer(t *testing.T) {
	b, _, err := appendBatch(nil, nil, make([]Message, 2), []int32{0, 1}, CodecNone, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []producerID{noProducer, {id: -1, epoch: 0}, {id: 1, epoch: -1}} {
		if err := sealBatch(b, p, 0, false); !errors.Is(err, errNoProducer) {
			t.Errorf("sealing for %v: %v", p, err)
		}
	}
	if err := sealBatch(b, producerID{id: 1}, -1, false); !errors.Is(err, errNoProducer) {
		t.Errorf("sealing with sequence -1: %v", err)
	}
}

func TestEncodingAllocatesNothingPerRecord(t *testing.T) {
	msgs := randomMessages(rand.New(rand.NewPCG(1, 1)), 500)
	idx := all(msgs)
	var buf, scratch []byte
	n := testing.AllocsPerRun(10, func() {
		var err error
		if buf, scratch, err = appendBatch(buf[:0], scratch, msgs, idx, CodecNone, 0); err != nil {
			t.Fatal(err)
		}
		if err := sealBatch(buf, producerID{id: 7}, 0, false); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

func TestVarintSizes(t *testing.T) {
	for _, v := range []int64{0, -1, 1, 63, 64, -64, -65, 8191, 8192, math.MaxInt32, math.MaxInt64, math.MinInt64} {
		if got, want := sizeVarint(v), len(appendVarint(nil, v)); got != want {
			t.Errorf("size of %d: %d, takes %d", v, got, want)
		}
	}
}
