package websocketsink

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/penstockio/penstock/pipeline"
)

// TestWatch: what is written comes to each client, over both protocols, in order.
func TestWatch(t *testing.T) {
	s := opened(t, nil)
	c, e := dial(t, s, ""), get(t, s, "", "")
	clients(t, s, 2)
	write(t, s, records(0, 0, 3))
	wantNext(t, c, `{"lane":0,"n":0}`, `{"lane":0,"n":1}`, `{"lane":0,"n":2}`)
	last := e.want(t, `{"lane":0,"n":0}`, `{"lane":0,"n":1}`, `{"lane":0,"n":2}`)
	if last.id != s.life+"-3" || last.name != "" {
		t.Errorf("the last event is %+v", last)
	}
}

// TestFilter: a client gets what its filter says, and of what the filter fails on nothing.
func TestFilter(t *testing.T) {
	s := opened(t, nil)
	c, e := dial(t, s, "?filter=n+%3E%3D+2+and+meta.key+%3D%3D+%22k%22"), get(t, s, "?filter=n+%25+2+%3D%3D+0", "")
	same := dial(t, s, "?filter=n+%3E%3D+2+and+meta.key+%3D%3D+%22k%22")
	clients(t, s, 3)
	write(t, s, append(records(0, 0, 2), record(0, 2, "no JSON")))
	write(t, s, records(0, 2, 3))
	for _, c := range []*websocket.Conn{c, same} {
		wantNext(t, c, `{"lane":0,"n":2}`, `{"lane":0,"n":3}`, `{"lane":0,"n":4}`)
	}
	e.want(t, `{"lane":0,"n":0}`, `{"lane":0,"n":2}`, `{"lane":0,"n":4}`)
}

// TestLast: a client gets the last that fit before it came, and then what comes, without a gap and nothing twice.
func TestLast(t *testing.T) {
	s := opened(t, func(s *Settings) { s.CatchUp, s.Queue = 6, 100 })
	write(t, s, records(0, 0, 20))
	c, e, few := dial(t, s, "?last=3"), get(t, s, "?last=2&filter=n+%25+2+%3D%3D+0", ""), dial(t, s, "?last=6&filter=n+%3C+15")
	clients(t, s, 3)
	write(t, s, records(0, 20, 1))
	wantNext(t, c, `{"lane":0,"n":17}`, `{"lane":0,"n":18}`, `{"lane":0,"n":19}`, `{"lane":0,"n":20}`)
	e.want(t, `{"lane":0,"n":16}`, `{"lane":0,"n":18}`, `{"lane":0,"n":20}`)
	wantNext(t, few, `{"lane":0,"n":14}`) // of the six that are kept for this
}

// TestLastIsBoundedInBytes: catch_up_bytes counts, too.
func TestLastIsBoundedInBytes(t *testing.T) {
	s := opened(t, func(s *Settings) { s.CatchUpBytes = 3000 })
	for i := range 10 {
		write(t, s, []*pipeline.Record{record(0, i, fmt.Sprintf(`{"n":%d,"pad":%q}`, i, strings.Repeat("x", 700)))})
	}
	c := dial(t, s, "?last=9")
	clients(t, s, 1)
	write(t, s, records(0, 10, 1))
	n := 0
	for {
		got, err := next(c)
		if err != nil {
			t.Fatal(err)
		}
		if got == `{"lane":0,"n":10}` {
			break
		}
		n++
	}
	if n < 1 || n > 4 {
		t.Errorf("%d messages of some 1,000 bytes came, of 3,000 bytes at most", n)
	}
}

