package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// An answer is one line of answers/http.jsonl: what a case's server says to a request.
// Several lines for one request are given one after another, the last one again and
// again.
type answer struct {
	Method  string          `json:"method"`   // default: GET
	URL     string          `json:"url"`      // path and query; ${HTTP} before it is allowed
	Status  int             `json:"status"`   // default: 200
	Headers answerHeaders   `json:"headers"`  // an object, or flat: name, value, name, value
	Body    json.RawMessage `json:"body"`     // a string is sent as it is, anything else as JSON
	DelayMs int             `json:"delay_ms"` // before the answer
}

// answerHeaders are names and values in turn.
type answerHeaders []string

// UnmarshalJSON reads an object of names and values, or a flat array of them.
func (h *answerHeaders) UnmarshalJSON(text []byte) error {
	const form = `headers is an object, {"name": "value"}, or a flat list: name, value, name, value`
	var flat []any
	if text[0] == '{' {
		jsontext.Members(text, func(quoted, value []byte) bool {
			flat = append(flat, jsontext.Unquote(quoted))
			if value[0] != '"' {
				flat = append(flat, nil)
			} else {
				flat = append(flat, jsontext.Unquote(value))
			}
			return true
		})
	} else if json.Unmarshal(text, &flat) != nil || len(flat)%2 != 0 {
		return errors.New(form)
	}
	for _, part := range flat {
		text, ok := part.(string)
		if !ok {
			return errors.New(form)
		}
		*h = append(*h, text)
	}
	return nil
}

// answerForms are what the fields of an answer are.
var answerForms = map[string]string{
	"method": `a text, as "POST"`, "url": "a text: a path like /weather/DTW, with ${HTTP} before it or not", "status": "a whole number from 200 to 599",
	"delay_ms": "a whole number of milliseconds",
}

// readAnswer reads one line.
func readAnswer(line []byte) (a answer, err error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	err = dec.Decode(&a)
	var of *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &of) && of.Field == "":
		return a, fmt.Errorf("an answer is an object with %s", answerFields)
	case errors.As(err, &of):
		return a, fmt.Errorf("%s is %s", of.Field, answerForms[of.Field])
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		return a, errors.New("not valid JSON; an answer is one JSON object a line")
	case err != nil:
		if text, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
			return a, fmt.Errorf("unknown field %s; an answer has %s", text, answerFields)
		}
		return a, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return a, errors.New("there is more behind the answer; it is one JSON object a line")
	}
	u, err := url.Parse(strings.TrimPrefix(a.URL, "${HTTP}"))
	switch {
	case err != nil || !strings.HasPrefix(u.Path, "/"):
		return a, errors.New("url is a path like /weather/DTW, with ${HTTP} before it or not")
	case a.Status != 0 && (a.Status < 200 || a.Status > 599):
		return a, fmt.Errorf("status %d is none", a.Status)
	}
	a.URL = u.RequestURI()
	return a, nil
}

const answerFields = "method, url, status, headers, body, delay_ms"

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
		a, err := readAnswer(line)
		if err != nil {
			return fmt.Errorf("reading answers: %s:%d: %w", file, n, err)
		}
		key := cmp.Or(a.Method, http.MethodGet) + " " + a.URL
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
