package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// An outage of commits is reported again and again, whether the source honours its ctx or
// not. It holds up neither records nor the end of a lane, and a late answer of a call that hung
// counts (I8: the marks were earned before).
func TestACommitThatHangs(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprint("deaf ", deaf), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &hanging{memory: memory{lanes: 3, records: 1_000_000, batch: 2, gap: 10 * time.Millisecond, endless: true}, deaf: deaf}
				src.back = make(chan struct{})
				log := &lines{}
				ctx, cancel := context.WithCancel(t.Context())
				out := &collect{}
				p, done := start(t, ctx, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}, Events: log.emitter(t), Drain: time.Minute})
				time.Sleep(5 * time.Second)
				committed := src.mark(0)
				src.hang.Store(true)
				time.Sleep(35 * time.Second)
				got := log.named("commit.failed")
				if len(got) < 3 || got[2]["attempt"] != 3.0 || got[0]["error_type"] != "timeout" {
					t.Errorf("35 s without a commit: %v", got)
				}
				// The ends of two lanes leave with their ctx.
				for lane := range 2 {
					began := time.Now()
					ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
					r, err := src.lane(lane).End(ctx)
					cancel()
					if took := time.Since(began); took > 2*time.Second+commitGrace || !errors.Is(err, context.DeadlineExceeded) || r.Abandoned > 0 {
						t.Errorf("lane %d: %+v, %v, after %s", lane, r, err, took)
					}
				}
				ended := src.lane(0).markNow()
				before := len(out.offsets(2))
				time.Sleep(3 * time.Second)
				if len(out.offsets(2)) == before {
					t.Error("the lane that is left stands still")
				}
				src.hang.Store(false)
				close(src.back)
				time.Sleep(5 * time.Second)
				if src.mark(2) < 1000 {
					t.Errorf("committed %d when commits go again", src.mark(2))
				}
				if m := src.mark(0); m < committed || m > ended {
					t.Errorf("a lane that ended at %d has committed %d (I8)", ended, m)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if src.mark(2) != src.lane(2).markNow() {
					t.Errorf("committed %d at the end, the mark is %d", src.mark(2), src.lane(2).markNow())
				}
				balanced(t, p)
			})
		})
	}
}

// hanging is a source whose commits hang while hang is set: until their ctx ends, or
// until back is closed if it is deaf.
type hanging struct {
	memory
	deaf bool
	hang atomic.Bool
	back chan struct{}
}

func (h *hanging) Commit(ctx context.Context, marks []pipeline.Mark) error {
	if h.hang.Load() {
		if !h.deaf {
			<-ctx.Done()
			return ctx.Err()
		}
		<-h.back
	}
	return h.memory.Commit(ctx, marks)
}

