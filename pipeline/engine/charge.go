package engine

import "github.com/penstockio/penstock/pipeline"

// A charge is what the engine has of a [Charge].
type charge struct {
	lane     *lane
	bytes    int64 // guarded by the budget, like the rest
	released bool
}

func (c *charge) Resize(n int64) {
	b := c.lane.p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if !c.released {
		c.change(b, n-c.bytes)
	}
}

func (c *charge) Add(n int64) { c.grow(n) }

func (c *charge) Split(n int64) pipeline.Charge {
	b := c.lane.p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.released {
		return &charge{lane: c.lane, released: true}
	}
	c.bytes -= n
	c.lane.charges++
	return &charge{lane: c.lane, bytes: n}
}

func (c *charge) Release() {
	b := c.lane.p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.released {
		return
	}
	c.released = true
	c.lane.charges--
	c.change(b, -c.bytes)
}

// size is how many bytes the charge holds.
func (c *charge) size() int64 {
	b := c.lane.p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	return c.bytes
}

// grow adds bytes, which may be negative, without waiting.
func (c *charge) grow(bytes int64) {
	b := c.lane.p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if !c.released {
		c.change(b, bytes)
	}
}

func (c *charge) change(b *Budget, bytes int64) {
	c.bytes += bytes
	b.add(c.lane, bytes)
	if bytes < 0 || c.released { // also of a charge that held nothing any more
		b.grant()
	}
}
