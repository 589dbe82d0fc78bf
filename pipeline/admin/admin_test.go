package admin

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func healthy() Options {
	return Options{
		Listen: "127.0.0.1:0", Live: func() error { return nil }, Ready: func() error { return nil },
		Snapshots: func() []engine.Snapshot { return nil }, Version: Version{Service: "penstock", Version: "v1", Go: "go1.26"},
	}
}

// start starts a server that ends with the test.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask sends a request and gives status and body.
func ask(t *testing.T, client *http.Client, method, url string, change func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body)), resp.Header
}

func client(t *testing.T, tr *http.Transport) *http.Client {
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestAnswers(t *testing.T) {
	o := healthy()
	var live, ready error
	o.Live, o.Ready = func() error { return live }, func() error { return ready }
	s := start(t, o)
	c := client(t, &http.Transport{})
	base := "http://" + s.Addr()
	tests := []struct {
		method, path string
		live, ready  error
		status       int
		body         string
	}{
		{"GET", "/livez", nil, nil, 200, `{"status":"ok"}`},
		{"GET", "/livez", errors.New("stuck"), nil, 503, `{"status":"failing","reason":"stuck"}`},
		{"GET", "/readyz", nil, nil, 200, `{"status":"ok"}`},
		{"GET", "/readyz", nil, errors.New("connecting"), 503, `{"status":"failing","reason":"connecting"}`},
		{"HEAD", "/readyz", nil, nil, 200, ``},
		{"GET", "/version", nil, nil, 200, `{"service":"penstock","version":"v1","revision":"","go":"go1.26","config_hash":""}`},
		{"GET", "/api/v1/stats", nil, nil, 200, `{"pipelines":[]}`},
		{"GET", "/", nil, nil, 404, ``},
		{"GET", "/debug/pprof/", nil, nil, 404, ``},
		{"GET", "/metrics", nil, nil, 404, ``},
		{"POST", "/livez", nil, nil, 405, ``},
		{"DELETE", "/api/v1/stats", nil, nil, 405, ``},
		{"POST", "/nope", nil, nil, 405, ``},
	}
	for _, tt := range tests {
		live, ready = tt.live, tt.ready
		status, body, header := ask(t, c, tt.method, base+tt.path, nil)
		if status != tt.status || tt.body != "" && body != tt.body {
			t.Errorf("%s %s: %d %s, want %d %s", tt.method, tt.path, status, body, tt.status, tt.body)
		}
		if header.Get("Content-Type") != "application/json" || tt.method != "HEAD" && !json.Valid([]byte(body)) {
			t.Errorf("%s %s: %v %s", tt.method, tt.path, header, body)
		}
		if status == 405 && header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: Allow %q", tt.method, tt.path, header.Get("Allow"))
		}
	}
}

// TestAFailureIsShown: a pipeline that has failed stands among the others, with its error.
func TestAFailureIsShown(t *testing.T) {
	o := healthy()
	o.Snapshots = func() []engine.Snapshot {
		return []engine.Snapshot{{Pipeline: "a", State: "running"}, {Pipeline: "b", State: "failed", Err: errors.New("the disk is full")}}
	}
	s := start(t, o)
	_, body, _ := ask(t, client(t, &http.Transport{}), "GET", "http://"+s.Addr()+"/api/v1/stats", nil)
	if !strings.Contains(body, `{"pipeline":"a","state":"running","timestamp":`) ||
		!strings.Contains(body, `{"pipeline":"b","state":"failed","error":"the disk is full","timestamp":`) {
		t.Error(body)
	}
}

// TestTheLogIsShown: what of the log nobody reads is to be seen here.
func TestTheLogIsShown(t *testing.T) {
	o := healthy()
	o.Log = func() event.QueueCounts { return event.QueueCounts{Written: 3, Dropped: 2, Waiting: 1} }
	s := start(t, o)
	_, body, _ := ask(t, client(t, &http.Transport{}), "GET", "http://"+s.Addr()+"/api/v1/stats", nil)
	if body != `{"pipelines":[],"log":{"written_total":3,"dropped_total":2,"waiting":1}}` {
		t.Error(body)
	}
}

