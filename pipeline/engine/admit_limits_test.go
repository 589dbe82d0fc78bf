package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

// max_wait rejects at the moment when it is over and not before, though all slots are at work, and
// those whose gate opens before that go on.
func TestMaxWaitRejectsWhenItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shut, late := &door{}, &door{}
		d := &desk{t: t, admit: func(r *pipeline.Record, _ int) (*visit, error) {
			switch {
			case r.Offset == 1:
				return &visit{gate: late, enter: late.enter, waits: "rate api"}, nil
			case r.Offset < 12:
				return &visit{gate: shut, enter: shut.enter, waits: "circuit of api.example"}, nil
			}
			return &visit{do: func(ctx context.Context, _ *pipeline.Record) error {
				pause(ctx, 100*time.Second)
				return ctx.Err()
			}}, nil
		}}
		out, dead := &collect{}, &collect{}
		began := time.Now()
		p, done := start(t, t.Context(), Options{
			Source: &memory{lanes: 1, records: 16}, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
			Order: OrderNone, Steps: []Step{asks(d, 4, Wait{MaxWait: time.Minute, Timeout: time.Hour, Deadline: time.Hour})},
		})
		time.Sleep(time.Minute - time.Millisecond)
		if s := p.Snapshot().Steps[0]; s.Throttled != 12 || s.Rejected != 0 {
			t.Errorf("just before: %d throttled, %d rejected", s.Throttled, s.Rejected)
		}
		late.set(true)
		time.Sleep(time.Second)
		if got := len(dead.all()); got != 11 {
			t.Fatalf("%d dead letters while all slots are at work, want 11", got)
		}
		for _, s := range dead.all() {
			if took := s.at.Sub(began); took < time.Minute || took > time.Minute+5*time.Millisecond {
				t.Errorf("%s after %s", s.Position, took)
			}
			h := s.headers
			if h[deadletter.Reason] != pipeline.ReasonMaxWait || h[deadletter.Attempts] != "0" ||
				!strings.Contains(h[deadletter.Error], "held back by circuit of api.example for longer than max_wait (1m0s)") {
				t.Errorf("%s: %v", s.Position, h)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := len(out.all()); got != 5 {
			t.Errorf("%d records came out, want 5", got)
		}
		if w := p.Snapshot().Steps[0].ThrottleWait; w < 12*time.Minute-time.Second || w > 12*time.Minute+time.Second {
			t.Errorf("held back for %s in all", w)
		}
		d.settled()
	})
}

// max_wait is for all the times that a record is held back in a step, and for each record alone.
func TestMaxWaitIsASum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{t: t}
		d.admit = func(r *pipeline.Record, attempt int) (*visit, error) {
			opens := time.Now().Add(25 * time.Second)
			return &visit{gate: [2]int64{r.Offset, int64(attempt)}, enter: func(func()) (time.Duration, bool) {
				wait := time.Until(opens)
				return wait, wait <= 0
			}, do: func(context.Context, *pipeline.Record) error {
				if r.Offset == 0 {
					return errors.New("asking: reset")
				}
				return nil
			}}, nil
		}
		out, dead := &collect{}, &collect{}
		began := time.Now()
		if _, err := run(t, Options{
			Source: &memory{lanes: 1, records: 3}, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
			Steps: []Step{asks(d, 4, Wait{MaxWait: time.Minute, Retry: Retry{Attempts: 9, Backoff: 1}})},
		}); err != nil {
			t.Fatal(err)
		}
		got := dead.all()
		if len(got) != 1 || got[0].headers[deadletter.Attempts] != "2" || got[0].headers[deadletter.Reason] != pipeline.ReasonMaxWait {
			t.Fatalf("dead letters: %v", got)
		}
		if took := got[0].at.Sub(began); took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("after %s", took)
		}
		if n := len(out.all()); n != 2 {
			t.Errorf("%d came out", n)
		}
		d.settled()
	})
}

// With OnErrorPass a record that is held back for too long goes on as it came.
func TestMaxWaitPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shut := &door{}
		d := &desk{t: t}
		d.admit = func(*pipeline.Record, int) (*visit, error) {
			return &visit{do: func(_ context.Context, r *pipeline.Record) error { // first to an open host, then to one that is shut
				r.SetKey([]byte("edited"))
				return pipeline.Next(d.take(&visit{gate: shut, enter: shut.enter}))
			}}, nil
		}
		out := &collect{}
		step := asks(d, 1, Wait{MaxWait: time.Second})
		step.OnError = OnErrorPass
		p, err := run(t, Options{
			Source: &memory{lanes: 1, records: 3, key: func(int, int) string { return "as it came" }},
			Sinks:  []Output{{Name: "out", Sink: out}}, Steps: []Step{step},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range out.all() {
			if s.key != "as it came" {
				t.Errorf("%s has key %q", s.Position, s.key)
			}
		}
		if c := p.Snapshot().Steps[0].Counts; c.Out != 3 || c.Errors != 3 {
			t.Errorf("%+v", c)
		}
		d.settled()
	})
}

// The deadline begins with the first call, and stands still while limits hold the record back.
func TestTheDeadlineStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begins []time.Duration
		began := time.Now()
		d := &desk{t: t, admit: func(_ *pipeline.Record, attempt int) (*visit, error) {
			opens := time.Now().Add(time.Hour)
			return &visit{gate: "a", enter: func(func()) (time.Duration, bool) {
				wait := time.Until(opens)
				return wait, wait <= 0
			}, do: func(ctx context.Context, _ *pipeline.Record) error {
				begins = append(begins, time.Since(began))
				<-ctx.Done()
				return ctx.Err()
			}}, nil
		}}
		dead := &collect{}
		p, done := start(t, t.Context(), Options{
			Source: &memory{lanes: 1, records: 1}, Sinks: []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: dead},
			Steps: []Step{asks(d, 1, Wait{Timeout: 3 * time.Second, Deadline: 10 * time.Second, Retry: Retry{Attempts: 9, Backoff: 1}})},
		})
		time.Sleep(90 * time.Minute)
		if s := p.Snapshot().Steps[0]; s.OldestInFlight < 3*time.Second || s.OldestInFlight > 4*time.Second {
			t.Errorf("worked on for %s, want 3 s", s.OldestInFlight)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		got := dead.all()
		if len(got) != 1 || got[0].headers[deadletter.Reason] != pipeline.ReasonDeadline || got[0].headers[deadletter.Attempts] != "4" {
			t.Fatalf("dead letters: %v", got)
		}
		if took := got[0].at.Sub(began); took < 4*time.Hour+10*time.Second-time.Second || took > 4*time.Hour+11*time.Second {
			t.Errorf("after %s, want four hours and ten seconds", took)
		}
		if len(begins) != 4 {
			t.Errorf("%d calls", len(begins))
		}
		d.settled()
	})
}
