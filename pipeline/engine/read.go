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
	p      *Pipeline
	inRead bool // a call of Read is under way
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
		if bad := p.admit(b); bad != nil && err == nil {
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

// failRead ends the reading with an error; the first one counts. What was read before
// goes on.
func (p *Pipeline) failRead(err error) {
	p.read.fail(err)
	p.read.stop()
}

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

// refuse gives back what a batch holds that the pipeline cannot take.
func refuse(b *pipeline.Batch) {
	if b.Charge != nil {
		b.Charge.Release()
	}
	if b.Free != nil {
		b.Free()
	}
}

// admit lets a batch wait with its lane. A batch of a lane that takes no more is given back: it
// will be read again. One that breaks the contract is an error.
func (p *Pipeline) admit(b *pipeline.Batch) error {
	l, ok := b.Lane.(*lane)
	if !ok || l.p != p {
		refuse(b)
		return errors.New("the batch is of no lane of this pipeline")
	}
	c, ok := b.Charge.(*charge)
	if b.Charge != nil && (!ok || c.lane != l) {
		refuse(b)
		return errors.New("the bytes of the batch were taken for no lane of this pipeline, or for another lane than its own")
	}
	l.mu.Lock()
	in := l.newBatch()
	l.mu.Unlock()
	*in = laneBatch{batch: b, charge: c, opens: b.Opens, open: true}
	if in.charge == nil && b.Fill != nil {
		p.budget.open(l, &in.own)
		in.charge, in.owed = &in.own, true
	}
	if in.size = b.Size; in.size == 0 && in.charge != nil {
		in.size = in.charge.size()
	}
	if !l.enqueue(in) {
		in.release()
		return nil
	}
	p.fill.add(l)
	return nil
}
