package engine

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline/settings"
)

// TestTapsOverAChange: a tap goes on at the step that takes the place of its own, and ends where none does, with all that it has seen. What
// a change would bring cannot be tapped before it has.
func TestTapsOverAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const passing = 97 // of 100: judges keep three
		src := &memory{lanes: 1, records: 100, batch: 1, gap: 10 * time.Millisecond}
		sink := &collect{}
		parts := func(steps ...string) Parts {
			all := Parts{Sinks: []Output{{Name: "out", Sink: sink}}, DeadLetter: DeadLetter{Sink: &collect{}}}
			for _, name := range steps {
				all.Steps = append(all.Steps, Step{Name: name, Stage: judges(nil)})
			}
			return all
		}
		p, done := start(t, t.Context(), withParts(Options{Source: src}, parts("stays", "goes")))
		stays, goes := openTap(t, p, "stays", TapAfter), openTap(t, p, "goes", TapAfter)
		rate := settings.Rate{N: 1, Per: time.Second}
		refused := func(step string) {
			t.Helper()
			if _, err := p.Tap(TapOptions{Step: step, Sides: TapAfter, Rate: rate}); err != ErrNoStep {
				t.Errorf("%s can be tapped: %v", step, err)
			}
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		c, err := p.Prepare(t.Context(), parts("comes", "stays"))
		if err != nil {
			t.Fatal(err)
		}
		refused("comes")
		c.Cancel()
		refused("comes")
		mustChange(t, p, parts("comes", "stays"))
		refused("goes")
		refused("dead_letter")
		comes := openTap(t, p, "comes", TapAfter)
		var last error
		n := 0
		for last == nil {
			var recs []TapRecord
			recs, last = goes.Next(t.Context())
			n += len(recs)
		}
		if !errors.Is(last, ErrTapGone) || n == 0 || n == passing {
			t.Errorf("what is gone has shown %d records, and then %v", n, last)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := len(allOf(t, stays)); got != passing {
			t.Errorf("what stays has shown %d records", got)
		}
		if got := len(allOf(t, comes)); got+n != passing {
			t.Errorf("what is new has shown %d records, and what is gone %d", got, n)
		}
	})
}

// TestTapsWhileItChanges: taps are opened while steps and the sink of the dead letters come and go.
func TestTapsWhileItChanges(t *testing.T) {
	src := &memory{lanes: 2, records: 5000, batch: 50, gap: time.Millisecond}
	sink := &collect{}
	parts := func(name string) Parts {
		return Parts{
			Steps: []Step{{Name: name, Stage: judges(nil)}}, Sinks: []Output{{Name: "out", Sink: sink}},
			DeadLetter: DeadLetter{Sink: &collect{}},
		}
	}
	p, done := start(t, t.Context(), withParts(Options{Source: src}, parts("a")))
	var all sync.WaitGroup
	stop := make(chan struct{})
	for _, step := range []string{"a", "b", "dead_letter", "out"} {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				tap, err := p.Tap(TapOptions{Step: step, Sides: TapAfter, Rate: settings.Rate{N: 1, Per: time.Second}})
				switch {
				case err == nil && step == "dead_letter":
					t.Error("dead letters can be tapped")
				case err == nil:
					tap.Close()
				case !slices.Contains([]error{ErrNoStep, ErrTapOver}, err):
					t.Error(err)
				}
				pause(t.Context(), time.Millisecond)
			}
		})
	}
	for i := range 30 {
		c, err := p.Prepare(t.Context(), parts(string("ba"[i%2])))
		if err != nil {
			break // the records have come to their end
		}
		c.Commit()
	}
	err := <-done
	close(stop)
	all.Wait()
	if err != nil {
		t.Fatal(err)
	}
	balanced(t, p)
}
