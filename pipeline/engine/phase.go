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
	state string
	err   error // why the pipeline stops early, the first reason
	ended error // what Run has given
	began time.Time

	ran        atomic.Bool
	stopsEarly atomic.Bool   // steps drop what they have: the pipeline stops early
	failed     chan struct{} // closed with the first error
	aborted    chan struct{}
	abort      sync.Once

	draining atomic.Bool
	outcomes chan struct{} // told, while draining, when something got its outcome
}

func (f *phase) init() {
	f.state = "starting"
	f.failed, f.aborted = make(chan struct{}), make(chan struct{})
	f.outcomes = make(chan struct{}, 1)
}

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

// why gives the reason for which the pipeline stops early, nil when there is none.
func (f *phase) why() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// end notes what Run gives.
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

// noteOutcome tells Run that something got its outcome, when it waits for that.
func (f *phase) noteOutcome() {
	if f.draining.Load() {
		select {
		case f.outcomes <- struct{}{}:
		default:
		}
	}
}

// A lifetime is how long what is in flight is worked on: until it is given up, or the
// run is over.
type lifetime struct {
	ctx    context.Context
	cancel context.CancelFunc
	over   chan struct{} // closed before ctx ends: whoever waits for a channel stops waiting
}

func (w *lifetime) init() {
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.over = make(chan struct{})
}

// end gives up what is in flight. It may come again, from the same goroutine.
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
