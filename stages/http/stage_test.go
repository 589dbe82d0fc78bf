package httpstage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// httpRecord makes a record with value.
func record(value string) *pipeline.Record {
	var rec pipeline.Record
	rec.Init(pipeline.Position{Topic: "t", Offset: 7}, []byte("k"), []byte(value), nil, 0)
	return &rec
}

// env is the place of a step with so many workers, whose file says nothing of calls.
func env(workers int) calls.Env { return calls.Env{Settings: calls.Defaults(), Workers: workers} }

func template(t testing.TB, text string) expr.Template {
	t.Helper()
	var tmpl expr.Template
	if err := tmpl.UnmarshalText([]byte(text)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return tmpl
}

// newServer gives the address of a server that ends with the test.
func newServer(t testing.TB, handler http.HandlerFunc) string {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// newStage makes a stage that calls handler at path; both end with the test.
func newStage(t testing.TB, handler http.HandlerFunc, path string, change func(*Settings)) *Stage {
	t.Helper()
	server := httptest.NewServer(handler)
	s := Defaults()
	s.URL = template(t, server.URL+path)
	s.Into = "got"
	if change != nil {
		change(&s)
	}
	h, err := New(s, "pipe/step", env(64))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close(); server.Close() })
	return h
}

func answering(status int, typ, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = []string{typ}
		if typ == "" {
			w.Header()["Content-Type"] = nil
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestAnswers(t *testing.T) {
	deep := strings.Repeat("[", 600) + strings.Repeat("]", 600)
	tests := []struct {
		name   string
		status int
		typ    string
		body   string
		want   string // of the field
		reason string
	}{
		{"json", 200, "application/json", `{"a":1.10,"id":9007199254740993}`, `{"a":1.10,"id":9007199254740993}`, ""},
		{"json with charset", 200, "application/json; charset=utf-8", `[1]`, `[1]`, ""},
		{"problem json", 201, "application/problem+json", `"x"`, `"x"`, ""},
		{"json on several lines", 200, "application/json", "{\n \"a\": 1.10,\r\n \"b\": \"<&>\"\n}\n", `{"a":1.10,"b":"<&>"}`, ""},
		{"json behind a byte order mark", 200, "application/json", "\ufeff{}", `{}`, ""},
		{"deep but allowed", 200, "application/json", deep[50:1150], deep[100:1100], pipeline.ReasonInvalidJSON},
		{"too deep", 200, "application/json", deep, "", client.TypeBadAnswer},
		{"text", 200, "text/plain", "a \"b\"\n<c>", `"a \"b\"\n<c>"`, ""},
		{"text of no type", 200, "", `{"a":1}`, `"{\"a\":1}"`, ""},
		{"empty", 200, "text/plain", "", "null", ""},
		{"no content", 204, "application/json", "", "null", ""},
		{"white space as json", 200, "application/json", " \n", "null", ""},
		{"no json at all", 200, "application/json", "<html>", "", client.TypeBadAnswer},
		{"two documents", 200, "application/json", "{} {}", "", client.TypeBadAnswer},
		{"no UTF-8", 200, "text/plain", "\xff\xfe", "", client.TypeBadAnswer},
		{"no UTF-8 in json", 200, "application/json", "\"\xff\"", "", client.TypeBadAnswer},
		{"not found", 404, "text/plain", "no", "", client.ReasonNoMatch},
		{"forbidden", 403, "text/plain", "no", "", client.Type4xx},
	}
	for _, tt := range tests {
		if tt.name == "deep but allowed" {
			depth := strings.Repeat("[", 500) + strings.Repeat("]", 500)
			tt.body, tt.want, tt.reason = depth, depth, ""
		}
		t.Run(tt.name, func(t *testing.T) {
			h := newStage(t, answering(tt.status, tt.typ, tt.body), "/", nil)
			rec := record(`{"a": 1}`)
			err := h.Process(t.Context(), rec)
			if tt.reason != "" {
				if reason, ok := pipeline.IsPermanent(err); !ok || reason != tt.reason {
					t.Errorf("%v, want the reason %s", err, tt.reason)
				}
				return
			}
			got, _ := rec.Field("got")
			if err != nil || string(got) != tt.want {
				t.Errorf("%v, %s, want %s", err, got, tt.want)
			}
		})
	}
}

func TestOnMiss(t *testing.T) {
	for miss, check := range map[client.OnMiss]func(*pipeline.Record, error) bool{
		client.MissNull: func(rec *pipeline.Record, err error) bool {
			return err == nil && string(rec.Value()) == `{"a":1,"got":null}`
		},
		client.MissFilter: func(_ *pipeline.Record, err error) bool { return errors.Is(err, pipeline.Filtered) },
		client.MissReject: func(_ *pipeline.Record, err error) bool {
			reason, ok := pipeline.IsPermanent(err)
			return ok && reason == client.ReasonNoMatch
		},
	} {
		h := newStage(t, answering(410, "", ""), "/", func(s *Settings) {
			s.OnMiss, s.MissStatus = miss, client.Statuses{{From: 404, To: 404}, {From: 410, To: 410}}
		})
		rec := record(`{"a":1}`)
		if err := h.Process(t.Context(), rec); !check(rec, err) {
			t.Errorf("%s: %v %s", miss, err, rec.Value())
		}
	}
}

func TestTransient(t *testing.T) {
	for after, want := range map[string]time.Duration{
		"": 0, "2": 2 * time.Second, "-2": 0, "86400": client.MaxRetryAfter, "soon": 0,
		"Fri, 31 Dec 2100 23:59:59 GMT": client.MaxRetryAfter, "Fri, 31 Dec 1999 23:59:59 GMT": 0,
	} {
		h := newStage(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(429)
		}, "/", nil)
		err := h.Process(t.Context(), record(`{}`))
		if _, permanent := pipeline.IsPermanent(err); err == nil || permanent || pipeline.RetryHint(err) != want {
			t.Errorf("Retry-After %q: %v, hint %v, want %v", after, err, pipeline.RetryHint(err), want)
		}
		var typed interface{ ErrorType() string }
		if !errors.As(err, &typed) || typed.ErrorType() != client.Type429 {
			t.Errorf("%v has another type", err)
		}
	}
	h := newStage(t, answering(404, "", ""), "/", func(s *Settings) {
		s.MissStatus, s.RetryStatus = nil, client.Statuses{{From: 404, To: 404}}
	})
	if _, permanent := pipeline.IsPermanent(h.Process(t.Context(), record(`{}`))); permanent {
		t.Error("retry_status is not heeded")
	}
}

func TestRequest(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s|%s|%s|%s", r.Method, r.RequestURI, body, r.Header.Get("X-Id"), r.Header.Get("Authorization"),
			r.Header.Get("Content-Type"))
	}
	body := template(t, `{{"id": {id}, "name": "{name}!"}}`)
	post := func(s *Settings) {
		s.Method, s.Body = "POST", &body
		s.Headers = map[string]expr.Template{"X-Id": template(t, "id {id}"), "X-Fixed": template(t, "f")}
		s.SecretHeaders = map[string]settings.Secret{"Authorization": "Bearer x"}
	}
	login := func(s *Settings) {
		s.Headers = map[string]expr.Template{"authorization": template(t, "Bearer {token}")}
	}
	tests := []struct {
		name, path, value, want string
		change                  func(*Settings)
		reason                  string
	}{
		{"log-in of the record", "/", `{"token":"t7"}`, "GET / ||Bearer t7|", login, ""},
		{"values are data", "/x/{name}?q={name}", `{"name":"a/../b?c=d&e#f g"}`,
			"GET /x/a%2F..%2Fb%3Fc%3Dd%26e%23f%20g?q=a%2F..%2Fb%3Fc%3Dd%26e%23f%20g ||", nil, ""},
		{"post", "/", `{"id":12345678901234567890,"name":"a\"b"}`,
			`POST / {"id": 12345678901234567890, "name": "a\"b!"}|id 12345678901234567890|Bearer x|application/json`, post, ""},
		{"line break in a header", "/", `{"id":"a\r\nX-Evil: 1","name":"n"}`, "", post, client.TypeRequest},
		{"missing in the URL", "/{nope}", `{}`, "", nil, pipeline.ReasonExpression},
		{"no object", "/{name}", `[1]`, "", nil, pipeline.ReasonNotObject},
		{"no object, static", "/", `7`, "", nil, pipeline.ReasonNotObject},
		{"no JSON", "/", `{`, "", nil, pipeline.ReasonInvalidJSON},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var called atomic.Bool
			h := newStage(t, func(w http.ResponseWriter, r *http.Request) { called.Store(true); echo(w, r) }, tt.path, tt.change)
			rec := record(tt.value)
			err := h.Process(t.Context(), rec)
			if tt.reason != "" {
				if reason, _ := pipeline.IsPermanent(err); reason != tt.reason || called.Load() {
					t.Errorf("%v (called: %v), want the reason %s and no call", err, called.Load(), tt.reason)
				}
				return
			}
			got, _ := rec.Field("got")
			if want := string(jsontext.AppendString(nil, tt.want)); err != nil || !strings.HasPrefix(string(got), want[:len(want)-1]) {
				t.Errorf("%v\n%s, want\n%s", err, got, want)
			}
		})
	}
}

