package redisserver

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// A conn is a connection that is handed out once, is known to be closed, and reads so much and no more, of what it has been told
// will come as of what comes.
type conn struct {
	net.Conn

	mu     sync.Mutex
	taken  bool
	closed bool
	left   int64 // bytes that may be read; below 0: any
	spent  bool  // more was to be read

	answers announced // of the one that reads
	heard   bool      // an answer has been read, by the one that reads
	refused saidError // what the server said instead of taking the connection
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
	if !c.heard && n > 0 {
		c.heard = true
		c.firstWords(b[:n])
	}
	if left > 0 {
		left -= int64(n)
		c.mu.Lock()
		c.left = left
		c.mu.Unlock()
	}
	if wrong := c.answers.take(b[:n], left); wrong != nil {
		c.mu.Lock()
		c.spent = c.spent || errors.Is(wrong, ErrTooLarge)
		c.mu.Unlock()
		return 0, wrong
	}
	return n, err
}

// Write implements net.Conn. A server that takes no connection says so and closes it, without having been asked anything. Then the
// first write may fail before anybody reads what stands there.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	var slow net.Error
	if err == nil || c.heard || c.isClosed() || errors.As(err, &slow) && slow.Timeout() {
		return n, err
	}
	if c.Conn.SetReadDeadline(time.Now().Add(firstWordsLimit)) == nil {
		words := make([]byte, maxFirstWords)
		got, _ := c.Conn.Read(words) // there may be nothing
		c.firstWords(words[:got])
	}
	return n, err
}

// firstWords looks whether what a server says first is that it takes no connection. The library may take it for the answer to a command of
// its own that old servers do not know, and go on.
func (c *conn) firstWords(words []byte) {
	line, _, _ := bytes.Cut(words, []byte("\r\n"))
	text, is := bytes.CutPrefix(line, []byte("-"))
	if !is || !bytes.HasPrefix(text, []byte("ERR max number of clients")) && !bytes.HasPrefix(text, []byte("DENIED ")) {
		return
	}
	c.mu.Lock()
	c.refused = saidError(text)
	c.mu.Unlock()
}

const (
	firstWordsLimit = 100 * time.Millisecond // they are there, or never come: the connection is over
	maxFirstWords   = 1 << 10
)

// refusal gives what the server has said instead of taking the connection, or nil.
func (c *conn) refusal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == "" {
		return nil
	}
	return c.refused
}

// A saidError is what a server has said, as the library has it.
type saidError string

func (e saidError) Error() string { return string(e) }

// RedisError marks it as one, for the library's interface.
func (saidError) RedisError() {}

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
