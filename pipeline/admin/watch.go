package admin

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline/engine"
)

// A Watch finds pipelines that stand still: they have something to do, and have finished
// nothing for too long. It goes by the snapshots alone, and has neither a clock nor a goroutine.
type Watch struct {
	after time.Duration

	mu          sync.Mutex
	standstills map[string]standstill // by pipeline, while it has something to do
}

// A standstill is a run of observations with work to do and nothing finished.
type standstill struct {
	finished int64
	from     time.Time
}

// NewWatch makes a Watch that allows a standstill for after. 0: 5 minutes.
func NewWatch(after time.Duration) *Watch {
	if after <= 0 {
		after = 5 * time.Minute
	}
	return &Watch{after: after, standstills: map[string]standstill{}}
}

// Check looks at all pipelines of the process. The error names each that has stood
// still for too long, with the record that has held a mark for longest. holds is asked about
// those alone, and may be nil.
//
// A standstill is measured from the first look at it: call Check at regular intervals,
// or it is seen late. It is never seen too early: what is finished or without work
// at one look starts it anew.
func (w *Watch) Check(all []engine.Snapshot, holds func(pipeline string) []engine.Hold) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := make(map[string]standstill, len(all))
	var errs []error
	for i := range all {
		s := &all[i]
		lag, work := workOf(s)
		if !work {
			continue
		}
		now := standstill{finished: s.Out + s.Filtered + s.Rejected, from: s.At}
		if was, ok := w.standstills[s.Pipeline]; ok && was.finished == now.finished && was.from.Before(now.from) {
			now.from = was.from
		}
		seen[s.Pipeline] = now
		if still := s.At.Sub(now.from); still >= w.after {
			var longest []engine.Hold
			if holds != nil {
				longest = holds(s.Pipeline)
			}
			errs = append(errs, standstillError(s, lag, still, longest))
		}
	}
	w.standstills = seen
	return errors.Join(errs...)
}

// workOf gives the lag of the partitions, and whether the pipeline has something to do: records
// in flight, or records to be read. When all has been read, a mark that is behind the end only
// waits for a commit, which is no work. What a command has paused is not to be read; what is in flight of it
// goes on all the same, so that it can stand still. In the pause of a budget of rejections nothing can.
func workOf(s *engine.Snapshot) (lag int64, work bool) {
	if s.State != "running" && (s.State != "paused" || s.PausedBy != "command") {
		return 0, false
	}
	for _, p := range s.Source.Partitions {
		if p.Commanded {
			continue
		}
		read := max(p.Fetched, p.Committed)
		end := p.HighWatermark - p.Held // what open transactions hold back nobody can work on
		work = work || read >= 0 && end > read
		lag += max(p.Lag()-p.Held, 0)
	}
	return lag, work || s.InFlight > 0
}

// standstillError says which pipeline stands still, and at which record: the first of those that hold
// marks.
func standstillError(s *engine.Snapshot, lag int64, still time.Duration, holds []engine.Hold) error {
	text := fmt.Sprintf("pipeline %s: nothing finished for %v, %d in flight, lag %d", s.Pipeline, still.Round(time.Second), s.InFlight, lag)
	if s.Source.InBytes {
		text += " bytes"
	}
	if len(holds) == 0 {
		return errors.New(text)
	}
	return fmt.Errorf("%s; %v", text, holds[0])
}
