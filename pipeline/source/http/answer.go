package http

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A refusal says why a request is not taken, or what is known of one that was taken and has no outcome. It is answered as
// application/problem+json (RFC 9457).
type refusal struct {
	status int
	reason string // of the figures, and for programs: one of reasons
	header http.Header
	detail string
	retry  time.Duration // after which to come again; 0: it says nothing
	stored string        // of a request that was taken: "no" or "maybe"
	close  bool          // the connection ends with the answer
}

// statusGone is for requests whose caller has left before they were taken. It is sent all the same: who has closed one side of the
// connection alone may read on, and the server would answer 200 in its place.
const statusGone = 499

// reasons are what a refusal may have.
var reasons = []string{
	"host", "origin", "token", "path", "method", "content_type", "content_encoding", "invalid", "too_large", "too_many_records", "slow_body",
	"idempotency_key", "key_reused", "rate", "no_room", "connections", "stopping", "lane_ended", "given_up", "no_outcome", "key_file", "gone",
}

func stops() *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, reason: "stopping", retry: 2 * time.Second, close: true, stored: "no",
		detail: "the pipeline stops, nothing of the request was taken: send it again",
	}
}

func gone() *refusal {
	return &refusal{
		status: statusGone, reason: "gone", close: true, stored: "no",
		detail: "the caller has closed its side of the connection before its records were taken, nothing of them was: keep it open until the answer has come",
	}
}

func laneLost() *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, reason: "lane_ended", retry: time.Second, stored: "no",
		detail: "the pipeline has ended the lane, nothing of the request was taken: send it again",
	}
}

func (s *Source) noRoom() *refusal {
	return &refusal{
		status: http.StatusTooManyRequests, reason: "no_room", retry: max(s.settings.Wait, time.Second), stored: "no",
		detail: fmt.Sprintf("the pipeline has had no room for the request within %v (wait), nothing of it was taken: send it again later", s.settings.Wait),
	}
}

// A result is what is answered of a request that was taken, and what is remembered of it.
type result struct {
	At       int64 `json:"at"` // when, in milliseconds since 1970
	Accepted bool  `json:"accepted,omitempty"`
	Records  int   `json:"records"`
	Filtered int   `json:"filtered,omitempty"`
	Rejected int   `json:"rejected,omitempty"`
}

func (t result) status() int {
	if t.Accepted {
		return http.StatusAccepted
	}
	return http.StatusOK
}

// body is what the caller reads.
func (t result) body() []byte {
	b, err := json.Marshal(struct {
		Records  int `json:"records"`
		Filtered int `json:"filtered,omitempty"`
		Rejected int `json:"rejected,omitempty"`
	}{t.Records, t.Filtered, t.Rejected})
	if err != nil {
		panic(err) // numbers
	}
	return append(b, '\n')
}

// body is what the caller reads.
func (n *refusal) body() []byte {
	title := http.StatusText(n.status)
	if n.status == statusGone {
		title = "Client Closed Request"
	}
	b, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Reason string `json:"reason"`
		Stored string `json:"stored,omitempty"`
	}{title, n.status, n.detail, n.reason, n.stored})
	if err != nil {
		panic(err) // texts and a number
	}
	return append(b, '\n')
}

const answerTime = 10 * time.Second // after which a caller that does not read its answer loses the connection

// answer writes an answer whole, so that it is on its way when the handler has ended.
func (s *Source) answer(w http.ResponseWriter, status int, kind string, body []byte) {
	s.figures.answered(status)
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(answerTime))                          // of a connection that is gone; so is the rest
	_ = rc.SetReadDeadline(time.Now().Add(min(s.settings.BodyTime, answerTime))) // the server waits for what is left of a body first
	h := w.Header()
	if s.stopping.Err() != nil {
		h.Set("Connection", "close")
	}
	if body != nil {
		h.Set("Content-Type", kind)
		h.Set("Content-Length", strconv.Itoa(len(body)))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	if body != nil {
		_, _ = w.Write(body)
	}
	_ = rc.Flush()
	_ = rc.SetWriteDeadline(time.Time{})
}

// refuse answers a refusal.
func (s *Source) refuse(w http.ResponseWriter, n *refusal) {
	s.figures.refused(n.reason)
	h := w.Header()
	for key, values := range n.header {
		h[key] = values
	}
	if n.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(n.retry.Seconds()))))
	}
	if n.close {
		h.Set("Connection", "close")
	}
	s.answer(w, n.status, "application/problem+json", n.body())
}

// allowPages lets pages of the sites in origins see the answer.
func (s *Source) allowPages(w http.ResponseWriter, r *http.Request) {
	if len(s.settings.Origins) == 0 {
		return
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.ContainsFunc(s.settings.Origins, func(o string) bool { return o == "*" || strings.EqualFold(o, origin) }) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Retry-After, Idempotent-Replayed")
}

// preflight answers what a browser asks before a page may post.
func (s *Source) preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", http.MethodPost)
	allowed := append([]string{"Content-Type", "Content-Encoding", "Authorization", "Idempotency-Key"}, s.settings.Headers...)
	h.Set("Access-Control-Allow-Headers", strings.Join(allowed, ", "))
	h.Set("Access-Control-Max-Age", "600")
	s.answer(w, http.StatusNoContent, "", nil)
}

var errKey = errors.New("the Idempotency-Key has to be one header of 1 to 255 printable characters of ASCII")

// keyOf gives the Idempotency-Key of a request, "" when it has none. The form of the draft, a text in quotes, and the bare form mean
// the same.
func keyOf(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := strings.TrimSpace(values[0])
	if len(key) > 1 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	if len(values) > 1 || key == "" || len(key) > 255 || strings.ContainsFunc(key, func(c rune) bool { return c < 0x20 || c > 0x7e }) {
		return "", errKey
	}
	return key, nil
}
