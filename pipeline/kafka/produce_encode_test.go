package kafka

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
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
			m.Headers = append(m.Headers, recordbatch.Header{Name: string("naeme"[:r.IntN(6)]), Value: some()})
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

func equal(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// sameMessage compares what was sent with what franz-go has read.
func sameMessage(t *testing.T, m *Message, r *kgo.Record) {
	t.Helper()
	if !equal(m.Key, r.Key) || !equal(m.Value, r.Value) || m.Time != r.Timestamp.UnixMilli() || len(m.Headers) != len(r.Headers) {
		t.Fatalf("offset %d: sent %v, read %v", r.Offset, m, r)
	}
	for i, h := range m.Headers {
		if h.Name != r.Headers[i].Key || !equal(h.Value, r.Headers[i].Value) {
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
	b, first, last := appendRecords(slices.Grow(b, recordbatch.HeaderSize)[:start+recordbatch.HeaderSize], msgs, idx, sizeOf(msgs, idx), now)
	recordbatch.PutHeader(b[start:], recordbatch.CodecNone, len(idx), first, last)
	return b
}

func TestEncodingAllocatesNothingPerRecord(t *testing.T) {
	msgs := randomMessages(rand.New(rand.NewPCG(1, 1)), 500)
	var buf []byte
	idx := all(msgs)
	n := testing.AllocsPerRun(10, func() {
		buf = encoded(buf[:0], msgs, 0, idx...)
		if err := recordbatch.Seal(buf, recordbatch.ProducerID{ID: 7}, 0, false); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}
