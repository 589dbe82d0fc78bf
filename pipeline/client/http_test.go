package client

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
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
			http.Error(w, strings.Repeat("sorry ", 1000), http.StatusServiceUnavailable)
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

// A connection has a time of its own, within that of the call: the error says that one.
func TestTimeoutOfAConnection(t *testing.T) {
	for want, cause := range map[string]error{
		"no connection within 10s":    &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded},
		"no TLS handshake within 10s": tooSlow("net/http: TLS handshake timeout"),
		"lookup h: i/o timeout":       &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "i/o timeout", Name: "h", IsTimeout: true}},
	} {
		err := transportError(t.Context(), "calling GET http://h", time.Minute, &url.Error{Op: "Get", URL: "http://h", Err: cause})
		is(t, err, TypeTimeout, false)
		if !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

type tooSlow string

func (e tooSlow) Error() string { return string(e) }
func (tooSlow) Timeout() bool   { return true }
func (tooSlow) Temporary() bool { return true }

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

// A host that is reached through a proxy alone is not asked for directly.
func TestPingThroughProxy(t *testing.T) {
	for proxy, want := range map[string]string{
		"":                            "",
		"http://u:secret@127.0.0.1:1": "connecting to the proxy: ",
	} {
		_, s := serve(t, HTTPOptions{}, func(http.ResponseWriter, *http.Request) {})
		if proxy == "" {
			proxy = s.URL
		}
		u, err := ParseProxy(proxy)
		if err != nil {
			t.Fatal(err)
		}
		h, err := NewHTTP(HTTPOptions{Proxy: u})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		err = h.Ping(t.Context(), "http://127.0.0.1:1/")
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: %v", want, err)
		}
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
