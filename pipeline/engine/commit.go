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

// This file tells the source the marks of its lanes.
//
// What it guarantees. Only marks that have been earned are committed (I5), and those of a lane
// that is over never are (I8). Marks of a lane never go back. One call of the source is under way
// at a time. A mark is committed within a commit interval while the source answers, at the end
// of its lane, and at the end of a run, also when work was given up or a sink hangs (I7).
//
// How. A mark that moves wakes the committer, which waits for the rest of an interval and then
// commits what has moved in all lanes. A lane that ends does not wait for that: it commits its
// own mark, and those of the lanes that end with it. A call gets its time; when that is over it
// counts as failed, is reported, and the marks are tried again.
//
// Why a call that does not return is not waited for. The end of a lane, and of a run, has a
// time of its own. The call is left in a goroutine and keeps the place of the one call: a second
// beside it could be overtaken by the first, and a committed offset would go back.
//
// With a Transactor none of this happens: marks are committed with the writes (transact.go).

// A committer is the state of the committer, and of the calls that commit.
type committer struct {
	p   *shared
	txn *transactions // nil: marks are told to the source

	stop  chan struct{} // closed to end the committer
	ended chan struct{} // closed when it has ended
	busy  chan struct{} // a lock, of capacity one: full while the source is called
	fails atomic.Int64  // how many commits have failed in a row

	lastErr atomic.Pointer[errorText] // of the last of these; nil: the last one has not failed

	ctx    context.Context    // of the committer's calls
	cancel context.CancelFunc // of ctx
}

const (
	// commitPatience is how long a commit may take until it has failed. It is more than
	// what a group's coordinator takes to move, and bounds how long an outage goes
	// unreported and how long one call of the source keeps others waiting.
	commitPatience = 10 * time.Second
	// commitGrace is how long a call whose ctx has ended is given to return, so that its own
	// error is heard.
	commitGrace = 100 * time.Millisecond
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

// unsavedMark gives the lane's mark, and whether it has moved since the last commit. The
// lane's lock is held.
func (l *lane) unsavedMark() (next int64, ok bool) {
	next = l.ring.Committable()
	return next, next > l.committed && !l.fenced
}

// saved notes that the lane's mark is committed.
func (l *lane) saved(next int64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committed = max(l.committed, next)
	l.dirtyAt, l.firstTime = time.Time{}, pipeline.NoTime
	if l.ring.Committable() <= l.committed {
		return
	}
	l.dirtyAt = now // it moved while the source was called
	if l.ring.Passed() > l.committed {
		// Which piece moved it first is not kept. The last one stands for it until the next
		// commit: younger by at most what the call took.
		l.firstTime = l.lastTime
	}
}

// commit has the marks of lanes committed (I5), or with all set those of all lanes together if
// one of these has moved. It waits for that at most commitPatience; a failure is reported. One
// call of the source is under way at a time. Whoever waits for the call before, or for the
// answer, leaves when ctx ends: a call that does not return is left to itself and goes on
// keeping others from calling, and a late answer still counts. That is within I8: the marks
// were earned before their lane's end, and the source refuses those of a lane that it has lost.
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
		if !all { // many lanes that end may wait here at once: the committer alone reports it
			c.failed(marks[0], err)
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
	p.outstanding.Add(1)
	go func() {
		err := guarded(func() error { return p.opts.Source.Commit(late, slices.Clone(marks)) })
		if err == nil {
			c.fails.Store(0)
			c.lastErr.Store(nil)
			saved(marks)
		}
		cancel()
		p.outstanding.Add(-1)
		<-c.busy
		done <- err
	}()
	err := answerOf(late, done)
	if err == nil {
		return nil
	}
	c.failed(marks[0], err)
	if errors.Is(late.Err(), context.DeadlineExceeded) {
		err = &lateError{err}
	}
	return err
}

// failed notes, and reports, a commit that will be tried again.
func (c *committer) failed(first pipeline.Mark, err error) {
	said := says(err)
	c.lastErr.Store(&said)
	c.p.commitFailed(first, err, int(c.fails.Add(1)))
}

// A lateError is the error of a commit that took too long: the next try may succeed.
type lateError struct{ err error }

func (e *lateError) Error() string { return e.err.Error() }
func (e *lateError) Unwrap() error { return e.err }

// answerOf waits for a call until its ctx has ended, and then for another commitGrace: the
// call's own error says more than that its time was over.
func answerOf(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	return within(commitGrace, done, fmt.Errorf("waiting for the source to commit: %w", ctx.Err()))
}

// awaitCall waits a moment for a call of the source whose ctx has ended: a source with a call
// under way is not closed, and one that is not closed does not leave its group.
func (c *committer) awaitCall() {
	t := time.NewTimer(commitGrace)
	defer t.Stop()
	select {
	case c.busy <- struct{}{}:
		<-c.busy
	case <-t.C:
	}
}

// saved notes that marks are committed.
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

// last has the last marks of lanes committed. A commit that takes too long is tried again
// until ctx ends. Lanes that end together share a call; when it is refused, which may be because
// of one of them, each tries its own mark alone.
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
