package engine

import (
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sourcegraph/conc/stream"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/internal/cputime"
)

// The benchmarks measure the engine against a limit in the same run, and report the
// ratio. What each ratio has to be is in the name of its metric; docs/performance.md has
// what was measured.

// slabs is a source that hands the same batches over again and again, so that it costs next
// to nothing itself.
type slabs struct {
	batches []*pipeline.Batch
	records [][]pipeline.Record                           // of each
	fill    []func() func([]pipeline.Record) (int, error) // of each, when it is not Records
	rest    [][]pipeline.Record                           // that Fill has to give
	free    chan int
	left    int
	lane    *lane
	next    int64
}

func newSlabs(records, slots, size int, make func(i int, r *pipeline.Record)) *slabs {
	s := &slabs{free: make2(slots), left: records}
	for i := range slots {
		b := &pipeline.Batch{Fill: func(into []pipeline.Record) (int, error) {
			n := copy(into, s.rest[i])
			s.rest[i] = s.rest[i][n:]
			return n, nil
		}}
		s.rest = append(s.rest, nil)
		s.records = append(s.records, recordsOf(size, make))
		b.Free = func() { s.free <- i }
		s.batches = append(s.batches, b)
		s.free <- i
	}
	return s
}

func make2(n int) chan int { return make(chan int, n) }

func recordsOf(size int, f func(i int, r *pipeline.Record)) []pipeline.Record {
	recs := make([]pipeline.Record, size)
	for i := range recs {
		f(i, &recs[i])
	}
	return recs
}

func (s *slabs) Open(ctx context.Context, e pipeline.Feed) (err error) {
	s.lane, _, err = e.(feed).p.lane(ctx, "t/0", 0)
	return err
}

func (s *slabs) Read(ctx context.Context) (*pipeline.Batch, error) {
	if s.left <= 0 {
		return nil, io.EOF
	}
	select {
	case i := <-s.free:
		b := s.batches[i]
		recs := s.records[i][:min(len(s.records[i]), s.left)]
		n := len(recs)
		s.left -= n
		for j := range recs {
			recs[j].Offset = s.next + int64(j)
		}
		s.rest[i] = recs
		if s.fill != nil {
			b.Fill = s.fill[i]()
		}
		s.next += int64(n)
		b.Lane, b.Next, b.Charge = s.lane, s.next, nil
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *slabs) Commit(context.Context, []pipeline.Mark) error { return nil }
func (s *slabs) Close(context.Context) error                   { return nil }

// count is a sink that checks the order and keeps a sum.
type count struct {
	n, last, sum int64
	bad          bool
}

func (c *count) Write(_ context.Context, recs []*pipeline.Record) error {
	for _, r := range recs {
		if r.Offset < c.last {
			c.bad = true
		}
		c.last = r.Offset
		c.sum += int64(r.Key()[0])
	}
	c.n += int64(len(recs))
	return nil
}

func (c *count) Close(context.Context) error { return nil }

var payload = []byte(`{"origin":"JFK","destination":"LAX","delay":17,"carrier":"AA"}..`)

// cheap are five cheap stages: two filters on a byte, two changes, one sum. They look at the
// key, which is there without a call.
func cheap() []pipeline.Stage {
	var sum atomic.Int64
	_ = &sum
	return []pipeline.Stage{
		does(func(_ context.Context, r *pipeline.Record) error {
			if r.Key()[3] == 'x' {
				return pipeline.Filtered
			}
			return nil
		}),
		does(func(_ context.Context, r *pipeline.Record) error { r.Time++; return nil }),
		does(func(_ context.Context, r *pipeline.Record) error {
			if r.Key()[9] == 'x' {
				return pipeline.Filtered
			}
			return nil
		}),
		does(func(_ context.Context, r *pipeline.Record) error { r.Time ^= r.Offset; return nil }),
		does(func(_ context.Context, r *pipeline.Record) error { r.Time += int64(r.Key()[5]); return nil }),
	}
}

// BenchmarkP1 is five cheap steps, ordered, against the same calls in one goroutine.
func BenchmarkP1(b *testing.B) {
	const n = 250 * 8 * 1024
	init := func(i int, r *pipeline.Record) {
		r.Init(pipeline.Position{Topic: "t", Partition: 0, Offset: int64(i)}, payload, nil, nil, 0)
	}
	var plain, engine, allocs float64
	var cpu time.Duration
	for range b.N {
		stages := cheap()
		recs := recordsOf(8*1024, init)
		out := &count{}
		began := time.Now()
		for done := 0; done < n; done += len(recs) {
			for i := range recs {
				rec := &recs[i]
				rec.Offset = int64(done + i)
				ok := true
				for _, s := range stages {
					if err := s.Process(context.Background(), rec); err != nil {
						ok = false
						break
					}
				}
				if ok {
					_ = out.Write(context.Background(), []*pipeline.Record{rec})
				}
			}
		}
		plain += float64(time.Since(began)) / n

		sink := &count{}
		o := Options{Source: newSlabs(n, 8, 1024, init), Sinks: []Output{{Name: "out", Sink: sink}}}
		for i, s := range cheap() {
			o.Steps = append(o.Steps, Step{Name: "s" + strconv.Itoa(i), Stage: s})
		}
		p := mustNew(b, o)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		used := cputime.Used()
		began = time.Now()
		if err := p.Run(context.Background()); err != nil {
			b.Fatal(err)
		}
		cpu += cputime.Used() - used
		engine += float64(time.Since(began)) / n
		runtime.ReadMemStats(&after)
		allocs += float64(after.Mallocs-before.Mallocs) / n
		if sink.n != n || sink.bad {
			b.Fatalf("%d records, out of order: %v", sink.n, sink.bad)
		}
	}
	b.ReportMetric(cpu.Seconds()*1e9/float64(b.N)/n, "engine-cpu-ns/record")
	b.ReportMetric(plain/float64(b.N), "plain-ns/record")
	b.ReportMetric(engine/float64(b.N), "engine-ns/record")
	b.ReportMetric(engine/plain, "P1-ratio(<=3)")
	b.ReportMetric(allocs/float64(b.N), "allocs/record")
}

// latencies are lognormal, p50 5 ms and p99 100 ms, cut at 250 ms, the same for all.
func latencies(n int) []time.Duration {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = min(lognormal(r), 250*time.Millisecond)
	}
	return out
}

