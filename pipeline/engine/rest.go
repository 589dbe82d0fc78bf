package engine

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// This file brings a running pipeline to rest, for what records pass to be replaced.
//
// What it guarantees. At rest no record is under way, no call of a stage or a sink has not returned, and none
// begins. Nothing is lost, repeated or overtaken: what was under way has its outcome, and what was read and not made a record waits,
// as bytes, behind it. The source, its lanes and their marks go on meanwhile: it reads as far as the budget lets it, marks are
// committed, lanes may end and others come. A rest is over at any time as if it had not been. One that is told to stop ends it by itself.
//
// How. The filler makes no more records between two chunks, and says so. What is under way then finishes, while
// whoever asked looks on. Where that takes long because the first waiting step has much that has not begun, the lanes with records
// under way are ended, by the pipeline and not by the source: what has not begun is handed back, and the source
// opens them again behind what is committed (I7, I8). A source that reads once is not asked for that.
//
// Not chosen. To end the rest of the batch that the source has handed over first: a batch may have more records than a slow step does
// in the time that there is. To give up what does not finish: the caller does not want the change at that price.

// A rest is one time in which no record is made.
type rest struct {
	there chan struct{} // closed when the filler makes no more records
	over  chan struct{} // closed when it may go on
	once  sync.Once     // closes there

	parted []parted // sinks that are taken away

	mu   sync.Mutex // held while the chain is replaced
	void bool       // the pipeline stops: nothing is replaced any more
}

// restLook is how often who waits for a pipeline to be at rest looks. Nothing tells: what is waited for changes with each record.
const restLook = 2 * time.Millisecond

// rest waits until the filler may go on. The pipeline stops: then it does at once.
func (f *filler) rest(r *rest) {
	r.once.Do(func() { close(r.there) })
	f.p.pool.tidy()
	select {
	case <-r.over:
		return
	case <-f.p.read.ctx.Done():
	case <-f.p.work.over:
	}
	r.mu.Lock() // not while the chain is replaced
	r.void = true
	r.mu.Unlock()
	r.stay()
	f.held.CompareAndSwap(r, nil)
}

// end lets the filler go on.
func (r *rest) end(f *filler) {
	r.stay()
	f.held.CompareAndSwap(r, nil)
	close(r.over)
}

// A NotAtRestError says that a pipeline was not brought to rest in time.
type NotAtRestError struct {
	InFlight int64         // records that were under way still
	Running  int           // calls that had not returned
	After    time.Duration // how long it had been waited
	Holder   string        // what held the record that had been there longest; "": not known
	Failing  string        // a sink that stores nothing, and that the change keeps; "": none
}

func (e *NotAtRestError) Error() string {
	text := fmt.Sprintf("not at rest within %s: %d records are in flight", span(e.After), e.InFlight)
	switch {
	case e.InFlight > 0:
	case e.Running > 0:
		text = fmt.Sprintf("not at rest within %s: %d calls have not returned", span(e.After), e.Running)
	default:
		text = fmt.Sprintf("not at rest within %s: a transaction is not committed, or a batch is still being made", span(e.After))
	}
	if e.Holder != "" {
		text += "; the oldest: " + e.Holder
	}
	if e.Failing != "" {
		text += "; the sink " + e.Failing + " stores nothing and is kept: parts in which it is another could be applied"
	}
	return text
}

// toRest brings the pipeline to rest, or says why it is not. What sinks hold that are taken away need not be stored (parting.go).
func (p *Pipeline) toRest(ctx context.Context, next *chain) (*rest, error) {
	began := time.Now()
	r := &rest{there: make(chan struct{}), over: make(chan struct{}), parted: p.chain().parted(next)}
	p.resting.Add(1)
	defer p.resting.Add(-1)
	p.fill.held.Store(r)
	p.fill.lookAgain()
	for _, s := range p.chain().allSinks() {
		s.lingerNoMore()
	}
	handBack := p.whenSlow(ctx, began)
	defer handBack.Stop()
	part := time.NewTimer(halfOf(ctx, began, p.opts.Drain))
	defer part.Stop()
	look := time.NewTicker(restLook)
	defer look.Stop()
	there := r.there
	for {
		select {
		case <-there:
			there = nil
		case <-look.C:
		case <-handBack.C:
			p.handBackLanes()
		case <-part.C:
			r.part()
		case <-p.read.done:
			r.end(p.fill)
			return nil, ErrStopping
		case <-ctx.Done():
			late := &NotAtRestError{
				InFlight: p.meter.read().InFlight, Running: p.chain().running(), After: time.Since(began), Holder: p.holder(), Failing: p.chain().failing(next),
			}
			r.end(p.fill) // behind the count: what begins now has held up nothing
			return nil, late
		}
		if p.read.ctx.Err() != nil {
			r.end(p.fill)
			return nil, ErrStopping
		}
		switch {
		case there != nil || !p.isIdle() && !r.isParted(p):
		case p.txn == nil || // a sink that is replaced is not left with an open transaction that it has written in
			p.txn.isClosed() && !p.dirty():
			return r, nil
		default:
			p.txn.hurry()
		}
	}
}

// isIdle says whether nothing is under way. No record is made.
func (p *Pipeline) isIdle() bool {
	c := p.chain()
	return p.meter.read().InFlight == 0 && c.running() == 0 && c.counted() == 0
}

// whenSlow gives a timer for when what has not begun is handed back: at half of the time that there is.
func (p *Pipeline) whenSlow(ctx context.Context, began time.Time) *time.Timer {
	t := time.NewTimer(halfOf(ctx, began, p.opts.Drain))
	if p.opts.readsOnce() || p.chain().firstWait == nil {
		t.Stop()
	}
	return t
}

// halfOf gives half of the time that there is until ctx ends, or at most.
func halfOf(ctx context.Context, began time.Time, most time.Duration) time.Duration {
	by, ok := ctx.Deadline()
	if !ok {
		by = began.Add(most)
	}
	return by.Sub(began) / 2
}

// handBackLanes ends the lanes of which records are under way. It does not wait for that.
func (p *Pipeline) handBackLanes() {
	var busy, come []*lane
	for _, l := range p.lanes.all() {
		l.mu.Lock()
		if l.inFlight > 0 {
			busy = append(busy, l)
			if !l.ending { // who has ended it else does not open it again
				come = append(come, l)
			}
		}
		l.mu.Unlock()
	}
	p.steer.sentBack(come)
	for _, l := range busy {
		p.spawn(func() { _, _ = l.End(p.work.ctx) }) // a commit that fails is reported, and what it would have passed is read again
	}
}
