package admin

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A memoryListener has connections in memory, for virtual time.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemoryListener() *memoryListener {
	return &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}
func (l *memoryListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// dial gives a connection to the server, closed with the test.
func (l *memoryListener) dial(t *testing.T) net.Conn {
	here, there := net.Pipe()
	l.conns <- there
	t.Cleanup(func() { _ = here.Close() })
	return here
}

// inMemory runs test in virtual time against a server in memory.
func inMemory(t *testing.T, o Options, test func(t *testing.T, s *Server, l *memoryListener)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		l := newMemoryListener()
		s.server.Serve(l)
		t.Cleanup(func() {
			now, cancel := context.WithCancel(context.Background())
			cancel()
			_ = s.Shutdown(now) // it says that requests were under way, if they were
		})
		test(t, s, l)
	})
}

// ended waits until the server has closed the connection, and gives what it said before and how
// long that took.
func ended(t *testing.T, conn net.Conn) (said string, after time.Duration) {
	t.Helper()
	began := time.Now()
	_ = conn.SetReadDeadline(began.Add(time.Hour))
	text, err := io.ReadAll(conn)
	if err != nil && !strings.Contains(err.Error(), "closed") {
		t.Errorf("the connection is still open: %v", err)
	}
	return string(text), time.Since(began)
}

// get asks over a connection of its own.
func (l *memoryListener) get(t *testing.T, path string) (int, string) {
	t.Helper()
	conn := l.dial(t)
	defer conn.Close()
	go fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s: %v", path, err)
	}
	return resp.StatusCode, string(body)
}

// TestSlowCallers: who says nothing, who sends the head of a request byte by byte, or a body without
// end, or who does not read the answer, is gone within the time-outs.
func TestSlowCallers(t *testing.T) {
	large := healthy()
	large.Files = func() ([]File, error) { return []File{{YAML: strings.Repeat("x", 4<<20)}}, nil }
	for name, tt := range map[string]struct {
		send  func(conn net.Conn) // until it fails
		reads bool
		most  time.Duration
		want  string
	}{
		"says nothing": {func(net.Conn) {}, true, 5 * time.Second, ""},
		"a head byte by byte": {func(conn net.Conn) {
			for _, b := range []byte("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 100)) {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, true, 5 * time.Second, ""},
		"a body without end": {func(conn net.Conn) {
			if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
				return
			}
			for {
				if _, err := io.WriteString(conn, "1\r\nx\r\n"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, true, 10 * time.Second, "200 OK"},
		"a fast body without end": {func(conn net.Conn) {
			if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
				return
			}
			for {
				if _, err := io.WriteString(conn, "1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n"); err != nil {
					return
				}
			}
		}, true, 10 * time.Second, "200 OK"},
		"reads nothing": {func(conn net.Conn) {
			_, _ = io.WriteString(conn, "GET /api/v1/config HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}, false, 30 * time.Second, ""},
		"stays for nothing": {func(conn net.Conn) {
			_, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}, true, 60 * time.Second, "200 OK"},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, large, func(t *testing.T, s *Server, l *memoryListener) {
				conn := l.dial(t)
				var sending sync.WaitGroup
				sending.Go(func() { tt.send(conn) })
				if !tt.reads {
					time.Sleep(tt.most + time.Second)
				}
				said, after := ended(t, conn)
				if after > tt.most || !strings.Contains(said, tt.want) || tt.want == "" && strings.Contains(said, "200 OK\r\n") && tt.reads {
					t.Errorf("ended after %v, want %v; said %.200q", after, tt.most, said)
				}
				if status, _ := l.get(t, "/livez"); status != 200 {
					t.Errorf("nobody else is answered: %d", status)
				}
				_ = conn.Close()
				sending.Wait()
			})
		})
	}
}

// TestSlowHandshakes: who begins no TLS, or does not go on with it, is gone within the time-out of a head.
func TestSlowHandshakes(t *testing.T) {
	pair := httptest.NewTLSServer(http.NotFoundHandler())
	pair.Close()
	o := healthy()
	o.TLS = &tls.Config{Certificates: pair.TLS.Certificates}
	for name, sent := range map[string]string{"nothing": "", "half a hello": "\x16\x03\x01\x02\x00\x01"} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, o, func(t *testing.T, s *Server, l *memoryListener) {
				conn := l.dial(t)
				if _, err := io.WriteString(conn, sent); err != nil {
					t.Fatal(err)
				}
				if _, after := ended(t, conn); after > 5*time.Second {
					t.Errorf("ended after %v", after)
				}
			})
		})
	}
}

// TestManyConnections: a thousand connections that say nothing take no more than the places that
// there are, and keep nobody out; a request under way keeps its place.
func TestManyConnections(t *testing.T) {
	o := healthy()
	hold, entered := make(chan struct{}), make(chan struct{})
	o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-hold
		_, _ = w.Write([]byte("held"))
	})
	s := start(t, o)
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + s.Addr() + "/metrics")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answer <- string(body)
	}()
	<-entered
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	for i := range 1000 {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
		idle = append(idle, conn)
	}
	c := client(t, &http.Transport{DisableKeepAlives: true})
	for range 10 {
		if status, _, _ := ask(t, c, "GET", "http://"+s.Addr()+"/livez", nil); status != 200 {
			t.Error(status)
		}
	}
	// All but those that have places have made room; that is seen at their ends.
	for i, conn := range idle[:len(idle)-mostConnections] {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || strings.Contains(err.Error(), "timeout") {
			t.Fatalf("connection %d is still open: %d %v", i, n, err)
		}
	}
	close(hold)
	if got := <-answer; got != "held" {
		t.Errorf("the request under way: %s", got)
	}
	http.DefaultClient.CloseIdleConnections()
}
