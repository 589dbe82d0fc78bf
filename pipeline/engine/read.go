package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/penstockio/penstock/pipeline"
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
