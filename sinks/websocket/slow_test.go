package websocketsink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// large makes a record that no buffer of a connection holds many of.
func large(lane, n int) *pipeline.Record {
	return record(lane, n, fmt.Sprintf(`{"lane":%d,"n":%d,"pad":"`, lane, n)+pad+`"}`)
}

var pad = strings.Repeat("x", 100<<10)

// drain reads to the end of a connection.
func drain(conn net.Conn) []byte {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	b, _ := io.ReadAll(conn)
	return b
}

// TestSlowClientsAreDropped: one that stops reading is disconnected when the queue is full, over both protocols, with a notice; the
// others and the pipeline go on.
func TestSlowClientsAreDropped(t *testing.T) {
	var log lockedBuffer
	s, err := New(settingsOf(func(s *Settings) { s.Queue, s.QueueBytes = 60, 64<<20 }))
	if err != nil {
		t.Fatal(err)
	}
	s.grace.close, s.grace.stop = 50*time.Millisecond, 100*time.Millisecond
	s.Attach(event.New(&log, event.Options{}).Pipeline("p").Step("live"))
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer closed(t, s)
	c := dial(t, s, "")
	stopped := raw(t, s, "")
	stoppedEvents := rawStream(t, s, "")
	clients(t, s, 3)
	cut := func() (n int) {
		s.each(func(c *client) {
			if c.isDropped() {
				n++
			}
		})
		return n
	}
	for n := 0; cut() < 2; n++ { // until the system's buffers are full
		write(t, s, []*pipeline.Record{large(0, n)})
		if got, err := next(c); err != nil || !strings.HasPrefix(got, fmt.Sprintf(`{"lane":0,"n":%d,`, n)) {
			t.Fatalf("message %d: %.40q, %v", n, got, err)
		}
		if n > 1000 {
			t.Fatal("no client was dropped")
		}
	}
	// They may still take what is on its way: then the notice.
	var text, events []byte
	var both sync.WaitGroup
	both.Go(func() { text = drain(stopped) })
	both.Go(func() { events = drain(stoppedEvents) })
	both.Wait()
	if !bytes.Contains(text, []byte(`{"penstock":"dropped","reason":"too slow: `)) || !bytes.Contains(text, append([]byte{0x0f, 0xa8}, "too slow: "...)) {
		t.Errorf("the WebSocket ends with %.200q, want a notice and the status 4008", text[max(0, len(text)-200):])
	}
	if !bytes.Contains(events, []byte("event: dropped\ndata: {\"penstock\":\"dropped\",\"reason\":\"too slow: ")) {
		t.Errorf("the events end with %.200q, want a notice", events[max(0, len(events)-200):])
	}
	clients(t, s, 1)
	if r := s.Report(); r.ClientsDropped != 2 {
		t.Errorf("%d clients were dropped, want 2", r.ClientsDropped)
	}
	var told struct {
		Sink       string `json:"sink"`
		ClientAddr string `json:"client_addr"`
		Reason     string `json:"reason"`
		Behind     int64  `json:"behind"`
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, `"client.dropped"`) {
			if err := json.Unmarshal([]byte(line), &told); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if told.Sink != "live" || !strings.HasPrefix(told.ClientAddr, "127.0.0.1:") || told.Reason != "too_slow" || told.Behind < 60 {
		t.Errorf("the event is %+v; the log:\n%s", told, log.String())
	}
}

// TestStoppedClientsLoseTheConnection: one that does not even take the notice is cut off.
func TestStoppedClientsLoseTheConnection(t *testing.T) {
	s := opened(t, func(s *Settings) { s.Queue = 1_000_000; s.QueueBytes = 1 << 30; s.WriteTimeout = 50 * time.Millisecond })
	stopped := raw(t, s, "")
	clients(t, s, 1)
	for i := range 100 {
		write(t, s, []*pipeline.Record{large(0, i)})
	}
	clients(t, s, 0)
	if r := s.Report(); r.ClientsDropped != 1 {
		t.Errorf("%d clients were dropped, want 1", r.ClientsDropped)
	}
	drain(stopped) // it has an end
}

// TestWaitForSlowClients: with slow: wait the pipeline waits for a client that is slow, loses none of its messages, and drops it when it stands still for
// max_wait.
func TestWaitForSlowClients(t *testing.T) {
	s := opened(t, func(s *Settings) { s.Slow, s.Queue, s.QueueBytes, s.MaxWait = slowWait, 4, 1<<10, time.Hour })
	slow := dial(t, s, "")
	stopped := raw(t, s, "")
	clients(t, s, 2)
	var written atomic.Int64
	done := make(chan error, 1)
	const all = 100
	go func() {
		for i := range all {
			if err := s.Write(t.Context(), []*pipeline.Record{large(0, i)}); err != nil {
				done <- err
				return
			}
			written.Add(1)
		}
		done <- nil
	}()
	for i := range 3 {
		if got, err := next(slow); err != nil || !strings.HasPrefix(got, fmt.Sprintf(`{"lane":0,"n":%d,`, i)) {
			t.Fatalf("message %d: %.40q, %v", i, got, err)
		}
	}
	until(t, "the pipeline waits", s.waiting.Load)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Write(ctx, records(1, 0, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("a write whose time is over gives %v", err)
	}
	if n := written.Load(); n >= all {
		t.Fatalf("all %d records were written, though a client stands still", n)
	}
	_ = stopped.Close() // who leaves is not waited for
	for i := 3; i < all; i++ {
		if got, err := next(slow); err != nil || !strings.HasPrefix(got, fmt.Sprintf(`{"lane":0,"n":%d,`, i)) {
			t.Fatalf("message %d: %.40q, %v", i, got, err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r := s.Report(); r.ClientsDropped != 0 {
		t.Errorf("%d clients were dropped", r.ClientsDropped)
	}
}

// TestMaxWait: a client for which the pipeline has waited long enough is dropped.
func TestMaxWait(t *testing.T) {
	s := opened(t, func(s *Settings) { s.Slow, s.Queue, s.MaxWait = slowWait, 4, 50*time.Millisecond })
	s.grace.drop = 50 * time.Millisecond
	raw(t, s, "")
	clients(t, s, 1)
	for i := range 100 {
		write(t, s, []*pipeline.Record{large(0, i)})
	}
	until(t, "the client is dropped", func() bool { return s.Report().ClientsDropped == 1 })
}

// TestWriteSaysWhatIsNotThere: of a write whose time ends while it waits the rest is to be tried again.
func TestWriteSaysWhatIsNotThere(t *testing.T) {
	s := opened(t, func(s *Settings) { s.Slow, s.Queue, s.MaxWait = slowWait, 4, time.Hour })
	raw(t, s, "")
	clients(t, s, 1)
	var recs []*pipeline.Record
	for i := range 100 {
		recs = append(recs, large(0, i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		until(t, "the pipeline waits", func() bool { _, next, _ := s.shelf.ends(); return s.waiting.Load() && next > 1 })
		cancel()
	}()
	err := s.Write(ctx, recs)
	var partial *pipeline.WriteError
	if !errors.As(err, &partial) {
		t.Fatalf("the write gives %v", err)
	}
	_, next, _ := s.shelf.ends()
	if first := partial.Failed[0].Index; first != int(next-1) || len(partial.Failed) != 100-first {
		t.Errorf("%d of 100 records are there, and %d from %d on are said to be missing", next-1, len(partial.Failed), first)
	}
}

// TestOrder: each client sees each lane in its order, whatever goes on beside it: one that does not read, and one that reads a byte at a time.
func TestOrder(t *testing.T) {
	const lanes, each, watchers = 4, 500, 8
	s := opened(t, nil)
	for i := range 40 {
		write(t, s, []*pipeline.Record{large(9, i)})
	}
	raw(t, s, "?last=40")
	slow := raw(t, s, "?last=40")
	go func() {
		for one := make([]byte, 1); ; time.Sleep(time.Millisecond) {
			if _, err := slow.Read(one); err != nil {
				return
			}
		}
	}()
	var seen sync.WaitGroup
	for i := range watchers {
		filter := ""
		if i%2 == 1 {
			filter = "?filter=n+%25+3+%21%3D+0"
		}
		c := dial(t, s, filter)
		seen.Go(func() {
			last, want := map[int]int{}, lanes*(each-1)
			for lane := range lanes {
				last[lane] = -1
			}
			for got := 0; got < want; {
				text, err := next(c)
				var is struct{ Lane, N int }
				if err := errors.Join(err, json.Unmarshal([]byte(text), &is)); err != nil {
					t.Error(err)
					return
				}
				for n := last[is.Lane] + 1; n < is.N; n++ {
					if filter == "" || n%3 != 0 {
						t.Errorf("lane %d: %d came behind %d", is.Lane, is.N, last[is.Lane])
						return
					}
				}
				if is.N <= last[is.Lane] {
					t.Errorf("lane %d: %d came behind %d", is.Lane, is.N, last[is.Lane])
				}
				got += is.N - max(last[is.Lane], 0)
				last[is.Lane] = is.N
			}
		})
	}
	clients(t, s, watchers+2)
	var writing sync.WaitGroup
	for lane := range lanes {
		writing.Go(func() {
			for n := 0; n < each; n += 10 {
				write(t, s, records(lane, n, 10))
			}
		})
	}
	writing.Wait()
	seen.Wait()
}

// TestMemoryIsCharged: what is kept is charged, within the bounds, and given back at the end, also what clients were sending.
func TestMemoryIsCharged(t *testing.T) {
	var charged, most atomic.Int64
	s, err := New(settingsOf(func(s *Settings) {
		s.CatchUp, s.Queue, s.CatchUpBytes, s.QueueBytes = 10, 10, 1<<20, 1<<20
		s.WriteTimeout = 100 * time.Millisecond
	}))
	if err != nil {
		t.Fatal(err)
	}
	s.grace.stop = 100 * time.Millisecond
	s.Account(func(n int64) {
		now := charged.Add(n)
		if now < 0 {
			t.Error("more was given back than was charged")
		}
		for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
		}
	})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw(t, s, "")
	get(t, s, "", "")
	clients(t, s, 2)
	for i := range 100 {
		write(t, s, []*pipeline.Record{large(0, i)})
	}
	bound := int64(2<<20 + 120<<10)
	held := int64(2 * 2 * 120 << 10) // what each of two clients is sending
	if m := most.Load(); m < 1<<20 || m > bound+held {
		t.Errorf("at most %d bytes were charged, want some 2 MiB", m)
	}
	closed(t, s)
	if n := charged.Load(); n != 0 {
		t.Errorf("%d bytes stay charged at the end", n)
	}
}

// TestSilentClientsAreDropped: one that does not answer pings is disconnected.
func TestSilentClientsAreDropped(t *testing.T) {
	s := opened(t, func(s *Settings) { s.Ping = 20 * time.Millisecond })
	c := dial(t, s, "")
	alive := make(chan error, 1)
	go func() { _, err := next(c); alive <- err }()
	conn := raw(t, s, "")
	text := drain(conn)
	if !bytes.Contains(text, append([]byte{0x03, 0xf0}, "no answer"...)) {
		t.Errorf("it ends with %q", text)
	}
	clients(t, s, 1)
	write(t, s, records(0, 0, 1))
	if err := <-alive; err != nil {
		t.Errorf("a client that answers pings: %v", err)
	}
	_ = c.Close(websocket.StatusNormalClosure, "")
	clients(t, s, 0)
}

// TestTooManyClients: as many as the settings say can watch, and one too many is told so.
func TestTooManyClients(t *testing.T) {
	for _, most := range []int{1, 4, 40} {
		s := opened(t, func(s *Settings) { s.MaxConnections = most })
		for range most {
			dial(t, s, "")
		}
		clients(t, s, int64(most))
		if _, err := tryDial(s, "", nil); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("number %d gets %v", most+1, err)
		}
	}
}

// TestIdleClientsTakeNothingOfTheBudget: however many watch, what records may take stays the same.
func TestIdleClientsTakeNothingOfTheBudget(t *testing.T) {
	var charged atomic.Int64
	s, err := New(settingsOf(nil))
	if err != nil {
		t.Fatal(err)
	}
	s.grace.close, s.grace.stop = 50*time.Millisecond, 100*time.Millisecond
	s.Account(func(n int64) { charged.Add(n) })
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer closed(t, s)
	for range 10 {
		dial(t, s, "")
		get(t, s, "?filter=n%3E3", "")
	}
	clients(t, s, 20)
	if n := charged.Load(); n != 0 {
		t.Errorf("20 clients are charged with %d bytes", n)
	}
}

// rawStream asks for a stream of events on a connection that nobody reads.
func rawStream(t *testing.T, s *Sink, query string) net.Conn {
	t.Helper()
	d := net.Dialer{Control: smallBuffer}
	conn, err := d.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	fmt.Fprintf(conn, "GET /live%s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", query, s.Addr())
	return conn
}

// A lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}
