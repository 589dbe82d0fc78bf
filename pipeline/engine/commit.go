package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A committer is what the pipeline needs to tell the source its marks.
type committer struct {
	p   *shared
	txn *transactions // nil: marks are told to the source

	stop  chan struct{}
	ended chan struct{}
	busy  chan struct{} // held while the source is called
	fails atomic.Int64  // in a row

	ctx    context.Context // of the committer's calls
	cancel context.CancelFunc
}

const (
	// commitPatience is how long a commit may take until it has failed. It is more than
	// what a group's coordinator takes to move, and bounds how long an outage goes
	// unreported and how long one call of the source keeps others waiting.
	commitPatience = 10 * time.Second
	commitGrace    = 100 * time.Millisecond
)

func (c *committer) init(p *shared, txn *transactions) {
	c.p, c.txn = p, txn
	c.ctx, c.cancel = context.WithCancel(p.work.ctx)
	c.stop = make(chan struct{})
	c.ended = make(chan struct{})
	c.busy = make(chan struct{}, 1)
}

// loop commits once in an interval while there is something to commit. It arms
// no timer otherwise.
func (c *committer) loop() {
	p := c.p
	defer close(c.ended)
	for {
		select {
		case <-p.moved:
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
		_ = c.commit(c.ctx, p.lanes.all(), false) // reported, and tried again at the next tick
		if p.dirty() {
			p.wake()
		}
	}
}

// unsaved gives the lane's mark when it has moved since the last commit. A lane that
// is fenced has none (I8).
func (l *lane) unsaved() (pipeline.Mark, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next, ok := l.unsavedMark()
	return pipeline.Mark{Lane: l, Next: next}, ok
}

// unsavedMark does the same with the lane's lock held.
func (l *lane) unsavedMark() (next int64, ok bool) {
	next = l.ring.Within()
	return next, next > l.committed && !l.fenced
}

func (l *lane) saved(next int64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committed = max(l.committed, next)
	l.dirtyAt, l.firstTime = time.Time{}, pipeline.NoTime
	if l.ring.Mark() > l.committed { // it moved while the source was called
		l.dirtyAt = now
		// Which piece moved it first is not kept. The last one stands for it until the next
		// commit: younger by at most what the call took.
		l.firstTime = l.lastTime
	}
}

// commit has the marks of lanes committed (I5), with those of all lanes if all is set,
// and waits for that at most commitPatience; a failure is reported. One call of the
// source is under way at a time. Whoever waits for its turn, or for the answer, leaves
// when ctx ends: a call that does not return is left to itself, keeps the turn, and
// what it answers late still counts. That is within I8: the marks were earned before
// their lane's end, and the source refuses those of a lane that it has lost.
func (c *committer) commit(ctx context.Context, lanes []*lane, all bool) error {
	if c.txn != nil {
		return c.txn.flush(ctx, lanes)
	}
	marks := unsaved(lanes)
	if len(marks) == 0 {
		return nil
	}
	p := c.p
	late, cancel := context.WithTimeout(ctx, commitPatience)
	select {
	case c.busy <- struct{}{}:
	case <-late.Done():
		cancel()
		err := fmt.Errorf("waiting for the commit before it: %w", late.Err())
		if !all { // of those that wait one is enough to tell
			p.commitFailed(marks[0], err, int(c.fails.Add(1)))
		}
		return &lateError{err}
	}
	marks = unsaved(lanes) // somebody else's call may have had them
	if len(marks) > 0 && all {
		marks = unsaved(p.lanes.all())
	}
	if len(marks) == 0 {
		cancel()
		<-c.busy
		return nil
	}
	done := make(chan error, 1)
	p.calls.Add(1)
	go func() {
		err := guarded(func() error { return p.opts.Source.Commit(late, slices.Clone(marks)) })
		if err == nil {
			c.fails.Store(0)
			saved(marks)
		}
		cancel()
		p.calls.Add(-1)
		<-c.busy
		done <- err
	}()
	err := answerOf(late, done)
	if err == nil {
		return nil
	}
	p.commitFailed(marks[0], err, int(c.fails.Add(1)))
	if errors.Is(late.Err(), context.DeadlineExceeded) {
		err = &lateError{err}
	}
	return err
}

// A lateError is a commit that took too long: it may succeed if it is tried again.
type lateError struct{ err error }

func (e *lateError) Error() string { return e.err.Error() }
func (e *lateError) Unwrap() error { return e.err }

// answerOf waits for a call until its ctx has ended, and then a moment for what the call
// has to say of that.
func answerOf(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	return within(commitGrace, done, fmt.Errorf("waiting for the source to commit: %w", ctx.Err()))
}

// rest waits a moment for a call of the source to return whose ctx has ended: a source
// with a call under way is not closed, and one that is not closed leaves no group.
func (c *committer) rest() {
	t := time.NewTimer(commitGrace)
	defer t.Stop()
	select {
	case c.busy <- struct{}{}:
		<-c.busy
	case <-t.C:
	}
}

// saved notes that marks, which unsaved has given, are committed.
func saved(marks []pipeline.Mark) {
	now := time.Now()
	for _, m := range marks {
		m.Lane.(*lane).saved(m.Next, now)
	}
}

// unsaved gives the marks of lanes that have moved since their last commit.
func unsaved(lanes []*lane) []pipeline.Mark {
	var marks []pipeline.Mark
	for _, l := range lanes {
		if m, ok := l.unsaved(); ok {
			marks = append(marks, m)
		}
	}
	return marks
}

// last has the last marks of lanes committed, as often as it takes until ctx ends.
// Lanes that end together share a call; when one of its marks is refused, each tries
// alone.
func (c *committer) last(ctx context.Context, lanes ...*lane) error {
	for {
		err := c.commit(ctx, lanes, true)
		var late *lateError
		switch {
		case err == nil, ctx.Err() != nil, c.txn != nil:
			return err
		case !errors.As(err, &late):
			return c.commit(ctx, lanes, false)
		}
	}
}
