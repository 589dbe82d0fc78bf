package engine

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// sets is a source of batches of about 1 MiB, each with its records in a buffer of its own.
type sets struct {
	memory
	value string
	each  int // records of a batch
}

func (s *sets) Read(ctx context.Context) (*pipeline.Batch, error) {
	for i, l := range s.open {
		if s.next[i] >= s.records {
			continue
		}
		c, err := l.Take(ctx, int64(s.each*len(s.value)))
		if err != nil {
			return nil, err
		}
		buf := make([]byte, 0, s.each*len(s.value))
		for range s.each {
			buf = append(buf, s.value...)
		}
		at := int64(s.next[i])
		s.next[i] += s.each
		return &pipeline.Batch{Lane: l, Charge: c, Next: at + int64(s.each), Fill: func(into []pipeline.Record) (n int, err error) {
			for n < len(into) && len(buf) > 0 {
				v := buf[:len(s.value):len(s.value)]
				into[n].Init(pipeline.Position{Topic: "t", Partition: int32(i), Offset: at}, nil, v, nil, at)
				at++
				n++
				buf = buf[len(v):]
			}
			return n, nil
		}}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// Records that wait in front of a sink are charged with what they take of the heap, but for the
// rounding up of its sizes; also when other records that came with them are done.
func TestWhatIsChargedIsWhatIsHeld(t *testing.T) {
	sizes := []int{200, 4 << 10, 100 << 10}
	if testing.Short() {
		sizes = sizes[1:2]
	}
	for _, size := range sizes {
		for _, edits := range []int{0, 1, 2, 3, 5} {
			t.Run(fmt.Sprintf("%d/%d", size, edits), func(t *testing.T) {
				value := fmt.Sprintf(`{"id":123456,"delay":17,"from":"OSL","to":"BGO","note":"%s"}`, strings.Repeat("x", size))
				src := &sets{memory: memory{lanes: 8}, value: value[:size-2] + `"}`, each: max(1<<20/size, 1)}
				src.records = 3 * src.each
				var steps []Step
				left, most := 8*src.records, int64(1<<20)
				if edits == 3 { // all but the last set are filtered
					left, most = 8*src.each, 9<<20 // the free places of a lane's block may point to a set
					steps = append(steps, Step{Name: "most", Stage: does(func(_ context.Context, rec *pipeline.Record) error {
						if rec.Offset < int64(src.records-src.each) {
							return pipeline.Filtered
						}
						return nil
					})})
				}
				for i := range edits {
					name := fmt.Sprintf("field_%d", i)
					steps = append(steps, Step{Name: name, Stage: does(func(_ context.Context, rec *pipeline.Record) error {
						if _, err := rec.Field("delay"); err != nil {
							return err
						}
						return rec.SetRaw(name, fmt.Appendf(nil, `"%d to %s"`, rec.Offset, "BGO"))
					})})
				}
				before := heap()
				b := NewBudget(1_000_000, 1<<30)
				gate := make(chan struct{})
				sink := gated{gate}
				p := mustNew(t, Options{Source: src, Budget: b, Steps: steps,
					Sinks: []Output{{Name: "out", Sink: sink, MaxRecords: 1000, MaxBytes: 1 << 20}}})
				p.chain().sinks[0].conf.MaxRecords, p.chain().sinks[0].conf.MaxBytes = 1<<20, 1<<30 // nobody is held back
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- p.Run(ctx) }()
				for there := 0; there < left; time.Sleep(time.Millisecond) {
					there = waitingFor(p.chain().sinks[0])
				}
				held := heap() - before
				_, use := b.Use()
				if held > use+use/8+most || use > held+held/10+1<<20 {
					t.Errorf("%d KiB are charged, and the heap has grown by %d: %d and %d bytes a record of %d", use>>10, held>>10,
						use/int64(left), held/int64(left), size)
				}
				cancel()
				close(gate)
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// heap is what the heap holds when all garbage is gone: what an earlier test left may take
// several rounds.
func heap() int64 {
	var m runtime.MemStats
	for same, last := 0, uint64(0); same < 3; last = m.HeapAlloc {
		runtime.GC()
		runtime.ReadMemStats(&m)
		if same++; last > m.HeapAlloc+64<<10 || m.HeapAlloc > last+64<<10 {
			same = 0
		}
	}
	return int64(m.HeapAlloc)
}

// gated is a sink that stores nothing until it may.
type gated struct{ open chan struct{} }

func (g gated) Write(context.Context, []*pipeline.Record) error { <-g.open; return nil }
func (g gated) Close(context.Context) error                     { return nil }

// waitingFor is how many records wait in front of a sink or are being written.
func waitingFor(s *sink) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queues {
		q.mu.Lock()
		n += len(q.queue) - q.head + len(q.batch)
		q.mu.Unlock()
	}
	return n
}
