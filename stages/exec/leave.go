package execstage

import (
	"context"
	"errors"
)

// This file has how a record leaves its child, and a child its pool.

// giveUp lets go of a record that was not answered in time, or that the pipeline has given up. The child gets no
// more, and ends when the others that it has are answered.
func (c *child) giveUp(ctx context.Context, id uint64) error {
	p := c.pool
	unwanted := errors.Is(ctx.Err(), context.Canceled)
	p.mu.Lock()
	detail := c.detail() // of the records that it has, this one among them
	delete(c.asked, id)
	c.given[id] = true
	c.closing, c.late = true, c.late || !unwanted
	if p.reserved == c {
		p.reserved = nil
	}
	idle := len(c.asked) == 0
	p.mu.Unlock()
	var err error = newError(late, detail, "no answer within the timeout of the step; the process is ended")
	if unwanted {
		err = &canceledError{}
	}
	if idle {
		c.leave(c.endOfUse(err))
	}
	return err
}

// endOfUse gives why a child leaves that has no more records. One that was late for none is ended as at a stop: it
// has done nothing wrong.
func (c *child) endOfUse(err error) error {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	switch {
	case !c.late:
		return errStopped
	case errors.Is(err, context.Canceled):
		return newError(late, "", "a record was not answered in time")
	}
	return err
}

// leave takes the child out of the pool, and gives the records that it has back, to be tried again. It comes
// more than once, and the first counts.
func (c *child) leave(cause error) {
	p := c.pool
	p.mu.Lock()
	if c.out {
		p.mu.Unlock()
		return
	}
	c.out, c.cause = true, cause
	questions, records := c.asked, len(c.asked)+len(c.given)
	c.asked = map[uint64]*question{}
	wakes := p.without(c)
	p.mu.Unlock()
	told := cause
	if records > 1 && cause != errStopped {
		told = &amongError{cause, records}
	}
	for _, q := range questions {
		q.answer <- reply{err: told}
	}
	close(c.left)
	wake(wakes)
}
