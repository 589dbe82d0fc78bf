package kafka

import (
	"bytes"
	"encoding/binary"
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

// encoded appends a batch of messages to b: of all, unless idx names some.
func encoded(b []byte, msgs []Message, now int64, idx ...int32) []byte {
	if len(idx) == 0 {
		idx = all(msgs)
	}
	start := len(b)
	b, first, last := appendRecords(grow(b, batchRecords)[:start+batchRecords], msgs, idx, sizeOf(msgs, idx), now)
	putBatchHeader(b[start:], CodecNone, len(idx), first, last)
	return b
}

func TestSealRefusesABatchWithoutProducer(t *testing.T) {
	b := encoded(nil, make([]Message, 2), 0)
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
	var buf []byte
	idx := all(msgs)
	n := testing.AllocsPerRun(10, func() {
		buf = encoded(buf[:0], msgs, 0, idx...)
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

// The length in front of a record is right where its own length changes, and no record
// takes more than its bound.
func TestRecordsOfEverySize(t *testing.T) {
	for _, from := range []int{0, 40, 100, 8150, 1<<20 - 40} {
		for n := from; n < from+60; n++ {
			for _, headers := range [][]Header{nil, {{Name: "a", Value: make([]byte, 70)}}} {
				m := Message{Key: []byte("k"), Value: make([]byte, n), Headers: headers}
				b := appendRecord(nil, &m, 1<<30, math.MinInt64)
				if size, k := binary.Varint(b); int(size)+k != len(b) || len(b) > recordBound(&m) {
					t.Fatalf("value of %d bytes: length %d behind %d bytes, of %d in all, at most %d", n, size, k, len(b), recordBound(&m))
				}
			}
		}
	}
}
