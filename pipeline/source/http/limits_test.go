package http

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/settings"
)

func packed(t *testing.T, coding, text string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if coding == "zstd" {
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestCompressed: bodies are what they were before they were compressed, and bounded by that.
func TestCompressed(t *testing.T) {
	for _, coding := range []string{"gzip", "zstd"} {
		t.Run(coding, func(t *testing.T) {
			r := newRig(t, func(s *Settings) { s.MaxBody = 300 << 10 }).start()
			wide := `"` + strings.Repeat("x", 200<<10) + `"`
			for i := range 10 { // more than there are decoders
				r.post(packed(t, coding, fmt.Sprint(i)), "Content-Encoding", coding).want(t, 200)
			}
			r.post(packed(t, coding, wide), "Content-Encoding", coding).want(t, 200)
			if got := r.values(); len(got) != 11 || got[3] != "3" || got[10] != wide {
				t.Errorf("%d records came", len(got))
			}
			bomb := packed(t, coding, strings.Repeat(" ", 4<<20)+"1")
			if len(bomb) > 300<<10 {
				t.Fatalf("it has %d bytes", len(bomb))
			}
			r.post(bomb, "Content-Encoding", coding).want(t, 413, "300KiB")
			whole := packed(t, coding, wide)
			r.post(whole[:len(whole)/2], "Content-Encoding", coding).want(t, 400, coding)
			if err := r.end(); err != nil {
				t.Error(err)
			}
			if n, bytes := r.budget.Use(); n != 0 || bytes != 0 {
				t.Errorf("%d records and %d bytes are not given back", n, bytes)
			}
		})
	}
}

// TestBackPressure: while the pipeline has no room requests are refused whole, and taken when there is room again.
func TestBackPressure(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.Wait, s.Lanes = 20*time.Millisecond, 2 })
	r.budget = engine.NewBudget(100, 64<<10)
	g := r.gated()
	r.start()
	body := `"` + strings.Repeat("x", 20<<10) + `"`
	var waiting []<-chan answer
	refused := 0
	for range 20 {
		got := r.later(body)
		waitFor(t, "it waits or is refused", func() bool {
			rep := r.src.Report()
			return int(rep.RequestsWaiting)+int(rep.Answers["429"]) == len(waiting)+refused+1
		})
		if n := int(r.src.Report().Answers["429"]); n > refused {
			a := soon(t, got)
			a.want(t, 429, `"no_room"`, `"stored":"no"`)
			if after, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || after < 1 {
				t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
			}
			refused = n
			continue
		}
		waiting = append(waiting, got)
	}
	if refused == 0 || len(waiting) == 0 {
		t.Errorf("%d wait, %d were refused", len(waiting), refused)
	}
	if _, bytes := r.budget.Use(); bytes > 64<<10+2*21<<10 { // each lane may have one record
		t.Errorf("%d bytes are taken of 64 KiB", bytes)
	}
	close(g.open)
	for _, got := range waiting {
		soon(t, got).want(t, 200)
	}
	r.post(body).want(t, 200)
	if n := len(r.values()); n != len(waiting)+1 {
		t.Errorf("%d records came of %d requests", n, len(waiting)+1)
	}
}

// TestRate: records count, a request is taken whole, and one that is refused costs nothing.
func TestRate(t *testing.T) {
	hour := settings.Rate{N: 1, Per: time.Hour}
	r := newRig(t, func(s *Settings) { s.Rate, s.Burst = &hour, 3 }).start()
	r.post("[1,2]").want(t, 200)
	a := r.post("[3,4]")
	a.want(t, 429, `"rate"`)
	if after, _ := strconv.Atoi(a.header.Get("Retry-After")); after < 3500 || after > 3601 {
		t.Errorf("Retry-After %d", after)
	}
	r.post("[5]").want(t, 200)
	r.post("[6]").want(t, 429)
	if got := r.values(); !slices.Equal(got, []string{"1", "2", "5"}) {
		t.Errorf("got %q", got)
	}
}

// TestBucket: tokens come back with time, up to the burst; more than the burst is owed.
func TestBucket(t *testing.T) {
	b := newBucket(settings.Rate{N: 10, Per: time.Second}, 5)
	now := b.at
	for i, c := range []struct {
		after time.Duration
		n     float64
		want  time.Duration
	}{
		{0, 5, 0},
		{0, 1, 100 * time.Millisecond},
		{100 * time.Millisecond, 1, 0},
		{time.Hour, 12, 0},             // more than fits, at a full bucket
		{0, 1, 800 * time.Millisecond}, // what it owes
		{700 * time.Millisecond, 1, 100 * time.Millisecond},
		{100 * time.Millisecond, 1, 0},
		{-time.Hour, 1, 100 * time.Millisecond}, // a clock that was set back gives nothing
	} {
		now = now.Add(c.after)
		if got := b.take(c.n, now); got.Round(time.Millisecond) != c.want {
			t.Errorf("%d: %v, want %v", i, got, c.want)
		}
	}
	if b := newBucket(settings.Rate{N: 1, Per: time.Minute}, 0); b.burst != 1 {
		t.Errorf("a burst of %v", b.burst)
	}
}

