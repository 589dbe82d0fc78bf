package pipeline

import (
	"context"
	"time"
)

// commits is what the pipeline needs to tell the source its marks.
type commits struct {
	moved chan struct{} // told when a mark has moved
	stop  chan struct{}
	ended chan struct{}
	turn  chan struct{} // held by the one who calls the source
	fails int           // in a row; guarded by turn
}

func (c *commits) init() {
	c.moved = make(chan struct{}, 1)
	c.stop = make(chan struct{})
	c.ended = make(chan struct{})
	c.turn = make(chan struct{}, 1)
}

// wake tells the committer that there is something to commit, or that a lane ends.
func (p *Pipeline) wake() {
	select {
	case p.commits.moved <- struct{}{}:
	default:
	}
}

// commitLoop commits once in an interval while there is something to commit. It arms
// no timer otherwise.
func (p *Pipeline) commitLoop() {
	c := &p.commits
	defer close(c.ended)
	for {
		select {
		case <-c.moved:
		case <-c.stop:
			return
		}
		if !p.dirty() {
			continue
		}
		t := time.NewTimer(p.opts.CommitEvery)
		select {
		case <-t.C:
		case <-c.stop:
			t.Stop()
			return
		}
		_ = p.commit(p.work, p.open()) // reported, and tried again at the next tick
		if p.dirty() {
			p.wake()
		}
	}
}

// unsaved gives the lane's mark when it has moved since the last commit. A lane that
// is fenced has none (I8).
func (l *Lane) unsaved() (Mark, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next, ok := l.unsavedMark()
	return Mark{Lane: l, Next: next}, ok
}

// unsavedMark does the same with the lane's lock held.
func (l *Lane) unsavedMark() (next int64, ok bool) {
	next = l.mark
	if len(l.ring) > 0 {
		if within, ok := l.ring[0].prefix(); ok {
			next = max(next, within)
		}
	}
	return next, next > l.committed && !l.fenced
}

func (l *Lane) saved(next int64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committed = max(l.committed, next)
	l.dirtyAt = time.Time{}
	if l.mark > l.committed {
		l.dirtyAt = now
	}
}

func (p *Pipeline) dirty() bool {
	for _, l := range p.open() {
		if _, ok := l.unsaved(); ok {
			return true
		}
	}
	return false
}

// commit tells the source the marks of lanes that have moved (I5). One caller at a
// time has the turn; the others wait for it, or for their ctx.
func (p *Pipeline) commit(ctx context.Context, lanes []*Lane) error {
	if p.txn != nil {
		return p.txn.flush(ctx, lanes)
	}
	c := &p.commits
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var marks []Mark
	for _, l := range lanes {
		if m, ok := l.unsaved(); ok {
			marks = append(marks, m)
		}
	}
	if len(marks) == 0 {
		return nil
	}
	p.calls.Add(1)
	err := guarded(func() error { return p.opts.Source.Commit(ctx, marks) })
	p.calls.Add(-1)
	if err != nil {
		c.fails++
		p.commitFailed(marks[0], err, c.fails)
		return err
	}
	c.fails = 0
	now := time.Now()
	for _, m := range marks {
		m.Lane.saved(m.Next, now)
	}
	return nil
}

func (p *Pipeline) commitLane(ctx context.Context, l *Lane) error {
	return p.commit(ctx, []*Lane{l})
}
