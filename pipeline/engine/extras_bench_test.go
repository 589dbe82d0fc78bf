package engine

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/internal/cputime"
)

// BenchmarkExtras measures what the extras of records cost, their allocation and the cache that
// they need: a filter reads a field and lets a quarter of the records go on, a step edits those,
// and a sink takes 5,000 at once.
func BenchmarkExtras(b *testing.B) {
	const n, lanes = 1 << 20, 8
	late, text := []byte(`99`), []byte(`"JFK-LAX"`)
	values := [2][]byte{
		[]byte(`{"origin":"JFK","destination":"LAX","delay":17,"carrier":"AA","flight":1545,"air_time":227,"distance":1400}`),
		[]byte(`{"origin":"JFK","destination":"LAX","delay":99,"carrier":"AA","flight":1545,"air_time":227,"distance":1400}`),
	}
	filter := does(func(_ context.Context, r *pipeline.Record) error {
		if v, err := r.Field("delay"); string(v) != string(late) {
			if err != nil {
				return err
			}
			return pipeline.Filtered
		}
		return nil
	})
	edit := does(func(_ context.Context, r *pipeline.Record) error {
		_ = r.SetRaw("late_minutes", late)
		_ = r.SetRaw("route", text)
		return r.Remove("delay")
	})
	var cpu time.Duration
	var allocs uint64
	for range b.N {
		source := newSlabs(n, lanes, 1024, func(int, *pipeline.Record) {})
		for i := range source.batches {
			recs := source.records[i]
			source.fill = append(source.fill, func() func([]pipeline.Record) (int, error) {
				at := 0
				return func(into []pipeline.Record) (int, error) {
					k := min(len(into), len(recs)-at)
					for j := range k {
						into[j].Init(pipeline.Position{Topic: "t", Partition: 0, Offset: recs[at+j].Offset}, nil, values[max(0, 1-(at+j)%4)], nil, 0)
					}
					at += k
					return k, nil
				}
			})
		}
		var room []byte
		sink := writes(func(r *pipeline.Record) { room = r.AppendValue(room[:0]) })
		p := mustNew(b, Options{
			Source: source, Sinks: []Output{{Name: "out", Sink: sink, MaxRecords: 5000}},
			Steps: []Step{{Name: "late", Stage: filter}, {Name: "edit", Stage: edit}},
		})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		used := cputime.Used()
		if err := p.Run(context.Background()); err != nil {
			b.Fatal(err)
		}
		cpu += cputime.Used() - used
		runtime.ReadMemStats(&after)
		allocs += after.Mallocs - before.Mallocs
		if p.Snapshot().BytesOut < n/4*100 {
			b.Fatal("too little came out")
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(cpu.Seconds()*1e9/float64(b.N)/n, "cpu-ns/record")
	b.ReportMetric(float64(allocs)/float64(b.N)/n, "allocs/record")
}
