package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
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

// While a write that failed waits for its next attempt, it is said when that comes; while one is under way there is no such time.
func TestWhySaysWhenAWriteIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		var tries []time.Time
		tried := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(tries)
		}
		out := &collect{write: func(context.Context, []*pipeline.Record) error {
			mu.Lock()
			tries = append(tries, time.Now())
			mu.Unlock()
			time.Sleep(time.Second)
			if time.Since(began) < 5*time.Minute {
				return errors.New("writing: down")
			}
			return nil
		}}
		p, done := start(t, t.Context(), Options{
			Source: &memory{lanes: 1, records: 3}, Sinks: []Output{{Name: "out", Sink: out, Retry: Retry{MaxBackoff: 20 * time.Second}}},
		})
		told := map[int]time.Time{} // by how many attempts there were
		for range 600 {
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			holds := p.Why()
			if len(holds) == 0 {
				continue
			}
			h := holds[0]
			if writing := h.State == "writing"; writing != h.Until.IsZero() || writing == strings.Contains(h.Why(), "; is tried again at ") {
				t.Fatalf("%+v says %s", h, h.Why())
			}
			if !h.Until.IsZero() {
				told[tried()] = h.Until
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(told) < 5 {
			t.Errorf("it was told of %d attempts", len(told))
		}
		for after, at := range told {
			if after >= len(tries) || !tries[after].Equal(at) {
				t.Errorf("after %d of %d attempts the next was to come at %v", after, len(tries), at)
			}
		}
	})
}

// A run that gives up records says what held them.
func TestAbandonedSaysWhatHeldThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		out := &collect{write: func(context.Context, []*pipeline.Record) error { return errors.New("writing: connection refused") }}
		_, done := start(t, ctx, Options{Source: &memory{lanes: 2, records: 1000}, Sinks: []Output{{Name: "out", Sink: out}}, Drain: 5 * time.Second})
		time.Sleep(10 * time.Second)
		cancel()
		err := <-done
		var abandoned *AbandonedError
		if !errors.As(err, &abandoned) || !strings.HasPrefix(abandoned.Holder, "out: attempt ") ||
			!strings.Contains(err.Error(), "; held longest by out: attempt ") || !strings.Contains(err.Error(), " fails with _other (writing: connection refused)") {
			t.Errorf("it ends with %v", err)
		}
	})
}