func TestTombstonePasses(t *testing.T) {
	h := newStage(t, func(http.ResponseWriter, *http.Request) { t.Error("called") }, "/{nope}", nil)
	var rec pipeline.Record
	rec.Init(pipeline.Position{}, nil, nil, nil, 0)
	if err := h.Process(t.Context(), &rec); err != nil || !rec.Tombstone() {
		t.Error(err)
	}
}

// A result goes to the record whose call it was, also when calls are given up and
// answers come late.
func TestConcurrent(t *testing.T) {
	const slots, records = 64, 1200
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.Path[1:])
	}))
	server.Config.ConnState = func(_ net.Conn, c http.ConnState) {
		if c == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	s := Defaults()
	s.URL, s.Into = template(t, server.URL+"/{id}"), "got"
	h, err := New(s, "pipe/step", env(slots))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	next := make(chan int)
	var wg sync.WaitGroup
	for range slots {
		wg.Go(func() {
			for i := range next {
				rec := record(fmt.Sprintf(`{"id":%d}`, i))
				if err := h.Process(t.Context(), rec); err != nil {
					t.Error(err)
				}
				if want := fmt.Sprintf(`{"id":%d,"got":"%d"}`, i, i); string(rec.Value()) != want {
					t.Errorf("%s, want %s", rec.Value(), want)
				}
			}
		})
	}
	for i := range records {
		next <- i
	}
	close(next)
	wg.Wait()
	if n := opened.Load(); n > slots {
		t.Errorf("%d connections for %d calls in %d slots", n, records, slots)
	}
}

