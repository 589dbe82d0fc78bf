package recordbatch

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

func TestSealRefusesABatchWithoutProducer(t *testing.T) {
	b := make([]byte, HeaderSize)
	PutHeader(b, CodecNone, 2, 0, 0)
	for _, p := range []ProducerID{NoProducer, {ID: -1, Epoch: 0}, {ID: 1, Epoch: -1}} {
		if err := Seal(b, p, 0, false); !errors.Is(err, ErrNoProducer) {
			t.Errorf("sealing for %v: %v", p, err)
		}
	}
	if err := Seal(b, ProducerID{ID: 1}, -1, false); !errors.Is(err, ErrNoProducer) {
		t.Errorf("sealing with sequence -1: %v", err)
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
				key, value := []byte("k"), make([]byte, n)
				b := AppendRecord(nil, key, value, headers, 1<<30, math.MinInt64)
				if size, k := binary.Varint(b); int(size)+k != len(b) || len(b) > RecordBound(key, value, headers) {
					t.Fatalf("value of %d bytes: length %d behind %d bytes, of %d in all, at most %d", n, size, k, len(b), RecordBound(key, value, headers))
				}
			}
		}
	}
}
