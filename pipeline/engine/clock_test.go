package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// The timeout of a Write stands still while its sink waits for a limit: nested, and from several
// goroutines; and it goes on where it was.
func TestTheClockOfAWriteStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		tries := 0
		out := &collect{write: func(ctx context.Context, _ []*pipeline.Record) error {
			if tries++; tries > 1 {
				return nil
			}
			made, cancel := context.WithCancel(ctx) // what is made of it has the same clock
			defer cancel()
			began := time.Now()
			pause(made, 6*time.Second)
			outer := pipeline.StopClock(made)
			if _, ok := ctx.Deadline(); ok {
				t.Error("a time that stands still has an end")
			}
			var others sync.WaitGroup
			for i := range 5 {
				others.Go(func() {
					resume := pipeline.StopClock(ctx)
					pause(made, time.Duration(i+1)*time.Minute)
					resume()
					resume() // more than once
				})
			}
			others.Wait()
			pause(made, 5*time.Minute)
			outer()
			if limit, ok := ctx.Deadline(); !ok || time.Until(limit) != 4*time.Second || made.Err() != nil {
				t.Errorf("%s are left of ten seconds, of which six are over; %v", time.Until(limit), made.Err())
			}
			<-made.Done()
			if took := time.Since(began); took != 10*time.Minute+10*time.Second {
				t.Errorf("it ended after %s", took)
			}
			return made.Err()
		}}
		p, done := start(t, t.Context(), Options{
			Source: &memory{lanes: 1, records: 5}, Sinks: []Output{{Name: "out", Sink: out, Timeout: 10 * time.Second}}, Events: log.emitter(t),
		})
		time.Sleep(9 * time.Minute)
		for _, f := range p.InFlight() {
			if f.State != "throttled" || f.Held < 8*time.Minute {
				t.Errorf("%+v", f)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ascending(t, "out", out.offsets(0), 5)
		if c := p.Snapshot().Sinks[0].Counts; c.Errors != 1 || c.Retries != 1 {
			t.Errorf("%+v", c)
		}
		if up := log.named("sink.stalled"); len(up) != 0 { // it was at work for ten seconds
			t.Errorf("stalled: %v", up)
		}
	})
}

// A Write that has stopped its clock and returned without letting it go on does not stop the clock
// of the next one.
func TestAClockIsNotForTheNextWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ends []time.Duration
		out := &collect{write: func(ctx context.Context, recs []*pipeline.Record) error {
			if recs[0].Offset == 0 {
				pipeline.StopClock(ctx)
				pause(ctx, 100*time.Millisecond) // a sixteenth of the timeout later it would be another one in any case
				return nil
			}
			limit, ok := ctx.Deadline()
			if !ok {
				t.Error("the time stands still")
			}
			ends = append(ends, time.Until(limit))
			return nil
		}}
		if _, err := run(t, Options{
			Source: &memory{lanes: 1, records: 2}, Sinks: []Output{{Name: "out", Sink: out, MaxRecords: 1}},
		}); err != nil {
			t.Fatal(err)
		}
		if len(ends) != 1 || ends[0] != 10*time.Second {
			t.Errorf("%v are left", ends)
		}
	})
}

// The end of the drain budget ends a Write whose clock stands still.
func TestAStillClockEndsWithTheDrainBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &collect{write: func(ctx context.Context, _ []*pipeline.Record) error {
			defer pipeline.StopClock(ctx)()
			<-ctx.Done()
			if !errors.Is(ctx.Err(), context.Canceled) {
				t.Errorf("ended with %v", ctx.Err())
			}
			return ctx.Err()
		}}
		ctx, cancel := context.WithCancel(t.Context())
		_, done := start(t, ctx, Options{
			Source: &memory{lanes: 1, records: 5, endless: true}, Sinks: []Output{{Name: "out", Sink: out}}, Drain: 5 * time.Second,
		})
		time.Sleep(time.Hour)
		began := time.Now()
		cancel()
		var abandoned *AbandonedError
		if err := <-done; !errors.As(err, &abandoned) || abandoned.Running != 0 {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the stop took %s", took)
		}
	})
}

// A clock is a context like any other: its end reaches what is made of it, in each way.
func TestAClockIsAContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		defer cancel()
		for _, byParent := range []bool{false, true} {
			c := newClock(parent, time.Second)
			derived, stop := context.WithTimeout(c, time.Hour)
			defer stop()
			called := make(chan struct{})
			context.AfterFunc(c, func() { close(called) })
			if c.Value(key{}) != "value" || c.Err() != nil {
				t.Error("it hides its parent")
			}
			want := context.DeadlineExceeded
			if byParent {
				want = context.Canceled
				cancel()
			}
			<-derived.Done()
			<-called
			if c.Err() != want || derived.Err() != want {
				t.Errorf("%v, %v; want %v", c.Err(), derived.Err(), want)
			}
			late := make(chan struct{})
			if context.AfterFunc(c, func() { close(late) })() {
				t.Error("what was begun was stopped")
			}
			<-late
		}
	})
}

// A saying is a call that says what it waits for, and with whom that has to do.
type saying struct {
	pipeline.Call
	what, host string
}

func (s saying) Waits() string { return s.what }
func (s saying) Host() string  { return s.host }

// Of several calls of a Write that wait for limits the clock names one that still does, the last of them: not one that went on
// before the others.
func TestAClockNamesWhoStillStopsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(t.Context(), time.Second)
		defer c.end(context.Canceled)
		says := func(want, host string) {
			if by, of := c.waitsFor(); by.waits != want || of != host {
				t.Errorf("it stands still for %q of %q, want %q of %q", by.waits, of, want, host)
			}
		}
		first := c.StopClock(saying{what: "rate", host: "a.example"})
		second := c.StopClock(saying{what: "circuit", host: "b.example"})
		third := c.StopClock()
		says("", "") // that was not said
		third()
		says("circuit", "b.example")
		first()
		says("circuit", "b.example")
		again := c.StopClock(saying{what: "rate", host: "a.example"})
		second()
		second()
		says("rate", "a.example")
		again()
		says("", "")
		if _, still := c.stoodStill(time.Now()); still != 0 {
			t.Error("it stands still")
		}
	})
}