// A page whose name resolves to this machine reads nothing.
func TestHostIsChecked(t *testing.T) {
	o := healthy()
	o.Hosts = []string{"penstock.internal"}
	s := start(t, o)
	c := client(t, &http.Transport{})
	_, port, _ := net.SplitHostPort(s.Addr())
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "127.0.0.1": 200, "localhost:" + port: 200, "LOCALHOST": 200, "[::1]:" + port: 200, "[::1]": 200,
		"penstock.internal:" + port: 200, "Penstock.Internal.": 200,
		"evil.example": 421, "evil.example:" + port: 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421,
		"127.0.0.1.": 200, "x": 421,
	} {
		for _, path := range []string{"/livez", "/api/v1/stats"} {
			status, _, _ := ask(t, c, "GET", "http://"+s.Addr()+path, func(r *http.Request) { r.Host = host })
			if status != want {
				t.Errorf("Host %s %s: %d, want %d", host, path, status, want)
			}
		}
	}
}

// TestProbesWithoutAHost: a probe that speaks HTTP/1.0 says no host, and is answered; what has a name in another way is refused as
// a browser is, and what is for no path passes the guard too.
func TestProbesWithoutAHost(t *testing.T) {
	s := start(t, healthy())
	for request, want := range map[string]string{
		"GET /livez HTTP/1.0\r\n\r\n":                               "HTTP/1.0 200 ",
		"GET /livez HTTP/1.1\r\nHost:\r\n\r\n":                      "HTTP/1.1 200 ",
		"GET /livez HTTP/1.0\r\nHost: evil.example\r\n\r\n":         "HTTP/1.0 421 ",
		"GET http://evil.example/livez HTTP/1.0\r\n\r\n":            "HTTP/1.0 421 ",
		"GET http://evil.example/livez HTTP/1.1\r\nHost:\r\n\r\n":   "HTTP/1.1 421 ",
		"GET /livez HTTP/1.1\r\n\r\n":                               "HTTP/1.1 400 ",
		"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: x\r\n\r\n": "HTTP/1.1 400 ",
		"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n":             "HTTP/1.1 405 ",
		"OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n":          "HTTP/1.1 421 ",
	} {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		got := make([]byte, len(want))
		if _, err = io.WriteString(conn, request); err == nil {
			_, err = io.ReadFull(conn, got)
		}
		if string(got) != want || err != nil {
			t.Errorf("%q: %q %v", request, got, err)
		}
		_ = conn.Close()
	}
}

func TestOffLoopbackNeedsTLSAndToken(t *testing.T) {
	config := &tls.Config{}
	for listen, local := range map[string]bool{
		"127.0.0.1:0": true, "127.9.9.9:0": true, "[::1]:0": true, "localhost:0": true, "unix:/x/y": true,
		"0.0.0.0:9600": false, ":9600": false, "[::]:9600": false, "10.0.0.1:9600": false, "example.com:9600": false,
		"[::ffff:10.0.0.1]:0": false, "localhost.example.com:0": false,
	} {
		o := healthy()
		o.Listen = listen
		if _, err := New(o); (err == nil) != local {
			t.Errorf("%s: %v", listen, err)
		}
		o.Token = "canary-canary-canary"
		if _, err := New(o); (err == nil) != local || err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s with a token alone: %v", listen, err)
		}
		o.TLS = config
		if _, err := New(o); err != nil {
			t.Errorf("%s with both: %v", listen, err)
		}
		o.Token = ""
		if _, err := New(o); (err == nil) != local {
			t.Errorf("%s with TLS alone: %v", listen, err)
		}
	}
	for _, listen := range []string{"", "9600", "unix:", "unix:@abstract", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:http"} {
		o := healthy()
		o.Listen = listen
		if _, err := New(o); err == nil {
			t.Errorf("%q was taken", listen)
		}
	}
	if _, err := New(Options{Listen: "127.0.0.1:0"}); err == nil {
		t.Error("options without functions were taken")
	}
}

func TestToken(t *testing.T) {
	o := healthy()
	o.Token = "secret"
	o.Live = func() error { return errors.New("t/3@7 holds the mark") }
	s := start(t, o)
	c := client(t, &http.Transport{})
	for auth, want := range map[string]int{
		"": 401, "Bearer secret": 200, "bearer secret": 200, "BEARER secret": 200, "Bearer  secret": 200,
		"Bearer secre": 401, "secret": 401, "Bearer ": 401, "Bearersecret": 401, "Bearer\tsecret": 401, "Basic secret": 401, " secret": 401,
	} {
		status, body, _ := ask(t, c, "GET", "http://"+s.Addr()+"/api/v1/stats", func(r *http.Request) { r.Header.Set("Authorization", auth) })
		if status != want || strings.Contains(body, "secret") {
			t.Errorf("%q: %d %s, want %d", auth, status, body, want)
		}
		status, body, _ = ask(t, c, "GET", "http://"+s.Addr()+"/livez", func(r *http.Request) { r.Header.Set("Authorization", auth) })
		if status != 503 || strings.Contains(body, "mark") != (want == 200) {
			t.Errorf("%q: /livez %d %s", auth, status, body)
		}
	}
}

