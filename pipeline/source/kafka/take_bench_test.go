package kafkasource

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline"
)

// flight is a value of 200 bytes that compresses about as flights do.
func flight(i int) string {
	v := fmt.Sprintf(`{"id":%d,"from":"OSL","to":"BGO","seats":%d,"price":"%d.50","carrier":"SK","note":"`, i, i*7919%300, i*104729%10000)
	return v + strings.Repeat("on time ", 25)[:198-len(v)] + `"}`
}

func flights(n int) (vs []string) {
	for i := range n {
		vs = append(vs, flight(i))
	}
	return vs
}

// BenchmarkKafkaTake is what a record of 200 bytes costs from the set as it was fetched
// to a record in its place: 1 MiB of batches of 500 and of 1, places of 256 used again.
func BenchmarkKafkaTake(b *testing.B) {
	for _, each := range []int{500, 1} {
		for name, codec := range map[string]kgo.CompressionCodec{
			"none": {}, "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
		} {
			b.Run(fmt.Sprintf("records=%d/%s", each, name), func(b *testing.B) {
				bench := newBench(b)
				var raw []byte
				total := 0
				for total < 5000 {
					c := craft{base: int64(total), codec: codec}
					for range each {
						c.values = append(c.values, flight(total))
						total++
					}
					raw = append(raw, c.bytes(b)...)
				}
				places := make([]pipeline.Record, 256)
				n := 0
				b.ReportAllocs()
				for b.Loop() {
					bench.p.next = 0
					for _, item := range bench.take(bench.p, bench.lane, raw) {
						for item.batch.Fill != nil {
							got, err := item.batch.Fill(places)
							if err != nil {
								b.Fatal(err)
							}
							if got == 0 {
								break
							}
							n += got
						}
						drop(item.batch)
					}
				}
				if n != b.N*total {
					b.Fatalf("%d records, not %d", n, b.N*total)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/rec")
			})
		}
	}
}
