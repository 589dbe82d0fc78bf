package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// While nothing has been stalled for long enough a snapshot names nothing. From then on it names each place that stalls, with the record
// that it has had longest and the last error, also the sink of dead letters, and no more of it once that goes on.
func TestSnapshotNamesWhatIsStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		full := errors.New("writing: no space left on device")
		dead := &collect{write: func(context.Context, []*pipeline.Record) error {
			if time.Since(began) < 4*time.Minute {
				return full
			}
			return nil
		}}
		p, done := start(t, t.Context(), Options{
			Source: &memory{lanes: 2, records: 20}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
			DeadLetter: DeadLetter{Sink: dead}, StalledAfter: 30 * time.Second,
			Steps: []Step{
				{Name: "judge", Stage: does(func(_ context.Context, r *pipeline.Record) error {
					if r.Partition == 0 && r.Offset == 3 {
						return pipeline.Permanent(errors.New("bad"))
					}
					return nil
				})},
				{Name: "ask", Wait: &Wait{}, Workers: 2, Stage: does(func(_ context.Context, r *pipeline.Record) error {
					if r.Partition == 1 && r.Offset == 5 {
						time.Sleep(4 * time.Minute)
					}
					return nil
				})},
			},
		})
		time.Sleep(25 * time.Second)
		if got := p.Snapshot().Stalled; got != nil {
			t.Errorf("before its time it names %v", got)
		}
		time.Sleep(2 * time.Minute)
		got := p.Snapshot().Stalled
		if len(got) != 2 || got[0].Where != "ask" || got[0].Offset != 5 || got[1].Cause != CauseDeadLetter ||
			got[1].Offset != 3 || got[1].ErrorMessage != full.Error() || got[1].Since < 2*time.Minute {
			t.Errorf("it names %v", got)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := p.Snapshot().Stalled; got != nil {
			t.Errorf("in the end it names %v", got)
		}
	})
}
