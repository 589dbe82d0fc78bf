package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server and a client for it; both end with the test.
func serve(t *testing.T, o HTTPOptions, handler http.HandlerFunc) (*HTTP, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(handler)
	h, err := NewHTTP(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); s.Close() })
	return h, s
}

func get(t *testing.T, h *HTTP, url string) (*Answer, error) {
	t.Helper()
	return h.Do(t.Context(), Request{Method: "GET", URL: url})
}

// is checks the type of an error and whether it is permanent.
func is(t *testing.T, err error, typ string, permanent bool) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *Error, want type %s", err, typ)
	}
	if e.ErrorType() != typ {
		t.Errorf("type %s, want %s (%v)", e.ErrorType(), typ, err)
	}
	if _, ok := pipeline.IsPermanent(err); ok != permanent {
		t.Errorf("permanent is %v, want %v (%v)", ok, permanent, err)
	}
}

// The peers' fault: 1,175 sockets in TIME_WAIT after 1,218 requests.
func TestConnectionsAreReused(t *testing.T) {
	const slots, calls = 64, 1200
	var opened atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "0"): // chunked
			fmt.Fprint(w, "{")
			w.(http.Flusher).Flush()
			fmt.Fprint(w, "}")
		case strings.HasSuffix(r.URL.Path, "1"):
			http.Error(w, strings.Repeat("sorry ", 1000), 503)
		case strings.HasSuffix(r.URL.Path, "2"):
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			fmt.Fprint(z, "{}")
			z.Close()
		default:
			fmt.Fprint(w, `{"a":1}`)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, c http.ConnState) {
		if c == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	h, err := NewHTTP(HTTPOptions{Slots: slots})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var wg sync.WaitGroup
	next := make(chan int)
	for range slots {
		wg.Go(func() {
			for i := range next {
				if _, err := h.Do(t.Context(), Request{Method: "GET", URL: fmt.Sprintf("%s/%d", s.URL, i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range calls {
		next <- i
	}
	close(next)
	wg.Wait()
	if n := opened.Load(); n > slots {
		t.Errorf("%d connections for %d calls in %d slots", n, calls, slots)
	}
}

func TestAnswerWithinLimit(t *testing.T) {
	const limit = 1000
	for _, size := range []int{0, 1, limit - 1, limit, limit + 1, 10 * limit} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes chunked %v", size, chunked), func(t *testing.T) {
				h, s := serve(t, HTTPOptions{MaxBytes: limit}, func(w http.ResponseWriter, r *http.Request) {
					if chunked {
						w.(http.Flusher).Flush()
					}
					_, _ = w.Write(bytes.Repeat([]byte("x"), size))
				})
				a, err := get(t, h, s.URL)
				if size > limit {
					is(t, err, TypeTooLarge, true)
					return
				}
				if err != nil || len(a.Body) != size {
					t.Errorf("%v, body %d bytes, want %d", err, len(a.Body), size)
				}
			})
		}
	}
}

func TestGzipBombEndsAtTheLimit(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 8 {
		_, _ = z.Write(zeros)
	}
	z.Close()
	h, s := serve(t, HTTPOptions{MaxBytes: 1 << 16}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	_, err := get(t, h, s.URL)
	is(t, err, TypeTooLarge, true)
}

func TestEncodings(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	fmt.Fprint(z, "hello")
	z.Close()
	corrupt := bytes.Clone(zipped.Bytes())
	corrupt[12] ^= 0xff
	tests := []struct {
		name, encoding string
		body           []byte
		typ            string
		permanent      bool
	}{
		{"gzip", "gzip", zipped.Bytes(), "", false},
		{"no gzip at all", "gzip", []byte("hello, hello, hello"), TypeBadAnswer, true},
		{"corrupt", "gzip", corrupt, TypeBadAnswer, true},
		{"cut", "gzip", zipped.Bytes()[:15], TypeNetwork, false},
		{"twice", "gzip, gzip", zipped.Bytes(), TypeBadAnswer, true},
		{"unknown", "br", zipped.Bytes(), TypeBadAnswer, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, s := serve(t, HTTPOptions{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Encoding", tt.encoding)
				_, _ = w.Write(tt.body)
			})
			for range 3 { // the pooled reader too
				a, err := get(t, h, s.URL)
				if tt.typ != "" {
					is(t, err, tt.typ, tt.permanent)
				} else if err != nil || string(a.Body) != "hello" {
					t.Fatalf("%v, %+v", err, a)
				}
			}
		})
	}
}

func TestGzipIsAskedForOnlyWhenWanted(t *testing.T) {
	for _, want := range []bool{false, true} {
		h, s := serve(t, HTTPOptions{Gzip: want}, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Header.Get("Accept-Encoding"))
		})
		a, err := get(t, h, s.URL)
		if err != nil || (string(a.Body) == "gzip") != want {
			t.Errorf("gzip %v: %v, asked for %q", want, err, a.Body)
		}
	}
}

// An endless body ends at the limit; a dripping one and a head that never comes end
// with the caller's ctx.
func TestEndlessAndSlowAnswers(t *testing.T) {
	release := make(chan struct{})
	h, s := serve(t, HTTPOptions{MaxBytes: 1 << 16}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		case "/drip":
			fmt.Fprint(w, "x")
			w.(http.Flusher).Flush()
		}
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	defer close(release)
	_, err := get(t, h, s.URL+"/endless")
	is(t, err, TypeTooLarge, true)
	for _, path := range []string{"/drip", "/head"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		_, err = h.Do(ctx, Request{Method: "GET", URL: s.URL + path})
		cancel()
		is(t, err, TypeTimeout, false)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v does not lead to the deadline", path, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = h.Do(ctx, Request{Method: "GET", URL: s.URL + "/head"})
	is(t, err, TypeCanceled, false)
}

func TestTimeoutWithoutADeadline(t *testing.T) {
	release := make(chan struct{})
	h, s := serve(t, HTTPOptions{Timeout: 20 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) { <-release })
	defer close(release)
	_, err := get(t, h, s.URL)
	is(t, err, TypeTimeout, false)
}

// raw answers every connection with the bytes given and closes it, by a reset when
// asked.
func raw(t *testing.T, answer string, reset bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, answer)
			if reset {
				_ = c.(*net.TCPConn).SetLinger(0)
			}
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return "http://" + l.Addr().String()
}

func TestBrokenConnections(t *testing.T) {
	h, err := NewHTTP(HTTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for name, url := range map[string]string{
		"wrong content length": raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", false),
		"reset mid body":       raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nshort", true),
		"reset mid head":       raw(t, "HTTP/1.1 200 OK\r\nConte", true),
		"no answer":            raw(t, "", false),
		"no http":              raw(t, "SSH-2.0-OpenSSH_9.2\r\n", false),
		"chunk cut":            raw(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nab", false),
		"nobody there":         "http://127.0.0.1:1",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := get(t, h, url+"/secret-value")
			is(t, err, TypeNetwork, false)
			if strings.Contains(err.Error(), "secret-value") {
				t.Errorf("the error quotes the path: %v", err)
			}
		})
	}
}

func TestAnswerOfAnotherStatusIsNotAnError(t *testing.T) {
	h, s := serve(t, HTTPOptions{MaxBytes: 10}, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		fmt.Fprint(w, strings.Repeat("x", 1000))
	})
	a, err := get(t, h, s.URL)
	if err != nil || a.Status != 500 || a.Body != nil {
		t.Errorf("%v %+v", err, a)
	}
}

