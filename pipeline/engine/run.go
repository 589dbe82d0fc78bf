package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
)

// Run opens the source, moves records until the source ends or ctx is cancelled,
// drains, commits, closes the components, and returns. It may be called once.
//
// When ctx ends, what has not begun is handed back: what waits unread, and what no
// waiting step has begun, unless the source is a [ReadOncer] (I7). It counts as abandoned,
// and is read again.
//
// It gives nil when the source has ended, or ctx, and everything that was begun has its
// outcome; *AbandonedError when the drain budget was spent first, or Abort was
// called; and else the error that stopped the pipeline. It never waits past the
// budget for a call that ignores its ctx; such a component is not closed.
func (p *Pipeline) Run(ctx context.Context) error {
	if !p.phase.ran.CompareAndSwap(false, true) {
		return errors.New("running the pipeline: it has run before")
	}
	p.budget.join(&p.use)
	defer p.budget.leave(&p.use) // other pipelines wait for what this one has
	err := p.whole(ctx)
	var abandoned *AbandonedError
	p.phase.end(err, err != nil && !errors.As(err, &abandoned))
	return err
}

// whole is a run. A panic of the engine is the end of this pipeline and of no other in
// the process: what it has in flight is given up, and nothing of it is committed any more.
func (p *Pipeline) whole(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = p.panicIn(v)
			p.tearDown()
		}
	}()
	p.phase.begin(time.Now())
	by, err := time.Now().Add(p.opts.Drain), guarded(p.attach)
	if err == nil {
		by, err = p.openSource(ctx)
	}
	if err != nil {
		p.phase.set("stopped")
		p.finishClosed()
		closeErr := p.closeAll(max(time.Until(by), p.reserve()))
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return closeErr
		}
		return err
	}
	p.phase.set("running")
	settled := p.begin()
	end := p.await(ctx, settled)
	return p.finish(end, settled)
}

