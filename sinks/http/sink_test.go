package httpsink

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A received is one request as the server saw it.
type received struct {
	method, path, key, typ, body string
}

// A hook is a webhook that keeps what it accepts, and forgets no key.
type hook struct {
	server *httptest.Server
	// answer, when not nil, gives the status of a request; 0: 200. It may block.
	answer   func(n int, r received) int
	location string // where redirects lead; "": /elsewhere
	soon     bool   // no Retry-After

	mu       sync.Mutex
	requests []received
	stored   [][]byte // records, in order
	keys     map[string]bool
}

func newHook(t testing.TB, answer func(n int, r received) int) *hook {
	t.Helper()
	h := &hook{answer: answer, keys: map[string]bool{}}
	h.server = httptest.NewServer(h)
	t.Cleanup(h.server.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	got := received{r.Method, r.RequestURI, r.Header.Get("Idempotency-Key"), r.Header.Get("Content-Type"), string(body)}
	h.mu.Lock()
	h.requests = append(h.requests, got)
	n, answer := len(h.requests), h.answer
	h.mu.Unlock()
	status := 0
	if answer != nil {
		status = answer(n, got)
	}
	if status >= 300 {
		w.Header().Set("Location", cmp.Or(h.location, "/elsewhere"))
		if !h.soon {
			w.Header().Set("Retry-After", "1")
		}
		w.WriteHeader(status)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.keys[got.key] {
		h.keys[got.key] = true
		h.store(got)
	}
	if status != 0 {
		w.WriteHeader(status)
	}
}

func (h *hook) store(r received) {
	switch {
	case strings.Contains(r.typ, "ndjson"):
		for line := range bytes.Lines([]byte(r.body)) {
			h.stored = append(h.stored, bytes.Clone(bytes.TrimSpace(line)))
		}
	case strings.HasPrefix(r.body, "["):
		var values []json.RawMessage
		if json.Unmarshal([]byte(r.body), &values) == nil {
			for _, v := range values {
				h.stored = append(h.stored, v)
			}
		}
	default:
		h.stored = append(h.stored, []byte(r.body))
	}
}

func (h *hook) set(answer func(n int, r received) int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

func (h *hook) values() ([][]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([][]byte(nil), h.stored...), nil
}

func (h *hook) seen() []received {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]received(nil), h.requests...)
}

// sink makes a sink on the hook's server; both end with the test.
func (h *hook) sink(t testing.TB, path string, change func(*Settings)) *Sink {
	t.Helper()
	s := Defaults()
	s.URL = template(t, h.server.URL+path)
	if change != nil {
		change(&s)
	}
	sink, err := New(s, "pipe/hook", calls.Env{Workers: 64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close(context.Background()) })
	return sink
}

func template(t testing.TB, text string) expr.Template {
	t.Helper()
	var tmpl expr.Template
	if err := tmpl.UnmarshalText([]byte(text)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return tmpl
}

// run makes n records of one partition from offset first on.
func run(first, n int) []*pipeline.Record {
	recs := make([]*pipeline.Record, n)
	for i := range recs {
		recs[i] = new(pipeline.Record)
		recs[i].Init(pipeline.Position{Topic: "t", Partition: 3, Offset: int64(first + i)}, []byte("k"),
			fmt.Appendf(nil, `{"n":%d}`, first+i), nil, 5)
	}
	return recs
}

// numbers gives the numbers of run that are stored.
func (h *hook) numbers() (got []int) {
	values, _ := h.values()
	for _, v := range values {
		var is struct{ N *int }
		if json.Unmarshal(v, &is) == nil && is.N != nil {
			got = append(got, *is.N)
		}
	}
	return got
}

// outcome gives what Write said of each record: "" stored, a reason, or "later".
func outcome(n int, err error) string {
	what := make([]string, n)
	var w *pipeline.WriteError
	if err != nil && !errors.As(err, &w) {
		return "none: " + err.Error()
	}
	if w != nil {
		for _, f := range w.Failed {
			reason, permanent := pipeline.IsPermanent(f.Err)
			if !permanent {
				reason = "later"
			}
			what[f.Index] = reason
		}
	}
	return strings.Join(what, ",")
}

func TestHTTPConforms(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"array":           nil,
		"array of few":    func(s *Settings) { s.MaxRecords, s.MaxBytes = 3, 100 },
		"ndjson":          func(s *Settings) { s.Format, s.MaxRecords = "ndjson", 4 },
		"single":          func(s *Settings) { s.Format = "single" },
		"server's limits": func(s *Settings) { s.MaxBytes = 100 << 20 },
	} {
		t.Run(name, func(t *testing.T) {
			pipelinetest.Sink(t, func(t *testing.T) pipelinetest.SinkUnderTest {
				usual := func(_ int, r received) int {
					switch {
					case name == "server's limits" && len(r.body) > 200:
						return 413
					case strings.Contains(r.body, "refuse me"):
						return 422
					}
					return 0
				}
				h := newHook(t, usual)
				return pipelinetest.SinkUnderTest{
					Sink:   h.sink(t, "/", change),
					Stored: h.values,
					Reject: []byte(`{"a":"refuse me"}`),
					Fail: func() func() {
						h.set(func(int, received) int { return 503 })
						return func() { h.set(usual) }
					},
					Hang: func() (<-chan struct{}, func()) {
						stuck, free := make(chan struct{}), make(chan struct{})
						var once sync.Once
						h.set(func(int, received) int {
							once.Do(func() { close(stuck) })
							<-free
							return 0
						})
						return stuck, func() { h.set(usual); close(free) }
					},
				}
			})
		})
	}
}

func TestHTTPFindsTheBadRecord(t *testing.T) {
	for _, status := range []int{400, 409, 422} {
		h := newHook(t, func(_ int, r received) int {
			if strings.Contains(r.body, `{"n":37}`) || strings.Contains(r.body, `{"n":90}`) {
				return status
			}
			return 0
		})
		err := h.sink(t, "/", nil).Write(t.Context(), run(0, 100))
		want := strings.Repeat(",", 37) + client.Type4xx + strings.Repeat(",", 53) + client.Type4xx + strings.Repeat(",", 9)
		if got := outcome(100, err); got != want {
			t.Errorf("%d: %s", status, got)
		}
		got := h.numbers()
		if len(got) != 98 {
			t.Fatalf("%d records stored", len(got))
		}
		for i := range got[1:] {
			if got[i+1] <= got[i] {
				t.Fatalf("out of order: %v", got)
			}
		}
		if n := len(h.seen()); n > 30 {
			t.Errorf("%d requests to find two of a hundred", n)
		}
	}
}

func TestHTTPTooLargeForTheServer(t *testing.T) {
	h := newHook(t, func(_ int, r received) int {
		if len(r.body) > 30 {
			return 413
		}
		return 0
	})
	recs := run(0, 8)
	recs[5].SetValue([]byte(`{"n":5,"pad":"` + strings.Repeat("x", 100) + `"}`))
	err := h.sink(t, "/", nil).Write(t.Context(), recs)
	if got, want := outcome(8, err), ",,,,,"+pipeline.ReasonTooLarge+",,"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := h.numbers(); !reflect.DeepEqual(got, []int{0, 1, 2, 3, 4, 6, 7}) {
		t.Errorf("stored %v", got)
	}
}

func TestHTTPStatuses(t *testing.T) {
	later, all := "later,later,later,later", func(reason string) string { return strings.Join([]string{reason, reason, reason, reason}, ",") }
	tests := []struct {
		status   int
		want     string
		requests int
	}{
		{200, ",,,", 1}, {202, ",,,", 1}, {204, ",,,", 1},
		{207, all(client.TypeBadAnswer), 1},
		{302, later, 1}, {307, later, 6},
		{401, later, 1}, {403, later, 1}, {404, later, 1}, {405, later, 1}, {415, later, 1}, {431, later, 1},
		{400, all(client.Type4xx), 7}, {422, all(client.Type4xx), 7},
		{408, later, 1}, {425, later, 1}, {429, later, 1}, {500, later, 1}, {502, later, 1}, {503, later, 1}, {599, later, 1},
	}
	for _, tt := range tests {
		h := newHook(t, func(int, received) int { return tt.status })
		err := h.sink(t, "/", nil).Write(t.Context(), run(0, 4))
		if got := outcome(4, err); got != tt.want {
			t.Errorf("%d: %s, want %s", tt.status, got, tt.want)
		}
		if n := len(h.seen()); n != tt.requests {
			t.Errorf("%d: %d requests, want %d", tt.status, n, tt.requests)
		}
		if tt.status == 429 && pipeline.RetryHint(err) != time.Second {
			t.Errorf("hint %v", pipeline.RetryHint(err))
		}
		for _, r := range h.seen() {
			if r.method != "POST" {
				t.Errorf("%d: a POST became a %s", tt.status, r.method)
			}
		}
	}
}

// Behind a record that may be stored later nothing is stored, and it is said so.
func TestHTTPHoldsBack(t *testing.T) {
	h := newHook(t, func(n int, _ received) int {
		if n == 3 {
			return 503
		}
		return 0
	})
	sink := h.sink(t, "/", func(s *Settings) { s.MaxRecords = 2 })
	recs := run(0, 10)
	err := sink.Write(t.Context(), recs)
	if got, want := outcome(10, err), ",,,,later,later,later,later,later,later"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := h.numbers(); !reflect.DeepEqual(got, []int{0, 1, 2, 3}) {
		t.Errorf("stored %v", got)
	}
	if err := sink.Write(t.Context(), recs[4:]); err != nil {
		t.Error(err)
	}
	if seen := h.seen(); seen[2].key != seen[3].key {
		t.Error("the second attempt has another key")
	}
}

func TestHTTPByURL(t *testing.T) {
	h := newHook(t, nil)
	sink := h.sink(t, "/{to}", nil)
	recs := run(0, 6)
	for i, to := range []string{"a", "a", "b", "", "a/../b", "a"} {
		recs[i].SetValue(fmt.Appendf(nil, `{"n":%d,"to":%q}`, i, to))
	}
	if got, want := outcome(6, sink.Write(t.Context(), recs)), ",,,"+pipeline.ReasonExpression+",,"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	var paths []string
	for _, r := range h.seen() {
		paths = append(paths, r.path)
	}
	if want := []string{"/a", "/b", "/a%2F..%2Fb", "/a"}; !reflect.DeepEqual(paths, want) {
		t.Errorf("%v, want %v", paths, want)
	}
}

func TestHTTPNetworkIsTransient(t *testing.T) {
	h := newHook(t, nil)
	sink := h.sink(t, "/", nil)
	h.server.Close()
	err := sink.Write(t.Context(), run(0, 2))
	if got := outcome(2, err); got != "later,later" {
		t.Error(got)
	}
	var typed interface{ ErrorType() string }
	if !errors.As(err, &typed) || typed.ErrorType() != client.TypeNetwork {
		t.Error(err)
	}
	var env *pipeline.EnvironmentError
	if err := sink.Ping(t.Context()); !errors.As(err, &env) {
		t.Error(err)
	}
}

func TestHTTPSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Settings)
		fields string
	}{
		"nothing":          {func(s *Settings) { *s = Settings{} }, "url method format max_records max_bytes ok_status"},
		"host of a record": {func(s *Settings) { s.URL = template(t, "http://{h}/") }, "url"},
		"own key":          {func(s *Settings) { s.Headers = map[string]string{"idempotency-key": "x"} }, "headers"},
		"secret in view":   {func(s *Settings) { s.Headers = map[string]string{"Authorization": "canary"} }, "headers"},
		"GET":              {func(s *Settings) { s.Method = "GET" }, "method"},
		"proxy":            {func(s *Settings) { s.Proxy = "x" }, "proxy"},
		"http2":            {func(s *Settings) { s.HTTP2 = "on" }, "http2"},
		"two log-ins": {func(s *Settings) {
			s.Auth = &client.Auth{Bearer: &client.BearerAuth{Token: "canary"}}
			s.SecretHeaders = map[string]settings.Secret{"authorization": "canary"}
		}, "auth"},
	} {
		s := Defaults()
		s.URL = template(t, "http://h/{a}")
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		tt.change(&s)
		err := s.Validate()
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var fields []string
		for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
			var f *settings.FieldError
			if errors.As(e, &f) {
				fields = append(fields, f.Field)
			}
		}
		if strings.Join(fields, " ") != tt.fields {
			t.Errorf("%s: fields %v, want %s", name, fields, tt.fields)
		}
		if _, err := New(s, "", calls.Env{Workers: 1}); err == nil {
			t.Errorf("%s: NewHTTP took them", name)
		}
	}
}
