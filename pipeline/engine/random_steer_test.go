package engine

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// steer does what people may do to a pipeline while it runs, at random moments of the run, and then undoes it, so that the run may
// come to its end. What the run is checked for is the same with it and without.
func (w *world) steer(p *Pipeline, over <-chan struct{}) {
	r := rand.New(rand.NewPCG(w.seed, 5))
	lane := func() string { return "t/" + strconv.Itoa(r.IntN(w.src.lanes)) }
	at := func() pipeline.Position {
		return pipeline.Position{Topic: "t", Partition: int32(r.IntN(w.src.lanes)), Offset: r.Int64N(int64(w.src.records))}
	}
	const workersChange = "changing workers"
	must := func(what string, err error) {
		switch {
		case err == nil, errors.Is(err, ErrNoLane): // the lane has ended, or is not open yet
		case len(w.changes) > 0 && what == workersChange: // the step is gone, or its window is another
		default:
			w.t.Errorf("%s: %v", what, err)
		}
	}
	wait := func() bool {
		select {
		case <-over:
			return false
		case <-time.After(time.Duration(r.IntN(100)) * time.Millisecond):
			return true
		}
	}
	for range 10 + r.IntN(40) {
		if !wait() {
			return
		}
		switch r.IntN(9) {
		case 0:
			p.Pause()
			w.staysPaused(p, r)
		case 1, 2:
			p.Resume()
		case 3:
			must("pausing a lane", p.PauseLane(lane()))
		case 4:
			must("resuming a lane", p.ResumeLane(lane()))
		case 5:
			if n := len(w.o.Steps); n > 0 {
				s := w.o.Steps[r.IntN(n)]
				most := 12
				if s.Wait != nil && s.Wait.Window > 0 {
					most = min(most, s.Wait.Window)
				}
				must(workersChange, p.SetWorkers(s.Name, 1+r.IntN(most)))
			}
		case 6:
			must("skipping a key", p.Skip([]byte(strconv.Itoa(r.IntN(7)))))
		case 7:
			p.Unskip([]byte(strconv.Itoa(r.IntN(7))))
		case 8:
			must("skipping a record", p.SkipRecord(at()))
		}
	}
	p.Resume()
	for i := range w.src.lanes {
		must("resuming a lane", p.ResumeLane("t/"+strconv.Itoa(i)))
	}
}

// staysPaused checks that no record begins while the pipeline is paused, whatever else is done to it.
func (w *world) staysPaused(p *Pipeline, r *rand.Rand) {
	time.Sleep(time.Nanosecond) // what was being made when the pause began is there now
	a := p.Snapshot()
	time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
	if b := p.Snapshot(); a.PausedBy == pausedByCommand && b.PausedBy == pausedByCommand && a.In != b.In {
		w.t.Errorf("%d records began in a pause", b.In-a.In)
	}
}