// unordered is a pool of slots with no order at all: the limit.
func unordered(slots int, lat []time.Duration) time.Duration {
	work := make(chan time.Duration, slots)
	var wg sync.WaitGroup
	began := time.Now()
	for range slots {
		wg.Go(func() {
			for d := range work {
				time.Sleep(d)
			}
		})
	}
	for _, d := range lat {
		work <- d
	}
	close(work)
	wg.Wait()
	return time.Since(began)
}

// streamed is conc/stream, which keeps order without a window.
func streamed(slots int, lat []time.Duration) time.Duration {
	began := time.Now()
	s := stream.New().WithMaxGoroutines(slots)
	for _, d := range lat {
		s.Go(func() stream.Callback {
			time.Sleep(d)
			return func() {}
		})
	}
	s.Wait()
	return time.Since(began)
}

// enriched is the waiting step that is measured.
func enriched(b *testing.B, slots, window int, lat []time.Duration, order Order, key func(i int) []byte) time.Duration {
	sink := &count{}
	o := Options{
		Source: newSlabs(len(lat), slots, 256, func(i int, r *pipeline.Record) {
			r.Init(pipeline.Position{Topic: "t", Partition: 0, Offset: int64(i)}, payload, nil, nil, 0)
		}),
		Sinks: []Output{{Name: "out", Sink: sink}}, Order: order,
		Steps: []Step{{
			Name: "ask", Wait: &Wait{Window: window}, Workers: slots,
			Stage: does(func(_ context.Context, r *pipeline.Record) error {
				time.Sleep(lat[r.Offset])
				return nil
			}),
		}},
	}
	if key != nil {
		o.Key = func(r *pipeline.Record) ([]byte, error) { return key(int(r.Offset)), nil }
	}
	p := mustNew(b, o)
	began := time.Now()
	if err := p.Run(context.Background()); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	if sink.n != int64(len(lat)) || sink.bad && order == OrderPartition {
		b.Fatalf("%d records, out of order: %v", sink.n, sink.bad)
	}
	return took
}

// trim makes the work of a run last for about two seconds.
func trim(slots int) []time.Duration { return latencies(2 * 85 * slots) }

func benchmarkP2(b *testing.B, slots int) {
	var free, ours time.Duration
	lat := trim(slots)
	for range b.N {
		free += unordered(slots, lat)
		ours += enriched(b, slots, 0, lat, OrderPartition, nil)
	}
	b.ReportMetric(float64(free)/float64(ours), "P2-ratio(>=0.95)")
}

