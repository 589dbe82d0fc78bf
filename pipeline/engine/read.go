package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
)

// A reader asks the source for batches and lets them wait with their lanes.
type reader struct {
	p      *shared
	fill   *filler
	inRead bool
}

// work reads one batch; false ends the reading.
func (r *reader) work() bool {
	p := r.p
	if p.read.ctx.Err() != nil || p.read.why() != nil {
		return false
	}
	p.calls.Add(1)
	r.inRead = true
	b, err := p.opts.Source.Read(p.read.ctx)
	r.inRead = false
	p.calls.Add(-1)
	if b != nil {
		if bad := r.fill.admit(b); bad != nil && err == nil {
			err = bad
		}
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, io.EOF), p.read.ctx.Err() != nil && errors.Is(err, p.read.ctx.Err()):
	default:
		p.failRead(fmt.Errorf("reading from the source: %w", err))
	}
	return false
}

func (r *reader) panicked(err *pipeline.PanicError) {
	if r.inRead {
		r.inRead = false
		r.p.calls.Add(-1)
	}
	r.p.failRead(fmt.Errorf("reading from the source: %w", err))
}

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
