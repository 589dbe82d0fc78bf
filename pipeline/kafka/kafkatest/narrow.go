package kafkatest

import (
	"bytes"
	"context"
	"net"
	"os"
	"sync"
	"time"
)

// A Narrow is a slow link: the connections that its Dial opens carry few bytes a second, or stall.
// It is for virtual time.
type Narrow struct {
	Rate int // bytes a second, in each direction; 0: any
	// Stall is how many bytes are read from each of the first Stalls connections until
	// nothing comes any more.
	Stall, Stalls int
	// Buffer is how many bytes a write may be ahead of the link, as a kernel's buffer
	// lets it.
	Buffer int
	// Under dials.
	Under func(ctx context.Context, network, address string) (net.Conn, error)

	mu     sync.Mutex
	dialed int
}

// Dial opens a connection over the link.
func (w *Narrow) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := w.Under(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dialed++
	c := &narrow{Conn: conn, link: w, left: -1}
	if w.dialed <= w.Stalls {
		c.left = w.Stall
	}
	c.dead, c.other = net.Pipe()
	return c, nil
}

// Dialed is how many connections were opened.
func (w *Narrow) Dialed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dialed
}

type narrow struct {
	net.Conn
	link        *Narrow
	left        int      // bytes until it stalls; -1: never
	dead, other net.Conn // dead is read once it has stalled: nobody writes to other

	mu       sync.Mutex
	queue    []byte // written and not sent, up to the link's Buffer
	deadline time.Time
	sending  bool
	failed   error
}

func (c *narrow) piece(p []byte) []byte {
	if c.link.Rate > 0 {
		p = p[:min(len(p), max(c.link.Rate/20, 1))]
	}
	return p
}

func (c *narrow) take(n int) time.Duration {
	if c.link.Rate <= 0 {
		return 0
	}
	return time.Duration(n) * time.Second / time.Duration(c.link.Rate)
}

func (c *narrow) Read(p []byte) (int, error) {
	if c.left == 0 {
		return c.dead.Read(p)
	}
	p = c.piece(p)
	if c.left > 0 {
		p = p[:min(len(p), c.left)]
	}
	n, err := c.Conn.Read(p)
	if c.left > 0 {
		c.left -= n
	}
	time.Sleep(c.take(n))
	return n, err
}

func (c *narrow) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		piece := c.piece(p)
		if c.link.Buffer > 0 {
			err = c.enqueue(piece)
		} else {
			time.Sleep(c.take(len(piece)))
			_, err = c.Conn.Write(piece)
		}
		if err != nil {
			return n, err
		}
		n += len(piece)
		p = p[len(piece):]
	}
	return n, nil
}

// enqueue waits for room in the buffer.
func (c *narrow) enqueue(p []byte) error {
	for {
		c.mu.Lock()
		switch {
		case c.failed != nil:
			defer c.mu.Unlock()
			return c.failed
		case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
			defer c.mu.Unlock()
			return os.ErrDeadlineExceeded
		case len(c.queue)+len(p) <= c.link.Buffer:
			defer c.mu.Unlock()
			c.queue = append(c.queue, p...)
			if !c.sending {
				c.sending = true
				go c.drain()
			}
			return nil
		}
		c.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

func (c *narrow) drain() {
	for {
		c.mu.Lock()
		piece := bytes.Clone(c.piece(c.queue))
		c.queue = c.queue[len(piece):]
		if len(piece) == 0 || c.failed != nil {
			c.sending = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		time.Sleep(c.take(len(piece)))
		if _, err := c.Conn.Write(piece); err != nil {
			c.fail(err)
		}
	}
}

func (c *narrow) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
}

// SetDeadline implements net.Conn.
func (c *narrow) SetDeadline(t time.Time) error {
	_ = c.dead.SetDeadline(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if c.link.Buffer > 0 { // the buffer's sender has none
		return c.Conn.SetReadDeadline(t)
	}
	return c.Conn.SetDeadline(t)
}

// Close implements net.Conn.
func (c *narrow) Close() error {
	c.fail(net.ErrClosed)
	_ = c.dead.Close()
	return c.Conn.Close()
}
