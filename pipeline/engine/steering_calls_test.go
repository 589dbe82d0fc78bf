package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A further call of a record that hangs is cancelled when the record is skipped, be it that it was let in at once or has waited; and no
// call of another record is, whichever slots they have been in.
func TestAFurtherCallIsSkipped(t *testing.T) {
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			bad := pipeline.Position{Topic: "t", Offset: 7}
			cuts := 0
			d := &desk{t: t}
			d.admit = func(r *pipeline.Record, _ int) (*visit, error) {
				return &visit{do: func(ctx context.Context, r *pipeline.Record) error {
					if r.Position != bad {
						pause(ctx, time.Minute)
						if ctx.Err() != nil {
							t.Errorf("the call of %s is cancelled", r.Position)
						}
						return ctx.Err()
					}
					further := &visit{waits: "a door", do: func(ctx context.Context, _ *pipeline.Record) error {
						<-ctx.Done()
						cuts++
						return ctx.Err()
					}}
					if waits {
						asked := false
						further.gate, further.enter = "gate", func(func()) (time.Duration, bool) {
							defer func() { asked = true }()
							return time.Second, asked
						}
					}
					return pipeline.Next(d.take(further))
				}}, nil
			}
			src, out, dead := &memory{lanes: 2, records: 40}, &collect{}, &collect{}
			p, done := start(t, t.Context(), Options{
				Source: src, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
				Steps: []Step{{Name: "ask", Stage: d, Workers: 3, Wait: &Wait{Timeout: 5 * time.Hour, Deadline: 10 * time.Hour}}},
			})
			time.Sleep(10*time.Minute + time.Second)
			if err := p.SkipRecord(bad); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if cuts != 1 {
				t.Errorf("waits %t: cancelled %d times", waits, cuts)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			balanced(t, p)
			d.settled()
			if n := skippedOf(t, dead, "ask", func(s stored) bool { return s.Position == bad }); n != 1 || len(out.all()) != 79 {
				t.Errorf("%d skipped, %d stored", n, len(out.all()))
			}
		})
	}
}