func TestRedirects(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "other %s%s", r.Header.Get("X-Api-Key"), r.Header.Get("Authorization"))
	}))
	defer other.Close()
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch p := r.URL.Path; p {
		case "/loop":
			http.Redirect(w, r, "/loop", 302)
		case "/other":
			http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1), 302)
		case "/other307":
			http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1), 307)
		case "/file":
			http.Redirect(w, r, "file:///etc/passwd", 302)
		case "/1", "/2", "/3", "/4", "/5", "/6":
			http.Redirect(w, r, "/"+string(p[1]-1), 302)
		case "/307":
			http.Redirect(w, r, "/0", 307)
		default:
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.Header.Get("X-Api-Key"), body)
		}
	}
	header := http.Header{"X-Api-Key": {"k"}, "Authorization": {"Bearer b"}}
	h, s := serve(t, HTTPOptions{Header: header}, handler)
	anyHost, s2 := serve(t, HTTPOptions{Header: header, AnyHost: true}, handler)
	tests := []struct {
		name   string
		h      *HTTP
		method string
		url    string
		body   string
		status int
		typ    string
	}{
		{"five hops", h, "GET", s.URL + "/5", "GET k ", 200, ""},
		{"six hops", h, "GET", s.URL + "/6", "", 0, TypeRedirect},
		{"loop", h, "GET", s.URL + "/loop", "", 0, TypeRedirect},
		{"file", h, "GET", s.URL + "/file", "", 0, TypeRedirect},
		{"another host refused", h, "GET", s.URL + "/other", "", 0, TypeRedirect},
		{"another host allowed, without keys", anyHost, "GET", s2.URL + "/other", "other ", 200, ""},
		{"a body never goes to another host", anyHost, "POST", s2.URL + "/other307", "", 0, TypeRedirect},
		{"POST kept", h, "POST", s.URL + "/307", "POST k body", 200, ""},
		{"POST made GET is not followed", h, "POST", s.URL + "/1", "", 302, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Request{Method: tt.method, URL: tt.url}
			if tt.method == "POST" {
				r.Body = []byte("body")
			}
			a, err := tt.h.Do(t.Context(), r)
			if tt.typ != "" {
				is(t, err, tt.typ, true)
				return
			}
			if err != nil || a.Status != tt.status || string(a.Body) != tt.body {
				t.Errorf("%v %+v, want status %d and %q", err, a, tt.status, tt.body)
			}
		})
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	h, s := serve(t, HTTPOptions{}, func(w http.ResponseWriter, r *http.Request) { t.Error("the request arrived") })
	for name, r := range map[string]Request{
		"line break":  {URL: s.URL, Header: http.Header{"X-A": {"a\r\nX-B: b"}}},
		"NUL":         {URL: s.URL, Header: http.Header{"X-A": {"a\x00"}}},
		"bad name":    {URL: s.URL, Header: http.Header{"X A": {"a"}}},
		"own":         {URL: s.URL, Header: http.Header{"Content-Length": {"1"}}},
		"scheme":      {URL: "ftp://127.0.0.1/"},
		"no host":     {URL: "http:///x"},
		"no URL":      {URL: "http://127.0.0.1/%zz"},
		"in the path": {URL: "http://127.0.0.1/\r\nX: y"},
	} {
		t.Run(name, func(t *testing.T) {
			r.Method = "GET"
			_, err := h.Do(t.Context(), r)
			is(t, err, TypeRequest, true)
		})
	}
	if _, err := NewHTTP(HTTPOptions{Header: http.Header{"A": {"a\n"}}}); err == nil {
		t.Error("a line break in a fixed header was taken")
	}
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	h, err := NewHTTP(HTTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Loopback never takes a proxy, so the transport's own word is what counts.
	if h.transport.Proxy != nil {
		t.Error("a proxy function is set")
	}
}

