package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

func keyOf(n int) string { return "k" + strconv.Itoa(n%5) }

// skippedOf checks that the letters are those of the records that want says, each once, in the order of their lane, with the reason.
func skippedOf(t *testing.T, dead *collect, step string, want func(stored) bool) (n int) {
	t.Helper()
	last := map[int32]int64{}
	for _, s := range dead.all() {
		if !want(s) || s.headers[deadletter.Reason] != "skipped" || s.headers[deadletter.Step] != step {
			t.Errorf("a letter of %s, key %s: %s at %s", s.Position, s.key, s.headers[deadletter.Reason], s.headers[deadletter.Step])
		}
		if s.Offset+1 <= last[s.Partition] {
			t.Errorf("the letter of %s comes late, or twice (I1)", s.Position)
		}
		last[s.Partition] = s.Offset + 1
		n++
	}
	return n
}

// The records of a key that is skipped are rejected when they begin, whichever kind of key the pipeline has, and the others keep their
// order. They do not count in the budget of rejections.
func TestAKeyIsSkippedWhereRecordsBegin(t *testing.T) {
	for _, order := range []Order{OrderPartition, OrderKey} {
		synctest.Test(t, func(t *testing.T) {
			src, out, dead := &memory{lanes: 2, records: 1000, key: func(_, n int) string { return keyOf(n) }}, &collect{}, &collect{}
			o := Options{
				Source: src, Order: order, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead, Budget: RejectionBudget{Rejected: 1, Of: 1000}},
				Steps: []Step{{Name: "compute", Workers: 3, Stage: does(func(_ context.Context, r *pipeline.Record) error {
					if string(r.Key()) == "k3" {
						t.Errorf("%s comes to a step", r.Position)
					}
					return nil
				})}},
			}
			skip := []byte("k3")
			if order == OrderKey { // by the number behind the k
				o.Key = func(r *pipeline.Record) ([]byte, error) { return r.Key()[1:], nil }
				skip = []byte("3")
			}
			p := mustNew(t, o)
			for range 2 {
				if err := p.Skip(skip); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			balanced(t, p)
			if n := skippedOf(t, dead, "skipped", func(s stored) bool { return s.key == "k3" }); n != 400 {
				t.Errorf("%d were skipped", n)
			}
			if len(out.all()) != 1600 || src.mark(0) != 1000 || src.mark(1) != 1000 {
				t.Errorf("%d were stored, marks %d, %d", len(out.all()), src.mark(0), src.mark(1))
			}
			if s := p.Snapshot(); s.Skipped != 1 || s.Rejected != 400 || s.Steps[0].Rejected != 0 {
				t.Errorf("%d skipped, %d rejected", s.Skipped, s.Rejected)
			}
			p.Unskip(skip)
			if n := p.Snapshot().Skipped; n != 0 {
				t.Errorf("%d still skipped", n)
			}
		})
	}
}

// Unskip ends it, for the records that begin then.
func TestUnskip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, out, dead := &memory{lanes: 1, records: 1000, batch: 10, gap: time.Second, key: func(_, n int) string { return keyOf(n) }}, &collect{}, &collect{}
		p, done := start(t, t.Context(), Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead}})
		if err := p.Skip([]byte("k2")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50*time.Second + time.Second/2)
		p.Unskip([]byte("k2"))
		p.Unskip([]byte("another"))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := skippedOf(t, dead, "skipped", func(s stored) bool { return s.key == "k2" && s.Offset < 500 }); n != 100 {
			t.Errorf("%d were skipped", n)
		}
	})
}

// stuck is a stage whose calls for some records hang until they are cancelled, or fail.
type stuck struct {
	bad  func(r *pipeline.Record) bool
	fail error // in place of hanging

	mu    sync.Mutex
	calls map[pipeline.Position]int
	cut   map[pipeline.Position]bool // hung and was cancelled
}

func (s *stuck) Process(ctx context.Context, r *pipeline.Record) error {
	s.mu.Lock()
	s.calls[r.Position]++
	s.mu.Unlock()
	if !s.bad(r) {
		pause(ctx, 20*time.Millisecond)
		return ctx.Err()
	}
	if s.fail != nil {
		return s.fail
	}
	<-ctx.Done()
	s.mu.Lock()
	s.cut[r.Position] = true
	s.mu.Unlock()
	return ctx.Err()
}

// What hangs in a step that waits, or waits there for its next attempt, is rejected at once when its key or itself is skipped, whatever
// the step does with errors, and no other call is touched.
func TestWhatHangsIsSkipped(t *testing.T) {
	for _, order := range []Order{OrderPartition, OrderKey, OrderNone} {
		for _, on := range []OnError{OnErrorDeadLetter, OnErrorPass, OnErrorStop} {
			for _, fails := range []bool{false, true} {
				for _, position := range []bool{false, true} {
					synctest.Test(t, func(t *testing.T) { whatHangs(t, order, on, fails, position) })
				}
			}
		}
	}
}

