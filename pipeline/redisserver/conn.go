package redisserver

import (
	"net"
	"sync"
	"syscall"
)

// A conn is a connection that is handed out once, is known to be closed, and reads so much and no more.
type conn struct {
	net.Conn

	mu     sync.Mutex
	taken  bool
	closed bool
	left   int64 // bytes that may be read; below 0: any
	spent  bool  // more was to be read
}

// once gives the connection to the client, and nothing when that has lost it.
func (c *conn) once() (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken {
		return nil, errGone
	}
	c.taken = true
	if s, ok := c.Conn.(syscall.Conn); ok {
		return watched{c, s}, nil
	}
	return c, nil
}

// A watched conn can be asked whether the server has closed it, which the client does before it sends.
type watched struct {
	*conn
	syscall.Conn
}

// isOver says whether the server has closed an idle connection that is encrypted, at which the client does not look. What has come over it that
// nobody waits for is as good as its end: with TLS that is the notice of it, as a rule.
func (c *conn) isOver() bool {
	t, ok := c.Conn.(interface{ NetConn() net.Conn })
	if !ok {
		return false
	}
	raw, ok := t.NetConn().(syscall.Conn)
	return ok && !quiet(raw)
}

// allow has at most n bytes read from now on; 0: any number.
func (c *conn) allow(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spent = false
	if c.left = n; n == 0 {
		c.left = -1
	}
}

func (c *conn) tooLarge() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spent
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	c.mu.Lock()
	left := c.left
	c.spent = c.spent || left == 0
	c.mu.Unlock()
	switch {
	case left == 0:
		return 0, ErrTooLarge
	case left > 0 && int64(len(b)) > left:
		b = b[:left]
	}
	n, err := c.Conn.Read(b)
	if left > 0 {
		c.mu.Lock()
		c.left -= int64(n)
		c.mu.Unlock()
	}
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if closed {
		return nil
	}
	return c.Conn.Close()
}

// abort closes the connection, and what was sent and has not arrived is not sent any more: a network that comes back would
// have the server carry it out behind what is sent over another connection meanwhile.
func (c *conn) abort() {
	raw := c.Conn
	if t, ok := raw.(interface{ NetConn() net.Conn }); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // of a connection that is closed already it says so
	}
	_ = c.Close()
}
