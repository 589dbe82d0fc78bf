package httpstage

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
)

func TestAnswersAreReadAsTheFileSays(t *testing.T) {
	blob := "\xff\x00\xfe"
	for name, tt := range map[string]struct{ answer, typ, body, want, reason string }{
		"json of text":        {"json", "text/plain", " {\n\"a\":1}", `{"a":1}`, ""},
		"json of nothing":     {"json", "text/plain", "", "null", ""},
		"json that is none":   {"json", "application/json", "<html>", "", client.TypeBadAnswer},
		"text of json":        {"text", "application/json", `{"a":1}`, `"{\"a\":1}"`, ""},
		"text that is none":   {"text", "text/plain", blob, "", client.TypeBadAnswer},
		"base64":              {"base64", "image/png", blob, `"` + base64.StdEncoding.EncodeToString([]byte(blob)) + `"`, ""},
		"base64 of nothing":   {"base64", "image/png", "", "null", ""},
		"base64 keeps a mark": {"base64", "text/plain", "\ufeffa", `"77u/YQ=="`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newStage(t, answering(200, tt.typ, tt.body), "/", func(s *Settings) { s.Answer = tt.answer })
			rec := record(`{}`)
			err := h.Process(t.Context(), rec)
			if reason, _ := pipeline.IsPermanent(err); reason != tt.reason || (err == nil) != (tt.reason == "") {
				t.Fatalf("%v, want the reason %q", err, tt.reason)
			}
			if got, _ := rec.Field("got"); tt.reason == "" && string(got) != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// Status and headers stand beside the answer, or alone.
func TestStatusAndHeaders(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Link"] = []string{"<a>", `<b>; rel="x"`}
		w.Header().Set("Etag", `"1"`)
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/conflict":
			w.WriteHeader(http.StatusConflict)
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		case "/down":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
			return
		}
		fmt.Fprint(w, `{"why":"x"}`)
	}
	some := func(s *Settings) {
		s.StatusInto, s.HeadersInto, s.KeepHeaders = "s", "h", []string{"ETAG", "link", "missing"}
		s.OKStatus, s.OnMiss = client.Statuses{{From: 200, To: 200}, {From: 409, To: 409}}, client.MissNull
	}
	const headers = `"h":{"ETAG":"\"1\"","link":"<a>, <b>; rel=\"x\""}`
	for name, tt := range map[string]struct {
		path, want, reason string
		change             func(*Settings)
	}{
		"all":               {"/", `{"got":{"why":"x"},"s":200,` + headers + `}`, "", some},
		"an error is one":   {"/conflict", `{"got":{"why":"x"},"s":409,` + headers + `}`, "", some},
		"a miss":            {"/missing", `{"got":null,"s":404,` + headers + `}`, "", some},
		"not in ok_status":  {"/none", "", client.TypeBadAnswer, some},
		"to be tried again": {"/down", "", "", some},
		"status alone":      {"/", `{"s":200}`, "", func(s *Settings) { s.Into, s.StatusInto = "", "s" }},
		"head":              {"/", `{"s":200}`, "", func(s *Settings) { s.Into, s.StatusInto, s.Method = "", "s", "HEAD" }},
		"head of a miss":    {"/missing", "", client.ReasonNoMatch, func(s *Settings) { s.Into, s.Method = "", "HEAD" }},
		"nothing wanted":    {"/", `{}`, "", func(s *Settings) { s.Into, s.Method = "", "DELETE" }},
	} {
		t.Run(name, func(t *testing.T) {
			h := newStage(t, handler, tt.path, tt.change)
			rec := record(`{}`)
			err := h.Process(t.Context(), rec)
			reason, permanent := pipeline.IsPermanent(err)
			if reason != tt.reason || permanent != (tt.reason != "") || (err == nil) != (tt.want != "") {
				t.Fatalf("%v, want the reason %q", err, tt.reason)
			}
			if tt.want != "" && string(rec.Value()) != tt.want {
				t.Errorf("%s, want %s", rec.Value(), tt.want)
			}
		})
	}
}

// A value that is no object passes where nothing is put into it.
func TestAnyValueWhereNothingIsPutIn(t *testing.T) {
	server := new(recorder)
	whole := expression(t, "$env")
	h := newStage(t, server.ServeHTTP, "/", func(s *Settings) { s.Into, s.Method, s.JSON = "", "PUT", &whole })
	rec := record(`[1, 2]`)
	if err := h.Process(t.Context(), rec); err != nil || server.only(t).body != `[1, 2]` {
		t.Errorf("%v, sent %q", err, server.came)
	}
}

// What the file says of a status wins over what it means to a file that does not say.
func TestVerdicts(t *testing.T) {
	one := func(status int) client.Statuses { return client.Statuses{{From: status, To: status}} }
	for name, tt := range map[string]struct {
		change func(*Settings)
		want   map[int]verdict
	}{
		"default": {func(*Settings) {}, map[int]verdict{200: answers, 204: answers, 299: answers, 304: rejects, 403: rejects, 404: misses, 429: retries, 503: retries, 999: rejects, -1: rejects}},
		"ok":      {func(s *Settings) { s.OKStatus = append(one(404), one(503)...) }, map[int]verdict{200: rejects, 404: answers, 503: answers, 500: retries}},
		"miss":    {func(s *Settings) { s.MissStatus = append(one(204), one(503)...) }, map[int]verdict{204: misses, 404: rejects, 503: misses, 500: retries}},
		"retry":   {func(s *Settings) { s.RetryStatus = append(one(202), one(401)...) }, map[int]verdict{202: retries, 401: retries, 503: rejects, 200: answers}},
	} {
		s := Defaults()
		s.URL, s.Into = template(t, "http://h/"), "got"
		tt.change(&s)
		h, err := New(s, "", env(1))
		if err != nil {
			t.Fatal(err)
		}
		for status, want := range tt.want {
			if got := h.verdict(status); got != want {
				t.Errorf("%s: %d is %d, want %d", name, status, got, want)
			}
		}
		_ = h.Close()
	}
}

// Settings that contradict each other are errors of the fields that do.
func TestContradictions(t *testing.T) {
	whole := expression(t, "$env")
	text := template(t, "{a}")
	for name, tt := range map[string]struct {
		change func(*Settings)
		fields string
	}{
		"two bodies":      {func(s *Settings) { s.Method, s.JSON, s.Text = "POST", &whole, &text }, "text"},
		"head with into":  {func(s *Settings) { s.Method = "HEAD" }, "into"},
		"nowhere":         {func(s *Settings) { s.Into = "" }, "into"},
		"answer nowhere":  {func(s *Settings) { s.Into, s.StatusInto, s.Answer = "", "s", "text" }, "answer"},
		"one in another":  {func(s *Settings) { s.StatusInto = "got.status" }, "status_into"},
		"names nowhere":   {func(s *Settings) { s.KeepHeaders = []string{"etag"} }, "keep_headers"},
		"headers of none": {func(s *Settings) { s.HeadersInto = "h" }, "headers_into"},
		"raw in a query":  {func(s *Settings) { s.URL = template(t, "http://h/?{raw(a)}") }, "url"},
		"any host":        {func(s *Settings) { s.URL = template(t, "http://{h}/") }, "url"},
		"two log-ins": {func(s *Settings) {
			s.Auth = &client.Auth{Bearer: &client.BearerAuth{Token: "abcdef"}, Basic: &client.BasicAuth{Username: "u", Password: "abcdef"}}
		}, "auth"},
		"other http2": {func(s *Settings) { s.HTTP2 = "x" }, "http2"},
	} {
		s := Defaults()
		s.URL, s.Into = template(t, "http://h/"), "got"
		tt.change(&s)
		if got := fieldsOf(s.Validate()); strings.Join(got, " ") != tt.fields {
			t.Errorf("%s: %v, want %s", name, got, tt.fields)
		}
	}
}
