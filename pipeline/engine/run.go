package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
)

// Run opens the source, moves records until the source ends or ctx is cancelled,
// drains, commits, closes the components, and returns. It may be called once.
//
// When ctx ends, what has not begun is handed back: what waits unread, and what the
// first waiting step has not begun, unless the source is a [pipeline.ReadOncer] (I7). It counts as
// abandoned, and is read again. So does what has begun when the budget of rejections has the
// pipeline paused then, or is spent while it drains.
//
// It gives nil when the source or ctx has ended and everything that was begun has its
// outcome; *AbandonedError when the drain budget was spent first, or Abort was
// called; and else the error that stopped the pipeline. It never waits past the
// budget for a call that ignores its ctx; such a component is not closed. What a component is
// asked without a ctx has to return at once: Attach, Account, LaneEnded and the Free of a batch are
// waited for, and so is the Open of a sink.
func (p *Pipeline) Run(ctx context.Context) error {
	if !p.phase.ran.CompareAndSwap(false, true) {
		return errors.New("running the pipeline: it has run before")
	}
	p.budget.join(&p.use)
	defer p.budget.leave(&p.use) // other pipelines may use what a call that hangs never gives back
	err := p.runContained(ctx)
	var abandoned *AbandonedError
	p.phase.end(err, err != nil && !errors.As(err, &abandoned))
	return err
}

// runContained is Run with a panic of the engine contained: it ends this pipeline and no other
// of the process. What is in flight is given up, and nothing is committed any more.
func (p *Pipeline) runContained(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = p.panicIn(v)
			p.tearDown()
		}
	}()
	p.phase.begin(time.Now())
	by, err := time.Now().Add(p.opts.Drain), guarded(p.attach)
	if err == nil {
		err = p.openSinks(ctx, p.chain().allSinks())
	}
	if err == nil {
		by, err = p.openSource(ctx)
	}
	if err != nil {
		p.phase.set("stopped")
		p.endWork()
		closeErr := p.closeAll(max(time.Until(by), p.opts.reserve()))
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return closeErr
		}
		return err
	}
	p.phase.set("running")
	allDone := p.begin()
	end := p.await(ctx, allDone)
	return p.finish(end, allDone)
}

// begin starts all workers, from the sinks' end to the source, and gives a channel that is
// closed when reading has ended and everything that was made records has its outcome.
func (p *Pipeline) begin() <-chan struct{} {
	p.chain().start()
	if p.txn == nil {
		p.spawn(p.commits.loop)
	}
	p.txn.start()
	p.stats.start()
	p.watch.start()

	r := &reader{p: &p.shared, fill: p.fill}
	(&crew.Worker{Crew: p.read.crew, Work: p.fill.work, Panicked: onPanic(p.fill.panicked), Ended: p.fill.end}).Start()
	(&crew.Worker{Crew: p.read.crew, Work: r.work, Panicked: onPanic(r.panicked), Ended: p.fill.close}).Start()

	allDone := make(chan struct{})
	p.spawn(func() {
		defer close(allDone)
		select {
		case <-p.read.done:
		case <-p.work.over:
			return
		}
		select {
		case <-p.chain().route.ended: // no Change comes any more, as no record is made
		case <-p.work.over:
			return
		}
		p.phase.draining.Store(true)
		for p.meter.read().InFlight > 0 {
			select {
			case <-p.phase.outcomes:
			case <-p.work.over:
				return
			}
		}
	})
	return allDone
}

// An ending says how the work on records came to its end.
type ending struct {
	complete bool      // everything has its outcome
	forced   bool      // by Abort
	by       time.Time // when Run has to be over; zero: nothing bounds it yet
}

