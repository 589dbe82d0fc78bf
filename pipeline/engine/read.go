package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/penstockio/penstock/pipeline"
)

// This file reads from the source.
//
// What it guarantees. Source.Read is called by one goroutine, one call after another. A batch that
// it returns waits with its lane, or is given back at once: when it is of no lane of this
// pipeline, which ends reading with an error, or of a lane that takes no more. The first error
// ends reading, and what was read before goes on.
//
// How. Reading and making records are two goroutines (fill.go), so that a source is asked for the
// next batch while records of the one before are made. The reader never waits for the rest of the
// pipeline: a source bounds by itself what it reads, as it takes bytes from the budget first.
//
// Dropped. Making the records here, and sending them to the first step: fill.go says why. While
// that step was full, or one lane waited for bytes, the source was then asked for nothing.

// A reader asks the source for batches and lets them wait with their lanes.
type reader struct {
	p      *shared
	fill   *filler // which has the batches then
	inRead bool    // a call of Read is under way
}

// work reads one batch; false ends the reading.
func (r *reader) work() bool {
	p := r.p
	if p.read.ctx.Err() != nil || p.read.why() != nil {
		return false
	}
	p.outstanding.Add(1)
	r.inRead = true
	b, err := p.opts.Source.Read(p.read.ctx)
	r.inRead = false
	p.outstanding.Add(-1)
	if b != nil {
		if bad := r.fill.accept(b); bad != nil && err == nil {
			err = bad
		}
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, io.EOF), errors.Is(err, errStopping), p.read.ctx.Err() != nil && errors.Is(err, p.read.ctx.Err()):
	default:
		p.failRead(fmt.Errorf("reading from the source: %w", err))
	}
	return false
}

func (r *reader) panicked(err *pipeline.PanicError) {
	if r.inRead {
		r.inRead = false
		r.p.outstanding.Add(-1)
	}
	r.p.failRead(fmt.Errorf("reading from the source: %w", err))
}
