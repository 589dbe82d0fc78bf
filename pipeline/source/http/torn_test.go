package http

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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

// TestNobodyIsToldTwoHundredForNothing: a caller whose body does not come whole may still read: it is not told that its records are stored.
func TestNobodyIsToldTwoHundredForNothing(t *testing.T) {
	const noChunk = "Transfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\nxyz\r\n"
	for name, c := range map[string]struct {
		rest string
		half bool // it closes its side
	}{
		"a body that is cut":                {"Content-Length: 20\r\n\r\n{\"a\":1}", true},
		"a body that is cut at its chunks":  {"Transfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n", true},
		"a body of gzip that is cut":        {"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n\x1f\x8b\x08", true},
		"chunks that are none":              {noChunk, true},
		"chunks that are none, and go on":   {noChunk, false},
		"a known key with a body that ends": {"Idempotency-Key: known\r\nContent-Length: 20\r\n\r\n{\"a\":1}", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, remembering("")).start()
			r.post("1", "Idempotency-Key", "known").want(t, 200)
			conn := r.say(beginsAsJSON + c.rest)
			if c.half {
				if err := conn.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			hear(t, conn).want(t, 400, `"invalid"`)
			if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection goes on: %v", err)
			}
			if got := r.values(); len(got) != 1 {
				t.Errorf("stored %q", got)
			}
		})
	}
}

// TestWhoClosesOneSideIsAnswered: a caller that says no more hears what became of its records, and so does one that asks for them by their key.
func TestWhoClosesOneSideIsAnswered(t *testing.T) {
	r := newRig(t, remembering(""))
	g := r.gated()
	r.start()
	request := beginsAsJSON + "Idempotency-Key: a\r\nContent-Length: 7\r\n\r\n{\"a\":1}"
	var conns []net.Conn
	for i := range 2 {
		conn := r.say(request)
		waitFor(t, "it waits", func() bool { return int(r.src.Report().RequestsWaiting) == i+1 })
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	time.Sleep(50 * time.Millisecond) // so that the server sees it
	close(g.open)
	for _, conn := range conns {
		hear(t, conn).want(t, 200, `{"records":1}`)
	}
	if got := r.values(); len(got) != 1 {
		t.Errorf("stored %q", got)
	}
}

// TestWhoLeavesBeforeThereIsRoom: nothing of it is taken, and it may read so.
func TestWhoLeavesBeforeThereIsRoom(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.Lanes, s.Wait = 1, time.Minute })
	r.budget = engine.NewBudget(100, 64<<10)
	r.start()
	l := r.src.lines[0]
	l.alone.Lock() // another body grows beyond the budget
	defer l.alone.Unlock()
	held, err := l.lane.Take(t.Context(), 56<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	body := packed(t, "gzip", "1")
	conn := r.say(beginsAsJSON + fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	hear(t, conn).want(t, 499, `"gone"`, `"stored":"no"`)
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

// TestAKeyThatHasNoOutcomeAtTheEnd: what became of its records is noted also when the time of its request is over while the source is being closed.
func TestAKeyThatHasNoOutcomeAtTheEnd(t *testing.T) {
	s := Defaults()
	s.Listen, s.Idempotency = "127.0.0.1:0", &Idempotency{Keep: time.Hour, Size: 1000}
	src, err := New(s, "orders")
	if err != nil {
		t.Fatal(err)
	}
	src.settings.AnswerWithin = 0
	done, _ := src.work.begin()
	close(src.closed)
	src.work.ended = true
	for i := range 100 { // which of several ends is seen first is left to chance
		e, _ := src.memory.begin(fmt.Sprint(i), [32]byte{})
		p := &post{charge: freeCharge{}, taken: make(chan struct{}), done: make(chan struct{})}
		_, _ = src.pass(p, e, nil)
		select {
		case <-e.ended:
		default:
			t.Fatal("nobody notes what became of the records")
		}
	}
	done()
}

// A freeCharge holds nothing.
type freeCharge struct{ pipeline.Charge }

func (freeCharge) Release() {}