// stopReading ends reading because Run is told to stop. What waits unread, and what no
// waiting step has begun, is handed back if it can be read again (I7). In a pause what has begun is
// abandoned then (halt.go). That goes on in another
// goroutine: records that are handed back come to nothing, and the Undoer that is told of it
// may hang.
func (p *Pipeline) stopReading() {
	if p.opts.readsOnce() {
		p.read.stop()
		p.endPauses()
		p.steer.end()
		return
	}
	p.forbidPauses()
	halt := p.rejects().pausing()
	if halt {
		p.phase.halt()
	}
	p.discardUnread()
	p.spawn(func() {
		for _, l := range p.lanes.all() {
			p.chain().handBackLane(l)
		}
		if halt {
			p.halt()
			return
		}
		p.rejects().resume()
	})
}

// await waits until everything that was read has its outcome, or the drain budget is
// spent, or Abort (I7).
func (p *Pipeline) await(ctx context.Context, allDone <-chan struct{}) ending {
	var e ending
	var spent <-chan time.Time
	var timer *time.Timer
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	drain := func() {
		p.phase.set("draining")
		p.read.stop()
		if e.by.IsZero() {
			e.by = time.Now().Add(p.opts.Drain)
			timer = time.NewTimer(p.opts.Drain - p.opts.reserve())
			spent = timer.C
		}
	}
	done, failed, broken, read := ctx.Done(), p.phase.failed, p.read.broken, p.read.done
	for {
		select {
		case <-allDone:
			e.complete = true
			return e
		case <-p.phase.aborted:
			e.forced = true
			e.by = time.Now().Add(p.opts.reserve())
			return e
		case <-spent:
			return e
		case <-done:
			done = nil
			p.stopReading()
			drain()
		case <-failed:
			failed = nil
			drain()
		case <-read:
			read = nil
			p.phase.set("draining")
		case <-broken:
			broken = nil
			p.endPauses()
			p.steer.end()
			drain()
		}
	}
}

// finish ends a run: it gives up what is left, commits the last marks, and closes the
// components.
func (p *Pipeline) finish(e ending, allDone <-chan struct{}) error {
	if e.by.IsZero() {
		e.by = time.Now().Add(p.opts.Drain)
	}
	p.endPauses()
	p.lanes.close()
	lost, running, holder := int64(0), 0, ""
	if !e.complete {
		holder = p.holder()
		lost = p.abandonAll()
	}
	running = p.awaitWorkers(e)
	close(p.commits.stop)

	// The last commit also comes when work was given up or a sink hangs (I7). One that is under
	// way and hangs is cancelled after a quarter of the time that is left, so that the last one
	// has its turn, and a moment is kept for its error to be heard.
	left := time.Until(e.by) / 4
	giveWay := time.AfterFunc(left, p.commits.cancel)
	defer giveWay.Stop()
	ctx, cancel := context.WithDeadline(context.Background(), e.by.Add(-min(left, commitGrace)))
	last := make(chan error, 1)
	p.spawn(func() { last <- p.commits.last(ctx, p.lanes.all()...) })
	commitErr := within(time.Until(e.by), last, &AbandonedError{Running: 1})
	cancel()
	p.commits.cancel()
	p.txn.stop(e.by)
	for _, l := range p.lanes.all() {
		lost += l.abandon(true) // none are left, unless some have come in meanwhile
		p.forget(l)
	}
	p.endWork()
	figures := make(chan error, 1)
	p.spawn(func() {
		p.contained(p.watch.stop)
		p.phase.set("stopped")
		p.stats.stop()
		figures <- nil
	})
	// The last events wait for components to report, and for a log that is written to directly.
	// Where one hangs its last lines are lost, and the components are closed nevertheless.
	_ = within(max(time.Until(e.by), p.opts.reserve())/2, figures, nil)
	p.commits.awaitCall()
	closeErr := p.closeAll(max(time.Until(e.by), p.opts.reserve()))

	err, readErr := p.phase.why(), p.read.why()
	switch {
	case err != nil:
		return err
	case readErr != nil:
		return readErr
	case lost > 0 || running > 0 || e.forced:
		return &AbandonedError{Abandoned: int(lost), Running: running, Forced: e.forced, Once: p.opts.readsOnce(), Holder: holder}
	case commitErr != nil:
		return fmt.Errorf("committing for the last time: %w", commitErr)
	}
	return closeErr
}