// TestSlowCallers: a body that does not come is answered, a header that does not come is not, and neither holds what it has not sent.
func TestSlowCallers(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.BodyTime, s.HeaderTime = 200*time.Millisecond, 200*time.Millisecond }).start()
	conn := func(text string) net.Conn {
		c, err := net.Dial("tcp", r.src.server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		fmt.Fprint(c, text)
		return c
	}
	head := "POST /records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	var bodies, heads []net.Conn
	for range 20 {
		bodies = append(bodies, conn(head+"Content-Length: 4000000\r\n\r\n[1,"))
		heads = append(heads, conn(head))
	}
	most := int64(0)
	for _, c := range bodies {
		_, bytes := r.budget.Use()
		most = max(most, bytes)
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		text, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 408 ") || !strings.Contains(string(text), "Connection: close") {
			t.Errorf("%v: %s", err, text)
		}
	}
	if most > 20*(firstPiece+overhead) {
		t.Errorf("20 callers hold %d bytes that they have not sent", most)
	}
	for _, c := range heads {
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		if text, err := io.ReadAll(c); err != nil && !os.IsTimeout(err) && len(text) > 0 {
			t.Errorf("%v: %s", err, text)
		} else if os.IsTimeout(err) {
			t.Error("a header that does not come keeps its connection")
		}
	}
	r.post("1").want(t, 200)
}

// TestAllConnectionsServe: who comes when all connections wait for outcomes is told so or closed, and does not wait.
func TestAllConnectionsServe(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.MaxConnections = 3 })
	g := r.gated()
	r.start()
	var waiting []<-chan answer
	for range 3 {
		waiting = append(waiting, r.later("1"))
	}
	waitFor(t, "three wait", func() bool { return r.src.Report().RequestsWaiting == 3 })
	if a, err := r.do("POST", "/records", strings.NewReader("2")); err == nil {
		a.want(t, 503)
	}
	close(g.open)
	for _, got := range waiting {
		soon(t, got).want(t, 200)
	}
}

// TestPages: a page of a site in origins may ask, post, and read the answer; refusals too.
func TestPages(t *testing.T) {
	const site = "https://chat.example"
	r := newRig(t, func(s *Settings) {
		s.Origins, s.Token, s.Headers = []string{site}, "secret-of-ours", []string{"X-From"}
	}).start()
	ask := func(origin string) answer {
		a, err := r.do(http.MethodOptions, "/records", nil, "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := ask(site)
	a.want(t, 204)
	for _, name := range []string{"Content-Type", "Authorization", "Idempotency-Key", "X-From"} {
		if !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("a page may not send %s: %v", name, a.header)
		}
	}
	if a.header.Get("Access-Control-Allow-Origin") != site || a.header.Get("Access-Control-Allow-Methods") != "POST" || a.header.Get("Vary") != "Origin" {
		t.Errorf("header %v", a.header)
	}
	if a := ask("https://evil.example"); a.status != 403 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another site: %v %v", a, a.header)
	}
	for _, c := range []struct {
		status int
		token  string
	}{{200, "Bearer secret-of-ours"}, {401, "Bearer wrong"}} {
		a := r.post("1", "Origin", site, "Authorization", c.token)
		a.want(t, c.status)
		if a.header.Get("Access-Control-Allow-Origin") != site {
			t.Errorf("%d: the page may not read it: %v", c.status, a.header)
		}
	}
	if a, err := r.do(http.MethodOptions, "/records", nil, "Authorization", "Bearer secret-of-ours"); err != nil || a.status != 405 {
		t.Errorf("OPTIONS of no page: %v %v", a, err)
	}
}

// TestAConnectionKeepsItsOrder sends requests without waiting for their answers.
func TestAConnectionKeepsItsOrder(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.Answer = Accepted }).start()
	conn, err := net.Dial("tcp", r.src.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var want []string
	var all bytes.Buffer
	for i := range 500 {
		v := strconv.Itoa(i)
		want = append(want, v)
		fmt.Fprintf(&all, "POST /records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(v), v)
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	if _, err := conn.Write(all.Bytes()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "all come", func() bool { return len(r.values()) == len(want) })
	if got := r.values(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestAStopIsNoLackOfRoom: a request that waits for a decoder of zstd when the pipeline stops is told so, as others are.
func TestAStopIsNoLackOfRoom(t *testing.T) {
	src := newRig(t, nil).src
	for range mostDecoders {
		<-src.zstd.free
	}
	src.stop()
	r := httptest.NewRequest("POST", "/records", nil)
	if _, _, no := src.decoder(r, "zstd", nil); no == nil || no.reason != "stopping" {
		t.Errorf("refused: %+v", no)
	}
}

// TestALongWait: a wait that is longer than a Duration can be is not taken for none.
func TestALongWait(t *testing.T) {
	b := newBucket(settings.Rate{N: 1, Per: 24 * time.Hour}, 100_000_000)
	now := time.Now()
	b.take(1e8, now)
	if wait := b.take(1e8, now); wait < 24*time.Hour {
		t.Errorf("100,000,000 records of 1 a day come after %v", wait)
	}
}
