package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A broken sink stores nothing while it is away.
type broken struct {
	collect
	away atomic.Bool
}

func newBroken() *broken {
	b := &broken{}
	b.away.Store(true)
	b.write = func(context.Context, []*pipeline.Record) error {
		if b.away.Load() {
			return errors.New("writing: there is no such folder")
		}
		return nil
	}
	return b
}

// sinksOf makes parts of sinks alone.
func sinksOf(sinks ...Output) Parts {
	for i := range sinks {
		sinks[i].Kind, sinks[i].MaxRecords = "test", 20
	}
	return Parts{Sinks: sinks}
}

// changeWithin gives a change ten seconds.
func changeWithin(t *testing.T, p *Pipeline, parts Parts) (*Change, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return p.Prepare(ctx, parts)
}

// TestAChangeTakesASinkAwayThatStoresNothing: what it holds goes to the one that takes its place, once, in order, before what comes later. That one has another
// name, or the same.
func TestAChangeTakesASinkAwayThatStoresNothing(t *testing.T) {
	for _, name := range []string{"out", "other"} {
		for _, order := range []Order{OrderPartition, OrderKey, OrderNone} {
			synctest.Test(t, func(t *testing.T) {
				src := &memory{lanes: 3, records: 700, gap: time.Millisecond, reopens: true}
				old, next := newBroken(), &collect{}
				p, done := start(t, t.Context(), withParts(Options{Source: src, Order: order}, sinksOf(Output{Name: "out", Sink: old})))
				time.Sleep(time.Second)
				began := time.Now()
				c, err := changeWithin(t, p, sinksOf(Output{Name: name, Sink: next}))
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
					t.Errorf("at rest after %s", took)
				}
				before := p.Snapshot()
				c.Commit()
				balanced(t, p)
				if now := p.Snapshot(); before.InFlight == 0 || now.Sinks[0].In < before.Sinks[0].In && name == "out" {
					t.Errorf("%d in flight; the sink has taken %d, and %d before", before.InFlight, now.Sinks[0].In, before.Sinks[0].In)
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				for lane := range int32(3) {
					ascending(t, fmt.Sprint("lane ", lane), next.offsets(lane), 700)
				}
				balanced(t, p)
				if s := p.Snapshot(); s.Out != 2100 || s.Abandoned != 0 || len(old.all()) != 0 || old.closed != 1 || src.mark(0) != 700 {
					t.Errorf("%d delivered, %d abandoned, %d stored by the old sink, closed %d times; mark %d", s.Out, s.Abandoned, len(old.all()), old.closed, src.mark(0))
				}
			})
		}
	}
}

// TestACancelHasASinkTryOn: nothing is handed over that the pipeline keeps.
func TestACancelHasASinkTryOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 2, records: 300, gap: time.Millisecond, reopens: true}
		old, next := newBroken(), &collect{}
		p, done := start(t, t.Context(), withParts(Options{Source: src}, sinksOf(Output{Name: "out", Sink: old})))
		time.Sleep(time.Second)
		c, err := changeWithin(t, p, sinksOf(Output{Name: "out", Sink: next}))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		old.away.Store(false)
		time.Sleep(time.Hour)
		if n := len(old.all()); n != 0 {
			t.Errorf("a sink stores %d while the pipeline rests", n)
		}
		c.Cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for lane := range int32(2) {
			ascending(t, fmt.Sprint("lane ", lane), old.offsets(lane), 300)
		}
		balanced(t, p)
		if len(next.all()) != 0 {
			t.Errorf("%d are in the sink that is not used", len(next.all()))
		}
	})
}

