package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/internal/inside"
)

// A clock is the context of Writes: it ends with the timeout of a Write, and with its parent. Its
// time stands still while somebody has stopped it (pipeline.StopClock); its parent ends it all the
// same.
//
// context.WithTimeout has no time that can stand still, and a context around one cannot answer for
// those made of it: they look past it at the one within.
type clock struct {
	parent context.Context
	detach func() bool // from the parent
	done   chan struct{}

	mu       sync.Mutex
	err      error // why it has ended; nil: it has not
	timer    *time.Timer
	deadline time.Time            // while it goes
	left     time.Duration        // while it stands still
	stops    []*clockStop         // of those who have stopped it and not let it go on, in the order in which they did
	since    time.Time            // since when it has stood still, while it does
	stood    time.Duration        // how long it stood still before
	after    map[*func()]struct{} // AfterFunc
}

// A clockStop says for what a clock stands still, and with whom that has to do, as far as that was said.
type clockStop struct {
	by   heldFor
	host string
}

// newClock starts one. The caller ends it.
func newClock(parent context.Context, timeout time.Duration) *clock {
	c := &clock{parent: parent, done: make(chan struct{}), deadline: time.Now().Add(timeout)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(timeout, c.late)
	c.detach = context.AfterFunc(parent, func() { c.end(parent.Err()) })
	return c
}

// late ends the clock when its time is over. The timer may have fired just when it was stopped.
func (c *clock) late() {
	c.mu.Lock()
	over := len(c.stops) == 0 && !time.Now().Before(c.deadline)
	c.mu.Unlock()
	if over {
		c.end(context.DeadlineExceeded)
	}
}

// end ends the clock, once.
func (c *clock) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	close(c.done)
	c.timer.Stop()
	c.detach()
	for f := range c.after {
		go (*f)()
	}
	c.after = nil
}

// StopClock has the time stand still until all who have stopped it let it go on.
func (c *clock) StopClock(calls ...pipeline.Call) (resume func()) {
	one := new(clockStop)
	for _, call := range calls {
		one.by = heldBy(call)
		if h, ok := call.(pipeline.Hosted); ok {
			one.host = h.Host()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.stops) == 0 {
		c.since = time.Now()
		c.left = c.deadline.Sub(c.since)
		c.timer.Stop()
	}
	c.stops = append(c.stops, one)
	return sync.OnceFunc(func() { c.resume(one) })
}

func (c *clock) resume(one *clockStop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.stops, one)
	if c.stops = slices.Delete(c.stops, i, i+1); len(c.stops) > 0 {
		return
	}
	now := time.Now()
	c.stood += now.Sub(c.since)
	c.deadline = now.Add(c.left)
	if c.err == nil {
		c.timer.Reset(c.left)
	}
}

// waitsFor is for what the time stands still, of who stopped it last and has not let it go on, and with whom that has to do;
// zero: that was not said, or it goes.
func (c *clock) waitsFor() (by heldFor, host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.stops); n > 0 {
		return c.stops[n-1].by, c.stops[n-1].host
	}
	return heldFor{}, ""
}

// stoodStill is how long the clock has stood still in all, and for how long it does now; 0: it goes.
func (c *clock) stoodStill(now time.Time) (all, since time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.stops) > 0 {
		since = now.Sub(c.since)
	}
	return c.stood + since, since
}

// Deadline implements context.Context. A time that stands still has no end that is known.
func (c *clock) Deadline() (deadline time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.stops) > 0 {
		return time.Time{}, false
	}
	return c.deadline, true
}

// Done implements context.Context.
func (c *clock) Done() <-chan struct{} { return c.done }

// Err implements context.Context.
func (c *clock) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Value implements context.Context.
func (c *clock) Value(key any) any {
	if key == (inside.Clock{}) {
		return c
	}
	return c.parent.Value(key)
}

// AfterFunc spares the contexts that are made of the clock a goroutine each (context.AfterFunc).
func (c *clock) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = map[*func()]struct{}{}
	}
	c.after[&f] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, there := c.after[&f]
		delete(c.after, &f)
		return there
	}
}
