package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/idna"
)

// streams share connections over HTTP/2: a call takes a stream of a connection that has one free,
// and one more connection is made when none has, one at a time for a server. What net/http does by
// itself makes a connection for each call that finds no free stream: 64 at the first calls, and
// nearly as many each time that a server ends its own.
type streams struct {
	dial func(ctx context.Context, scheme, address string) (*http.ClientConn, error)
	most int // connections to a server

	mu     sync.Mutex
	closed bool // connections are closed when the last call on them ends
	hosts  map[string]*streamHost
}

// A streamHost is what there is of one server.
type streamHost struct {
	conns   []*http.ClientConn
	limit   int           // streams that the server takes on a connection; 0: not known yet
	dialing *streamDial   // nil: none
	users   int           // calls that look for a stream
	changed chan struct{} // holds one element when a stream may be free; whoever takes one and finds one passes it on
	again   bool          // a timer is set that wakes one call
}

// lookAgain is how long a free stream may lie unseen. net/http tells of a stream that has become
// free by comparing with the count it saw last, and does not look while it is telling: a stream that
// ends while another one begins is not told of. Without a second look the calls that wait stay where
// they are, and with nothing in flight any more nothing would ever wake them.
const lookAgain = 10 * time.Millisecond

// A streamDial is a connection in the making.
type streamDial struct {
	done chan struct{}
	err  error // when done
}

func newStreams(t *http.Transport, most int) *streams {
	return &streams{dial: t.NewClientConn, most: most, hosts: map[string]*streamHost{}}
}

// RoundTrip makes a call, once more when the server says that it has not begun with it.
func (s *streams) RoundTrip(req *http.Request) (*http.Response, error) {
	address, err := dialAddress(req.URL)
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		conn, err := s.reserve(req.Context(), req.URL.Scheme, address)
		if err != nil {
			return nil, err
		}
		resp, err := conn.RoundTrip(req)
		if err == nil {
			s.learn(req.URL.Scheme, address, conn)
			return resp, nil
		}
		if attempt == 2 || !notBegun(err) || req.Body != nil && req.GetBody == nil {
			return nil, err
		}
		again := req.WithContext(req.Context())
		if req.GetBody != nil {
			if again.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
		req = again
	}
}

// dialAddress gives host and port in ASCII.
func dialAddress(u *url.URL) (string, error) {
	host := u.Hostname()
	if strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }) {
		var err error
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return "", errors.New("the host is no name of the internet")
		}
	}
	return net.JoinHostPort(host, port(u)), nil
}

// notBegun says whether a server has left a call alone: it ends the connection, or takes no more
// calls on it. The texts are net/http's, which has no values for them.
func notBegun(err error) bool {
	var stream streamError
	if errors.As(err, &stream) {
		return stream.Code == refusedStream
	}
	text := err.Error()
	return strings.Contains(text, "graceful shutdown GOAWAY") || strings.Contains(text, "client conn not usable") || strings.Contains(text, "client connection is closed")
}

// A streamError is the end of a call by its server, in the form in which net/http gives it to
// errors.As.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

const refusedStream = 7

func (e streamError) Error() string { return "a stream was ended" }

// reserve gives a connection on which the caller has a stream. It waits for one until ctx ends. The
// error of a connection that cannot be made is that of all who wait for it.
func (s *streams) reserve(ctx context.Context, scheme, address string) (*http.ClientConn, error) {
	key := scheme + "://" + address
	s.mu.Lock()
	host := s.hosts[key]
	if host == nil {
		host = &streamHost{changed: make(chan struct{}, 1)}
		s.hosts[key] = host
	}
	host.users++
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		host.users--
		s.sweep(key, host)
	}()
	for {
		if conn := host.take(); conn != nil {
			host.wake()
			s.mu.Unlock()
			return conn, nil
		}
		if host.dialing == nil && len(host.conns) < s.most {
			host.dialing = &streamDial{done: make(chan struct{})}
			go s.connect(scheme, address, key, host)
		}
		dial := host.dialing
		if !host.again {
			host.again = true
			time.AfterFunc(lookAgain, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				host.again = false
				host.wake()
			})
		}
		s.mu.Unlock()
		var done chan struct{}
		if dial != nil {
			done = dial.done
		}
		select {
		case <-done:
			if dial.err != nil {
				return nil, dial.err
			}
		case <-host.changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		s.mu.Lock()
	}
}

// take gives a connection with a stream that is reserved, or nil.
func (h *streamHost) take() *http.ClientConn {
	for _, c := range h.conns {
		// What a server takes is told just behind the beginning of a connection.
		if (h.limit == 0 || c.InFlight() < h.limit) && c.Reserve() == nil {
			return c
		}
	}
	return nil
}

// wake lets one more call look for a stream. It does not block.
func (h *streamHost) wake() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// connect makes a connection, apart from the calls: it is for whoever needs it then.
func (s *streams) connect(scheme, address, key string, host *streamHost) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*connectLimit)
	defer cancel()
	conn, err := s.dial(ctx, scheme, address)
	s.mu.Lock()
	dial := host.dialing
	if host.dialing, dial.err = nil, err; err == nil {
		host.conns = append(host.conns, conn)
		s.makeRoom()
	}
	close(dial.done)
	s.sweep(key, host)
	s.mu.Unlock()
	if err == nil {
		conn.SetStateHook(func(c *http.ClientConn) {
			host.wake()
			if c.Err() != nil || c.InFlight() == 0 {
				go func() { // the hook may be called while mu is held
					s.mu.Lock()
					defer s.mu.Unlock()
					s.sweep(key, host)
				}()
			}
		})
	}
}

// learn takes note of how many streams the server takes.
func (s *streams) learn(scheme, address string, conn *http.ClientConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if host := s.hosts[scheme+"://"+address]; host != nil {
		// In this order: a stream that ends in between makes the sum too large, which Reserve sees to,
		// and not too small.
		inFlight := conn.InFlight()
		if n := conn.Available(); n > 0 { // none: it is full, or about to end
			host.limit = n + inFlight
		}
	}
}

// sweep forgets connections that have ended, and a server of which there is nothing left. mu is held.
func (s *streams) sweep(key string, host *streamHost) {
	before := len(host.conns)
	host.conns = slices.DeleteFunc(host.conns, func(c *http.ClientConn) bool {
		if s.closed && host.users == 0 && c.Err() == nil && c.InFlight() == 0 {
			go c.Close()
			return true
		}
		return c.Err() != nil
	})
	if len(host.conns) < before {
		host.wake() // there may be one more
	}
	if len(host.conns) == 0 && host.users == 0 && host.dialing == nil && s.hosts[key] == host {
		delete(s.hosts, key)
	}
}

// makeRoom closes connections that are not in use, where there are more than four times as many to
// all servers as there may be to one. mu is held.
func (s *streams) makeRoom() {
	n := 0
	for _, host := range s.hosts {
		n += len(host.conns)
	}
	for key, host := range s.hosts {
		if host.users > 0 || host.dialing != nil {
			continue
		}
		host.conns = slices.DeleteFunc(host.conns, func(c *http.ClientConn) bool {
			if n <= 4*s.most || c.InFlight() > 0 {
				return false
			}
			n--
			go c.Close()
			return true
		})
		s.sweep(key, host)
	}
}

// close closes the connections, those in use when the last call on them ends.
func (s *streams) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for key, host := range s.hosts {
		s.sweep(key, host)
	}
}
