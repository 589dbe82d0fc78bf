package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A key stays skipped when steps are replaced, whether or not the new ones need the keys of records, and the old ones did.
func TestAKeyStaysSkippedOverAChange(t *testing.T) {
	serial := map[bool]Serial{false: SerialNone, true: SerialKey}
	for _, keyed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			src, out, dead := &memory{lanes: 1, records: 500, gap: 10 * time.Millisecond, key: func(_, n int) string { return keyOf(n) }}, &collect{}, &collect{}
			parts := func(keyed bool, took time.Duration) Parts {
				return Parts{
					Steps:      []Step{{Name: "ask", Stage: slowly(took), Workers: 4, Wait: &Wait{Serial: serial[keyed], Timeout: time.Hour, Deadline: 2 * time.Hour}}},
					Sinks:      []Output{{Name: "out", Sink: out}},
					DeadLetter: DeadLetter{Sink: dead},
				}
			}
			p, done := start(t, t.Context(), withParts(Options{Source: src, Order: OrderPartition}, parts(!keyed, time.Millisecond)))
			time.Sleep(100 * time.Millisecond)
			if err := p.Skip([]byte("k3")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			time.Sleep(10 * time.Millisecond)
			mustChange(t, p, parts(keyed, time.Millisecond))
			before := int64(p.Snapshot().Out)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			balanced(t, p)
			passed := 0
			for _, s := range out.all()[before:] {
				if s.key == "k3" {
					passed++
				}
			}
			if s := p.Snapshot(); passed != 0 || s.Skipped != 1 || s.Rejected+s.Out != 500 {
				t.Errorf("keyed %t: %d records of the key were delivered, %d skipped, %d rejected", keyed, passed, s.Skipped, s.Rejected)
			}
		})
	}
}

// A pipeline does not go on without dead letters while something is skipped, and nothing is skipped while it is about to: what is
// skipped would stop it.
func TestAChangeTakesDeadLettersFromWhatIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, out, dead := &memory{lanes: 1, records: 200, gap: 10 * time.Millisecond, key: func(_, n int) string { return keyOf(n) }}, &collect{}, &collect{}
		parts := Parts{Steps: []Step{{Name: "x", Stage: slowly(0)}}, Sinks: []Output{{Name: "out", Sink: out}}}
		with, key := parts, []byte("k1")
		with.DeadLetter.Sink = dead
		p, done := start(t, t.Context(), withParts(Options{Source: src}, with))
		time.Sleep(20 * time.Millisecond)
		if err := p.Skip(key); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Prepare(t.Context(), parts); !errors.Is(err, ErrNoDeadLetter) {
			t.Fatalf("Prepare: %v", err)
		}
		p.Unskip(key)
		for range 2 {
			c, err := p.Prepare(t.Context(), parts)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Skip(key); !errors.Is(err, ErrNoDeadLetter) {
				t.Errorf("Skip in a change: %v", err)
			}
			c.Cancel()
			if err := p.Skip(key); err != nil { // it is over
				t.Error(err)
			}
			p.Unskip(key)
		}
		mustChange(t, p, parts)
		if err := p.Skip(key); !errors.Is(err, ErrNoDeadLetter) {
			t.Errorf("Skip without dead letters: %v", err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if s := p.Snapshot(); s.Skipped != 0 || s.Out+s.Rejected != 200 {
			t.Errorf("%d skipped, %d delivered, %d rejected", s.Skipped, s.Out, s.Rejected)
		}
	})
}

// resized is a stage that is told how many workers its step has.
type resized struct {
	does
	workers int
	panics  bool
}

func (r *resized) Resize(n int) {
	r.workers = n
	if r.panics {
		panic("resizing")
	}
}

// A component that takes the place of another hears how many workers its step has, where a command has changed that.
func TestANewComponentHearsOfItsWorkers(t *testing.T) {
	for _, panics := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			src, out := &memory{lanes: 1, records: 100, gap: time.Millisecond}, &collect{}
			nothing := does(func(context.Context, *pipeline.Record) error { return nil })
			stage := func() *resized { return &resized{does: nothing} }
			parts := func(s pipeline.Stage) Parts {
				return Parts{Steps: []Step{{Name: "ask", Stage: s, Workers: 2, Wait: &Wait{Window: 100}}}, Sinks: []Output{{Name: "out", Sink: out}}}
			}
			old, fresh, last := stage(), stage(), stage()
			fresh.panics = panics
			p, done := start(t, t.Context(), withParts(Options{Source: src}, parts(old)))
			time.Sleep(time.Millisecond)
			if err := p.SetWorkers("ask", 7); err != nil {
				t.Fatal(err)
			}
			mustChange(t, p, parts(fresh))
			if old.workers != 7 || fresh.workers != 7 || p.Snapshot().Steps[0].Workers != 7 {
				t.Errorf("workers: the old one was told %d, the new one %d", old.workers, fresh.workers)
			}
			other := parts(last)
			other.Steps[0].Workers = 3 // the file says another number: it counts
			mustChange(t, p, other)
			if last.workers != 0 || p.Snapshot().Steps[0].Workers != 3 {
				t.Errorf("told %d", last.workers)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A lane that is paused stays so when the pipeline itself hands back what of it has not begun, to come to rest.
func TestALaneStaysPausedOverAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, sink := &memory{lanes: 2, records: 400, batch: 100, reopens: true}, &collect{}
		old, fresh := partsOf("0", 5*time.Second, sink), partsOf("1", time.Millisecond, sink)
		p, done := start(t, t.Context(), withParts(Options{Source: src, CommitEvery: time.Second}, old))
		time.Sleep(time.Second)
		if err := p.PauseLane("t/0"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		mustChangeBy(ctx, t, p, fresh)
		time.Sleep(time.Minute)
		s := p.Snapshot()
		if fmt.Sprint(s.PausedLanes) != "[t/0]" || src.mark(1) != 400 || src.mark(0) == 400 {
			t.Errorf("paused: %v, marks %d, %d", s.PausedLanes, src.mark(0), src.mark(1))
		}
		if err := p.ResumeLane("t/0"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for lane := range int32(2) {
			ascending(t, fmt.Sprint("lane ", lane), sink.offsets(lane), 400)
		}
	})
}

func mustChangeBy(ctx context.Context, t *testing.T, p *Pipeline, parts Parts) {
	t.Helper()
	c, err := p.Prepare(ctx, parts)
	if err != nil {
		t.Fatal(err)
	}
	c.Commit()
}

// The figures of an interval may be asked for at the moment when a chain has taken the place of another, which had fewer places.
func TestAnIntervalEndsInAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, out := &memory{lanes: 1, records: 50, gap: time.Second}, &collect{}
		p, done := start(t, t.Context(), Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}})
		time.Sleep(time.Second)
		old, more := p.chain(), p.newPlan(&Options{Steps: []Step{{Name: "x", Stage: slowly(0), Workers: 1}}, Sinks: []Output{{Name: "out", Sink: out}}})
		for _, c := range []*chain{old, newChain(&p.shared, p.txn, more, old), old} {
			p.now.Store(c)
			p.stats.mu.Lock()
			p.stats.rotate(time.Now())
			p.stats.mu.Unlock()
			time.Sleep(time.Second)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
