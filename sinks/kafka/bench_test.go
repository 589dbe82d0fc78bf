package kafkasink

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// BenchmarkKafkaMessages is what a Write of 5,000 records of 200 bytes costs, a record,
// before it comes to the producer (BenchmarkPrepare in pipeline/kafka is what follows).
// Edited records have a field set and one removed, as those behind a map step.
func BenchmarkKafkaMessages(b *testing.B) {
	for _, edited := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "edited"}[edited]
		b.Run(name, func(b *testing.B) { benchMessages(b, edited) })
	}
}

func benchMessages(b *testing.B, edited bool) {
	s := Defaults()
	s.Brokers = []string{"127.0.0.1:9"}
	if err := s.Topic.UnmarshalText([]byte("out")); err != nil {
		b.Fatal(err)
	}
	k, err := New(s, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = k.Close(context.Background()) }()
	k.learn("out", 8)
	pad := bytes.Repeat([]byte("x"), 180)
	const n, lanes = 5000, 8
	keys, values, recs := make([][]byte, n*lanes), make([][]byte, n*lanes), make([]*pipeline.Record, n*lanes)
	for i := range recs {
		keys[i], values[i], recs[i] = fmt.Appendf(nil, "K%03d", i%300), fmt.Appendf(nil, `{"a":%d,"b":"%s"}`, i, pad), new(pipeline.Record)
	}
	var spent time.Duration
	b.ReportAllocs()
	for lane := 0; b.Loop(); lane = (lane + 1) % lanes {
		b.StopTimer()
		if lane == 0 { // all of them: when a lane is written, its records have left the cache
			for i, r := range recs {
				r.Init(pipeline.Position{Topic: "in", Offset: int64(i)}, keys[i], values[i], nil, int64(i))
				if edited {
					if err := r.SetRaw("c", append(r.Room(24), "17"...)); err != nil {
						b.Fatal(err)
					}
					if err := r.Remove("a"); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		b.StartTimer()
		begin := time.Now()
		w := k.takeBatch()
		k.gather(b.Context(), recs[lane*n:(lane+1)*n], w)
		k.weigh(w)
		k.putBatch(w)
		spent += time.Since(begin)
	}
	b.ReportMetric(float64(spent)/float64(b.N)/n, "ns/record")
}