func TestDiscard(t *testing.T) {
	url := raw(t, "HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\nshort", true)
	h, err := NewHTTP(HTTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	a, err := h.Do(t.Context(), Request{Method: "POST", URL: url, Body: []byte("x"), Discard: true})
	if err != nil || a.Status != 202 {
		t.Errorf("%v %+v", err, a)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") }))
	s.Config.ErrorLog = nil
	defer s.Close()
	h, err := NewHTTP(HTTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	_, err = get(t, h, s.URL)
	is(t, err, TypeTLS, false)
	var env *pipeline.EnvironmentError
	if err := h.Ping(t.Context(), s.URL); !errors.As(err, &env) {
		t.Errorf("ping of a server that is not trusted: %v", err)
	}
	trusting, err := NewHTTP(HTTPOptions{TLS: s.Client().Transport.(*http.Transport).TLSClientConfig})
	if err != nil {
		t.Fatal(err)
	}
	defer trusting.Close()
	if a, err := get(t, trusting, s.URL); err != nil || string(a.Body) != "ok" {
		t.Errorf("%v %+v", err, a)
	}
	if err := trusting.Ping(t.Context(), s.URL); err != nil {
		t.Error(err)
	}
}

func TestPing(t *testing.T) {
	h, s := serve(t, HTTPOptions{}, func(w http.ResponseWriter, r *http.Request) { t.Error("a request was sent") })
	if err := h.Ping(t.Context(), s.URL+"/path"); err != nil {
		t.Error(err)
	}
	var env *pipeline.EnvironmentError
	err := h.Ping(t.Context(), "http://127.0.0.1:1/path")
	if !errors.As(err, &env) || !strings.Contains(err.Error(), "http://127.0.0.1:1:") {
		t.Errorf("%v", err)
	}
}