// Commits that fail are tried less and less often, down to once a second, however short the interval is: a disk that is full
// does not get better by it. One that succeeds brings the interval back.
func TestCommitsThatFailAreTriedLessOften(t *testing.T) {
	for _, every := range []time.Duration{20 * time.Millisecond, 5 * time.Second} {
		t.Run(every.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tries atomic.Int64
				var works atomic.Bool
				src := &memory{lanes: 1, records: 1_000_000, batch: 2, gap: 10 * time.Millisecond, endless: true}
				src.commit = func([]pipeline.Mark) error {
					tries.Add(1)
					if works.Load() {
						return nil
					}
					return errors.New("storing: no space left on device")
				}
				ctx, cancel := context.WithCancel(t.Context())
				_, done := start(t, ctx, Options{Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}, CommitEvery: every})
				within := func(d time.Duration, least, most int64) {
					t.Helper()
					before := tries.Load()
					time.Sleep(d)
					if n := tries.Load() - before; n < least || n > most {
						t.Errorf("%d commits within %s, not %d to %d", n, d, least, most)
					}
				}
				interval := max(every, time.Second)
				within(time.Minute, int64(time.Minute/interval)-1, int64(time.Minute/interval)+8)
				within(time.Minute, int64(time.Minute/interval)-1, int64(time.Minute/interval))
				works.Store(true)
				time.Sleep(interval)
				within(time.Minute, int64(time.Minute/every)*6/10, int64(time.Minute/every)+1) // an interval begins with a record, which may be 10 ms off
				cancel()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// Lanes that end together share a commit; one whose mark is refused fails alone.
func TestLanesThatEndTogetherShareACommit(t *testing.T) {
	for _, refused := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const lanes = 20
			src := &memory{lanes: lanes, records: 30, endless: true}
			src.commit = func(marks []pipeline.Mark) error {
				time.Sleep(100 * time.Millisecond)
				for _, m := range marks {
					if refused && m.Lane.Name() == "t/7" {
						return errors.New("committing t/7: another member has it")
					}
				}
				return nil
			}
			ctx, cancel := context.WithCancel(t.Context())
			_, done := start(t, ctx, Options{Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}, CommitEvery: time.Hour})
			time.Sleep(time.Second)
			began := time.Now()
			var errs [lanes]error
			ends := make(chan int)
			for i := range lanes {
				go func() { _, errs[i] = src.lane(i).End(ctx); ends <- i }()
			}
			for range lanes {
				<-ends
			}
			if took := time.Since(began); !refused && took > 250*time.Millisecond {
				t.Errorf("the ends of %d lanes took %s, a commit 100 ms", lanes, took)
			}
			for i, err := range errs {
				if bad := refused && i == 7; (err != nil) != bad || !bad && src.mark(i) != 30 {
					t.Errorf("refused %v, lane %d: %v, committed %d", refused, i, err, src.mark(i))
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// The last commit of a run is not held by one that hangs: it gives way.
func TestTheLastCommitIsNotHeldByOneThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &hanging{memory: memory{lanes: 2, records: 1000, batch: 20, gap: 10 * time.Millisecond, endless: true}}
		ctx, cancel := context.WithCancel(t.Context())
		_, done := start(t, ctx, Options{Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Drain: 4 * time.Second})
		src.hang.Store(true)
		time.Sleep(1500 * time.Millisecond) // a commit has been under way for half a second
		src.hang.Store(false)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for lane := range 2 {
			if m := src.lane(lane).markNow(); m == 0 || src.mark(lane) != m {
				t.Errorf("lane %d: committed %d, the mark is %d", lane, src.mark(lane), m)
			}
		}
	})
}

// A transaction whose commit hangs does not hold the end of a lane past its ctx.
func TestATransactionThatHangsHoldsNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		led := &ledger{t: t, next: map[string]int64{}}
		back := make(chan struct{})
		var hang atomic.Bool
		led.fail = func(what string) error {
			if what == "commit" && hang.Load() {
				led.mu.Unlock()
				<-back
				led.mu.Lock()
			}
			return nil
		}
		src := &memory{lanes: 2, records: 100_000, batch: 20, gap: time.Millisecond, endless: true}
		ctx, cancel := context.WithCancel(t.Context())
		_, done := start(t, ctx, Options{
			Source: src, Transactor: led, CommitEvery: 50 * time.Millisecond, Drain: 10 * time.Second,
			Sinks: []Output{{Name: "a", Sink: &through{led, "a", 5 * time.Millisecond}}},
		})
		time.Sleep(time.Second)
		hang.Store(true)
		time.Sleep(time.Second)
		began := time.Now()
		short, stop := context.WithTimeout(ctx, 2*time.Second)
		_, err := src.lane(0).End(short)
		stop()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the end took %s: %v", took, err)
		}
		hang.Store(false)
		close(back)
		cancel()
		<-done
	})
}

// What a lane wrote in earlier transactions is committed: giving it up aborts only a transaction
// in which it has written.
func TestALaneSpoilsOnlyTheTransactionItWroteIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		led := &ledger{t: t, next: map[string]int64{}}
		src := &memory{lanes: 2, records: 100_000, batch: 20, gap: time.Millisecond, endless: true}
		log := &lines{}
		ctx, cancel := context.WithCancel(t.Context())
		_, done := start(t, ctx, Options{
			Source: src, Transactor: led, CommitEvery: 50 * time.Millisecond, Events: log.emitter(t),
			// A few records of lane 0 stay in a step: from there on nothing of it is written.
			Steps: []Step{{Name: "ask", Wait: &Wait{}, Workers: 200, Stage: does(func(ctx context.Context, r *pipeline.Record) error {
				if r.Partition == 0 && r.Offset >= 200 && r.Offset < 205 {
					<-ctx.Done()
				}
				return ctx.Err()
			})}},
			Sinks: []Output{{Name: "a", Sink: &through{led, "a", time.Millisecond}}},
		})
		time.Sleep(325 * time.Millisecond)
		led.mu.Lock()
		open := led.open
		led.mu.Unlock()
		if led.at("t/0") != 200 || !open {
			t.Fatalf("committed %d, a transaction is open: %v: the test is wrong", led.at("t/0"), open)
		}
		if r, err := src.lane(0).End(ended()); err != nil || r.Abandoned == 0 {
			t.Errorf("%+v, %v", r, err)
		}
		time.Sleep(2 * time.Second)
		if got := log.named("transaction.aborted"); len(got) > 0 {
			t.Error(got)
		}
		if led.at("t/1") < 1000 {
			t.Errorf("the other lane is at %d", led.at("t/1"))
		}
		cancel()
		if err := <-done; err != nil && !strings.Contains(err.Error(), "abandoned") {
			t.Error(err)
		}
	})
}
