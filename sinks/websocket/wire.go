package websocketsink

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A wire is a connection on which frames are whole: messages, which one goroutine sends, and between them what the library sends.
type wire struct {
	net.Conn
	plain io.Writer // takes many buffers with one call of the system; nil: the connection is encrypted
	piece [][]byte  // what is written now; of who has the wire

	mu      sync.Mutex
	free    sync.Cond // that busy is false
	busy    bool      // somebody writes
	failed  error     // of a write: what was sent may end within a frame, and nothing can follow
	control []byte    // frames of the library that came meanwhile
	latest  time.Time // when all writes have to be done; zero: nothing bounds them yet
}

// recordSize is how much is encrypted at once (RFC 8446, 5.1).
const recordSize = 16 << 10

var tlsRecords = sync.Pool{New: func() any { b := make([]byte, 0, recordSize); return &b }}

var errControl = errors.New("too much waits that is no message: the client asks and does not read")

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn}
	w.free.L = &w.mu
	if _, encrypted := conn.(*tls.Conn); encrypted {
		return w
	}
	w.plain = conn
	if of, ok := conn.(interface{ NetConn() net.Conn }); ok {
		w.plain = of.NetConn()
	}
	return w
}

// hurry bounds the time of what is being written, and of all that follows.
func (w *wire) hurry(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if by := time.Now().Add(d); w.latest.IsZero() || by.Before(w.latest) {
		w.latest = by
	}
	_ = w.SetWriteDeadline(w.latest)
}

// within sets the time of the next write.
func (w *wire) within(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := time.Now().Add(d)
	if !w.latest.IsZero() && w.latest.Before(by) {
		by = w.latest
	}
	_ = w.SetWriteDeadline(by)
}

// frames writes whole frames. Each piece of them may take timeout.
func (w *wire) frames(timeout time.Duration, all [][]byte) error {
	w.mu.Lock()
	for w.busy {
		w.free.Wait()
	}
	if w.failed != nil {
		defer w.mu.Unlock()
		return w.failed
	}
	w.busy = true
	w.mu.Unlock()
	var err error
	for err == nil && len(all) > 0 {
		w.within(timeout)
		if w.plain == nil {
			all, err = w.encrypt(all)
		} else {
			all, err = w.gather(all)
		}
	}
	w.release(err)
	return err
}

// gather writes a piece with one call of the system, without copying it, and gives the rest.
func (w *wire) gather(all [][]byte) (rest [][]byte, err error) {
	piece := w.piece[:0]
	for size := 0; len(all) > 0 && size < sendBytes; {
		n := min(len(all[0]), sendBytes-size)
		piece = append(piece, all[0][:n])
		all = past(all, n)
		size += n
	}
	w.piece = piece
	buffers := net.Buffers(piece) // writing takes it apart
	_, err = buffers.WriteTo(w.plain)
	clear(piece)
	return all, err
}

// encrypt writes a piece as one record of TLS, and gives the rest.
func (w *wire) encrypt(all [][]byte) (rest [][]byte, err error) {
	room := tlsRecords.Get().(*[]byte)
	defer tlsRecords.Put(room)
	b := (*room)[:0]
	for len(all) > 0 && len(b) < recordSize {
		n := min(len(all[0]), recordSize-len(b))
		b = append(b, all[0][:n]...)
		all = past(all, n)
	}
	_, err = w.Conn.Write(b)
	return all, err
}

// past takes n bytes off the first buffer.
func past(all [][]byte, n int) [][]byte {
	if n == len(all[0]) {
		return all[1:]
	}
	all[0] = all[0][n:]
	return all
}

// Write implements io.Writer for the library, which sends whole frames of a few bytes. It does not wait for a message that is being
// written: the frames follow it.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	switch {
	case w.failed != nil:
		defer w.mu.Unlock()
		return 0, w.failed
	case w.busy && len(w.control)+len(p) > maxControl:
		defer w.mu.Unlock()
		return 0, errControl
	case w.busy:
		defer w.mu.Unlock()
		w.control = append(w.control, p...)
		return len(p), nil
	}
	w.busy = true
	w.mu.Unlock()
	w.within(controlTimeout)
	n, err := w.Conn.Write(p)
	w.release(err)
	return n, err
}

// release lets others write, once what has come meanwhile is written.
func (w *wire) release(err error) {
	for {
		w.mu.Lock()
		if err != nil {
			w.failed = err
		}
		if len(w.control) == 0 || w.failed != nil {
			w.busy = false
			w.free.Signal()
			w.mu.Unlock()
			return
		}
		frames := w.control
		w.control = nil
		w.mu.Unlock()
		w.within(controlTimeout)
		_, err = w.Conn.Write(frames)
	}
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