// BenchmarkP2 is the ordered waiting step against an unordered pool.
func BenchmarkP2(b *testing.B) {
	b.Run("64", func(b *testing.B) { benchmarkP2(b, 64) })
	b.Run("256", func(b *testing.B) { benchmarkP2(b, 256) })
}

func benchmarkP3(b *testing.B, slots int) {
	var theirs, ours float64
	lat := trim(slots)
	some := lat[:len(lat)/8]
	for range b.N {
		theirs += streamed(slots, some).Seconds() / float64(len(some))
		ours += enriched(b, slots, 0, lat, OrderPartition, nil).Seconds() / float64(len(lat))
	}
	b.ReportMetric(theirs/ours, "P3-ratio(>=5;>=8)")
}

// BenchmarkP3 is the ordered waiting step against conc/stream.
func BenchmarkP3(b *testing.B) {
	b.Run("64", func(b *testing.B) { benchmarkP3(b, 64) })
	b.Run("256", func(b *testing.B) { benchmarkP3(b, 256) })
}

// BenchmarkP13 is order by key, with one key on half of the records, against the
// unordered pool.
func BenchmarkP13(b *testing.B) {
	const slots = 64
	var free, ours time.Duration
	lat := trim(slots)
	key := func(i int) []byte {
		if i%2 == 0 {
			return []byte("hot")
		}
		return strconv.AppendInt(nil, int64(i*7919%10007), 10)
	}
	for range b.N {
		free += unordered(slots, lat)
		ours += enriched(b, slots, 0, lat, OrderKey, key)
	}
	b.ReportMetric(float64(free)/float64(ours), "P13-ratio(>=0.90)")
}

// BenchmarkP15 is the tracking of marks, by Writes of 256 records out of order and by
// whole batches, against an uncontended atomic add.
func BenchmarkP15(b *testing.B) {
	const n, rounds = 4096, 300
	var add, each, whole time.Duration
	perm := windowed(rand.New(rand.NewPCG(1, 1)), n, 2000)
	inOrder, anyOrder := tracked(b, n, OrderPartition), tracked(b, n, OrderKey)
	round := func(tr *trackedLane, order []int) (took time.Duration) {
		l := tr.lane
		for i := range tr.recs {
			tr.recs[i].Offset = tr.next + int64(i)
		}
		tr.next += n
		tr.items = appendItems(b, tr.items[:0], l, &pipeline.Batch{Fill: pipeline.Records(tr.recs), Next: tr.next})
		list := tr.items
		if order != nil {
			list = tr.list
			for i, k := range order {
				list[i] = tr.items[k]
			}
		}
		began := time.Now()
		for i := 0; i < n; i += 256 {
			l.finishAt(list[i:i+256], delivered, began)
		}
		took = time.Since(began)
		if l.ring.Passed() != tr.next {
			b.Fatalf("mark %d, want %d", l.ring.Passed(), tr.next)
		}
		return took
	}
	for range b.N {
		var counter atomic.Int64
		for range rounds {
			began := time.Now()
			for range n {
				counter.Add(1)
			}
			add += time.Since(began)
			each += round(anyOrder, perm)
			whole += round(inOrder, nil)
		}
	}
	b.ReportMetric(float64(each)/float64(add), "P15-record-ratio(<=3)")
	b.ReportMetric(float64(whole)/float64(add), "P15-batch-ratio(<=0.3)")
}

// A trackedLane is a lane with records to be admitted again and again.
type trackedLane struct {
	lane        *lane
	recs        []pipeline.Record
	items, list []item // made of them, and in the order of their outcomes
	next        int64
}

func tracked(b *testing.B, n int, order Order) *trackedLane {
	p := mustNew(b, Options{Source: &memory{}, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Order: order})
	p.budget.join(&p.use)
	l, _, err := p.lane(context.Background(), "t/0", 0)
	if err != nil {
		b.Fatal(err)
	}
	tr := &trackedLane{lane: l, recs: make([]pipeline.Record, n), list: make([]item, n)}
	for i := range tr.recs {
		tr.recs[i].Init(pipeline.Position{Topic: "t", Partition: 0, Offset: int64(i)}, nil, payload, nil, 0)
	}
	return tr
}

// windowed gives a permutation that moves nothing further than half of the window.
func windowed(r *rand.Rand, n, window int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for at := 0; at < n; at += window / 2 {
		part := p[at:min(at+window/2, n)]
		r.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
	}
	return p
}
