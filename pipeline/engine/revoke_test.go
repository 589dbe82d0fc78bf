package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/ring"
)

// A stop cancels the calls of all lanes, also while others of them end and leave the set.
func TestLanesEndWhileThePipelineStops(t *testing.T) {
	for range 20 {
		p := mustNew(t, Options{Source: &memory{}, Sinks: []Output{{Name: "out", Sink: &collect{}}}})
		var lanes []*lane
		for range 200 {
			l, _, err := p.lane(t.Context(), "t/0", 0)
			if err != nil {
				t.Fatal(err)
			}
			lanes = append(lanes, l)
		}
		var wait sync.WaitGroup
		wait.Go(func() {
			for _, l := range lanes[:100] {
				_, _ = l.End(ended())
			}
		})
		wait.Go(func() { p.stop(errors.New("a stage said so")) })
		wait.Wait()
		for i, l := range lanes {
			if l.stepsCtx.Err() == nil {
				t.Fatalf("the calls of lane %d go on", i)
			}
		}
		p.work.cancel()
	}
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// What a lane that is over leaves behind in a sink is forgotten.
func TestAnEndedLaneLeavesNothingInTheSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 10, endless: true}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{Source: src, Sinks: []Output{{Name: "a", Sink: &collect{}}}})
		time.Sleep(time.Second)
		l := src.lane(0)
		if _, err := l.End(ended()); err != nil {
			t.Fatal(err)
		}
		// The router looked at the lane just before it ended.
		in := &laneBatch{batch: &pipeline.Batch{}, marks: ring.NewBatch(0, 1, false), pieces: 1}
		pc := &piece{lane: l, from: in}
		pc.Add(&in.marks, 0)
		pc.Close(&in.marks)
		p.chain().sinks[0].enqueue(l, []item{{&pipeline.Record{}, &track{piece: pc}}})
		synctest.Wait()
		p.chain().sinks[0].mu.Lock()
		if n := len(p.chain().sinks[0].queues); n != 0 {
			t.Errorf("%d queues of lanes that are over", n)
		}
		p.chain().sinks[0].mu.Unlock()
		cancel()
		<-done
	})
}

// spare is what a pipeline keeps of places to be used again.
func spare(p *Pipeline) (bytes int64) {
	p.pool.mu.Lock()
	defer p.pool.mu.Unlock()
	for _, b := range append(p.pool.clean, p.pool.dirty...) {
		bytes += b.size()
	}
	return bytes
}

// Splits in a waiting step, filtered and failing parts, while lanes end: all charges
// come back.
func TestALaneThatEndsGivesItsBytesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, waits := range []bool{true, false} {
			b := NewBudget(0, 1<<20)
			src := &memory{lanes: 3, records: 3000, batch: 300, endless: true, charge: true}
			var slow time.Duration
			if waits {
				slow = 10 * time.Millisecond
			}
			p, done := start(t, t.Context(), Options{
				Source: src, Budget: b, Order: OrderKey,
				Steps: []Step{
					{Name: "cut", Wait: waitIf(waits), Workers: 4, Splitter: splits(func(ctx context.Context, r *pipeline.Record, emit func(*pipeline.Record)) error {
						pause(ctx, slow)
						switch r.Offset % 7 {
						case 0:
							return nil
						case 1:
							return pipeline.Permanent(errors.New("no"))
						case 2:
							return errors.New("later")
						}
						for range r.Offset % 4 {
							emit(r)
						}
						return nil
					})},
					{Name: "wait", Wait: &Wait{}, Workers: 4, Stage: does(func(ctx context.Context, r *pipeline.Record) error {
						pause(ctx, 10*time.Millisecond)
						if r.Part == 2 {
							return errors.New("later")
						}
						return r.SetRaw("x", []byte("1"))
					})},
				},
				DeadLetter: DeadLetter{Sink: &collect{}},
				Sinks: []Output{{Name: "a", Sink: &collect{}}, {Name: "b", Sink: &collect{write: func(ctx context.Context, recs []*pipeline.Record) error {
					pause(ctx, 50*time.Millisecond)
					return ctx.Err()
				}}}},
			})
			for i := range 3 {
				time.Sleep(3 * time.Second)
				ctx := ended()
				if i == 1 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(t.Context(), time.Second)
					defer cancel()
				}
				if r, err := src.lane(i).End(ctx); err != nil {
					t.Error(r, err)
				}
			}
			time.Sleep(time.Minute)
			src.mu.Lock()
			given, freed := src.given, src.freed
			src.mu.Unlock()
			if n, bytes := b.Use(); n != 0 || bytes != spare(p) || given != freed {
				t.Errorf("waits %v: %d records, %d bytes, %d of %d batches freed", waits, n, bytes, freed, given)
			}
			if s := p.Snapshot(); s.InFlight != 0 || len(p.InFlight()) != 0 {
				t.Errorf("%d in flight, %d listed", s.InFlight, len(p.InFlight()))
			}
			for _, st := range p.Snapshot().Steps {
				if st.InFlight != 0 || st.WindowLen != 0 || st.QueueLen != 0 {
					t.Errorf("%+v", st)
				}
			}
			p.Abort()
			<-done
			balanced(t, p)
		}
	})
}

