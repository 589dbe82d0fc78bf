package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// Places bound the connections of a server. When all are taken a new connection takes the place of the one that has been without
// a request for longest, among those of the machine that has most of them. So who opens many and says nothing, or says it slowly,
// keeps nobody else out, also when he opens them faster than others shake hands. A request that is being answered keeps its place.
// Some places are kept for probes: other requests are refused when only those are left, so that answers that nobody reads do not
// keep /livez and /readyz from being asked.
type places struct {
	most int
	kept int // of them for probes

	mu   sync.Mutex
	last int64 // number of the latest connection
	all  map[*place]bool
	busy int // requests under way that are no probes
}

// A place is one connection.
type place struct {
	net.Conn
	of     *places
	number int64
	from   string // the machine of the caller; "": this one, or not known

	// Under the lock of the places:
	serving bool      // a request is being answered
	since   time.Time // when it came, or its last request was answered
}

func newPlaces(most, kept int) *places {
	return &places{most: most, kept: kept, all: map[*place]bool{}}
}

// listener gives l with its connections in places.
func (p *places) listener(l net.Listener) net.Listener {
	return &placeListener{Listener: l, places: p, closed: make(chan struct{})}
}

type placeListener struct {
	net.Listener
	places *places
	once   sync.Once
	closed chan struct{}
}

const acceptPause = 50 * time.Millisecond // behind a connection that could not be accepted

// Accept implements net.Listener. It fails only when the listener is closed: http.Server ends at errors that are of one connection (EPROTO), or pass
// (ENOBUFS), and nobody would ever be answered again.
func (l *placeListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err == nil {
			return l.places.take(conn), nil
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		select {
		case <-l.closed:
			return nil, err
		case <-time.After(acceptPause):
		}
	}
}

// Close implements net.Listener.
func (l *placeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// take gives the connection a place, and closes another one when there are too many.
func (p *places) take(conn net.Conn) *place {
	c := &place{Conn: conn, of: p, from: machineOf(conn), since: time.Now()}
	var out *place
	p.mu.Lock()
	p.last++
	c.number = p.last
	if len(p.all) >= p.most {
		out = p.longest(c)
		delete(p.all, out)
	}
	if out != c {
		p.all[c] = true
	}
	p.mu.Unlock()
	if out != nil {
		_ = out.Conn.Close() // the server sees it when it reads, and closes the place
	}
	return c
}

// longest gives the connection that has been without a request for longest, among those of the machine that has most of them, c
// itself included.
func (p *places) longest(c *place) *place {
	idle := map[string]int{c.from: 1}
	for one := range p.all {
		if !one.serving {
			idle[one.from]++
		}
	}
	out := c
	for one := range p.all {
		n, most := idle[one.from], idle[out.from]
		if !one.serving && (n > most || n == most && one.since.Before(out.since)) {
			out = one
		}
	}
	return out
}

// machineOf gives the address of the caller's machine.
func machineOf(conn net.Conn) string {
	at, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || at.IP.IsLoopback() {
		return ""
	}
	if ip := at.IP.To4(); ip != nil {
		return string(ip)
	}
	return string(at.IP[:min(8, len(at.IP))]) // a machine may have all addresses of its network
}

// Close implements net.Conn.
func (c *place) Close() error {
	c.of.mu.Lock()
	delete(c.of.all, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// NetConn gives the connection itself, as that of a tls.Conn does: for who has taken it over and hands many buffers to the system at once, which
// net.Buffers does for a connection of package net alone.
func (c *place) NetConn() net.Conn { return c.Conn }

type placeKey struct{}

// placeOf keeps the place of a connection in the context of its requests.
func placeOf(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	return context.WithValue(ctx, placeKey{}, conn)
}

// Connection gives the number of the connection that a request came over: 1, 2, 3 … as they were accepted. 0: it came over none of a
// Server.
func Connection(r *http.Request) int64 {
	if c, ok := r.Context().Value(placeKey{}).(*place); ok {
		return c.number
	}
	return 0
}

// Enter notes that a request is being answered until leave is called: its connection keeps its place so long. Every handler calls it, or its
// callers may lose their connections to others in the midst of an answer. ok is false when too many are being answered: then the
// request is to be refused. probe marks those for which Options.Kept places are kept.
func Enter(r *http.Request, probe bool) (leave func(), ok bool) {
	c, isPlace := r.Context().Value(placeKey{}).(*place)
	if !isPlace {
		return func() {}, true
	}
	p, n := c.of, 1
	if probe {
		n = 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy+n > p.most-p.kept && !probe {
		return nil, false
	}
	p.busy += n
	c.serving, c.since = true, time.Now()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.busy -= n
		c.serving, c.since = false, time.Now()
	}, true
}
