package client

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// Connections to many servers do not pile up, and nothing is left of them when the client is closed.
func TestStreamsOfManyServers(t *testing.T) {
	const servers, slots = 60, 2
	s := serveH2(t, false, 0, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) })
	var open atomic.Int64
	h := newHTTP(t, HTTPOptions{HTTP2: HTTP2On, Slots: slots, Resolver: pipelinetest.Names(func(string) (string, []netip.Addr) { return "", addresses("127.0.0.1") })})
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	h.transport.DialContext = countConns(h.transport.DialContext, &open)
	for range 2 {
		for i := range servers {
			host := fmt.Sprintf("s%d.test:%s", i, port)
			if a, err := get(t, h, "http://"+host); err != nil || string(a.Body) != host {
				t.Fatalf("%s: %v, %+v", host, err, a)
			}
			h.transport.streams.mu.Lock()
			kept := len(h.transport.streams.hosts)
			h.transport.streams.mu.Unlock()
			if kept > 4*slots+1 {
				t.Fatalf("%d servers are remembered", kept)
			}
		}
	}
	// Which of the idle ones goes is left to chance: a server that is still remembered in the second
	// round needs no new connection.
	if n := s.connections.Load(); n < 2*servers-(4*slots+1) || n > 2*servers {
		t.Errorf("%d connections to %d servers in two rounds", n, servers)
	}
	h.Close()
	for open.Load() > 0 { // they are closed apart from the calls
		runtime.Gosched()
	}
}

// countConns counts the connections that dial makes and that are not closed yet.
func countConns(dial func(context.Context, string, string) (net.Conn, error), open *atomic.Int64) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { open.Add(-1) })}, nil
	}
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// A call that waits for a stream of a connection that dies gets one of the next.
func TestStreamOfAConnectionThatDies(t *testing.T) {
	var server *h2Server
	var h *HTTP
	waiting := func() (n int) {
		h.transport.streams.mu.Lock()
		defer h.transport.streams.mu.Unlock()
		for _, host := range h.transport.streams.hosts {
			n += host.users
		}
		return n
	}
	server = serveH2(t, false, 1, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/dies" {
			return
		}
		for waiting() < 3 {
			runtime.Gosched()
		}
		server.CloseClientConnections()
	})
	h = newHTTP(t, server.options(HTTP2On, 1))
	if _, err := get(t, h, server.URL); err != nil { // what the server takes is known
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := get(t, h, server.URL+"/dies")
		is(t, err, TypeNetwork, false)
	})
	for h.transport.streams.inFlight() == 0 {
		runtime.Gosched()
	}
	for range 3 {
		wg.Go(func() {
			if _, err := get(t, h, server.URL); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// Streams that become free at the same moment are all taken: each call waits for another one to be
// there too.
func TestStreamsThatEndTogether(t *testing.T) {
	meet := make(chan struct{})
	s := serveH2(t, false, 2, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			return
		}
		select {
		case meet <- struct{}{}:
		case <-meet:
		case <-r.Context().Done():
		}
	})
	h := newHTTP(t, s.options(HTTP2On, 1))
	if _, err := get(t, h, s.URL+"/first"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 400 {
		wg.Go(func() {
			if _, err := get(t, h, s.URL); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// inFlight gives how many calls have a stream.
func (s *streams) inFlight() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, host := range s.hosts {
		for _, c := range host.conns {
			n += c.InFlight()
		}
	}
	return n
}

// A connection that cannot be made is the error of all who wait for it, and the next call tries anew.
func TestStreamsOfNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	h := newHTTP(t, HTTPOptions{HTTP2: HTTP2On, Slots: 8})
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			_, err := get(t, h, "http://"+l.Addr().String())
			is(t, err, TypeNetwork, false)
		})
	}
	wg.Wait()
	h.transport.streams.mu.Lock()
	defer h.transport.streams.mu.Unlock()
	if n := len(h.transport.streams.hosts); n != 0 {
		t.Errorf("%d servers are remembered", n)
	}
}
