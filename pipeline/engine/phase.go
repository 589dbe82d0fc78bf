package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A phase is how far a run is, and why it ends before the source does.
type phase struct {
	mu    sync.Mutex
	state string // Snapshot.State
	err   error  // why the pipeline stops early: the first reason; nil: it does not
	ended error  // what Run has returned
	began time.Time

	ran        atomic.Bool   // Run has been called
	stopsEarly atomic.Bool   // err is set, or halted: steps abandon what they have
	halted     atomic.Bool   // nothing more is rejected (halt.go)
	failed     chan struct{} // closed when err is set
	aborted    chan struct{} // closed by Abort
	abort      sync.Once     // closes it

	draining atomic.Bool   // the router has ended: Pipeline.begin waits for the last outcomes
	outcomes chan struct{} // receives while draining, when a record has got its outcome
}

func (f *phase) init() {
	f.state = "starting"
	f.failed, f.aborted = make(chan struct{}), make(chan struct{})
	f.outcomes = make(chan struct{}, 1)
}

// begin notes when the run began.
func (f *phase) begin(now time.Time) {
	f.mu.Lock()
	f.began = now
	f.mu.Unlock()
}

func (f *phase) set(state string) {
	f.mu.Lock()
	f.state = state
	f.mu.Unlock()
}

// fail notes why the pipeline stops early. It gives false when it stops already.
func (f *phase) fail(err error) bool {
	f.mu.Lock()
	first := f.err == nil
	if first {
		f.err = err
		close(f.failed)
	}
	f.mu.Unlock()
	if first {
		f.stopsEarly.Store(true)
	}
	return first
}

// halt has steps abandon what they have, and nothing more rejected. It gives false when that is so already.
func (f *phase) halt() bool {
	f.stopsEarly.Store(true)
	return f.halted.CompareAndSwap(false, true)
}

// why gives the reason for which the pipeline stops early, nil when there is none.
func (f *phase) why() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// end notes what Run returns.
func (f *phase) end(err error, failed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended = err; failed {
		f.state = "failed"
	}
}

// show puts the phase into a snapshot.
func (f *phase) show(s *Snapshot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.State, s.Started, s.Err = f.state, f.began, f.ended
}

// noteOutcome tells the run that a record has got its outcome, if it waits for the last ones.
func (f *phase) noteOutcome() {
	if f.draining.Load() {
		select {
		case f.outcomes <- struct{}{}:
		default:
		}
	}
}

// A lifetime is how long records in flight are worked on: until they are given up, or the run
// ends.
type lifetime struct {
	ctx    context.Context // of all calls with records: ends with the lifetime
	cancel context.CancelFunc
	over   chan struct{} // closed just before ctx ends: who waits to send or receive a chunk stops waiting
}

func (w *lifetime) init() {
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.over = make(chan struct{})
}

// end ends the lifetime. It may be called again, from the same goroutine.
func (w *lifetime) end() {
	if !w.isOver() {
		close(w.over)
	}
	w.cancel()
}

func (w *lifetime) isOver() bool {
	select {
	case <-w.over:
		return true
	default:
		return false
	}
}