func TestTLS(t *testing.T) {
	pair := httptest.NewTLSServer(http.NotFoundHandler())
	pair.Close()
	o := healthy()
	o.TLS = &tls.Config{Certificates: pair.TLS.Certificates}
	s := start(t, o)
	trust := pair.Client().Transport.(*http.Transport).TLSClientConfig
	c := client(t, &http.Transport{TLSClientConfig: trust})
	if status, _, _ := ask(t, c, "GET", "https://"+s.Addr()+"/livez", nil); status != 200 {
		t.Error(status)
	}
	old := trust.Clone()
	for version, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		old.MinVersion, old.MaxVersion = tls.VersionTLS10, version
		conn, err := tls.Dial("tcp", s.Addr(), old)
		if err == nil {
			conn.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

func TestPortTaken(t *testing.T) {
	first := start(t, healthy())
	o := healthy()
	o.Listen = first.Addr()
	second, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var env *pipeline.EnvironmentError
	if err := second.Start(); !errors.As(err, &env) || !strings.Contains(err.Error(), first.Addr()) {
		t.Error(err)
	}
	if err := second.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "a") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	o := healthy()
	o.Listen = "unix:" + path
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}
	c := client(t, &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}})
	if status, _, _ := ask(t, c, "GET", "http://anything/livez", nil); status != 200 {
		t.Error(status)
	}
	second, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var env *pipeline.EnvironmentError
	if err := second.Start(); !errors.As(err, &env) {
		t.Errorf("a socket in use was taken: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	// What a killed process has left behind is taken over, any other file is not.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	third := start(t, o)
	if third.Addr() != path {
		t.Error(third.Addr())
	}
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Listen = "unix:" + file
	fourth, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := fourth.Start(); !errors.As(err, &env) {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("the file is gone")
	}
	o.Listen = "unix:" + filepath.Join(dir, strings.Repeat("x", 200))
	fifth, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := fifth.Start(); !errors.As(err, &env) || !strings.Contains(err.Error(), "choose a shorter one") {
		t.Error(err)
	}
}

func TestLargeHeadersAndBodies(t *testing.T) {
	s := start(t, healthy())
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("x", 64<<10))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 431 {
		t.Errorf("%v %v", resp, err)
	}
	if resp != nil {
		resp.Body.Close()
	}
}

func TestStats(t *testing.T) {
	start := time.Date(2026, 11, 20, 1, 2, 3, 4e6, time.UTC)
	text, err := json.Marshal(statsOf([]engine.Snapshot{{
		Pipeline: "p", State: "running", Started: start, At: start.Add(time.Second),
		Counts: engine.Counts{In: 10, Out: 5, Filtered: 1, Rejected: 1, InFlight: 3}, Latency: engine.Latency{Count: 7, P50: 1.23456},
		OldestInFlight: 1500 * time.Millisecond, Backpressure: "ok",
		Steps: []engine.StepSnapshot{{Name: "s", Kind: "http", Counts: engine.Counts{In: 10}, Workers: 64, Busy: time.Second}},
		Sinks: []engine.SinkSnapshot{{Name: "k", Kind: "file", Batches: 2, Report: pipeline.Report{CacheHits: 7}}},
		Source: pipeline.Report{Connected: true, Partitions: []pipeline.PartitionReport{
			{Topic: "t", Partition: 1, Committed: 5, Fetched: 9, HighWatermark: 12, Held: 2}, {Topic: "t", Committed: -1, Fetched: -1, HighWatermark: -1}}},
	}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"pipeline":"p","state":"running","started":"2026-11-20T01:02:03.004Z","timestamp":"2026-11-20T01:02:04.004Z"`,
		`"records_in_total":10,"records_out_total":5,"created_total":0,"filtered_total":1,"rejected_total":1`, `"p50":1.235`,
		`"oldest_inflight_ms":1500`, `"step":"s","step_kind":"http"`, `"busy_ms_total":1000`, `"sink":"k"`, `"batches_total":2`,
		`"cache_hits_total":7`, `"lag_sum":7,"lag_max":7`, `"offset_committed":5,"offset_fetched":9,"offset_hwm":12,"lag":7,"lag_held":2`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}
