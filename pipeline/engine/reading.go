package engine

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
)

// reading is how far the pipeline is with what the source has.
type reading struct {
	ctx     context.Context // ends when reading stops
	stop    context.CancelFunc
	crew    *crew.Crew    // the one reader, and the filler
	done    chan struct{} // closed when nothing is made records any more
	discard atomic.Bool   // what waits to be filled is handed back
	blocked atomic.Int64  // nanoseconds that the filler waited to hand over

	mu     sync.Mutex
	err    error         // why reading ended early
	broken chan struct{} // closed with it
}

func (r *reading) init(work context.Context) {
	r.ctx, r.stop = context.WithCancel(work)
	r.crew = crew.New()
	r.done, r.broken = make(chan struct{}), make(chan struct{})
}

// fail notes why reading ends early; the first reason counts.
func (r *reading) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
		close(r.broken)
	}
}

// why gives the reason for which reading ended early, nil when there is none.
func (r *reading) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
