package client

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"time"
)

// A dialGate lets one connection to a server be made at a time, for HTTP/2, where the calls that
// wait for one share it. Without it net/http makes a connection for each call that finds none with
// a free stream: 64 at the first calls, and as many each time that a server closes its own.
type dialGate struct {
	mu    sync.Mutex
	hosts map[string]*gatedHost // those with a connection in the making
}

type gatedHost struct {
	turn  chan struct{} // holds one element while a connection is made
	users int           // who has it or waits for it
}

// newConnection is how long the gate stays shut at most when a connection is there and none of the
// calls has begun to use it: they may all have ended meanwhile.
const newConnection = time.Second

// A wanting is what one call knows of its search for a connection. The search may be repeated,
// when the connection that was found is full by then.
type wanting struct {
	mu    sync.Mutex
	found chan struct{} // closed when this search has found a connection
}

type wantingKey struct{}

// watch gives a context for a call that goes through the gate.
func (g *dialGate) watch(ctx context.Context) context.Context {
	w := &wanting{found: make(chan struct{})}
	ctx = context.WithValue(ctx, wantingKey{}, w)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			select {
			case <-w.found:
				w.found = make(chan struct{})
			default:
			}
		},
		GotConn: func(info httptrace.GotConnInfo) {
			w.mu.Lock()
			defer w.mu.Unlock()
			select {
			case <-w.found:
			default:
				close(w.found)
			}
			conn := info.Conn
			if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
				conn = t.NetConn()
			}
			if c, ok := conn.(*gatedConn); ok {
				c.open()
			}
		},
	})
}

// A gatedConn keeps the gate shut until a call uses it, or it is closed.
type gatedConn struct {
	net.Conn
	open func() // the first time
}

func (c *gatedConn) Close() error {
	c.open()
	return c.Conn.Close()
}

// errFound is for a connection that nobody needs any more.
var errFound = errors.New("another connection has been found")

// dial makes a connection when it is its turn, unless the call has found another one by then.
func (g *dialGate) dial(ctx context.Context, network, address string, dial func(ctx context.Context, network, address string) (net.Conn, error)) (net.Conn, error) {
	var found <-chan struct{}
	if w, ok := ctx.Value(wantingKey{}).(*wanting); ok {
		w.mu.Lock()
		found = w.found
		w.mu.Unlock()
	}
	host := g.enter(address)
	select {
	case host.turn <- struct{}{}:
	case <-found:
		g.leave(address, host)
		return nil, errFound
	case <-ctx.Done():
		g.leave(address, host)
		return nil, ctx.Err()
	}
	open := sync.OnceFunc(func() {
		<-host.turn
		g.leave(address, host)
	})
	select {
	case <-found:
		open()
		return nil, errFound
	default:
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		open()
		return nil, err
	}
	timer := time.AfterFunc(newConnection, open)
	return &gatedConn{Conn: conn, open: func() {
		timer.Stop()
		open()
	}}, nil
}

func (g *dialGate) enter(address string) *gatedHost {
	g.mu.Lock()
	defer g.mu.Unlock()
	host := g.hosts[address]
	if host == nil {
		host = &gatedHost{turn: make(chan struct{}, 1)}
		if g.hosts == nil {
			g.hosts = map[string]*gatedHost{}
		}
		g.hosts[address] = host
	}
	host.users++
	return host
}

func (g *dialGate) leave(address string, host *gatedHost) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if host.users--; host.users == 0 {
		delete(g.hosts, address)
	}
}
