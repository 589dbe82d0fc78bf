package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// An answer is one line of answers/http.jsonl: what a case's server says to a request.
// Several lines for one request are given one after another, the last one again and
// again.
type answer struct {
	Method  string          `json:"method"`   // default: GET
	URL     string          `json:"url"`      // path and query; ${HTTP} before it is allowed
	Status  int             `json:"status"`   // default: 200
	Headers []string        `json:"headers"`  // flat: name, value, name, value
	Body    json.RawMessage `json:"body"`     // a string is sent as it is, anything else as JSON
	DelayMs int             `json:"delay_ms"` // before the answer
}

// An answerServer answers requests on loopback from a file.
type answerServer struct {
	base   string // http://127.0.0.1:port
	server *http.Server

	mu      sync.Mutex
	answers map[string][]answer // by method and URL
	unknown []string            // requests for which the file has no answer
}

// serveAnswers reads the file and listens. The caller closes the server. Without the file it
// is a server that has no answers, so that a request that nobody expected is still seen.
func serveAnswers(file string) (*answerServer, error) {
	s := &answerServer{answers: map[string][]answer{}}
	if err := s.read(file); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serving %s: %w", file, err)
	}
	s.base = "http://" + l.Addr().String()
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(l) }() // ends with close
	return s, nil
}

func (s *answerServer) read(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading answers: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 64<<20)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		a := answer{}
		if err := dec.Decode(&a); err != nil {
			return fmt.Errorf("reading answers: %s:%d: %w", file, n, err)
		}
		u, err := url.Parse(strings.TrimPrefix(a.URL, "${HTTP}"))
		switch {
		case err != nil || !strings.HasPrefix(u.Path, "/"):
			return fmt.Errorf("reading answers: %s:%d: url is a path like /weather/DTW, with ${HTTP} before it or not", file, n)
		case len(a.Headers)%2 != 0:
			return fmt.Errorf("reading answers: %s:%d: headers is a flat list: name, value, name, value", file, n)
		case a.Status != 0 && (a.Status < 200 || a.Status > 599):
			return fmt.Errorf("reading answers: %s:%d: status %d is none", file, n, a.Status)
		}
		key := cmp.Or(a.Method, http.MethodGet) + " " + u.RequestURI()
		s.answers[key] = append(s.answers[key], a)
	}
	return lines.Err()
}

// ServeHTTP answers one request.
func (s *answerServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Method + " " + r.URL.RequestURI()
	s.mu.Lock()
	known := s.answers[key]
	if len(known) > 1 {
		s.answers[key] = known[1:]
	}
	if len(known) == 0 && !slices.Contains(s.unknown, key) {
		s.unknown = append(s.unknown, key)
	}
	s.mu.Unlock()
	if len(known) == 0 {
		http.Error(w, "answers/http.jsonl has no answer for "+key, http.StatusNotFound)
		return
	}
	a := known[0]
	if a.DelayMs > 0 {
		timer := time.NewTimer(time.Duration(a.DelayMs) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	body := []byte(a.Body)
	var text string
	if json.Unmarshal(body, &text) == nil {
		body = []byte(text)
	} else if len(body) > 0 {
		w.Header().Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(a.Headers); i += 2 {
		w.Header().Set(a.Headers[i], a.Headers[i+1])
	}
	w.WriteHeader(cmp.Or(a.Status, http.StatusOK))
	_, _ = w.Write(body) // a client that went away is its own business
}

// unanswered gives the requests for which the file has no answer.
func (s *answerServer) unanswered() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unknown)
}

// hideAddress puts ${HTTP} in place of the server's address, which has another port in each
// run.
func (s *answerServer) hideAddress(text []byte) []byte {
	host := strings.TrimPrefix(s.base, "http://")
	if !bytes.Contains(text, []byte(host)) {
		return text
	}
	text = bytes.ReplaceAll(text, []byte(s.base), []byte("${HTTP}"))
	return bytes.ReplaceAll(text, []byte(host), []byte("${HTTP}"))
}

func (s *answerServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
}
