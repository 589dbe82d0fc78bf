package websocketsink

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

const (
	// statusTooSlow closes the connection of a client that is dropped. Codes from 4000 on are for applications (RFC 6455, 7.4.2).
	statusTooSlow websocket.StatusCode = 4008
	// controlTimeout is how long a frame of a few bytes may take.
	controlTimeout = 5 * time.Second
	// maxControl is how many bytes of such frames may wait behind a message that is being sent: a client that pings and does not read gets no further
	// answers.
	maxControl = 1024
	mostPings  = 10 // of a client in a second
)

// A socket is the connection of a WebSocket.
//
// The library shakes hands, reads, answers pings and closes. Messages go past it: their frames are made once and shared by all clients,
// and many leave with one call of the system, where the library would copy each, and call the system for each.
type socket struct {
	conn  *websocket.Conn
	wire  *wire
	write time.Duration // how long a piece may take
	asked atomic.Bool   // a ping has not been answered yet
	parts [][]byte
	grace grace
	spoke atomic.Bool // the client has sent a message, or too many pings
	pings int         // that have come since began; of the goroutine that reads
	began time.Time
	there context.Context // until the client is gone
	leave context.CancelFunc
}

// accept shakes hands. When it fails the request has been answered.
func (s *Sink) accept(w http.ResponseWriter, r *http.Request) (*socket, error) {
	h := &hijacker{ResponseWriter: w}
	line := &socket{write: s.settings.timeout(), grace: s.grace}
	conn, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the server has looked at Origin
		Subprotocols:       []string{protocolName},
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     func(context.Context, []byte) bool { return line.pinged(time.Now()) },
	})
	if err != nil {
		return nil, err
	}
	line.conn, line.wire = conn, h.wire
	line.there, line.leave = context.WithCancel(context.Background())
	return line, nil
}

// A hijacker gives the library a wire in place of the connection.
type hijacker struct {
	http.ResponseWriter
	wire *wire
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.wire = newWire(conn)
	return h.wire, bufio.NewReadWriter(rw.Reader, bufio.NewWriterSize(h.wire, 256)), nil
}

// listen reads until the client has gone, or sends a message, which is for nobody: then the context ends. The library answers pings, and a close,
// meanwhile. It ends with the connection.
func (s *socket) listen() context.Context {
	go func() {
		defer s.leave()
		if _, _, err := s.conn.Reader(context.Background()); err == nil { // a context that ends would cut the connection
			s.spoke.Store(true)
		}
	}()
	return s.there
}

// pinged says whether a ping is answered. Who sends more than a few a second is disconnected.
func (s *socket) pinged(now time.Time) bool {
	if now.Sub(s.began) > time.Second {
		s.began, s.pings = now, 0
	}
	if s.pings++; s.pings <= mostPings {
		return true
	}
	s.spoke.Store(true)
	s.leave()
	return false
}

// send implements line.
func (s *socket) send(all []*message) error {
	s.parts = s.parts[:0]
	for _, m := range all {
		s.parts = append(s.parts, m.frame)
	}
	err := s.wire.frames(s.write, s.parts)
	clear(s.parts)
	return err
}

// ping implements line. The answer is waited for by somebody else.
func (s *socket) ping() error {
	if s.asked.Swap(true) {
		return errNoAnswer
	}
	go func() {
		ctx, cancel := context.WithCancel(context.Background()) // ends with the connection
		defer cancel()
		if s.conn.Ping(ctx) == nil {
			s.asked.Store(false)
		}
	}()
	return nil
}

// gap implements line.
func (s *socket) gap(text string) error {
	return s.wire.frames(s.write, [][]byte{textFrame(notice("gap", text))})
}

// hurry implements line.
func (s *socket) hurry(d time.Duration) { s.wire.hurry(d) }

// end implements line.
func (s *socket) end(f farewell) {
	s.wire.hurry(s.grace.drop)
	status := websocket.StatusGoingAway
	switch f.reason {
	case goneItself:
		if !s.spoke.Load() {
			_ = s.conn.CloseNow()
			return
		}
		status, f.text = websocket.StatusPolicyViolation, "clients send nothing but a few pings: records are watched here"
	case goneTooSlow:
		status = statusTooSlow
		if s.wire.frames(s.grace.drop, [][]byte{textFrame(notice("dropped", f.text))}) != nil {
			_ = s.conn.CloseNow() // it may have got half of a message: nothing can follow
			return
		}
	case goneSilent:
		status = websocket.StatusPolicyViolation
	}
	cut := time.AfterFunc(s.grace.close, func() { _ = s.wire.Close() }) // the library would wait longer for the answer
	defer cut.Stop()
	_ = s.conn.Close(status, f.text)
}
