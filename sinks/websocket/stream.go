package websocketsink

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A stream is an answer of server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html.
type stream struct {
	sink   *Sink
	to     http.ResponseWriter
	ctl    *http.ResponseController
	head   []byte
	mu     sync.Mutex
	latest time.Time // when all writes have to be done; zero: nothing bounds them yet
}

// begin sends the head of the answer. A browser connects again two seconds after the end, and says what it has got last.
func (s *Sink) begin(w http.ResponseWriter, r *http.Request) (*stream, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	h.Set("Connection", "close")     // the request has no end of its own
	if origin := r.Header.Get("Origin"); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin) // the server has looked at it
		h.Set("Vary", "Origin")
	}
	out := &stream{sink: s, to: w, ctl: http.NewResponseController(w)}
	return out, out.text("retry: 2000\n\n")
}

// within sets the time of the next write.
func (s *stream) within(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	by := time.Now().Add(d)
	if !s.latest.IsZero() && s.latest.Before(by) {
		by = s.latest
	}
	_ = s.ctl.SetWriteDeadline(by)
}

// hurry implements line.
func (s *stream) hurry(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if by := time.Now().Add(d); s.latest.IsZero() || by.Before(s.latest) {
		s.latest = by
	}
	_ = s.ctl.SetWriteDeadline(s.latest)
}

// send implements line. The payload of a message goes out as it stands, line by line: it is copied for nobody.
func (s *stream) send(all []*message) error {
	for _, m := range all {
		s.head = strconv.AppendUint(append(append(append(s.head[:0], "id: "...), s.sink.life...), '-'), m.number, 10)
		if err := s.event(append(s.head, '\n'), m.payload()); err != nil {
			return err
		}
	}
	return s.ctl.Flush()
}

// event writes an event: what stands before its data, and its data. A line break in it, of whatever kind, comes to the client as \n.
func (s *stream) event(head, data []byte) error {
	if err := s.write(head); err != nil {
		return err
	}
	for {
		i := bytes.IndexAny(data, "\r\n")
		line := data
		if i >= 0 {
			line = data[:i]
		}
		if err := errors.Join(s.write(dataHead), s.write(line), s.write(lineEnd)); err != nil {
			return err
		}
		if i < 0 {
			return s.write(lineEnd)
		}
		if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
			i++
		}
		data = data[i+1:]
	}
}

var dataHead, lineEnd = []byte("data: "), []byte("\n")

// write writes in pieces, each of which has its own time.
func (s *stream) write(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), sendBytes)
		s.within(s.sink.settings.timeout())
		if _, err := s.to.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (s *stream) text(text string) error {
	if err := s.write([]byte(text)); err != nil {
		return err
	}
	return s.ctl.Flush()
}

// ping implements line: a comment, which tells whether the connection is still there.
func (s *stream) ping() error { return s.text(":\n\n") }

// gap implements line.
func (s *stream) gap(text string) error {
	return s.notice("gap", text)
}

func (s *stream) notice(name, text string) error {
	if err := s.event([]byte("event: "+name+"\n"), notice(name, text)); err != nil {
		return err
	}
	return s.ctl.Flush()
}

// end implements line. The connection is closed when the handler returns.
func (s *stream) end(f farewell) {
	s.hurry(s.sink.grace.drop)
	name := "end"
	switch f.reason {
	case goneItself:
		return
	case goneTooSlow:
		name = "dropped"
	}
	_ = s.notice(name, f.text)
}

// notice is what a client is told beside records. An object of a record's value that has the member penstock would look like it; a fixture
// line has none.
func notice(what, text string) []byte {
	return []byte(`{"penstock":` + strconv.Quote(what) + `,"reason":` + strconv.Quote(text) + `}`) // of plain ASCII, which JSON quotes alike
}