// The answer goes where the path leads; what stands in its way rejects before the call.
func TestIntoAtDepth(t *testing.T) {
	var calls atomic.Int64
	h := newStage(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		answering(200, "application/json", `{"c":7}`)(w, nil)
	}, "/", func(s *Settings) { s.Into = "weather.now" })
	rec := record(`{"weather":{"was": 1},"x":2}`)
	if err := h.Process(t.Context(), rec); err != nil || string(rec.Value()) != `{"weather":{"was": 1,"now":{"c":7}},"x":2}` {
		t.Errorf("%s, %v", rec.Value(), err)
	}
	if reason, _ := pipeline.IsPermanent(h.Process(t.Context(), record(`{"weather":"canary"}`))); reason != pipeline.ReasonNoPath || calls.Load() != 1 {
		t.Errorf("the reason is %q, with %d calls", reason, calls.Load())
	}
}

func TestHeedsItsContext(t *testing.T) {
	release := make(chan struct{})
	h := newStage(t, func(http.ResponseWriter, *http.Request) { <-release }, "/", nil)
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := h.Process(ctx, record(`{}`))
	if _, permanent := pipeline.IsPermanent(err); !errors.Is(err, context.DeadlineExceeded) || permanent {
		t.Errorf("%v", err)
	}
}