func whatHangs(t *testing.T, order Order, on OnError, fails, position bool) {
	bad := pipeline.Position{Topic: "t", Partition: 1, Offset: 33}
	st := &stuck{calls: map[pipeline.Position]int{}, cut: map[pipeline.Position]bool{}, bad: func(r *pipeline.Record) bool { return r.Position == bad }}
	if fails {
		st.fail = pipeline.RetryAfter(time.Hour, errors.New("asking: not now"))
	}
	key := func(lane, n int) string {
		if lane == 1 && n == 33 {
			return "poison"
		}
		return keyOf(n)
	}
	src, out, dead := &memory{lanes: 2, records: 200, key: key}, &collect{}, &collect{}
	p, done := start(t, t.Context(), Options{
		Source: src, Order: order, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
		Steps: []Step{{Name: "ask", Stage: st, Workers: 8, OnError: on, Wait: &Wait{Timeout: 5 * time.Hour, Deadline: 10 * time.Hour}}},
	})
	time.Sleep(time.Minute)
	if s := p.Snapshot(); s.InFlight == 0 {
		t.Fatal("nothing hangs")
	}
	var err error
	if position {
		err = p.SkipRecord(bad)
	} else {
		err = p.Skip([]byte("poison"))
	}
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("then it took %s", took)
	}
	balanced(t, p)
	if n := skippedOf(t, dead, "ask", func(s stored) bool { return s.Position == bad }); n != 1 {
		t.Errorf("%d letters", n)
	}
	if got := dead.all(); len(got) == 1 && got[0].headers[deadletter.Attempts] != "1" {
		t.Errorf("after %s attempts", got[0].headers[deadletter.Attempts])
	}
	if len(out.all()) != 399 || !fails && !st.cut[bad] {
		t.Errorf("%d were stored; it was cancelled: %t", len(out.all()), st.cut[bad])
	}
	for at, n := range st.calls {
		if n != 1 {
			t.Errorf("%s was called for %d times", at, n)
		}
	}
	if s := p.Snapshot(); s.Steps[0].Rejected != 1 || position && s.Skipped != 0 {
		t.Errorf("%d rejected, %d still skipped", s.Steps[0].Rejected, s.Skipped)
	}
}

// An attempt that succeeds in spite of its being cancelled is no failure.
func TestASkippedAttemptThatSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, out, dead := &memory{lanes: 1, records: 1}, &collect{}, &collect{}
		p, done := start(t, t.Context(), Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
			Steps: []Step{{Name: "ask", Wait: &Wait{}, Stage: does(func(context.Context, *pipeline.Record) error {
				time.Sleep(5 * time.Second)
				return nil
			})}},
		})
		time.Sleep(time.Second)
		if err := p.SkipRecord(pipeline.Position{Topic: "t"}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil || len(out.all()) != 1 || len(dead.all()) != 0 {
			t.Errorf("%v, %d stored, %d letters", err, len(out.all()), len(dead.all()))
		}
	})
}

