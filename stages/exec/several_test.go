//go:build unix

package execstage

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// attempt makes one attempt at a record, as the engine does.
func attempt(ctx context.Context, st *Stage, rec *pipeline.Record, n int) error {
	call, err := st.Admit(rec, n)
	for err == nil {
		if err = enter(ctx, call); err != nil {
			call.Leave(pipeline.CallResult{})
			return err
		}
		err = call.Do(ctx, rec)
		call.Leave(pipeline.CallResult{Begun: true, Err: err})
		next, more := pipeline.NextCall(err)
		if !more {
			return err
		}
		call, err = next, nil
	}
	return err
}

func enter(ctx context.Context, call pipeline.Call) error {
	woken := make(chan struct{}, 1)
	for gate := call.Gate(); gate != nil; {
		wait, ok := call.Enter(func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
		if ok {
			return nil
		}
		if wait <= 0 {
			wait = long
		}
		timer := time.NewTimer(wait)
		select {
		case <-woken:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// A process with several records answers them in any order.
func TestAnyOrder(t *testing.T) {
	s := testSettings(t, "protocol")
	s.InFlight = 3
	st := testStage(t, s)
	defer st.Close()
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			rec, err := tried(t, st, fmt.Sprintf(`{"n":%d,"do":"later"}`, i), long)
			if err != nil || !strings.Contains(string(rec.Value()), fmt.Sprintf(`"got":{"n":%d,`, i)) {
				t.Errorf("%s, %v", rec.Value(), err)
			}
		})
	}
	until(t, "the process has two records", func() bool { return st.has(2) })
	if _, err := tried(t, st, `{"do":"now"}`, long); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// has says whether the only process has so many records.
func (s *Stage) has(n int) bool {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	return len(s.pool.children) == 1 && len(s.pool.children[0].asked) == n
}

// A process that dies with several records costs the one that is to blame an attempt, and the others none: they are
// asked again, fewer at a time, and what the process has written is told of that one alone.
func TestWhoIsToBlame(t *testing.T) {
	s := testSettings(t, "protocol")
	s.InFlight = 4
	st := testStage(t, s)
	defer st.Close()
	others := make(chan error, 3)
	for i := range 3 {
		go func() {
			others <- attempt(t.Context(), st, record(int64(i), fmt.Sprintf(`{"once":"later-once-%d"}`, i)), 1)
		}()
	}
	until(t, "the process has three records", func() bool { return st.has(3) })
	if err := attempt(t.Context(), st, record(9, `{"do":"exit"}`), 1); typeOf(err) != "child_died" || !strings.Contains(detailOf(err), "no way out") {
		t.Errorf("the one to blame: %v, %q", err, detailOf(err))
	}
	for range 3 {
		if err := <-others; err != nil {
			t.Errorf("another has paid: %v", err)
		}
	}
	if n := len(started(t, s.Env["TEST_DIR"].Reveal())); n > 3 {
		t.Errorf("%d processes for one that has died twice", n)
	}
}

// One that ends the process of a hundred records is found in a few steps, in which the others wait for a few answers,
// and not for a hundred.
func TestWhoIsToBlameAmongMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 10 * time.Millisecond
		s := Default()
		s.Command, s.InFlight = []string{"none"}, 100
		st := testStage(t, s)
		fake, starts := mortal(t, 1, each)
		fake.mu.Lock()
		st.pool.start = fake.start
		fake.mu.Unlock()
		begun := time.Now()
		var wg sync.WaitGroup
		for i := range 100 {
			value := `"good"`
			if i == 57 {
				value = `"poison"`
			}
			wg.Go(func() {
				n, err := 1, attempt(t.Context(), st, record(int64(i), value), 1)
				for ; err != nil && n < 3; n++ {
					err = attempt(t.Context(), st, record(int64(i), value), n+1)
				}
				if bad := i == 57; bad != (err != nil) || bad && (n != 3 || typeOf(err) != "child_died") || !bad && n != 1 {
					t.Errorf("record %d: %v after %d attempts", i, err, n)
				}
			})
		}
		wg.Wait()
		if took := time.Since(begun); took > 40*each {
			t.Errorf("100 records that take %v, all at once, have taken %v", each, took)
		}
		if *starts > 8 {
			t.Errorf("%d starts", *starts)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A record that is to be alone finds a process though others keep all of them busy.
func TestAloneAmongMany(t *testing.T) {
	s := testSettings(t, "protocol")
	s.InFlight = 2
	st := testStage(t, s)
	defer st.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := attempt(t.Context(), st, record(1, `{"n":1}`), 1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		if err := attempt(t.Context(), st, record(2, `{"n":2}`), 2); err != nil {
			t.Error(err)
		}
	}
	// One that is given up while it waits keeps nothing.
	for range 5 {
		call, err := st.Admit(record(3, `{}`), 2)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			call.Gate()
			if _, ok := call.Enter(func() {}); ok {
				break
			}
		}
		call.Leave(pipeline.CallResult{})
	}
	cancel()
	wg.Wait()
	if _, err := tried(t, st, `{}`, long); err != nil {
		t.Error(err)
	}
}

// A record that is not answered in time costs the others of its process nothing.
func TestLateAmongSeveral(t *testing.T) {
	s := testSettings(t, "protocol")
	s.InFlight = 3
	st := testStage(t, s)
	defer st.Close()
	pid := good(t, st)
	other := make(chan error, 1)
	go func() {
		rec, err := tried(t, st, `{"n":5,"do":"later"}`, long)
		if err == nil && !strings.Contains(string(rec.Value()), fmt.Sprintf(`"pid":%d`, pid)) {
			err = fmt.Errorf("%s: another process has answered", rec.Value())
		}
		other <- err
	}()
	until(t, "the process has a record", func() bool { return st.has(1) })
	ctx, cancel := context.WithCancel(t.Context())
	late := make(chan error, 1)
	go func() { late <- attempt(ctx, st, record(2, `{"do":"later"}`), 1) }()
	until(t, "the process has two", func() bool { return st.has(2) })
	now := make(chan error, 1)
	holder := st.pool.only(t)
	go func() { // it is there already when the process is to get no more
		call, err := st.Admit(record(3, `{"do":"now"}`), 1)
		if err == nil {
			err = enter(t.Context(), call)
		}
		cancel()
		<-late
		if err == nil {
			err = call.Do(t.Context(), record(3, `{"do":"now"}`))
			call.Leave(pipeline.CallResult{Begun: true, Err: err})
		}
		now <- err
	}()
	if err := <-now; err != nil {
		t.Errorf("the one that was let in: %v", err)
	}
	if err := <-other; err != nil {
		t.Errorf("the other: %v", err)
	}
	<-holder.ended()
	if again := good(t, st); again == pid {
		t.Error("the process that has not answered goes on")
	}
}
