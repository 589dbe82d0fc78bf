package http

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
)

// say sends bytes over a connection of their own.
func (r *rig) say(text string) *net.TCPConn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.src.server.Addr())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // a socket of this machine takes it
	if _, err := io.WriteString(conn, text); err != nil {
		r.t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// hear reads an answer.
func hear(t *testing.T, conn net.Conn) answer {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

const beginsAsJSON = "POST /records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

// TestNobodyIsToldTwoHundredForNothing: a caller whose body does not come whole, or who closes its side before the outcome is known, may
// still read: it is not told that its records are stored.
func TestNobodyIsToldTwoHundredForNothing(t *testing.T) {
	for name, c := range map[string]struct {
		rest   string
		status int
		part   string
	}{
		"a body that is cut":               {"Content-Length: 20\r\n\r\n{\"a\":1}", 499, `"stored":"no"`},
		"a body that is cut at its chunks": {"Transfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n", 499, `"stored":"no"`},
		"chunks that are none":             {"Transfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\nxyz\r\n", 400, `"invalid"`},
		"no outcome yet":                   {"Content-Length: 7\r\n\r\n{\"a\":1}", 499, `"stored":"maybe"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			g := r.gated()
			r.start()
			t.Cleanup(func() { close(g.open) })
			conn := r.say(beginsAsJSON + c.rest)
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			hear(t, conn).want(t, c.status, c.part)
		})
	}
}

// TestStrangersHoldNoPlace: who may not post, and does not send the body that was announced, is answered at once and holds no place that others need.
func TestStrangersHoldNoPlace(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.Token, s.MaxConnections = "secret-of-ours", 4 }).start()
	for range 4 {
		conn := r.say(beginsAsJSON + "Content-Length: 10\r\n\r\n")
		hear(t, conn).want(t, 401, "token")
	}
	r.post("1", "Authorization", "Bearer secret-of-ours").want(t, 200)
}

// TestARefusedBodyIsNotWaitedForLong: who may post and is refused is answered, also when the body that was announced never comes.
func TestARefusedBodyIsNotWaitedForLong(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.BodyTime = 200 * time.Millisecond }).start()
	conn := r.say("POST /records HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/html\r\nContent-Length: 10\r\n\r\n")
	hear(t, conn).want(t, 415, "Content-Type")
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection goes on: %v", err)
	}
}

// TestWaitingForRoomIsNoSlowBody: while a request waits for room nobody reads its body, so that time is not the caller's.
func TestWaitingForRoomIsNoSlowBody(t *testing.T) {
	r := newRig(t, func(s *Settings) {
		s.Lanes, s.Wait, s.BodyTime, s.Answer = 1, time.Minute, 100*time.Millisecond, Accepted
	})
	r.budget = engine.NewBudget(100, 64<<10)
	r.start()
	all, err := r.src.lines[0].lane.Take(t.Context(), 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	got := r.later(`"` + strings.Repeat("x", 20<<10) + `"`)
	time.Sleep(3 * r.src.settings.BodyTime)
	all.Release()
	soon(t, got).want(t, 202)
}

// TestAKeyOfACallerThatLeavesAtTheEnd: what became of its records is remembered also when the source is being closed at that moment.
func TestAKeyOfACallerThatLeavesAtTheEnd(t *testing.T) {
	s := Defaults()
	s.Listen, s.Idempotency = "127.0.0.1:0", &Idempotency{Keep: time.Hour, Size: 1000}
	src, err := New(s, "orders")
	if err != nil {
		t.Fatal(err)
	}
	done, _ := src.work.begin()
	close(src.closed)
	src.work.ended = true
	left, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 100 { // which of several ends is seen first is left to chance
		e, _ := src.memory.begin(fmt.Sprint(i), [32]byte{})
		p := &post{charge: freeCharge{}, taken: make(chan struct{}), done: make(chan struct{})}
		_, _ = src.pass(httptest.NewRequest("POST", "/records", nil).WithContext(left), p, e)
		select {
		case <-e.ended:
		default:
			t.Fatal("nobody remembers what became of the records")
		}
	}
	done()
}

// A freeCharge holds nothing.
type freeCharge struct{ pipeline.Charge }

func (freeCharge) Release() {}
