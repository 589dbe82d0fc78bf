package client

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// Over HTTP/2 an answer whose headers are too large is refused alone: the calls that share its
// connection go on, and so does the connection.
func TestLargeHeadersEndOneCall(t *testing.T) {
	for mode, headers := range map[HTTP2]int{HTTP2Auto: 1500, HTTP2On: 5000} {
		var waiting sync.WaitGroup
		waiting.Add(8)
		heads := make(chan struct{})
		s := serveH2(t, true, 0, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/heads":
				waiting.Wait()
				for i := range headers {
					w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("y", 100))
				}
			case "/slow":
				waiting.Done()
				<-heads
			}
		})
		h := newHTTP(t, s.options(mode, 16))
		if _, err := get(t, h, s.URL); err != nil { // there is a connection
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := get(t, h, s.URL+"/slow"); err != nil {
					t.Errorf("%s: a call beside it: %v", mode, err)
				}
			})
		}
		for range 3 {
			_, err := get(t, h, s.URL+"/heads")
			if reason, _ := pipeline.IsPermanent(err); reason != TypeTooLarge {
				t.Errorf("%s: %v", mode, err)
			}
		}
		close(heads)
		wg.Wait()
		if n := s.connections.Load(); n != 1 {
			t.Errorf("%s: %d connections", mode, n)
		}
	}
}

// A request that may change something is not sent again by the transport when a kept connection ends
// after it was read: that is for the engine, which counts it.
func TestNoRequestComesTwice(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var posts, keys atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					if r.Method == http.MethodPost {
						posts.Add(1)
						if r.Header.Get("Idempotency-Key") == "k" {
							keys.Add(1)
						}
						return // it was read, and nobody hears of it
					}
					if _, err := fmt.Fprint(c, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
						return
					}
				}
			}()
		}
	}()
	for name, o := range map[string]struct{ client, request http.Header }{
		"of the request": {nil, http.Header{"Idempotency-Key": {"k"}}}, "of the client": {http.Header{"idempotency-key": {"k"}}, nil},
	} {
		posts.Store(0)
		keys.Store(0)
		h := newHTTP(t, HTTPOptions{Header: o.client})
		if _, err := get(t, h, "http://"+l.Addr().String()); err != nil { // the connection is kept
			t.Fatal(err)
		}
		_, err := h.Do(t.Context(), Request{Method: http.MethodPost, URL: "http://" + l.Addr().String(), Header: o.request, Body: []byte("{}")})
		is(t, err, TypeNetwork, false)
		if posts.Load() != 1 || keys.Load() != 1 {
			t.Errorf("%s: %d requests came, %d of them with their key", name, posts.Load(), keys.Load())
		}
	}
}
