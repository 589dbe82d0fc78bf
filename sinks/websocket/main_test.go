package websocketsink

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

// settingsOf are those of a test: small, on a port that the system chooses.
func settingsOf(change func(*Settings)) Settings {
	s := Defaults()
	s.Listen = "127.0.0.1:0"
	if change != nil {
		change(&s)
	}
	return s
}

// opened gives a sink that listens, until the end of the test.
func opened(t *testing.T, change func(*Settings)) *Sink {
	t.Helper()
	s, err := New(settingsOf(change))
	if err != nil {
		t.Fatal(err)
	}
	s.grace = grace{drop: 5 * time.Second, close: 50 * time.Millisecond, stop: 100 * time.Millisecond}
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, s) })
	return s
}

func closed(t *testing.T, s *Sink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

// records makes n records of a lane with the numbers from first on.
func records(lane, first, n int) (recs []*pipeline.Record) {
	for i := first; i < first+n; i++ {
		recs = append(recs, record(lane, i, fmt.Sprintf(`{"lane":%d,"n":%d}`, lane, i)))
	}
	return recs
}

func record(lane, n int, value string) *pipeline.Record {
	r := new(pipeline.Record)
	r.Init(pipeline.Position{Topic: "t", Partition: int32(lane), Offset: int64(n)}, []byte("k"), []byte(value), nil, pipeline.NoTime)
	return r
}

func write(t *testing.T, s *Sink, recs []*pipeline.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Write(ctx, recs); err != nil {
		t.Fatal(err)
	}
}

// dial connects over a WebSocket. query begins with ? or is "".
func dial(t *testing.T, s *Sink, query string) *websocket.Conn {
	t.Helper()
	c, err := tryDial(s, query, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func tryDial(s *Sink, query string, o *websocket.DialOptions) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+s.Addr()+"/live"+query, o)
	if err == nil {
		c.SetReadLimit(64 << 20)
	}
	return c, err
}

// next reads a message.
func next(c *websocket.Conn) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, b, err := c.Read(ctx)
	return string(b), err
}

func wantNext(t *testing.T, c *websocket.Conn, want ...string) {
	t.Helper()
	for _, w := range want {
		if got, err := next(c); err != nil || got != w {
			t.Fatalf("got %.200q, %v; want %q", got, err, w)
		}
	}
}

// An event is one of a stream.
type sent struct{ id, name, data string }

// A reader reads a stream of events.
type reader struct {
	*bufio.Reader
	close func()
}

// get asks for a stream.
func get(t *testing.T, s *Sink, query, lastID string) *reader {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+s.Addr()+"/live"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	end := sync.OnceFunc(func() { _ = resp.Body.Close() })
	t.Cleanup(end)
	return &reader{bufio.NewReader(resp.Body), end}
}

var browser = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// next reads an event, past comments.
func (r *reader) next() (e sent, err error) {
	some := false
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "":
			if some {
				return e, nil
			}
		case "id":
			e.id = value
		case "event":
			e.name, some = value, true
		case "data":
			if e.data != "" {
				e.data += "\n"
			}
			e.data += value
			some = true
		}
	}
}

func (r *reader) want(t *testing.T, want ...string) (last sent) {
	t.Helper()
	for _, w := range want {
		got, err := r.next()
		if err != nil || got.data != w {
			t.Fatalf("got %+v, %v; want %q", got, err, w)
		}
		last = got
	}
	return last
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// clients waits until so many clients are connected.
func clients(t *testing.T, s *Sink, n int64) {
	t.Helper()
	until(t, fmt.Sprintf("%d clients", n), func() bool { return s.Report().Clients == n })
}

// raw shakes hands on a connection of its own, which reads nothing by itself, with a small buffer for what comes.
func raw(t *testing.T, s *Sink, query string) net.Conn {
	t.Helper()
	d := net.Dialer{Control: smallBuffer}
	conn, err := d.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	fmt.Fprintf(conn, "GET /live%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", query, s.Addr())
	return conn
}
