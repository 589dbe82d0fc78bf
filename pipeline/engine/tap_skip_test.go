package engine

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// What a tap has seen of a record that is skipped in a step, or given up there, is shown, and holds none of its bytes any more.
func TestATapSeesWhatIsSkippedAndGivenUp(t *testing.T) {
	for _, admits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			bad := pipeline.Position{Topic: "t", Offset: 2}
			var stage pipeline.Stage = does(func(ctx context.Context, r *pipeline.Record) error {
				if r.Offset != 0 && r.Offset < 5 {
					<-ctx.Done()
					return ctx.Err()
				}
				return errors.New("asking: not now")
			})
			if admits {
				inner := stage
				d := &desk{t: t}
				d.admit = func(*pipeline.Record, int) (*visit, error) {
					return &visit{do: inner.Process, waits: "a limit", gate: "gate", enter: func(func()) (time.Duration, bool) { return 0, true }}, nil
				}
				stage = d
			}
			src, dead := &memory{lanes: 1, records: 8, batch: 8}, &collect{}
			p, done := start(t, t.Context(), Options{
				Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: dead}, Drain: time.Second,
				Steps: []Step{{Name: "ask", Stage: stage, Workers: 3, Wait: &Wait{Window: 100, Timeout: time.Hour, Deadline: 10 * time.Hour, Retry: Retry{Attempts: 1000, Backoff: time.Minute}}}},
			})
			both := openTap(t, p, "ask", TapBefore|TapAfter|TapRejected)
			rejected := openTap(t, p, "ask", TapRejected)
			time.Sleep(10 * time.Second)
			// One hangs in its call, one waits for its next attempt, and one has begun none.
			for _, at := range []pipeline.Position{bad, {Topic: "t", Offset: 0}, {Topic: "t", Offset: 4}} {
				if err := p.SkipRecord(at); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			time.Sleep(10 * time.Second)
			p.Abort()
			<-done
			got := shapes(allOf(t, rejected))
			for i := range got {
				got[i] = got[i][:len("rejected 0.0")]
			}
			slices.Sort(got)
			if want := []string{"rejected 0.0", "rejected 2.0", "rejected 4.0"}; !slices.Equal(got, want) {
				t.Errorf("admits %t: %v", admits, got)
			}
			became := map[string]int{}
			for _, r := range allOf(t, both) {
				if r.Side == TapBefore {
					became[r.Became]++
				}
			}
			if became["rejected"] != 3 || became[""] != 0 {
				t.Errorf("admits %t: they became %v", admits, became)
			}
			if n := both.held.Load() + rejected.held.Load(); n != 0 {
				t.Errorf("admits %t: %d bytes are held by nobody", admits, n)
			}
		})
	}
}
