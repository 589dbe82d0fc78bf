package cli

import (
	"sync"
	"time"
)

// connectGrace is how long a source that was connected may be away until the process is not ready. A source tries again at least once a
// second, so that a connection that was cut, or a broker that is started again, is back before that; and nobody is
// served better by a process that is taken out of service for a moment.
const connectGrace = 10 * time.Second

// A connection is what has been seen of the connection of a source, by those who ask whether the process is ready.
type connection struct {
	mu   sync.Mutex
	made bool      // it has been connected
	lost time.Time // when it was first seen not to be; zero: it is
}

// away takes in whether the source is connected now, and says whether it is away for too long: for connectGrace since it was first seen to be,
// or from the start, as long as it has never been connected.
func (c *connection) away(connected bool, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case connected:
		c.made, c.lost = true, time.Time{}
		return false
	case c.lost.IsZero():
		c.lost = now
	}
	return !c.made || now.Sub(c.lost) >= connectGrace
}
