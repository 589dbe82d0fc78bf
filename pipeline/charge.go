package pipeline

// A Charge is a number of bytes taken from the budget for a lane. It belongs to the
// source until the batch that holds it is returned by Read, then to the engine.
type Charge struct {
	lane     *Lane
	bytes    int64 // guarded by the budget, like the rest
	released bool
}

// Resize makes the charge n bytes, without waiting: what is given back can be taken
// at once, growth beyond the budget is allowed and slows the sources down.
func (c *Charge) Resize(n int64) {
	b := c.lane.p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if !c.released {
		c.change(b, n-c.bytes)
	}
}

// Add makes the charge n bytes more, or fewer, in the same way. It is for what comes on
// top of bytes that others count in the same charge, which Resize would overwrite.
func (c *Charge) Add(n int64) { c.grow(n) }

// Split moves n bytes into a charge of their own, of the same lane, without waiting. One
// that has been released gives one that has.
func (c *Charge) Split(n int64) *Charge {
	b := c.lane.p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.released {
		return &Charge{lane: c.lane, released: true}
	}
	c.bytes -= n
	c.lane.charges++
	return &Charge{lane: c.lane, bytes: n}
}

// Release gives everything back. It is for a charge that no batch took. A second
// call does nothing.
func (c *Charge) Release() {
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
func (c *Charge) size() int64 {
	b := c.lane.p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	return c.bytes
}

// grow adds bytes, which may be negative, without waiting.
func (c *Charge) grow(bytes int64) {
	b := c.lane.p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if !c.released {
		c.change(b, bytes)
	}
}

func (c *Charge) change(b *Budget, bytes int64) {
	c.bytes += bytes
	b.add(c.lane, bytes)
	if bytes < 0 || c.released { // also of a charge that held nothing any more
		b.grant()
	}
}
