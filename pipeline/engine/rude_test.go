package engine

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A writeFunc is a sink of a function.
type writeFunc func(recs []*pipeline.Record) error

func (f writeFunc) Write(_ context.Context, recs []*pipeline.Record) error { return f(recs) }
func (f writeFunc) Close(context.Context) error                            { return nil }

// A blank is an error whose text cannot be asked of a nil pointer, as is easily returned.
type blank struct{ text string }

func (e *blank) Error() string { return e.text }

// An error whose text panics is tried again as others are, with its pauses, and counted: its
// text was once asked for outside of any guard, and the writer called Write without end.
func TestAnErrorWithoutText(t *testing.T) {
	var none *blank
	for name, err := range map[string]error{
		"a failure without an error": &pipeline.WriteError{Failed: []pipeline.Failure{{Index: 0}}},
		"a nil pointer":              none,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				sink := writeFunc(func([]*pipeline.Record) error { calls++; return err })
				dead := &collect{}
				p, end := run(t, Options{
					Source: &memory{lanes: 1, records: 1}, DeadLetter: DeadLetter{Sink: dead},
					Sinks: []Output{{Name: "out", Sink: sink, Retry: Retry{Attempts: 3, Backoff: time.Second, MaxBackoff: time.Second}}},
				})
				if end != nil {
					t.Fatal(end)
				}
				if s := p.Snapshot().Sinks[0]; calls != 3 || s.Errors != 3 || s.Retries != 2 || len(dead.all()) != 1 {
					t.Errorf("%d calls, %d errors, %d retries, %d dead letters", calls, s.Errors, s.Retries, len(dead.all()))
				}
				balanced(t, p)
			})
		})
	}
}

// A panic in a batch's Free stops the pipeline with its error, and gives back all the same what
// the batches hold.
func TestAFreeThatPanics(t *testing.T) {
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			src := &memory{lanes: 1, records: 500, batch: 8, charge: true}
			var freed atomic.Int32
			src.wrap = func(b *pipeline.Batch) {
				b.Free = func() {
					if freed.Add(1) == 2 {
						panic("rude")
					}
				}
			}
			budget := NewBudget(0, 0)
			p, err := run(t, Options{
				Source: src, Budget: budget, Sinks: []Output{{Name: "out", Sink: &collect{}}},
				Steps: []Step{{Name: "look", Stage: does(func(context.Context, *pipeline.Record) error { return nil }), Wait: waitIf(waits)}},
			})
			if err == nil || !strings.Contains(err.Error(), "freeing a batch: panic: rude") {
				t.Errorf("waits %v: %v", waits, err)
			}
			if n, bytes := budget.Use(); n != 0 || bytes != 0 {
				t.Errorf("waits %v: %d records and %d bytes are still charged", waits, n, bytes)
			}
			balanced(t, p)
		})
	}
}

// What Finish reports adds up, though most of its records are made after it was called.
func TestFinishReportsWhatIsMadeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 100, batch: 10}
		slow := does(func(ctx context.Context, _ *pipeline.Record) error { pause(ctx, time.Second); return ctx.Err() })
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}},
			Budget: NewBudget(5, 0), Steps: []Step{{Name: "slow", Stage: slow, Wait: &Wait{Window: 5, Timeout: time.Hour, Deadline: time.Hour}, Workers: 1}},
		})
		time.Sleep(1500 * time.Millisecond)
		until, end := context.WithTimeout(t.Context(), 20*time.Second)
		r, err := src.lane(0).Finish(until)
		end()
		if err != nil {
			t.Error(err)
		}
		if r.Drained < 15 || r.Drained > 25 || r.Abandoned < 0 || r.InFlight != r.Drained+r.Returned+r.Abandoned {
			t.Errorf("%+v", r)
		}
		cancel()
		<-done
		balanced(t, p)
	})
}
