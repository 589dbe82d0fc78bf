package server

import (
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A troubled listener fails a few times before it accepts.
type troubled struct {
	net.Listener
	left atomic.Int64
}

func (l *troubled) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EPROTO}
	}
	return l.Listener.Accept()
}

// TestAConnectionThatFailsEndsNothing: what the system says of one connection, or when it has no memory for a moment, does not end the server.
func TestAConnectionThatFailsEndsNothing(t *testing.T) {
	s, err := New(Options{
		Settings: Settings{Listen: "127.0.0.1:0"}, What: "the test",
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	failing := &troubled{Listener: l}
	failing.left.Store(3)
	s.Serve(failing)
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	if resp, err := client.Get("http://" + s.Addr()); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusNoContent {
		t.Errorf("the server is gone: %v", err)
	}
	failing.left.Store(1 << 60) // also while it fails on and on the server can be ended
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
