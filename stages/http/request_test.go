package httpstage

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

func expression(t testing.TB, text string) expr.Expr {
	t.Helper()
	var e expr.Expr
	if err := e.UnmarshalText([]byte(text)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return e
}

// A seen request is one as a server has it.
type seen struct {
	method, uri, body string
	header            http.Header
}

// recorder answers 200 and notes what came.
type recorder struct {
	mu   sync.Mutex
	came []seen
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	r.came = append(r.came, seen{req.Method, req.RequestURI, string(body), req.Header})
	r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"ok":true}`)
}

func (r *recorder) only(t *testing.T) seen {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.came) != 1 {
		t.Fatalf("%d requests, want one", len(r.came))
	}
	return r.came[0]
}

func TestBodies(t *testing.T) {
	const value = `{"id":12345678901234567890,"name":"a\"b & c","none":null,"tags":["x","y z",null,3],"o":{"k":1.0}}`
	doc, text := template(t, `{{"id": {id}, "name": "{name}!"}}`), template(t, "{name}\n{none}{o}")
	whole, made := expression(t, "$env"), expression(t, "{id: id, n: none}")
	for name, tt := range map[string]struct {
		change    func(*Settings)
		typ, body string
	}{
		"none":        {func(*Settings) {}, "", ""},
		"body":        {func(s *Settings) { s.Body = &doc }, "application/json", `{"id": 12345678901234567890, "name": "a\"b & c!"}`},
		"json":        {func(s *Settings) { s.JSON = &made }, "application/json", `{"id":12345678901234567890,"n":null}`},
		"whole value": {func(s *Settings) { s.JSON = &whole }, "application/json", value},
		"text":        {func(s *Settings) { s.Text = &text }, "text/plain; charset=utf-8", "a\"b & c\n{\"k\":1.0}"},
		"form": {func(s *Settings) {
			s.Form = map[string]expr.Expr{"user name": expression(t, "name"), "id": expression(t, "id"), "none": expression(t, "none"),
				"tag": expression(t, "tags"), "o": expression(t, "o"), "empty": expression(t, `""`), "list": expression(t, "[]")}
		}, "application/x-www-form-urlencoded", "empty=&id=12345678901234567890&o=%7B%22k%22%3A1.0%7D&tag=x&tag=y+z&tag=3&user+name=a%22b+%26+c"},
		"a type of its own": {func(s *Settings) {
			s.JSON, s.Headers = &made, map[string]expr.Template{"content-type": template(t, "application/merge-patch+json")}
		}, "application/merge-patch+json", `{"id":12345678901234567890,"n":null}`},
	} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			t.Run(name+" "+method, func(t *testing.T) {
				server := new(recorder)
				h := newStage(t, server.ServeHTTP, "/", func(s *Settings) { s.Method = method; tt.change(s) })
				if err := h.Process(t.Context(), record(value)); err != nil {
					t.Fatal(err)
				}
				got := server.only(t)
				if got.method != method || got.body != tt.body || got.header.Get("Content-Type") != tt.typ {
					t.Errorf("%s %q of type %q, want %s %q of type %q", got.method, got.body, got.header.Get("Content-Type"), method, tt.body, tt.typ)
				}
			})
		}
	}
}

// A form is read by servers as it was meant.
func TestFormIsReadAsItWasWritten(t *testing.T) {
	h := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.PostForm.Get("a&b") != "c=d é+%" {
			t.Errorf("%v %v", err, r.PostForm)
		}
	}, "/", func(s *Settings) {
		s.Method, s.Form = "POST", map[string]expr.Expr{"a&b": expression(t, "x")}
	})
	if err := h.Process(t.Context(), record(`{"x":"c=d é+%"}`)); err != nil {
		t.Fatal(err)
	}
}

// What is to change something carries a key that is the same for the same record and no other, and
// none where the settings say that the call only reads.
func TestIdempotencyKeys(t *testing.T) {
	share, kept := true, calls.DefaultCache()
	kept.TTL = 1
	for _, tt := range []struct {
		name, method string
		change       func(*Settings, *calls.Settings)
		want         string // prefix; "": none
	}{
		{"post", "POST", nil, "pipe/step/t/0@7/"}, {"put", "PUT", nil, "pipe/step/t/0@7/"}, {"patch", "PATCH", nil, "pipe/step/t/0@7/"},
		{"delete", "DELETE", nil, "pipe/step/t/0@7/"}, {"get", "GET", nil, ""},
		{"shared", "POST", func(_ *Settings, c *calls.Settings) { c.Share = &share }, ""},
		{"kept", "POST", func(_ *Settings, c *calls.Settings) { c.Cache = &kept }, ""},
		{"of the file's own", "POST", func(s *Settings, _ *calls.Settings) {
			s.Headers = map[string]expr.Template{"idempotency-key": template(t, "{id}")}
		}, "mine"},
	} {
		server := new(recorder)
		s, e := Defaults(), env(1)
		s.Method, s.Into = tt.method, "got"
		if tt.change != nil {
			tt.change(&s, &e.Settings)
		}
		listener := httptest.NewServer(server)
		s.URL = template(t, listener.URL)
		h, err := New(s, "pipe/step", e)
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string]bool{}
		for i := range 3 {
			rec := record(`{"id":"mine"}`)
			if rec.Offset = 7; i == 2 {
				rec.Part = 1
			}
			if err := h.Process(t.Context(), rec); err != nil {
				t.Error(err)
			}
		}
		for _, r := range server.came {
			key := r.header.Get("Idempotency-Key")
			keys[key] = true
			if !strings.HasPrefix(key, tt.want) || (key == "") != (tt.want == "") {
				t.Errorf("%s: the key is %q, want %q", tt.name, key, tt.want)
			}
		}
		if want := strings.HasPrefix(tt.want, "pipe/"); (len(keys) == 2) != want {
			t.Errorf("%s: keys %v", tt.name, keys)
		}
		_ = h.Close()
		listener.Close()
	}
}

// A call that is to change something is made for each record; one that reads is made once for
// those that ask the same at the same time.
func TestKeysTellQuestionsApart(t *testing.T) {
	doc := template(t, `{{"a": {a}}}`)
	key := func(change func(*Settings), value string) string {
		s, e := Defaults(), env(1)
		s.URL, s.Into = template(t, "http://h/{u}"), "got"
		change(&s)
		h, err := New(s, "pipe/step", e)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		q, err := h.question(record(value))
		if err != nil {
			t.Fatal(err)
		}
		return q.Key
	}
	get := func(*Settings) {}
	withHeader := func(s *Settings) {
		s.Headers = map[string]expr.Template{"x": template(t, "{x}"), "y": template(t, "{y}"), "z": template(t, "fixed")}
	}
	different := []string{
		key(get, `{"u":"1"}`), key(get, `{"u":"2"}`), key(withHeader, `{"u":"1","x":"a","y":"bc"}`), key(withHeader, `{"u":"1","x":"ab","y":"c"}`),
		key(withHeader, `{"u":"1","x":"","y":""}`), key(withHeader, `{"u":"1`+strings.Repeat("0", 5000)+`"}`),
	}
	for i, a := range different {
		for j, b := range different {
			if a == "" || len(a) > 2000 || (a == b) != (i == j) {
				t.Errorf("keys %d and %d: %q, %q", i, j, a, b)
			}
		}
	}
	if key(withHeader, `{"u":"1","x":"a","y":"bc","other":1}`) != different[2] {
		t.Error("what is not part of the request makes another question")
	}
	if k := key(func(s *Settings) { s.Method, s.Body = "POST", &doc }, `{"u":1}`); k != "" {
		t.Errorf("a POST has the key %q", k)
	}
}

// The record chooses whom to call, among those that the file names.
func TestHostsOfRecords(t *testing.T) {
	server := new(recorder)
	listener := httptest.NewServer(server)
	defer listener.Close()
	at, err := url.Parse(listener.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		url, value, uri, reason string
		change                  func(*Settings)
	}{
		"address":            {"{link}", `{"link":"` + listener.URL + `/a/../b%2Fc?d=e fé&x=%20#g"}`, "/a/../b%2Fc?d=e%20f%C3%A9&x=%20", "", nil},
		"address and more":   {"{link}/{id}", `{"link":"` + listener.URL + `/a","id":"x/y"}`, "/a/x%2Fy", "", nil},
		"host":               {"http://{host}/p/{raw(path)}", `{"host":"` + at.Host + `","path":"x y/z"}`, "/p/x%20y/z", "", nil},
		"port":               {"http://127.0.0.1:{port}/", `{"port":` + at.Port() + `}`, "/", "", nil},
		"another port":       {"http://127.0.0.1:{port}/", `{"port":1}`, "", client.TypeEgress, nil},
		"another host":       {"{link}", `{"link":"http://other.example/"}`, "", client.TypeEgress, nil},
		"decimal":            {"{link}", `{"link":"http://2130706433:` + at.Port() + `/"}`, "", client.TypeEgress, nil},
		"not open":           {"{link}", `{"link":"` + listener.URL + `"}`, "", client.TypeEgress, func(s *Settings) { s.Allow = nil }},
		"user in host":       {"http://{host}/", `{"host":"u@` + at.Host + `"}`, "", client.TypeRequest, nil},
		"user in address":    {"{link}", `{"link":"http://u:p@` + at.Host + `/"}`, "", client.TypeEgress, nil},
		"path in host":       {"http://{host}/", `{"host":"` + at.Host + `/evil"}`, "", client.TypeRequest, nil},
		"file":               {"{link}", `{"link":"file:///etc/passwd"}`, "", client.TypeEgress, nil},
		"no address":         {"{link}", `{"link":"x"}`, "", client.TypeEgress, nil},
		"nothing":            {"{link}", `{}`, "", pipeline.ReasonExpression, nil},
		"control characters": {"{link}", `{"link":"http://` + at.Host + `/\r\nX: y"}`, "", client.TypeRequest, nil},
		"log-in in the open": {"{link}", `{"link":"` + listener.URL + `"}`, "", client.TypeRequest, func(s *Settings) {
			s.SecretHeaders = map[string]settings.Secret{"x-key": "abc"}
		}},
		"log-in to a scheme of the file": {"http://{host}/", `{"host":"` + at.Host + `"}`, "/", "", func(s *Settings) {
			s.SecretHeaders = map[string]settings.Secret{"x-key": "abc"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server.came = nil
			s := Defaults()
			s.URL, s.Into = template(t, tt.url), "got"
			s.Hosts, s.Allow = make(client.Hosts, 1), make([]client.Allow, 1)
			if err := s.Hosts[0].UnmarshalText([]byte(at.Host)); err != nil {
				t.Fatal(err)
			}
			if err := s.Allow[0].UnmarshalText([]byte("127.0.0.0/8")); err != nil {
				t.Fatal(err)
			}
			if tt.change != nil {
				tt.change(&s)
			}
			h, err := New(s, "", env(1))
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			err = h.Process(t.Context(), record(tt.value))
			if reason, _ := pipeline.IsPermanent(err); reason != tt.reason || (err == nil) != (tt.reason == "") {
				t.Fatalf("%v, want the reason %q", err, tt.reason)
			}
			if tt.reason != "" {
				if len(server.came) > 0 {
					t.Error("the server was asked")
				}
				return
			}
			if got := server.only(t); got.uri != tt.uri {
				t.Errorf("%s was asked for, want %s", got.uri, tt.uri)
			}
			if err := h.Ping(t.Context()); err != nil {
				t.Errorf("ping: %v", err)
			}
		})
	}
}

// Of several hosts each is a target of its own: what holds back calls to one holds back no other.
func TestQuestionsNameTheirHost(t *testing.T) {
	for _, tt := range []struct{ url, value, host string }{
		{"http://API.example/{a}", `{"a":1}`, "api.example"}, {"https://api.example:443/", `{}`, "api.example"}, {"http://api.example:8080/", `{}`, "api.example:8080"},
		{"{link}", `{"link":"HTTPS://Bücher.Example./x"}`, "xn--bcher-kva.example"}, {"{link}", `{"link":"http://a.example:8080/x"}`, "a.example:8080"},
	} {
		s := Defaults()
		s.URL, s.Into = template(t, tt.url), "got"
		if chosen, _ := s.URL.GivesHost(); chosen {
			s.Hosts = make(client.Hosts, 2)
			for i, p := range []string{"*", "*:8080"} {
				if err := s.Hosts[i].UnmarshalText([]byte(p)); err != nil {
					t.Fatal(err)
				}
			}
		}
		h, err := New(s, "", env(1))
		if err != nil {
			t.Fatal(err)
		}
		q, err := h.question(record(tt.value))
		if err != nil || q.Host != tt.host {
			t.Errorf("%s of %s: %v, %s, want %s", tt.url, tt.value, err, q.Host, tt.host)
		}
		_ = h.Close()
	}
}

// A record that waits holds no body: all records of a window may wait at the same time.
func TestWaitingRecordsHoldNoBody(t *testing.T) {
	whole := expression(t, "$env")
	server := new(recorder)
	h := newStage(t, server.ServeHTTP, "/", func(s *Settings) { s.Method, s.JSON = "POST", &whole })
	const size, n = 1 << 20, 64
	rec := record(`{"a":"` + strings.Repeat("x", size) + `"}`)
	var waiting []pipeline.Call
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		call, err := h.Admit(rec, 1)
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, call)
	}
	runtime.ReadMemStats(&after)
	if held := after.TotalAlloc - before.TotalAlloc; held > n*size/4 {
		t.Errorf("%d bytes for %d records that wait", held, n)
	}
	for _, call := range waiting {
		call.Leave(pipeline.CallResult{})
	}
	if err := h.Process(t.Context(), rec); err != nil || len(server.only(t).body) < size {
		t.Error(err)
	}
}

// A body that differs each time it is made is sent as it is in the key. One that is long is not kept for that.
func TestTheKeyHasTheBodyThatIsSent(t *testing.T) {
	for _, c := range []struct {
		body string
		kept bool
	}{{`{{"id": {uuid()}}}`, true}, {`{{"id": {uuid()}, "text": {text}}}`, false}} {
		var sent []byte
		h := newStage(t, func(w http.ResponseWriter, r *http.Request) {
			sent, _ = io.ReadAll(r.Body)
			fmt.Fprint(w, `{}`)
		}, "/", func(s *Settings) {
			body := template(t, c.body)
			s.Method, s.Body = "POST", &body
		})
		h.keyed = true
		rec := record(`{"text": "` + strings.Repeat("x", longestKept) + `"}`)
		q, err := h.question(rec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Ask(t.Context(), rec, nil); err != nil {
			t.Fatal(err)
		}
		if same := h.key(h.to.base+"/", nil, sent) == q.Key; same != c.kept {
			t.Errorf("the key has the body that was sent (%d bytes): %v", len(sent), same)
		}
	}
}
