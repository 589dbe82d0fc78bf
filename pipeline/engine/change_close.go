package engine

import (
	"context"
	"io"
	"sync"
)

// This file closes the components that a change has taken away, beside the run, which waits for that at its end.

// closes are the components that are being closed. More may come while somebody waits for those that there are.
type closes struct {
	mu   sync.Mutex
	n    int
	none sync.Cond
}

// add has n more of them, or fewer.
func (c *closes) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n += n; c.n == 0 {
		c.none.Broadcast()
	}
}

func (c *closes) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.n > 0 {
		c.none.Wait()
	}
}

// closeUnused closes the components of one chain that another does not have, each in a goroutine: one may hang.
func (c *Change) closeUnused(unused, used *chain) {
	p := c.p
	ctx, cancel := context.WithTimeout(context.Background(), p.opts.Drain)
	var all sync.WaitGroup
	closing := func(what string, f func() error) {
		all.Add(1)
		p.changes.closes.add(1)
		go func() {
			defer p.changes.closes.add(-1)
			defer all.Done()
			if err := guarded(f); err != nil && p.events != nil {
				p.events.Log().Warn().Err(err).Msg("closing " + what + ", which is used no more")
			}
		}()
	}
	for _, s := range unused.steps {
		if closer, ok := s.core().component().(io.Closer); ok && !used.has(closer) {
			closing("step "+s.core().conf.Name, closer.Close)
		}
	}
	for _, s := range unused.allSinks() {
		if used.sinkOf(s.conf.Sink) == nil {
			closing("sink "+s.conf.Name, func() error { return s.conf.Sink.Close(ctx) })
		}
	}
	go func() { all.Wait(); cancel() }()
}
