package admin

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Streams are answers without an end, of server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html). Each is written by the goroutine of its own
// request and takes what it shows from a place that all share, so a reader that is slow, or reads nothing,
// holds up nobody else.

const (
	mostStreams    = 16               // at once: the other places are for probes, scrapers and people
	streamPatience = 10 * time.Second // streams.patience
	heartbeat      = 10 * time.Second // the longest silence of a stream
)

// streams bounds the streams of a server, and ends them.
type streams struct {
	patience time.Duration // how long a reader may let one write wait
	ending   chan struct{} // closed: the server shuts down
	once     sync.Once

	mu   sync.Mutex
	open int
}

func (s *streams) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= mostStreams {
		return false
	}
	s.open++
	return true
}

func (s *streams) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}

func (s *streams) end() { s.once.Do(func() { close(s.ending) }) }

// Why a stream ends although its reader is there.
var (
	errStreamEnds = errors.New("the process ends")
	errNoRight    = errors.New("the token is another one by now")
)

// A stream is one of them.
type stream struct {
	to   http.ResponseWriter
	ctl  *http.ResponseController
	r    *http.Request
	all  *streams
	may  func() bool // the reader has the right to read on
	text []byte      // of events that are not sent yet
}

// streamed makes the handler of a path that answers with a stream. prepare reads the request, and may refuse it as
// shows does; follow writes until it has an error.
func (s *Server) streamed(prepare func(*http.Request) (follow func(*stream) error, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		follow, err := prepare(r)
		if err != nil {
			refuseAs(w, err)
			return
		}
		if !s.streams.enter() {
			busy(w, "too many streams are being read")
			return
		}
		defer s.streams.leave()
		h := w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Accel-Buffering", "no") // nginx would hold events back
		h.Set("Connection", "close")     // the answer has no end of its own
		if r.Method == http.MethodHead {
			return
		}
		out := &stream{to: w, ctl: http.NewResponseController(w), r: r, all: &s.streams, may: func() bool { return s.server.Authorized(r) }}
		out.text = append(out.text, "retry: 2000\n\n"...)
		if err := follow(out); errors.Is(err, errStreamEnds) {
			out.event("end", "", `{"reason":"the process ends"}`)
			_ = out.flush()
		}
	})
}

// event adds an event; data is a line. "" leaves name or id out.
func (s *stream) event(name, id, data string) {
	if name != "" {
		s.text = append(append(append(s.text, "event: "...), name...), '\n')
	}
	if id != "" {
		s.text = append(append(append(s.text, "id: "...), id...), '\n')
	}
	s.text = append(append(append(s.text, "data: "...), data...), "\n\n"...)
}

// flush sends what has been added. A stream may be read for days, and its token change meanwhile: so it is looked at each time.
func (s *stream) flush() error {
	if !s.may() {
		return errNoRight
	}
	_ = s.ctl.SetWriteDeadline(time.Now().Add(s.all.patience))
	_, err := s.to.Write(s.text)
	if s.text = s.text[:0]; err != nil {
		return err
	}
	return s.ctl.Flush()
}

// wait waits until more is closed or the time has come, and sends a comment before that as often as readers need to
// know that the connection is there. nil: for no such thing. The error is that the reader has gone, or the server ends.
func (s *stream) wait(more <-chan struct{}, d time.Duration) error {
	var due <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		due = timer.C
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-s.all.ending:
			return errStreamEnds
		case <-s.r.Context().Done():
			return s.r.Context().Err()
		case <-more:
			return nil
		case <-due:
			return nil
		case <-beat.C:
			s.text = append(s.text, ":\n\n"...)
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
}

// frames are the answers of /api/v1/stats that all streams share: one is made in a second, however many read it, and none
// while nobody does.
type frames struct {
	make func() ([]byte, error)

	mu     sync.Mutex
	number int64
	second int64
	text   string
}

// latest gives the frame of this second.
func (f *frames) latest() (number int64, text string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now().Unix(); f.text == "" || now != f.second {
		text, err := f.make()
		if err != nil {
			return 0, "", err
		}
		f.number, f.second, f.text = f.number+1, now, string(text)
	}
	return f.number, f.text, nil
}

// statsStream answers /api/v1/stats/stream.
func (s *Server) statsStream() http.Handler {
	return s.streamed(func(r *http.Request) (func(*stream) error, error) {
		asked, err := parameters(r, "every")
		if err != nil {
			return nil, err
		}
		every := time.Second
		if text, given := asked["every"]; given {
			if every, err = time.ParseDuration(text); err != nil || every < time.Second || every > time.Minute || every%time.Second != 0 {
				return nil, errors.New("every is a number of seconds from 1s to 60s")
			}
		}
		return func(out *stream) error {
			for sent := int64(0); ; {
				number, text, err := s.frames.latest()
				if err != nil {
					return err
				}
				if number != sent {
					out.event("stats", strconv.FormatInt(number, 10), text)
					if err := out.flush(); err != nil {
						return err
					}
					sent = number
				}
				now := time.Now()
				if err := out.wait(nil, now.Truncate(every).Add(every).Sub(now)); err != nil { // all of them at the same moment
					return err
				}
			}
		}, nil
	})
}