// What a limit holds back is rejected at once when it is skipped; those behind it at its gate have their turns.
func TestWhatIsHeldBackIsSkipped(t *testing.T) {
	for _, key := range []string{"k0", "k1", "k4"} {
		synctest.Test(t, func(t *testing.T) {
			d := &door{}
			desk := newOpenDesk(t, d, time.Millisecond, time.Millisecond)
			src, out, dead := &memory{lanes: 2, records: 50, key: func(_, n int) string { return keyOf(n) }}, &collect{}, &collect{}
			p, done := start(t, t.Context(), Options{
				Source: src, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
				Steps: []Step{{Name: "ask", Stage: desk, Workers: 2, Wait: &Wait{Window: 200}}},
			})
			time.Sleep(time.Minute)
			if err := p.Skip([]byte(key)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			balanced(t, p)
			if s := p.Snapshot(); s.Steps[0].Rejected+s.Steps[0].InFlight != 100 || s.Steps[0].Throttled > 80 {
				t.Errorf("just skipped: %+v, %d throttled", s.Steps[0].Counts, s.Steps[0].Throttled)
			}
			d.set(true)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			balanced(t, p)
			desk.settled()
			if n := skippedOf(t, dead, "ask", func(s stored) bool { return s.key == key }); n != 20 || len(out.all()) != 80 {
				t.Errorf("%d were skipped, %d stored", n, len(out.all()))
			}
		})
	}
}

// What cannot be skipped is refused, and changes nothing.
func TestWhatCannotBeSkipped(t *testing.T) {
	o := Options{Source: &memory{lanes: 1}, Sinks: []Output{{Name: "out", Sink: &collect{}}}}
	p := mustNew(t, o)
	if err := p.Skip([]byte("k")); !errors.Is(err, ErrNoDeadLetter) || p.Snapshot().Skipped != 0 {
		t.Errorf("without dead letters: %v", err)
	}
	p.Unskip([]byte("k"))
	o.DeadLetter.Sink = &collect{}
	p = mustNew(t, o)
	for _, key := range [][]byte{nil, {}} {
		if err := p.Skip(key); err == nil || !strings.Contains(err.Error(), "by its position") {
			t.Errorf("an empty key: %v", err)
		}
	}
	if err := p.SkipRecord(pipeline.Position{Topic: "t"}); !errors.Is(err, ErrNoLane) {
		t.Errorf("a record of no lane: %v", err)
	}
	if _, _, err := p.lane(t.Context(), "t", 0); err != nil {
		t.Fatal(err)
	}
	if err := p.SkipRecord(pipeline.Position{Topic: "t", Partition: 1}); !errors.Is(err, ErrNoLane) {
		t.Errorf("a record of another partition: %v", err)
	}
	for i := range mostSkipped {
		if err := p.SkipRecord(pipeline.Position{Topic: "t", Offset: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Skip([]byte("k")); err == nil || !strings.Contains(err.Error(), fmt.Sprint(mostSkipped)) {
		t.Errorf("one more than there may be: %v", err)
	}
	p.UnskipRecord(pipeline.Position{Topic: "t", Offset: 7})
	if err := p.Skip([]byte("k")); err != nil {
		t.Error(err)
	}
	if err := p.Skip([]byte("k")); err != nil || p.Snapshot().Skipped != mostSkipped {
		t.Errorf("again: %v, %d are skipped", err, p.Snapshot().Skipped)
	}
}

// What is skipped while a limit holds back what is before it keeps neither a stop nor a change waiting: it has its letter when its turn comes,
// and else is handed back with what is before it.
func TestWhatIsSkippedIsHandedBack(t *testing.T) {
	for _, order := range []Order{OrderPartition, OrderKey, OrderNone} {
		for _, early := range []bool{false, true} {
			for _, change := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) { skippedBehindALimit(t, order, early, change) })
			}
		}
	}
}

// skippedBehindALimit skips a key before records begin, or while they wait, and then stops the pipeline, or changes it and goes on.
func skippedBehindALimit(t *testing.T, order Order, early, change bool) {
	d := &door{}
	desk := newOpenDesk(t, d, time.Millisecond, time.Millisecond)
	src, out, dead := &memory{lanes: 2, records: 500, reopens: change, key: func(_, n int) string { return keyOf(n) }}, &collect{}, &collect{}
	parts := Parts{
		Steps: []Step{{Name: "ask", Stage: desk, Workers: 2, Wait: &Wait{Window: 200}}},
		Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := mustNew(t, withParts(Options{Source: src, Order: order, Drain: 4 * time.Second}, parts))
	skip := func() {
		if err := p.Skip([]byte("k0")); err != nil {
			t.Fatal(err)
		}
	}
	if early {
		skip()
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	time.Sleep(time.Minute)
	if !early {
		skip()
	}
	synctest.Wait()
	time.Sleep(time.Second) // what the sink of dead letters gathers
	if n := len(dead.all()); n != 2 {
		t.Errorf("%d letters, of the first of each lane", n)
	}
	began := time.Now()
	if change {
		by, stop := context.WithTimeout(t.Context(), 4*time.Second)
		defer stop()
		mustChangeBy(by, t, p, parts)
		d.set(true)
	} else {
		cancel()
	}
	if err := <-done; err != nil {
		t.Fatalf("order %d, early %t, change %t: %v", order, early, change, err)
	}
	balanced(t, p)
	desk.settled()
	letters := skippedOf(t, dead, "", func(s stored) bool { s.headers[deadletter.Step] = ""; return s.key == "k0" })
	switch {
	case change && (letters != 200 || len(out.all()) != 800):
		t.Errorf("order %d, early %t: %d letters, %d stored", order, early, letters, len(out.all()))
	case !change && (letters != 2 || len(out.all()) != 0 || src.mark(0) != 1 || src.mark(1) != 1 || time.Since(began) > 100*time.Millisecond):
		t.Errorf("order %d, early %t: %d letters, %d stored, marks %d, %d after %s", order, early, letters, len(out.all()), src.mark(0), src.mark(1), time.Since(began))
	}
}
