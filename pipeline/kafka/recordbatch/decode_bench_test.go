package recordbatch

import (
	"fmt"
	"testing"
)

// BenchmarkDecode is what a record of 200 bytes costs in a set that is there: its share of
// the batch's header and checksum, of decompression, and being read itself.
func BenchmarkDecode(b *testing.B) {
	const batches, records = 10, 500
	for _, codec := range []Codec{CodecNone, CodecSnappy, CodecLZ4, CodecZstd} {
		b.Run(codec.String(), func(b *testing.B) {
			var set []byte
			for i := range batches {
				c := crafted{base: int64(i * records), codec: codec, firstTime: 1000}
				for j := range records {
					value := fmt.Appendf(nil, `{"id":%d,"from":"OSL","to":"BGO","seats":%d,"note":"`, i*records+j, j*7919%300)
					for len(value) < 198 {
						value = append(value, byte('a'+len(value)%7))
					}
					c.msgs = append(c.msgs, &message{Value: append(value, `"}`...), Time: 1000})
				}
				set = append(set, c.bytes(b)...)
			}
			mem := &keep{}
			d, open := &Decoder{Committed: true}, &Decompressor{Memory: mem}
			defer open.Close()
			n := 0
			visit := func(batch *Batch) bool {
				if err := open.Open(batch); err != nil {
					b.Fatal(err)
				}
				var r Record
				for batch.Next(&r) {
					n += len(r.Value)
				}
				mem.Put(batch.Decompressed)
				return batch.Err() == nil
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(set, 0, nil, visit); err != nil {
					b.Fatal(err)
				}
			}
			if n != b.N*batches*records*200 {
				b.Fatal(n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batches*records), "ns/rec")
		})
	}
}

// keep is a Memory that keeps every buffer.
type keep struct{ free [][]byte }

func (k *keep) Get(n int) []byte {
	for i, b := range k.free {
		if cap(b) >= n {
			k.free[i] = k.free[len(k.free)-1]
			k.free = k.free[:len(k.free)-1]
			return b[:0]
		}
	}
	return make([]byte, 0, n)
}

func (k *keep) Put(b []byte) {
	if cap(b) > 0 {
		k.free = append(k.free, b)
	}
}
