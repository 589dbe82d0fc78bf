package engine

import (
	"errors"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file is the queue of the filler: which lanes have batches that wait.

// accept lets a batch wait with its lane. A batch of a lane that takes no more is given back: it
// will be read again. One that breaks the contract is an error.
func (f *filler) accept(b *pipeline.Batch) error {
	p := f.p
	l, ok := b.Lane.(*lane)
	if !ok || l.p != p {
		f.refuse(b)
		return errors.New("the batch is of no lane of this pipeline")
	}
	c, ok := b.Charge.(*charge)
	if b.Charge != nil && (!ok || c.lane != l) {
		f.refuse(b)
		return errors.New("the bytes of the batch were taken for no lane of this pipeline, or for another lane than its own")
	}
	l.mu.Lock()
	in := l.newBatch()
	l.mu.Unlock()
	*in = laneBatch{batch: b, charge: c, opens: b.Opens, open: true, came: time.Now()}
	if in.charge == nil && b.Fill != nil {
		p.budget.open(l, &in.own)
		in.charge, in.owed = &in.own, true
	}
	if in.size = b.Size; in.size == 0 && in.charge != nil {
		in.size = in.charge.size()
	}
	if !l.enqueue(in) {
		in.release(p)
		return nil
	}
	f.add(l)
	return nil
}

// refuse gives back what a batch holds that the pipeline cannot take.
func (f *filler) refuse(b *pipeline.Batch) {
	if b.Charge != nil {
		b.Charge.Release()
	}
	f.p.free(b)
}

// lookAgain has the filler look at the lanes again.
func (f *filler) lookAgain() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// add notes that batches wait with a lane.
func (f *filler) add(l *lane) {
	f.mu.Lock()
	f.queue(l)
	f.mu.Unlock()
	f.lookAgain()
}

// queue puts a lane behind the others, once. The lock is held.
func (f *filler) queue(l *lane) {
	if !l.queued {
		l.queued = true
		f.lanes.Push(l)
	}
}

// close says that no batch will come any more.
func (f *filler) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.lookAgain()
}

// waits says whether batches wait.
func (f *filler) waits() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lanes.Len() > 0
}
