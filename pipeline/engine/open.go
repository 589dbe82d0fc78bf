package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
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
	p.outstanding.Add(1)
	go func() {
		err := guarded(func() error { return p.opts.Source.Open(octx, feed{&p.shared}) })
		p.outstanding.Add(-1)
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
			by = time.Now().Add(p.opts.reserve())
			if err = within(p.opts.reserve(), done, &AbandonedError{Running: 1}); err == nil {
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

// give gives a component what it may use before it is used: its emitter, and a way to charge memory.
func (p *Pipeline) give(component any, e *event.Emitter) {
	if a, ok := component.(pipeline.Attacher); ok {
		a.Attach(e)
	}
	if a, ok := component.(pipeline.Accounter); ok {
		a.Account(func(bytes int64) { p.budget.account(&p.use, bytes) })
	}
}

// attach gives all components what they may use.
func (p *Pipeline) attach() error {
	p.give(p.opts.Source, p.events)
	p.give(p.opts.Transactor, p.events)
	c := p.chain()
	for _, s := range c.steps {
		p.give(s.core().conf.Stage, s.core().events)
		p.give(s.core().conf.Splitter, s.core().events)
	}
	for _, s := range c.allSinks() {
		p.give(s.conf.Sink, s.events)
	}
	return nil
}

// openSinks opens those of some sinks that others connect to. Abort ends that.
func (p *Pipeline) openSinks(ctx context.Context, sinks []*sink) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.phase.aborted:
			cancel()
		case <-ctx.Done():
		}
	}()
	for _, s := range sinks {
		o, ok := s.conf.Sink.(pipeline.Opener)
		if !ok {
			continue
		}
		if err := guarded(func() error { return o.Open(ctx) }); err != nil {
			select {
			case <-p.phase.aborted:
				return &AbandonedError{Forced: true}
			default:
				return &OpenError{s.conf.Name, err}
			}
		}
	}
	return nil
}