// TestWhatASinkDoesNotPartWith: a Write that does not return, two sinks that are gone, and dead letters of a file that has none keep the pipeline from resting; then
// all goes on as it was.
func TestWhatASinkDoesNotPartWith(t *testing.T) {
	refuses := func(context.Context, []*pipeline.Record) error {
		return pipeline.Reject("bad", errors.New("no good"))
	}
	for name, c := range map[string]func(away *broken) (Parts, Parts){
		"a write hangs": func(away *broken) (Parts, Parts) {
			one := newBroken()
			one.write = func(ctx context.Context, _ []*pipeline.Record) error {
				for away.away.Load() {
					time.Sleep(time.Second)
				}
				return nil
			}
			return sinksOf(Output{Name: "out", Sink: one, Timeout: time.Hour}), sinksOf(Output{Name: "out", Sink: &collect{}})
		},
		"two are gone": func(away *broken) (Parts, Parts) {
			return sinksOf(Output{Name: "a", Sink: away}, Output{Name: "b", Sink: &collect{}}), sinksOf(Output{Name: "c", Sink: &collect{}}, Output{Name: "d", Sink: &collect{}})
		},
		"dead letters": func(away *broken) (Parts, Parts) {
			old := sinksOf(Output{Name: "out", Sink: &collect{write: refuses}})
			old.DeadLetter = DeadLetter{Sink: away}
			return old, sinksOf(Output{Name: "out", Sink: &collect{}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				away := newBroken()
				old, next := c(away)
				src := &memory{lanes: 2, records: 100, gap: time.Millisecond, reopens: true}
				p, done := start(t, t.Context(), withParts(Options{Source: src}, old))
				time.Sleep(time.Second)
				var late *NotAtRestError
				if _, err := changeWithin(t, p, next); !errors.As(err, &late) {
					t.Errorf("%v", err)
				}
				away.away.Store(false)
				if err := <-done; err != nil || src.mark(0) != 100 || src.mark(1) != 100 {
					t.Errorf("%v: the marks are %d, %d", err, src.mark(0), src.mark(1))
				}
				balanced(t, p)
			})
		})
	}
}

// TestDeadLettersGoToTheNextSinkOfThem: dead letters that cannot be stored do not keep the file from being loaded that has them elsewhere.
func TestDeadLettersGoToTheNextSinkOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &collect{write: func(_ context.Context, recs []*pipeline.Record) error {
			if recs[0].Offset%2 == 0 {
				return pipeline.Reject("bad", errors.New("no good"))
			}
			return nil
		}}
		old, dead := newBroken(), &collect{}
		parts := func(letters pipeline.Sink) Parts {
			return Parts{Sinks: []Output{{Name: "out", Sink: out, MaxRecords: 1}}, DeadLetter: DeadLetter{Sink: letters}}
		}
		src := &memory{lanes: 2, records: 40, gap: time.Millisecond, reopens: true}
		p, done := start(t, t.Context(), withParts(Options{Source: src}, parts(old)))
		time.Sleep(time.Second)
		c, err := changeWithin(t, p, parts(dead))
		if err != nil {
			t.Fatal(err)
		}
		c.Commit()
		if err := <-done; err != nil || len(dead.all()) != 40 || len(out.all()) != 40 || src.mark(0) != 40 {
			t.Errorf("%v: %d letters, %d stored, mark %d", err, len(dead.all()), len(out.all()), src.mark(0))
		}
		balanced(t, p)
	})
}

// TestASinkThatPartsWithNothingAnyMore: a lane that ends, and a stop, while a change waits to be committed, find what is parked.
func TestASinkThatPartsWithNothingAnyMore(t *testing.T) {
	for name, end := range map[string]func(p *Pipeline, src *memory, cancel func()){
		"a lane ends": func(_ *Pipeline, src *memory, cancel func()) {
			ctx, now := context.WithCancel(context.Background())
			now()
			_, _ = src.lane(0).End(ctx)
			time.Sleep(time.Second)
			cancel()
		},
		"a stop":  func(_ *Pipeline, _ *memory, cancel func()) { cancel() },
		"an end":  func(p *Pipeline, _ *memory, _ func()) { p.stop(errors.New("it has failed")) },
		"aborted": func(p *Pipeline, _ *memory, _ func()) { p.Abort() },
	} {
		for _, commit := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", committed ", commit), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					src := &memory{lanes: 2, records: 100, gap: time.Millisecond, endless: true}
					old, next := newBroken(), &collect{}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					p, done := start(t, ctx, withParts(Options{Source: src}, sinksOf(Output{Name: "out", Sink: old})))
					time.Sleep(time.Second)
					c, err := changeWithin(t, p, sinksOf(Output{Name: "out", Sink: next}))
					if err != nil {
						t.Fatal(err)
					}
					end(p, src, cancel)
					time.Sleep(time.Second)
					if commit {
						c.Commit()
					} else {
						c.Cancel()
					}
					<-done
					synctest.Wait()
					balanced(t, p)
					if s := p.Snapshot(); s.InFlight != 0 || s.Sinks[0].InFlight != 0 || s.In != s.Out+s.Abandoned {
						t.Errorf("%+v, of the sink %+v", s.Counts, s.Sinks[0].Counts)
					}
					if old.closed != 1 || next.closed != 1 {
						t.Errorf("closed %d and %d times", old.closed, next.closed)
					}
				})
			})
		}
	}
}
