package engine

import "github.com/penstockio/penstock/pipeline"

// A charge is the engine's side of a [pipeline.Charge]: bytes that a lane has of the budget.
type charge struct {
	lane     *lane
	bytes    int64 // how many; guarded by the budget, like released
	released bool  // everything is given back: later calls do nothing
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

// change changes the bytes, and lets those who wait look again. The budget's lock is held.
func (c *charge) change(b *Budget, bytes int64) {
	c.bytes += bytes
	b.add(c.lane, bytes)
	// The release of a charge that holds no bytes any more counts too: a lane without a charge
	// may take one, however many bytes are free.
	if bytes < 0 || c.released {
		b.grant()
	}
}
