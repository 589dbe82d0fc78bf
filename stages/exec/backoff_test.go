package execstage

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// fewStarts is a pool of so many processes, of which so many can be started. starts counts what is tried.
func fewStarts(t *testing.T, processes, good int) (p *pool, starts *int) {
	t.Helper()
	r, err := ReadRecorded([]byte(`{"value":1,"answer":{"value":2}}`), func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	set := Default()
	set.Processes, set.Recorded = processes, r
	starts = new(int)
	p = &pool{set: &set, events: func() *event.Emitter { return nil }}
	p.start = func() (process, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if *starts++; *starts > good {
			return nil, errors.New("it does not begin")
		}
		return r.start("enrich", asRecord), nil
	}
	return p, starts
}

// A process that answers does not have those that cannot be started tried again at each of its answers.
func TestBackoffBesideOneThatAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, starts := fewStarts(t, 2, 1)
		defer p.close()
		wake := func() {}
		for id := range uint64(100) { // no time passes
			c, _, ok := p.take(p.set.InFlight, wake)
			if !ok {
				synctest.Wait()
				if c, _, ok = p.take(p.set.InFlight, wake); !ok {
					t.Fatal("the process that lives takes no record")
				}
			}
			if other, _, ok := p.take(p.set.InFlight, wake); ok {
				t.Fatalf("a second process: %v", other)
			}
			synctest.Wait()
			if _, err := c.ask(t.Context(), id, fmt.Appendf(nil, "{\"id\":%d,\"value\":1}\n", id)); err != nil {
				t.Fatal(err)
			}
			p.back(c, 1)
		}
		if *starts > 3 {
			t.Errorf("%d starts within no time", *starts)
		}
	})
}

// Processes that are started at once and come to nothing are one failure, not as many.
func TestBackoffOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, starts := fewStarts(t, 8, 0)
		defer p.close()
		want := firstBackoff
		for round := 1; round <= 9; round++ {
			if _, wait, ok := p.take(p.set.InFlight, func() {}); ok || wait != 0 {
				t.Fatalf("round %d: it waits %v", round, wait)
			}
			synctest.Wait()
			if _, wait, _ := p.take(p.set.InFlight, func() {}); wait != want {
				t.Fatalf("round %d: it waits %v, not %v", round, wait, want)
			}
			if *starts != 8*round {
				t.Fatalf("round %d: %d starts", round, *starts)
			}
			time.Sleep(want)
			want = min(2*want, mostBackoff)
		}
	})
}

// What a process wrote while it had several records stands in the dead letter of none, in whatever order they are given up.
func TestDetailOfSeveral(t *testing.T) {
	p, _ := fewStarts(t, 1, 1)
	proc, err := p.start()
	if err != nil {
		t.Fatal(err)
	}
	defer proc.kill()
	c := newChild(p, proc)
	c.asked[1], c.asked[2] = &question{}, &question{}
	c.noise.add([]byte("canary of the first"))
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for id := range uint64(2) {
		if e, ok := errors.AsType[*Error](c.giveUp(ctx, id+1)); !ok || e.Detail() != "" {
			t.Errorf("record %d: %+v", id+1, e)
		}
	}
}
