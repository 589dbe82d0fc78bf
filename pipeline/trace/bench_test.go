package trace

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/internal/cputime"
)

// BenchmarkShares is what a record costs, in CPU and allocations, by the share that is traced: three cheap steps, a sink that
// forgets, and a collector in the same process that reads what it gets. none is without a block traces.
func BenchmarkShares(b *testing.B) {
	const records, rounds = 200_000, 7
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer server.Close()
	shares := []float64{-1, 0, 0.001, 0.01, 0.1, 1}
	cpu, allocs, dropped := map[float64][]float64{}, map[float64][]float64{}, map[float64]int64{}
	for b.Loop() {
		for range rounds {
			for _, share := range shares {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				used := cputime.Used()
				dropped[share] += benchRun(b, server.URL, records, share)
				cpu[share] = append(cpu[share], float64(cputime.Used()-used)/records)
				runtime.ReadMemStats(&after)
				allocs[share] = append(allocs[share], float64(after.Mallocs-before.Mallocs)/records)
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of no meaning here
	for _, share := range shares {
		name := "none"
		if share >= 0 {
			name = fmt.Sprintf("%g%%", 100*share)
		}
		b.ReportMetric(middle(cpu[share]), name+"-cpu-ns/record")
		b.ReportMetric(middle(allocs[share]), name+"-allocs/record")
		b.ReportMetric(float64(dropped[share])/float64(len(cpu[share])), name+"-dropped/run")
	}
}

func middle(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

func benchRun(b *testing.B, url string, records int, share float64) (dropped int64) {
	o := engine.Options{Name: "p", Source: &benchSource{left: records}, Sinks: []engine.Output{{Name: "out", Sink: benchSink{}}}}
	for i := range 3 {
		o.Steps = append(o.Steps, engine.Step{Name: fmt.Sprint("s", i), Kind: "filter", Stage: pipeline.StageFunc(func(_ context.Context, r *pipeline.Record) error {
			r.Time++
			return nil
		})})
	}
	if share >= 0 {
		tr, err := New(Options{Endpoint: url, Sample: share, Parent: true})
		if err != nil {
			b.Fatal(err)
		}
		defer func() {
			tr.Close(context.Background())
			_, dropped, _ = tr.Counts()
		}()
		o.Tracer = tr.Pipeline(Pipeline{Name: "p", Source: "kafka"})
	}
	p, err := engine.New(o)
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Run(context.Background()); err != nil {
		b.Fatal(err)
	}
	return dropped
}

type benchSink struct{}

func (benchSink) Write(context.Context, []*pipeline.Record) error { return nil }
func (benchSink) Close(context.Context) error                     { return nil }

// benchSource makes records in the places that the engine has for them, as one of Kafka does.
type benchSource struct {
	lane       pipeline.Lane
	made, left int
}

func (s *benchSource) Open(ctx context.Context, f pipeline.Feed) (err error) {
	s.lane, _, err = f.Lane(ctx, "flights/0", 0)
	return err
}

func (s *benchSource) Read(context.Context) (*pipeline.Batch, error) {
	if s.left == 0 {
		return nil, io.EOF
	}
	from, n := s.made, min(s.left, 1000)
	s.made, s.left = s.made+n, s.left-n
	end := s.made
	return &pipeline.Batch{Lane: s.lane, Next: int64(end), Fill: func(into []pipeline.Record) (n int, err error) {
		for n = 0; n < len(into) && from < end; n++ {
			into[n].Init(pipeline.Position{Topic: "flights", Offset: int64(from)}, benchKey, benchValue, nil, 0)
			from++
		}
		return n, nil
	}}, nil
}

var benchKey, benchValue = []byte("JFK"), []byte(`{"origin":"JFK","destination":"LAX","delay":17,"carrier":"AA"}`)

func (s *benchSource) Commit(context.Context, []pipeline.Mark) error { return nil }
func (s *benchSource) Close(context.Context) error                   { return nil }
