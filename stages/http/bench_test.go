//go:build unix

package httpstage

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
)

// BenchmarkHTTP is the last part of P12: the CPU of a look-up through the stage, in an
// engine and by itself, as a ratio to that of a loop over net/http written by hand, 64 calls at once. The
// server is another process; the control is the same loop once more.
func BenchmarkHTTP(b *testing.B) {
	const calls, rounds = 20000, 5 // so many that the start of a pipeline does not count
	base := benchServer(b)
	s := Defaults()
	s.URL, s.Into = template(b, base+"/weather/{origin}/{id}"), "weather" // calls that differ: equal ones would be one
	h, err := New(s, "pipe/step", env(benchSlots))
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: benchSlots, MaxConnsPerHost: benchSlots, DisableCompression: true}
	defer transport.CloseIdleConnections()
	byHand := handLoop(b, &http.Client{Transport: transport}, base)
	byStage := func(ctx context.Context, value []byte) {
		var rec pipeline.Record
		rec.Init(pipeline.Position{}, nil, value, nil, 0)
		if err := h.Process(ctx, &rec); err != nil || len(rec.Value()) < 150 {
			b.Error(err)
		}
	}
	sides := []side{
		{name: "hand", run: func(calls int) { inSlots(calls, byHand) }},
		{name: "engine", run: func(calls int) { inEngine(b, calls, h) }},
		{name: "stage", run: func(calls int) { inSlots(calls, byStage) }},
		{name: "control", run: func(calls int) { inSlots(calls, byHand) }},
	}
	for b.Loop() {
		for _, s := range sides {
			s.run(500) // connections, and what is made once
		}
		for range rounds {
			for i := range sides {
				sides[i].measure(calls)
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of no meaning here
	hand := median(sides[0].cpu)
	for i, s := range sides {
		if i > 0 {
			b.ReportMetric(median(s.cpu)/hand, s.name+"/hand")
		}
		b.ReportMetric(median(s.cpu), s.name+"-cpu-ns/call")
		b.ReportMetric(median(s.allocs), s.name+"-allocs/call")
		b.ReportMetric(median(s.bytes), s.name+"-B/call")
	}
}

const benchSlots = 64

// A side is one of those that are compared, and what it took for a call.
type side struct {
	name               string
	run                func(calls int)
	cpu, allocs, bytes []float64
}

func (s *side) measure(calls int) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.cpu = append(s.cpu, cpu(func() { s.run(calls) })/float64(calls))
	runtime.ReadMemStats(&after)
	s.allocs = append(s.allocs, float64(after.Mallocs-before.Mallocs)/float64(calls))
	s.bytes = append(s.bytes, float64(after.TotalAlloc-before.TotalAlloc)/float64(calls))
}

// inEngine makes calls in a step of a pipeline.
func inEngine(b *testing.B, calls int, stage pipeline.Admitter) {
	out := &benchSink{}
	p, err := engine.New(engine.Options{
		Name: "pipe", Source: &benchSource{left: calls},
		// A stage of its own would be closed with the pipeline, and its connections.
		Steps: []engine.Step{{Name: "step", Kind: "http", Stage: struct{ pipeline.Admitter }{stage}, Workers: benchSlots, Wait: &engine.Wait{}}},
		Sinks: []engine.Output{{Name: "out", Sink: out}},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Run(context.Background()); err != nil || out.good != calls {
		b.Errorf("%d records of %d came out: %v", out.good, calls, err)
	}
}

// benchSource makes records in the places that the engine has for them, as one of Kafka does.
type benchSource struct {
	lane       pipeline.Lane
	made, left int
}

func (s *benchSource) Open(ctx context.Context, f pipeline.Feed) (err error) {
	s.lane, _, err = f.Lane(ctx, "bench/0", 0)
	return err
}

func (s *benchSource) Read(context.Context) (*pipeline.Batch, error) {
	if s.left == 0 {
		return nil, io.EOF
	}
	from, n := s.made, min(s.left, 200)
	s.made, s.left = s.made+n, s.left-n
	end := s.made
	return &pipeline.Batch{Lane: s.lane, Next: int64(end), Fill: func(into []pipeline.Record) (n int, err error) {
		for n = 0; n < len(into) && from < end; n++ {
			into[n].Init(pipeline.Position{Topic: "bench", Offset: int64(from)}, nil, benchValue(from), nil, pipeline.NoTime)
			from++
		}
		return n, nil
	}}, nil
}

func (s *benchSource) Commit(context.Context, []pipeline.Mark) error { return nil }
func (s *benchSource) Close(context.Context) error                   { return nil }

// benchSink counts the records that have their answer.
type benchSink struct{ good int }

func (s *benchSink) Write(_ context.Context, recs []*pipeline.Record) error {
	for _, rec := range recs {
		if len(rec.Value()) >= 150 {
			s.good++
		}
	}
	return nil
}

func (s *benchSink) Close(context.Context) error { return nil }

func benchValue(i int) []byte {
	return fmt.Appendf(nil, `{"id":%d,"origin":"OSL","destination":"BGO","delay":17,"carrier":"SK","flight":"SK4711"}`, i)
}

// handLoop is what one writes without a pipeline.
func handLoop(b *testing.B, client *http.Client, base string) func(context.Context, []byte) {
	return func(ctx context.Context, value []byte) {
		req, err := http.NewRequestWithContext(ctx, "GET", base+"/weather/"+gjson.GetBytes(value, "origin").String()+"/"+gjson.GetBytes(value, "id").String(), nil)
		if err != nil {
			b.Error(err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			b.Error(err)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			b.Error(err, resp.StatusCode)
			return
		}
		if out, err := sjson.SetRawBytes(value, "weather", body); err != nil || len(out) < 150 {
			b.Error(err)
		}
	}
}

// inSlots makes calls in benchSlots goroutines, each with the deadline
// that a waiting step gives.
func inSlots(calls int, call func(context.Context, []byte)) {
	next := make(chan int, benchSlots)
	var all sync.WaitGroup
	for range benchSlots {
		all.Go(func() {
			for i := range next {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				call(ctx, benchValue(i))
				cancel()
			}
		})
	}
	for i := range calls {
		next <- i
	}
	close(next)
	all.Wait()
}

// cpu gives the nanoseconds of CPU, user and system, of this process while f runs.
func cpu(f func()) float64 {
	used := func() time.Duration {
		var r syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // cannot fail for the process itself
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	before := used()
	f()
	return float64(used() - before)
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// benchServer starts the server; it ends with the benchmark.
func benchServer(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asServer+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(addr)
}
