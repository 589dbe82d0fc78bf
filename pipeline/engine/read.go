package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/penstockio/penstock/pipeline"
)

// A reader asks the source for batches and lets them wait with their lanes.
type reader struct {
	p      *Pipeline
	inRead bool
}

// turn reads one batch; false ends the reading.
func (r *reader) turn() bool {
	p := r.p
	if p.reading.Err() != nil || p.readFailed() {
		return false
	}
	p.calls.Add(1)
	r.inRead = true
	b, err := p.opts.Source.Read(p.reading)
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
	case errors.Is(err, io.EOF), p.reading.Err() != nil && errors.Is(err, p.reading.Err()):
	default:
		p.failRead(fmt.Errorf("reading from the source: %w", err))
	}
	return false
}

func (r *reader) trouble(err *pipeline.PanicError) {
	if r.inRead {
		r.inRead = false
		r.p.calls.Add(-1)
	}
	r.p.failRead(fmt.Errorf("reading from the source: %w", err))
}

// failRead ends the reading with an error; the first one counts. What was read before
// goes on.
func (p *Pipeline) failRead(err error) {
	p.mu.Lock()
	first := p.readErr == nil
	if first {
		p.readErr = err
		close(p.broken)
	}
	p.mu.Unlock()
	p.unread()
}

// readFailed says whether reading has ended with an error.
func (p *Pipeline) readFailed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readErr != nil
}

// giveUp gives back what a batch holds that cannot be taken.
func giveUp(b *pipeline.Batch) {
	if b.Charge != nil {
		b.Charge.Release()
	}
	if b.Free != nil {
		b.Free()
	}
}

// admit lets a batch wait with its lane.
func (p *Pipeline) admit(b *pipeline.Batch) error {
	l, ok := b.Lane.(*lane)
	if !ok || l.p != p {
		giveUp(b)
		return errors.New("the batch is of no lane of this pipeline")
	}
	c, ok := b.Charge.(*charge)
	if b.Charge != nil && (!ok || c.lane != l) {
		giveUp(b)
		return errors.New("the bytes of the batch were taken for no lane of this pipeline, or for another lane than its own")
	}
	l.mu.Lock()
	in := l.intake()
	l.mu.Unlock()
	*in = intake{batch: b, charge: c, opens: b.Opens, open: true, opaque: b.Opaque}
	if in.charge == nil && b.Fill != nil {
		p.budget.open(l, &in.own)
		in.charge, in.owed = &in.own, true
	}
	if in.size = b.Size; in.size == 0 && in.charge != nil {
		in.size = in.charge.size()
	}
	if !l.enqueue(in) { // too late: it will be read again
		in.release()
		return nil
	}
	p.fill.add(l)
	return nil
}
