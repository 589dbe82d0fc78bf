package client

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/penstockio/penstock/pipeline"
)

// An h2Server is one for HTTP/2 that counts its connections.
type h2Server struct {
	*httptest.Server
	connections atomic.Int64
}

// serveH2 starts a server: over TLS, where it has HTTP/1.1 too, or without being asked over plain
// connections. streams is how many it takes at once on a connection; 0: the default, 250.
func serveH2(t *testing.T, overTLS bool, streams int, handler http.HandlerFunc) *h2Server {
	t.Helper()
	s := &h2Server{Server: httptest.NewUnstartedServer(handler)}
	s.Config.ConnState = func(_ net.Conn, c http.ConnState) {
		if c == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	if overTLS {
		s.Config.Protocols.SetHTTP2(true)
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// options gives those of a client that trusts the server.
func (s *h2Server) options(mode HTTP2, slots int) HTTPOptions {
	o := HTTPOptions{HTTP2: mode, Slots: slots}
	if c, ok := s.Client().Transport.(*http.Transport); ok && s.TLS != nil {
		o.TLS = c.TLSClientConfig.Clone()
		o.TLS.NextProtos = nil
	}
	return o
}

func TestProtocols(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }
	secure, plain := serveH2(t, true, 0, handler), serveH2(t, false, 0, handler)
	old := &h2Server{Server: httptest.NewTLSServer(http.HandlerFunc(handler))} // HTTP/1.1 alone
	t.Cleanup(old.Close)
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	for _, tt := range []struct {
		server *h2Server
		mode   HTTP2
		want   string // "": an error
	}{
		{secure, "", "HTTP/2.0"}, {secure, HTTP2Auto, "HTTP/2.0"}, {secure, HTTP2On, "HTTP/2.0"}, {secure, HTTP2Off, "HTTP/1.1"},
		{plain, "", "HTTP/1.1"}, {plain, HTTP2Auto, "HTTP/1.1"}, {plain, HTTP2On, "HTTP/2.0"}, {plain, HTTP2Off, "HTTP/1.1"},
		{old, HTTP2Auto, "HTTP/1.1"}, {old, HTTP2On, ""},
	} {
		h := newHTTP(t, tt.server.options(tt.mode, 4))
		a, err := get(t, h, tt.server.URL)
		if (err != nil) != (tt.want == "") || err == nil && string(a.Body) != tt.want {
			t.Errorf("%s of %s: %v, %+v", tt.mode, tt.server.URL, err, a)
		}
		if _, permanent := pipeline.IsPermanent(err); permanent {
			t.Errorf("that a server has no HTTP/2 is the record's fault: %v", err)
		}
		if err := h.Ping(t.Context(), tt.server.URL); err != nil && tt.want != "" {
			t.Error(err)
		}
	}
	if HTTP2("h2").Validate() == nil {
		t.Error("another word was taken")
	}
}

// together gives a handler that answers when n requests are there at once, so that a client that
// does not bring them all in stands still until the test's time is over.
func together(n int) http.HandlerFunc {
	var mu sync.Mutex
	there, all := 0, make(chan struct{})
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if there++; there == n {
			close(all)
		}
		mu.Unlock()
		select {
		case <-all:
		case <-r.Context().Done():
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, body)
	}
}

// All slots go over one connection, from the first calls on, and over as many as it takes when a
// server takes fewer calls at once on each: that is how many it says, or 250.
func TestManyCallsOverFewConnections(t *testing.T) {
	for _, tt := range []struct {
		calls, streams, most int
		warm                 bool // a call was made before, so that what the server takes is known
	}{{64, 0, 1, false}, {64, 0, 1, true}, {64, 10, 8, true}, {300, 0, 3, true}, {1, 1, 1, false}, {8, 1, 9, true}} {
		for _, secure := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d calls %d streams warm %v TLS %v", tt.calls, tt.streams, tt.warm, secure), func(t *testing.T) {
				all := together(tt.calls)
				s := serveH2(t, secure, tt.streams, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/first" {
						all(w, r)
					}
				})
				h := newHTTP(t, s.options(HTTP2On, tt.calls))
				if tt.warm {
					if _, err := get(t, h, s.URL+"/first"); err != nil {
						t.Fatal(err)
					}
				}
				var wg sync.WaitGroup
				for i := range tt.calls {
					wg.Go(func() {
						a, err := h.Do(t.Context(), Request{Method: "POST", URL: fmt.Sprintf("%s/%d", s.URL, i), Body: fmt.Appendf(nil, "body %d", i)})
						if err != nil || string(a.Body) != fmt.Sprintf("/%d body %d", i, i) {
							t.Errorf("call %d: %v, %+v", i, err, a)
						}
					})
				}
				wg.Wait()
				t.Logf("%d connections", s.connections.Load())
				if n := s.connections.Load(); n > int64(tt.most) {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

// A server that ends its connections while calls are under way, with a word (GOAWAY) or without, loses
// nothing: what comes of it is transient, and each call that is made again gets its own answer.
func TestConnectionsThatEndWhileInUse(t *testing.T) {
	for name, end := range map[string]func(w http.ResponseWriter, r *http.Request) (done bool){
		"GOAWAY": func(w http.ResponseWriter, _ *http.Request) bool { w.Header().Set("Connection", "close"); return false },
		"stream": func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
	} {
		for _, secure := range []bool{true, false} {
			t.Run(fmt.Sprint(name, secure), func(t *testing.T) {
				const calls, slots = 1000, 64
				var seen atomic.Int64
				s := serveH2(t, secure, 0, func(w http.ResponseWriter, r *http.Request) {
					if seen.Add(1)%50 == 0 && end(w, r) {
						return
					}
					body, _ := io.ReadAll(r.Body)
					_, _ = w.Write(body)
				})
				h := newHTTP(t, s.options(HTTP2On, slots))
				next := make(chan int)
				var wg sync.WaitGroup
				var again, answers atomic.Int64
				for range slots {
					wg.Go(func() {
						for i := range next {
							body := fmt.Appendf(nil, "body %d", i)
							for {
								a, err := h.Do(t.Context(), Request{Method: "POST", URL: s.URL, Body: body})
								if _, permanent := pipeline.IsPermanent(err); permanent {
									t.Errorf("call %d: %v", i, err)
									break
								}
								if err != nil {
									is(t, err, TypeNetwork, false)
									again.Add(1)
									continue
								}
								if !bytes.Equal(a.Body, body) {
									t.Errorf("call %d was answered %q", i, a.Body)
								}
								answers.Add(1)
								break
							}
						}
					})
				}
				for i := range calls {
					next <- i
				}
				close(next)
				wg.Wait()
				t.Logf("%d answers over %d connections, %d calls made again", answers.Load(), s.connections.Load(), again.Load())
				if answers.Load() != calls {
					t.Errorf("%d answers", answers.Load())
				}
			})
		}
	}
}

// A GOAWAY in the middle of 64 streams that leaves half of them out, and cuts the others off: all of
// them come to their answer over connections that follow.
func TestGoAwayAmongStreams(t *testing.T) {
	const calls = 64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var servers sync.WaitGroup
	var connections atomic.Int64
	servers.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n := connections.Add(1)
			servers.Go(func() { framed(conn, n == 1, calls) })
		}
	})
	defer servers.Wait()
	defer l.Close()
	h := newHTTP(t, HTTPOptions{HTTP2: HTTP2On, Slots: calls})
	defer h.Close()
	var wg sync.WaitGroup
	var again atomic.Int64
	for range calls {
		wg.Go(func() {
			for {
				a, err := get(t, h, "http://"+l.Addr().String())
				if err == nil && a.Status == 200 {
					return
				}
				again.Add(1)
				is(t, err, TypeNetwork, false)
			}
		})
	}
	wg.Wait()
	t.Logf("%d calls, %d made again, %d connections", calls, again.Load(), connections.Load())
	if again.Load() == 0 || connections.Load() < 2 {
		t.Errorf("%d calls made again over %d connections", again.Load(), connections.Load())
	}
}

// framed speaks HTTP/2: it answers each stream, or takes no more of them when wait have come, answers
// none and closes the connection.
func framed(conn net.Conn, goAway bool, wait int) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	f := http2.NewFramer(conn, conn)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000})
	var head bytes.Buffer
	_ = hpack.NewEncoder(&head).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	streams := 0
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			if streams++; !goAway {
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: frame.StreamID, BlockFragment: head.Bytes(), EndHeaders: true, EndStream: true})
			} else if streams == wait {
				_ = f.WriteGoAway(uint32(wait), http2.ErrCodeNo, nil)
				return
			}
		}
	}
}
