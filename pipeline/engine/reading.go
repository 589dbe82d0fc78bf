package engine

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
)

// reading is how far the pipeline is with reading, and why it ended.
type reading struct {
	ctx     context.Context // of Read: ends when reading stops
	stop    context.CancelFunc
	crew    *crew.Crew    // of the reader and the filler
	done    chan struct{} // closed when no record is made any more
	discard atomic.Bool   // batches that wait are given back, and no record is made any more
	blocked atomic.Int64  // nanoseconds that the filler has waited to send chunks

	mu     sync.Mutex
	err    error         // why reading ended early: the first reason; nil: it did not
	broken chan struct{} // closed when err is set
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