// begin starts everything, and gives a channel that is closed when the source has
// ended and everything that it handed over has its outcome.
func (p *Pipeline) begin() <-chan struct{} {
	for _, s := range p.allSinks() {
		s.since = p.phase.began
	}
	p.route.start()
	for _, s := range p.steps {
		s.start()
	}
	if p.txn == nil {
		p.spawn(p.commitLoop)
	}
	p.txn.start()
	p.stats.start()
	p.watch.start()

	r := &reader{p: p}
	(&crew.Worker{Crew: p.read.crew, Work: p.fill.work, Panicked: onPanic(p.fill.panicked), Ended: p.fill.end}).Start()
	(&crew.Worker{Crew: p.read.crew, Work: r.work, Panicked: onPanic(r.panicked), Ended: p.fill.close}).Start()

	settled := make(chan struct{})
	p.spawn(func() {
		defer close(settled)
		select {
		case <-p.read.done:
		case <-p.work.over:
			return
		}
		select {
		case <-p.route.ended:
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
	return settled
}

func (p *Pipeline) needKeys() bool {
	if p.opts.Order == OrderKey {
		return true
	}
	for _, s := range p.opts.Steps {
		if s.Wait != nil && s.Wait.Serial == SerialKey {
			return true
		}
	}
	return false
}

// An ending says how the movement of records came to its end.
type ending struct {
	settled bool // everything has its outcome
	forced  bool
	by      time.Time // when Run has to be over; zero: as long as it takes
}

// readsOnce says whether what the source has handed over may not be read again.
func (p *Pipeline) readsOnce() bool {
	o, ok := p.opts.Source.(pipeline.ReadOncer)
	return ok && o.ReadsOnce()
}

// stopReading ends reading because Run is told to stop. What waits unread, and what no
// waiting step has begun, is handed back if it can be read again (I7). Nobody waits for
// that: a stage may hang that hears of it.
func (p *Pipeline) stopReading() {
	if p.readsOnce() {
		p.read.stop()
		return
	}
	p.handBack()
	p.spawn(func() {
		for _, l := range p.lanes.all() {
			p.handBackLane(l)
		}
	})
}

// reserve is the part of the drain budget that is kept for the last commit and for
// closing.
func (p *Pipeline) reserve() time.Duration { return min(p.opts.Drain/10, time.Second) }

// await waits until everything that was read has its outcome, or the drain budget is
// spent, or Abort (I7).
func (p *Pipeline) await(ctx context.Context, settled <-chan struct{}) ending {
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
			timer = time.NewTimer(p.opts.Drain - p.reserve())
			spent = timer.C
		}
	}
	done, failed, broken, read := ctx.Done(), p.phase.failed, p.read.broken, p.read.done
	for {
		select {
		case <-settled:
			e.settled = true
			return e
		case <-p.phase.aborted:
			e.forced = true
			e.by = time.Now().Add(p.reserve())
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
			drain()
		}
	}
}

// finish ends a run: gives up what is left, commits what is earned, closes.
func (p *Pipeline) finish(e ending, settled <-chan struct{}) error {
	if e.by.IsZero() {
		e.by = time.Now().Add(p.opts.Drain)
	}
	p.lanes.close()
	lost, running := int64(0), 0
	if !e.settled {
		lost = p.abandonAll()
	}
	running = p.awaitWorkers(e)
	close(p.commits.stop)

	// The last commit also comes when work was given up or a sink hangs (I7).
	// A commit that hangs gives way to it, and what it says of its failure is heard.
	left := time.Until(e.by) / 4
	giveWay := time.AfterFunc(left, p.commits.cancel)
	defer giveWay.Stop()
	ctx, cancel := context.WithDeadline(context.Background(), e.by.Add(-min(left, commitGrace)))
	last := make(chan error, 1)
	p.spawn(func() { last <- p.commitLast(ctx, p.lanes.all()...) })
	commitErr := within(time.Until(e.by), last, &AbandonedError{Running: 1})
	cancel()
	p.commits.cancel()
	p.txn.stop(e.by)
	for _, l := range p.lanes.all() {
		lost += l.abandon(true) // nothing, unless it came in meanwhile
		p.forget(l)
	}
	p.finishClosed()
	figures := make(chan error, 1)
	p.spawn(func() {
		p.contained(p.watch.stop)
		p.phase.set("stopped")
		p.stats.stop()
		figures <- nil
	})
	// A component that does not report, or a log that is written to directly and not read,
	// may have its last lines lost; it may not keep the rest from being closed.
	_ = within(max(time.Until(e.by), p.reserve())/2, figures, nil)
	p.commits.rest()
	closeErr := p.closeAll(max(time.Until(e.by), p.reserve()))

	err, readErr := p.phase.why(), p.read.why()
	switch {
	case err != nil:
		return err
	case readErr != nil:
		return readErr
	case lost > 0 || running > 0 || e.forced:
		return &AbandonedError{Abandoned: int(lost), Running: running, Forced: e.forced}
	case commitErr != nil:
		return fmt.Errorf("committing for the last time: %w", commitErr)
	}
	return closeErr
}

// abandonAll gives up what is in flight and says how much that was.
func (p *Pipeline) abandonAll() (lost int64) {
	p.handBack()
	for _, l := range p.lanes.all() {
		lost += l.abandon(false)
	}
	p.work.end()
	p.stopEarly()
	return lost
}

// awaitWorkers waits until all workers have ended, and says how many calls do not return.
// Once work was given up, well-behaved calls end within half of what is left.
func (p *Pipeline) awaitWorkers(e ending) (running int) {
	patience := time.Until(e.by)
	if !e.settled {
		patience /= 2
	}
	ended := make(chan error, 1)
	p.spawn(func() {
		p.waitForWorkers()
		p.sweep()
		ended <- nil
	})
	if within(patience, ended, &AbandonedError{Running: 1}) != nil {
		running = int(p.calls.Load()) + p.chain.running()
	}
	return running
}

// waitForWorkers blocks until no worker of the pipeline is left.
func (p *Pipeline) waitForWorkers() {
	p.read.crew.Wait()
	p.chain.waitForWorkers()
}

// finishClosed ends the counting and what waits for channels.
func (p *Pipeline) finishClosed() {
	p.work.end()
	p.meter.seal()
	p.seal()
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
	do("the source", p.calls.Load(), func() error { return p.opts.Source.Close(ctx) })
	for _, s := range p.steps {
		s := s.core()
		for _, part := range []any{s.conf.Stage, s.conf.Splitter} {
			if c, ok := part.(io.Closer); ok {
				do("step "+s.conf.Name, s.calls.Load(), c.Close)
			}
		}
	}
	for _, s := range p.allSinks() {
		do("sink "+s.conf.Name, s.calls.Load(), func() error { return s.conf.Sink.Close(ctx) })
	}
	p.phase.set("stopped")
	return errors.Join(errs...)
}