// holder says what holds the record that has been in flight longest; "": nothing is in flight. What only waits for others, or for
// its commit, says less than what those wait for.
func (p *Pipeline) holder() string {
	holds := p.why(false)
	for _, h := range holds {
		if h.Where != commitPlace && !h.turns() {
			return h.Why()
		}
	}
	if len(holds) == 0 {
		return ""
	}
	return holds[0].Why()
}

// abandonAll gives up what is in flight and says how many records that was.
func (p *Pipeline) abandonAll() (lost int64) {
	p.watch.givenUp.Store(true)
	p.discardUnread()
	for _, l := range p.lanes.all() {
		lost += l.abandon(false)
	}
	p.work.end()
	p.chain().stopEarly()
	return lost
}

// awaitWorkers waits until all workers have ended, and says how many calls have not returned.
// When work was given up it waits for half of the time that is left: a call that heeds its ctx
// ends in that, and the other half is for the last commit and for closing.
func (p *Pipeline) awaitWorkers(e ending) (running int) {
	patience := time.Until(e.by)
	if !e.complete {
		patience /= 2
	}
	ended := make(chan error, 1)
	p.spawn(func() {
		p.waitForWorkers()
		p.sweep()
		p.changes.closes.wait()
		ended <- nil
	})
	if within(patience, ended, &AbandonedError{Running: 1}) != nil {
		running = int(p.outstanding.Load()) + p.chain().running()
	}
	return running
}

// waitForWorkers blocks until no worker of the pipeline is left.
func (p *Pipeline) waitForWorkers() {
	p.read.crew.Wait()
	p.chain().waitForWorkers()
}

// endWork ends the lifetime of records, and the counting: what is still in flight counts as
// abandoned.
func (p *Pipeline) endWork() {
	p.work.end()
	p.taps.end()
	p.meter.seal()
	p.chain().seal()
}

// closeAll closes the components that have no call outstanding: the source, then the
// stages from the first to the last, then the sinks. It waits for at most d.
func (p *Pipeline) closeAll(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var errs []error
	do := func(what string, outstanding int32, f func() error) {
		if outstanding > 0 {
			return
		}
		done := make(chan error, 1)
		go func() { done <- guarded(f) }()
		select {
		case err := <-done:
			if err != nil {
				errs = append(errs, fmt.Errorf("closing %s: %w", what, err))
			}
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("closing %s: it takes longer than %s", what, d))
		}
	}
	do("the source", p.outstanding.Load(), func() error { return p.opts.Source.Close(ctx) })
	c := p.chain()
	for _, s := range c.steps {
		s := s.core()
		for _, part := range []any{s.conf.Stage, s.conf.Splitter} {
			if c, ok := part.(io.Closer); ok {
				do("step "+s.conf.Name, s.outstanding.Load(), c.Close)
			}
		}
	}
	for _, s := range c.allSinks() {
		do("sink "+s.conf.Name, s.outstanding.Load(), func() error { return s.conf.Sink.Close(ctx) })
	}
	p.phase.set("stopped")
	return errors.Join(errs...)
}

// tearDown ends what is left of a run in which the engine panicked: reading, work and commits.
// No component is closed, as nobody knows which calls are under way.
func (p *Pipeline) tearDown() {
	p.endPauses()
	p.lanes.close()
	if !p.work.isOver() {
		_ = p.abandonAll()
	}
	for _, c := range []chan struct{}{p.commits.stop, p.watch.quit, p.stats.quit} {
		select {
		case <-c:
		default:
			close(c)
		}
	}
	p.endWork()
	p.spawn(p.waitForWorkers) // it ends the crews; nobody waits for it, as a worker may hang
}

// sweep abandons the chunks that stand in a channel or a turnstile whose workers have all ended,
// as the pipeline was given up. It comes when no worker is left.
func (p *Pipeline) sweep() {
	for {
		p.pool.mu.Lock()
		c := p.pool.head.next
		p.pool.mu.Unlock()
		if c == &p.pool.head {
			return
		}
		p.abandonChunk(c)
	}
}
