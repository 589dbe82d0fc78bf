package engine

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// crowd counts how many calls run at a time.
type crowd struct {
	now, most atomic.Int64
	took      time.Duration
	every     int64 // of so many records one takes that long, and the others nothing
}

func (c *crowd) Process(ctx context.Context, r *pipeline.Record) error {
	if c.every > 0 && r.Offset%c.every > 0 {
		return nil
	}
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	pause(ctx, c.took)
	return ctx.Err()
}

// since gives the most that ran at a time since the last call.
func (c *crowd) since() int64 { return c.most.Swap(c.now.Load()) }

// ratios checks that the workers of a step were busy, idle or blocked, each for no less than no time, and together for as long
// as there were that many workers.
func ratios(t *testing.T, what string, was, now StepSnapshot, workers time.Duration) {
	t.Helper()
	busy, idle, blocked := now.Busy-was.Busy, now.Idle-was.Idle, now.Blocked-was.Blocked
	if busy < 0 || idle < 0 || blocked < 0 || busy+idle+blocked != workers {
		t.Errorf("%s: busy %s, idle %s, blocked %s, which is not %s", what, busy, idle, blocked, workers)
	}
}

// The workers of both kinds of step become more and fewer at once, as far as they have nothing in hand. Order is kept, and their times
// add up to as long as there were that many.
func TestWorkersBecomeMoreAndFewer(t *testing.T) {
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, out := &crowd{took: time.Second}, &collect{}
			if !waits {
				c.every = chunkRecords // one of each chunk
			}
			src := &memory{lanes: 2, records: 1 << 20, batch: chunkRecords, charge: true, endless: true}
			step := Step{Name: "work", Workers: 2, Stage: c}
			if waits {
				step.Wait = &Wait{Window: 1024}
			}
			ctx, cancel := context.WithCancel(t.Context())
			p, done := start(t, ctx, Options{Source: src, Budget: NewBudget(100*chunkRecords, 0), Steps: []Step{step}, Sinks: []Output{{Name: "out", Sink: out}}})
			time.Sleep(2*time.Second + time.Second/2)
			synctest.Wait()
			was := p.Snapshot()
			for _, n := range []int{16, 1, 8, 2} {
				if err := p.SetWorkers("work", n); err != nil {
					t.Fatal(err)
				}
				if s := p.Snapshot(); s.Steps[0].Workers != n {
					t.Errorf("%d workers are told of, of %d", s.Steps[0].Workers, n)
				}
				time.Sleep(2 * time.Second) // what those have in hand that are too many
				c.since()
				before := p.Snapshot()
				time.Sleep(5 * time.Second)
				synctest.Wait()
				now := p.Snapshot()
				if most := c.since(); most != int64(n) {
					t.Errorf("waits %t: %d calls at once with %d workers", waits, most, n)
				}
				ratios(t, "with the workers that are wanted", before.Steps[0], now.Steps[0], 5*time.Second*time.Duration(n))
				ratios(t, "over the change", was.Steps[0], before.Steps[0], before.Steps[0].Busy-was.Steps[0].Busy+before.Steps[0].Idle-was.Steps[0].Idle+before.Steps[0].Blocked-was.Steps[0].Blocked)
				was = now
			}
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			balanced(t, p)
			for lane := range 2 {
				ascending(t, "lane", out.offsets(int32(lane)), int(src.mark(lane)))
			}
		})
	}
}

// Workers that wait for something to do are let go too, and come again; and those of a step that has not begun are those that were
// asked for last.
func TestIdleWorkersAreLetGo(t *testing.T) {
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			src, out, c := &memory{lanes: 1, records: 1000, batch: 100, endless: true}, &collect{}, &crowd{took: time.Millisecond}
			p := mustNew(t, Options{
				Source: src, Steps: []Step{{Name: "work", Workers: 4, Stage: c, Wait: waitIf(waits)}}, Sinks: []Output{{Name: "out", Sink: out}},
			})
			alive := func() int {
				switch s := p.chain().steps[0].(type) {
				case *cpuStep:
					s.mu.Lock()
					defer s.mu.Unlock()
					return s.alive
				case *waitStep:
					s.win.mu.Lock()
					defer s.win.mu.Unlock()
					return s.win.staff
				}
				return -1
			}
			ctx, cancel := context.WithCancel(t.Context())
			if err := p.SetWorkers("work", 9); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			for _, n := range []int{9, 2, 30, 1, 5} {
				if err := p.SetWorkers("work", n); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if got := alive(); got != n {
					t.Errorf("waits %t: %d workers are there, of %d", waits, got, n)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			ascending(t, "lane", out.offsets(0), 1000)
			if err := p.SetWorkers("work", 3); err != nil { // it has ended: nothing comes of it
				t.Error(err)
			}
		})
	}
}

// A number of workers that a step cannot have is refused, with why, and changes nothing.
func TestWorkersThatAStepCannotHave(t *testing.T) {
	one := does(func(context.Context, *pipeline.Record) error { return nil })
	p := mustNew(t, Options{Source: &memory{lanes: 1}, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Steps: []Step{
		{Name: "many", Stage: one, Workers: 3},
		{Name: "one", Stage: one, Workers: 1, MostWorkers: 1, MostWhy: "it remembers, so its records come one after another"},
		{Name: "ask", Stage: one, Workers: 2, Wait: &Wait{Window: 10}},
	}})
	for _, c := range []struct {
		step string
		n    int
		want string
	}{
		{"many", 0, "setting the workers of many to 0: a step has 1 at least; to have nothing begin, pause"},
		{"many", -1, "a step has 1 at least"},
		{"many", MaxWorkers + 1, "it may have 65536 at most"},
		{"one", 2, "setting the workers of one to 2: it may have 1 at most: it remembers, so its records come one after another"},
		{"ask", 11, "it may have 10 at most: its window has no more places, and keeps its size"},
		{"none", 1, `step "none": there is no such step`},
		{"one", 1, ""}, {"ask", 10, ""}, {"many", 7, ""},
	} {
		err := p.SetWorkers(c.step, c.n)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s to %d: %v", c.step, c.n, err)
		}
		if c.step == "none" && !errors.Is(err, ErrNoStep) {
			t.Errorf("%v", err)
		}
	}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{7, 1, 10} {
		if s := p.Snapshot().Steps[i]; s.Workers != want {
			t.Errorf("%s has %d workers, want %d", s.Name, s.Workers, want)
		}
	}
}