// The report of a lane's end tells what a pipeline that stops has abandoned of it.
func TestWhatAStopAbandonsIsNotDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 10, batch: 10, endless: true}
		_, done := start(t, t.Context(), Options{
			Source: src, Sinks: []Output{{Name: "a", Sink: &collect{}}},
			Steps: []Step{{Name: "ask", Wait: &Wait{}, Workers: 10, Stage: does(func(ctx context.Context, r *pipeline.Record) error {
				pause(ctx, time.Duration(r.Offset+1)*time.Second)
				if r.Offset == 5 {
					return pipeline.Fatal(errors.New("x"))
				}
				return nil
			})}},
		})
		time.Sleep(1500 * time.Millisecond)
		ctx, c := context.WithTimeout(context.Background(), time.Minute)
		defer c()
		r, err := src.lane(0).End(ctx)
		if err != nil || r.InFlight != 9 || r.Drained != 4 || r.Abandoned != 5 || src.mark(0) != 5 {
			t.Errorf("%+v, %v: the mark is %d", r, err, src.mark(0))
		}
		<-done
	})
}

// A holder is a sink that is told of the ends of lanes.
type holder struct {
	collect
	told func(topic string, partition int32)
}

func (h *holder) LaneEnded(topic string, partition int32) { h.told(topic, partition) }

// A sink is told of the end of a lane before End returns, once, and only of lanes that it
// has written, dead letters included.
func TestASinkHearsOfTheEndOfALane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string // in the order of what happens here: End waits for it
		tells := func(name string) *holder {
			return &holder{told: func(topic string, partition int32) {
				got = append(got, fmt.Sprint(name, " ", topic, "/", partition))
			}}
		}
		src := &memory{lanes: 3, records: 10, endless: true}
		ctx, cancel := context.WithCancel(t.Context())
		_, done := start(t, ctx, Options{
			Source: src,
			Steps: []Step{{Name: "s", Stage: does(func(_ context.Context, r *pipeline.Record) error {
				if r.Partition == 2 {
					return pipeline.Permanent(errors.New("no"))
				}
				return nil
			})}},
			Sinks:      []Output{{Name: "a", Sink: tells("a"), When: func(r *pipeline.Record) (bool, error) { return r.Partition == 0, nil }}, {Name: "b", Sink: tells("b")}},
			DeadLetter: DeadLetter{Name: "letters", Sink: tells("letters")},
		})
		time.Sleep(time.Second)
		for i, want := range []string{"[a t/0 b t/0]", "[b t/1]", "[letters t/2]"} {
			if _, err := src.lane(i).End(ctx); err != nil {
				t.Fatal(err)
			}
			if have := fmt.Sprint(got); have != want {
				t.Errorf("at the end of lane %d: %s, want %s", i, have, want)
			}
			got = nil
		}
		cancel()
		<-done
		if len(got) != 0 {
			t.Errorf("told again: %v", got)
		}
	})
}

// A Write that is still under way when its lane ends is waited for: the sink is told of the
// end after it.
func TestASinkHearsOfTheEndBehindTheLastWrite(t *testing.T) {
	for name, end := range map[string]func() error{
		"stored": func() error { return nil }, "failed": func() error { return errors.New("no") }, "panic": func() error { panic("no") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var writing, told atomic.Int32
				out := &holder{}
				out.write = func(context.Context, []*pipeline.Record) error { // it looks at no ctx
					writing.Add(1)
					time.Sleep(time.Minute)
					writing.Add(-1)
					return end()
				}
				out.told = func(string, int32) {
					if writing.Load() != 0 {
						t.Error("told while a Write was under way")
					}
					told.Add(1)
				}
				src := &memory{lanes: 1, records: 100, endless: true}
				ctx, cancel := context.WithCancel(t.Context())
				p := mustNew(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}})
				done := make(chan error, 1)
				go func() { done <- p.Run(ctx) }()
				time.Sleep(time.Second)
				if _, err := src.lane(0).End(ended()); err != nil {
					t.Fatal(err)
				}
				if told.Load() != 0 {
					t.Error("told at once")
				}
				time.Sleep(2 * time.Minute)
				if told.Load() != 1 || writing.Load() != 0 {
					t.Errorf("told %d times, %d Writes", told.Load(), writing.Load())
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// However Writes and the ends of lanes meet, no Write follows the end.
func TestNoWriteFollowsTheEndOfALane(t *testing.T) {
	for range 50 {
		out := &holder{}
		var mu sync.Mutex
		over := map[int32]bool{}
		out.write = func(_ context.Context, recs []*pipeline.Record) error {
			mu.Lock()
			defer mu.Unlock()
			if over[recs[0].Partition] {
				t.Error("a Write of a lane that is over")
			}
			return nil
		}
		out.told = func(_ string, partition int32) {
			mu.Lock()
			defer mu.Unlock()
			if over[partition] {
				t.Error("told twice")
			}
			over[partition] = true
		}
		src := &memory{lanes: 8, records: 400, batch: 7, endless: true}
		ctx, cancel := context.WithCancel(t.Context())
		p := mustNew(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out, MaxRecords: 3}}})
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		for len(out.all()) == 0 {
			runtime.Gosched()
		}
		var ends sync.WaitGroup
		for i := range 8 {
			ends.Go(func() {
				if _, err := src.lane(i).End(ended()); err != nil {
					t.Error(err)
				}
			})
		}
		ends.Wait()
		cancel()
		<-done
	}
}

// A sink that panics when it is told of an end stops the pipeline, not the process.
func TestASinkThatPanicsAtTheEndOfALane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &holder{told: func(string, int32) { panic("no") }}
		src := &memory{lanes: 1, records: 10, endless: true}
		p := mustNew(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}})
		done := make(chan error, 1)
		go func() { done <- p.Run(t.Context()) }()
		time.Sleep(time.Second)
		if _, err := src.lane(0).End(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err == nil || !strings.Contains(err.Error(), "out: ending lane t/0: panic") {
			t.Errorf("got %v", err)
		}
	})
}
