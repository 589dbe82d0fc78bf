package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
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

// While the pipeline has ended lanes itself, to come to rest, they can be named as ever: paused, and resumed, and their records skipped.
func TestALaneIsPausedInAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, sink := &memory{lanes: 2, records: 400, batch: 100, reopens: true}, &collect{}
		old, fresh := partsOf("0", 5*time.Second, sink), partsOf("1", time.Millisecond, sink)
		old.DeadLetter.Sink = &collect{}
		fresh.DeadLetter.Sink = old.DeadLetter.Sink
		p, done := start(t, t.Context(), withParts(Options{Source: src, CommitEvery: time.Second}, old))
		time.Sleep(time.Second)
		changed := make(chan struct{})
		go func() {
			defer close(changed)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			mustChangeBy(ctx, t, p, fresh)
		}()
		time.Sleep(11 * time.Second) // the lanes are ended after 10
		if !over(src.lane(0)) && !src.lane(0).isEnding() {
			t.Fatal("the lane is not on its way")
		}
		skipped := pipeline.Position{Topic: "t", Partition: 1, Offset: 399}
		for name, err := range map[string]error{
			"pausing": p.PauseLane("t/0"), "pausing another": p.PauseLane("t/1"), "resuming it": p.ResumeLane("t/1"), "skipping": p.SkipRecord(skipped),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := p.PauseLane("t/7"); !errors.Is(err, ErrNoLane) {
			t.Errorf("pausing what there is not: %v", err)
		}
		if s := p.Snapshot(); fmt.Sprint(s.PausedLanes) != "[t/0]" {
			t.Errorf("paused on the way: %v", s.PausedLanes)
		}
		<-changed
		time.Sleep(time.Minute)
		s := p.Snapshot()
		if fmt.Sprint(s.PausedLanes) != "[t/0]" || src.mark(1) != 400 || src.mark(0) == 400 || s.Rejected != 1 {
			t.Errorf("paused: %v, marks %d, %d, %d rejected", s.PausedLanes, src.mark(0), src.mark(1), s.Rejected)
		}
		if err := p.ResumeLane("t/0"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ascending(t, "lane 0", sink.offsets(0), 400)
		ascending(t, "lane 1", sink.offsets(1), 399)
	})
}

// A pipeline that does not come to rest says what holds it up: a batch of a lane that is paused does not, though it has waited longer.
func TestWhatIsPausedDoesNotHoldUpAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, out := &memory{lanes: 2, records: 40, batch: 1, reopens: true}, &collect{}
		hangs := does(func(ctx context.Context, rec *pipeline.Record) error {
			if rec.Partition == 1 {
				pause(ctx, time.Hour)
			}
			return nil
		})
		parts := Parts{
			Steps: []Step{{Name: "count", Stage: slowly(0)}, {Name: "ask", Stage: hangs, Workers: 2, Wait: &Wait{Timeout: 2 * time.Hour, Deadline: 3 * time.Hour}}},
			Sinks: []Output{{Name: "out", Sink: out}},
		}
		p := mustNew(t, withParts(Options{Source: src}, parts))
		p.Pause()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(time.Second)
		if err := p.PauseLane("t/0"); err != nil {
			t.Fatal(err)
		}
		p.Resume()
		time.Sleep(time.Second)
		soon, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := p.Prepare(soon, parts)
		var late *NotAtRestError
		if !errors.As(err, &late) || !strings.Contains(late.Holder, "ask: attempt 1") || late.InFlight != 2 {
			t.Errorf("Prepare: %v", err)
		}
		stop()
		var abandoned *AbandonedError
		if err := <-done; !errors.As(err, &abandoned) || !strings.Contains(abandoned.Holder, "ask: attempt 1") {
			t.Errorf("Run: %v", err)
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

// A tap stays with its step over a change, and ends with it. The name of what has gone cannot be tapped, until something else has it.
func TestATapEndsWithItsStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, out, other := &memory{lanes: 1, records: 400, gap: 10 * time.Millisecond}, &collect{}, &collect{}
		first, second := partsOf("0", 0, out), partsOf("1", 0, out)
		second.Steps = second.Steps[:2]
		second.Steps[1].Name = "fresh"
		second.Sinks = []Output{{Name: "store", Sink: other}}
		second.DeadLetter = DeadLetter{Sink: &collect{}, Name: "again"}
		p, done := start(t, t.Context(), withParts(Options{Source: src}, first))
		time.Sleep(20 * time.Millisecond)
		stays, goes, sink := openTap(t, p, "count", TapBefore), openTap(t, p, "again", TapAfter), openTap(t, p, "out", TapAfter)
		time.Sleep(100 * time.Millisecond)
		c, err := p.Prepare(t.Context(), second)
		if err != nil {
			t.Fatal(err)
		}
		c.Cancel()
		if _, err := p.Tap(TapOptions{Step: "store", Sides: TapAfter, Rate: settings.Rate{N: 1, Per: time.Second}}); !errors.Is(err, ErrNoStep) {
			t.Errorf("tapping what has not come: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
		mustChange(t, p, second)
		for name, tap := range map[string]*Tap{"step": goes, "sink": sink} {
			n, err := 0, error(nil)
			for ; err == nil; n++ {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				_, err = tap.Next(ctx)
				cancel()
			}
			if n < 2 || !errors.Is(err, ErrTapGone) {
				t.Errorf("%s: %d were seen, and then %v", name, n-1, err)
			}
		}
		if _, err := p.Tap(TapOptions{Step: "again", Sides: TapAfter, Rate: settings.Rate{N: 1, Per: time.Second}}); !errors.Is(err, ErrNoStep) {
			t.Errorf("tapping what has gone, whose name the dead letters have: %v", err)
		}
		filtered := openTap(t, p, "fresh", TapFiltered|TapAfter)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := len(allOf(t, filtered)); n == 0 {
			t.Error("nothing was seen of the step that has come")
		}
		if n := len(allOf(t, stays)); n != tapQueue { // nobody has read it, so that it is full
			t.Errorf("%d were seen at the step that stays", n)
		}
	})
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

// What keeps a pipeline from resting is said also where it is neither a record nor a call.
func TestWhatNotAtRestSays(t *testing.T) {
	for want, e := range map[string]NotAtRestError{
		"not at rest within 5.0 s: 2 records are in flight":                                                                                         {InFlight: 2, Running: 1},
		"not at rest within 5.0 s: 3 calls have not returned":                                                                                       {Running: 3},
		"not at rest within 5.0 s: a transaction is not committed, or a batch is still being made":                                                  {},
		"not at rest within 5.0 s: 1 records are in flight; the oldest: a call of ask, attempt 1 of 3":                                              {InFlight: 1, Holder: "a call of ask, attempt 1 of 3"},
		"not at rest within 5.0 s: 1 records are in flight; the sink out stores nothing and is kept: parts in which it is another could be applied": {InFlight: 1, Failing: "out"},
	} {
		e.After = 5 * time.Second
		if e.Error() != want {
			t.Errorf("%q, want %q", e.Error(), want)
		}
	}
}
