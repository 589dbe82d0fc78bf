package engine

import (
	"context"
	"fmt"
	"time"
)

// openSource opens the source. When ctx ends it waits at most as long as a drain may take, and
// after Abort a moment. by is when Run has to be over if the source is not open.
func (p *Pipeline) openSource(ctx context.Context) (by time.Time, err error) {
	if p.opts.Transactor != nil {
		if err := p.opts.Transactor.Bind(p.opts.Source); err != nil {
			return time.Now().Add(p.opts.Drain), fmt.Errorf("binding the transactor to the source: %w", err)
		}
	}
	octx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	p.calls.Add(1)
	go func() {
		err := guarded(func() error { return p.opts.Source.Open(octx, engine{p}) })
		p.calls.Add(-1)
		done <- err
	}()
	var stopping <-chan struct{} = ctx.Done()
	var spent <-chan time.Time
	for waiting := true; waiting; {
		waiting = false
		select {
		case err = <-done:
		case <-p.phase.aborted:
			cancel()
			by = time.Now().Add(p.reserve())
			if err = within(p.reserve(), done, &AbandonedError{Running: 1}); err == nil {
				err = &AbandonedError{Forced: true}
			}
		case <-stopping:
			stopping, waiting = nil, true
			by = time.Now().Add(p.opts.Drain)
			timer := time.NewTimer(p.opts.Drain)
			defer timer.Stop()
			spent = timer.C
		case <-spent:
			err = &AbandonedError{Running: 1}
		}
	}
	if by.IsZero() {
		by = time.Now().Add(p.opts.Drain)
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("opening the source: %w", err)
	}
	return by, err
}

// within gives what comes from done, or late when nothing has come after a while.
func within(d time.Duration, done <-chan error, late error) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return late
	}
}