// TestResume: a client that names the event it got last gets the next one, as long as it is kept; else it is told of the gap.
func TestResume(t *testing.T) {
	s := opened(t, func(s *Settings) { s.CatchUp, s.Queue = 3, 5 })
	e := get(t, s, "", "")
	clients(t, s, 1)
	write(t, s, records(0, 0, 2))
	last := e.want(t, `{"lane":0,"n":0}`, `{"lane":0,"n":1}`)
	e.close()
	clients(t, s, 0)
	write(t, s, records(0, 2, 2))
	e = get(t, s, "", last.id)
	last = e.want(t, `{"lane":0,"n":2}`, `{"lane":0,"n":3}`)
	e.close()
	clients(t, s, 0)
	write(t, s, records(0, 4, 20))
	for _, id := range []string{last.id, "another-3", s.life + "-99", s.life + "-", "x"} {
		e = get(t, s, "", id)
		if got, err := e.next(); err != nil || got.name != "gap" || !strings.Contains(got.data, `"penstock":"gap"`) {
			t.Errorf("%s: got %+v, %v; want word of a gap", id, got, err)
		}
		e.want(t, `{"lane":0,"n":21}`, `{"lane":0,"n":22}`, `{"lane":0,"n":23}`)
		e.close()
	}
}

// TestForms: what a message holds.
func TestForms(t *testing.T) {
	tombstone := new(pipeline.Record)
	tombstone.Init(pipeline.Position{Topic: "t"}, nil, nil, nil, pipeline.NoTime)
	edited := record(0, 0, `{"a":1}`)
	if err := edited.SetInt("a", 2); err != nil {
		t.Fatal(err)
	}
	recs := []*pipeline.Record{edited, record(0, 0, "two\r\nlines"), record(0, 0, ""), tombstone, record(0, 0, "\xff")}
	for as, want := range map[string][]string{
		asValue:   {`{"a":2}`, "two\r\nlines", "", "null", "\xff"},
		asJSON:    {`{"a":2}`, `"two\r\nlines"`, `""`, "null", `"\ufffd"`},
		asFixture: {`{"topic":"t","partition":0,"offset":0,"key":"k","payload_json":{"a":2}}`, `"payload":"two\r\nlines"`, `"payload":""`, `"payload":null`, `"payload_b64":"/w=="`},
	} {
		s := opened(t, func(s *Settings) { s.As = as })
		c := dial(t, s, "")
		clients(t, s, 1)
		write(t, s, recs)
		for i, w := range want {
			got, err := next(c)
			if err != nil || got != w && (as != asFixture || !strings.Contains(got, w)) {
				t.Errorf("%s, record %d: %q, %v; want %q", as, i, got, err, w)
			}
		}
	}
	s := opened(t, nil)
	e := get(t, s, "", "")
	clients(t, s, 1)
	write(t, s, recs[1:2])
	e.want(t, "two\nlines")
}