// fieldsOf gives the fields that an error of Validate is about.
func fieldsOf(err error) (fields []string) {
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, e := range all.Unwrap() {
		var f *settings.FieldError
		if errors.As(e, &f) {
			fields = append(fields, f.Field)
		}
	}
	return fields
}

func TestSettings(t *testing.T) {
	good := func() Settings {
		s := Defaults()
		s.URL, s.Into = template(t, "http://h/{a}"), "got"
		return s
	}
	s := good()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	body, noJSON := template(t, `{{"a": {a}}}`), template(t, `{a} {b}`)
	for name, tt := range map[string]struct {
		change func(*Settings)
		fields []string
	}{
		"many places":        {func(s *Settings) { s.Into = "a.*" }, []string{"into"}},
		"host of the record": {func(s *Settings) { s.URL = template(t, "http://{h}/") }, []string{"url"}},
		"password in url":    {func(s *Settings) { s.URL = template(t, "http://u:canary@h/") }, []string{"url"}},
		"everything": {func(s *Settings) { *s = Settings{Proxy: "::"} },
			[]string{"redirects", "url", "method", "answer", "on_miss", "proxy", "max_bytes"}},
		"body of a GET":  {func(s *Settings) { s.Body = &body }, []string{"body"}},
		"body no JSON":   {func(s *Settings) { s.Method, s.Body = "POST", &noJSON }, []string{"body"}},
		"half a pair":    {func(s *Settings) { s.TLS.Cert = "x" }, []string{"tls"}},
		"secret in view": {func(s *Settings) { s.Headers = map[string]expr.Template{"cookie": template(t, "canary")} }, []string{"headers"}},
		"bad header":     {func(s *Settings) { s.Headers = map[string]expr.Template{"a b": template(t, "{x}")} }, []string{"headers"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := good()
			tt.change(&s)
			err := s.Validate()
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows a secret: %v", err)
			}
			fields := fieldsOf(err)
			if strings.Join(fields, " ") != strings.Join(tt.fields, " ") {
				t.Errorf("fields %v, want %v", fields, tt.fields)
			}
			if _, err := New(s, "", env(1)); err == nil {
				t.Error("New took them")
			}
		})
	}
}

func TestPing(t *testing.T) {
	h := newStage(t, func(http.ResponseWriter, *http.Request) { t.Error("called") }, "/{a}", nil)
	if err := h.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	var env *pipeline.EnvironmentError
	h = newStage(t, nil, "/", func(s *Settings) { s.URL = template(t, "http://127.0.0.1:1/{a}") })
	if err := h.Ping(t.Context()); !errors.As(err, &env) {
		t.Error(err)
	}
}

// The media type decides whether an answer is JSON, whatever stands behind it.
func TestMediaTypeOfAnAnswer(t *testing.T) {
	for typ, want := range map[string]bool{
		"application/json": true, "Application/JSON": true, " application/json ;charset=utf-8": true, "text/json": true,
		"application/json; charset": true, "application/json; charset=": true, `application/json; charset="utf-8`: true, "application/json;;": true,
		"application/json; a=b; a=c": true, "application/json, text/plain": true, "application/vnd.x.v1+json;x": true, "application/problem+json": true,
		"": false, ";": false, "text/plain": false, "application/jsonp": false, "text/html; charset=application/json": false, "json": false,
	} {
		if got := isJSON(typ); got != want {
			t.Errorf("%q is JSON: %v, want %v", typ, got, want)
		}
	}
}