// TestRefusals: what is wrong with a request is said.
func TestRefusals(t *testing.T) {
	s := opened(t, func(s *Settings) { s.Token = "a-token"; s.Origins = []string{"https://chat.example"} })
	ask := func(method, path string, header ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+s.Addr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			if req.Header.Set(header[i], header[i+1]); header[i] == "Host" {
				req.Host = header[i+1]
			}
		}
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b := make([]byte, 4096)
		n, _ := resp.Body.Read(b)
		return resp.StatusCode, string(b[:n])
	}
	token, stream := "access_token=a-token", []string{"Accept", "text/event-stream"}
	for name, c := range map[string]struct {
		method, path string
		header       []string
		want         int
		says         string
	}{
		"no token":          {"GET", "/live", stream, 401, "token"},
		"another host":      {"GET", "/live?" + token, append([]string{"Host", "evil.example"}, stream...), 421, "hosts"},
		"another site":      {"GET", "/live?" + token, append([]string{"Origin", "https://evil.example"}, stream...), 403, "origins"},
		"neither protocol":  {"GET", "/live?" + token, nil, 426, "text/event-stream"},
		"another path":      {"GET", "/other?" + token, stream, 404, "/live"},
		"another method":    {"POST", "/live?" + token, stream, 405, "GET"},
		"a wrong filter":    {"GET", "/live?" + token + "&filter=n+%3E%3D", stream, 400, "n >=\n      ^"},
		"no condition":      {"GET", "/live?" + token + "&filter=1", stream, 400, "filter: "},
		"a long filter":     {"GET", "/live?" + token + "&filter=" + strings.Repeat("x", 1025), stream, 400, "1024"},
		"too many":          {"GET", "/live?" + token + "&last=1001", stream, 400, "from 0 to 1000"},
		"no number":         {"GET", "/live?" + token + "&last=x", stream, 400, "last is a number"},
		"an unknown name":   {"GET", "/live?" + token + "&fliter=x", stream, 400, "fliter"},
		"two filters":       {"GET", "/live?" + token + "&filter=x&filter=y", stream, 400, "more than once"},
		"an odd query":      {"GET", "/live?a=%zz", append([]string{"Authorization", "Bearer a-token"}, stream...), 400, "encodeURIComponent"},
		"no handshake":      {"GET", "/live?" + token, []string{"Upgrade", "websocket", "Connection", "Upgrade"}, 400, "version"},
		"a site that may":   {"GET", "/live?" + token, append([]string{"Origin", "https://chat.example"}, stream...), 200, "retry"},
		"a token in a head": {"GET", "/live", append([]string{"Authorization", "Bearer a-token"}, stream...), 200, "retry"},
	} {
		status, text := ask(c.method, c.path, c.header...)
		if status != c.want || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d %q, want %d and %q", name, status, text, c.want, c.says)
		}
		if strings.Contains(text, "a-token") {
			t.Errorf("%s: the answer shows the token", name)
		}
	}
	c, err := tryDial(s, "", &websocket.DialOptions{Subprotocols: []string{"penstock", "penstock.token.a-token"}})
	if err != nil {
		t.Fatalf("the token as a subprotocol: %v", err)
	}
	if c.Subprotocol() != "penstock" {
		t.Errorf("the subprotocol is %q", c.Subprotocol())
	}
	_ = c.CloseNow()
}

// TestClientsSendNothing: a client that sends a message is disconnected; pings of its are answered.
func TestClientsSendNothing(t *testing.T) {
	s := opened(t, nil)
	c := dial(t, s, "")
	pinged := make(chan error, 1)
	go func() { pinged <- c.Ping(t.Context()) }()
	go func() {
		<-pinged
		_ = c.Write(t.Context(), websocket.MessageText, []byte("hello"))
	}()
	_, err := next(c)
	var closed websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != websocket.StatusPolicyViolation {
		t.Errorf("the connection ends with %v", err)
	}
	clients(t, s, 0)
}

// TestManyPings: a client that does little but ping is disconnected.
func TestManyPings(t *testing.T) {
	s := opened(t, nil)
	conn := raw(t, s, "")
	clients(t, s, 1)
	ping := []byte{0x89, 0x80, 0, 0, 0, 0} // with an empty mask
	for range 100 {
		if _, err := conn.Write(ping); err != nil {
			break // it has been disconnected
		}
	}
	if text := drain(conn); !bytes.Contains(text, []byte("nothing but a few pings")) || bytes.Count(text, []byte{0x8a, 0}) > mostPings {
		t.Errorf("it ends with %q", text)
	}
	clients(t, s, 0)
}

// TestStop: who watches gets what is there, and is told that the pipeline stops.
func TestStop(t *testing.T) {
	s := opened(t, nil)
	s.grace = graces
	c, e := dial(t, s, ""), get(t, s, "", "")
	clients(t, s, 2)
	write(t, s, records(0, 0, 1000))
	go closed(t, s)
	for i := range 1000 {
		wantNext(t, c, fmt.Sprintf(`{"lane":0,"n":%d}`, i))
		e.want(t, fmt.Sprintf(`{"lane":0,"n":%d}`, i))
	}
	_, err := next(c)
	var over websocket.CloseError
	if !errors.As(err, &over) || over.Code != websocket.StatusGoingAway || !strings.Contains(over.Reason, "stops") {
		t.Errorf("the connection ends with %v", err)
	}
	if got, err := e.next(); err != nil || got.name != "end" {
		t.Errorf("the stream ends with %+v, %v", got, err)
	}
	if s.join(&client{}) {
		t.Error("a client can come after the end")
	}
}
