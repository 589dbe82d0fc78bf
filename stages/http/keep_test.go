package httpstage

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/expr"
)

// HTTP's own rules say how long an answer is used again, where the file asks for them.
func TestAnswersAreKeptByTheRulesOfHTTP(t *testing.T) {
	type answered struct {
		header map[string]string
		status int
	}
	for name, tt := range map[string]struct {
		answered
		after    []time.Duration // of each record but the first, since the one before
		asked    int             // requests, those that ask whether the answer still holds among them
		modified int             // requests answered 304
	}{
		"for a while":           {answered{map[string]string{"Cache-Control": "max-age=60"}, 200}, []time.Duration{59 * time.Second, 2 * time.Second}, 2, 0},
		"and asked about":       {answered{map[string]string{"Cache-Control": "max-age=60", "Etag": `"1"`}, 200}, []time.Duration{61 * time.Second, 59 * time.Second, 2 * time.Second}, 3, 2},
		"by date":               {answered{map[string]string{"Cache-Control": "max-age=60", "Last-Modified": "Fri, 01 Jan 1999 00:00:00 GMT"}, 200}, []time.Duration{61 * time.Second}, 2, 1},
		"asked about each time": {answered{map[string]string{"Cache-Control": "no-cache", "Etag": `W/"1"`}, 200}, []time.Duration{time.Second, time.Second}, 3, 2},
		"never":                 {answered{map[string]string{"Cache-Control": "no-store", "Etag": `"1"`}, 200}, []time.Duration{time.Second}, 2, 0},
		"not by what is said":   {answered{map[string]string{"Vary": "*", "Cache-Control": "max-age=60"}, 200}, []time.Duration{time.Second}, 2, 0},
		"by the file's ttl":     {answered{nil, 200}, []time.Duration{4 * time.Minute, 2 * time.Minute}, 2, 0},
		"older than it came":    {answered{map[string]string{"Cache-Control": "max-age=60", "Age": "50"}, 200}, []time.Duration{9 * time.Second, 2 * time.Second}, 2, 0},
		"a miss":                {answered{map[string]string{"Cache-Control": "max-age=60"}, 404}, []time.Duration{59 * time.Second, 2 * time.Second}, 2, 0},
		"a miss, by the file":   {answered{nil, 404}, []time.Duration{29 * time.Second, 2 * time.Second}, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n network
				asked, modified := 0, 0
				n.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) {
					asked++
					for k, v := range tt.header {
						w.Header().Set(k, v)
					}
					if tag := tt.header["Etag"]; tag != "" && r.Header.Get("If-None-Match") == tag || tag == "" && r.Header.Get("If-Modified-Since") != "" {
						modified++
						w.WriteHeader(http.StatusNotModified)
						return
					}
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(tt.status)
					fmt.Fprintf(w, `{"n":1}`)
				})
				s, e := Defaults(), env(1)
				s.URL, s.Into, s.StatusInto, s.OnMiss = template(t, "http://api.example/{id}"), "got", "status", client.MissNull
				s.HeadersInto, s.KeepHeaders = "headers", []string{"etag"}
				e.Settings.Cache = &calls.CacheSettings{TTL: 5 * time.Minute, NegativeTTL: 30 * time.Second, Entries: 10, Bytes: 1 << 20, HTTP: true}
				h, err := open(s, "", e, client.HTTPOptions{Dial: n.dial})
				if err != nil {
					t.Fatal(err)
				}
				for i := range len(tt.after) + 1 {
					if i > 0 {
						time.Sleep(tt.after[i-1])
					}
					rec := record(`{"id":1}`)
					if err := h.Process(t.Context(), rec); err != nil {
						t.Fatal(err)
					}
					want := `{"n":1}`
					if tt.status == 404 {
						want = "null"
					}
					v := gjson.ParseBytes(rec.Value())
					if v.Get("got").Raw != want || v.Get("status").Int() != int64(tt.status) || v.Get("headers.etag").String() != tt.header["Etag"] {
						t.Errorf("record %d came out as %s", i, rec.Value())
					}
				}
				if asked != tt.asked || modified != tt.modified {
					t.Errorf("%d requests, %d of them answered 304, want %d and %d", asked, modified, tt.asked, tt.modified)
				}
				if err := h.Close(); err != nil {
					t.Error(err)
				}
				n.close()
			})
		})
	}
}

// What is kept is given to those who ask the same: the same address, headers and body.
func TestKeptAnswersAreThoseOfTheQuestion(t *testing.T) {
	doc := template(t, `{{"q": {q}}}`)
	asked := 0
	answer := func(w http.ResponseWriter, r *http.Request) {
		asked++
		answering(200, "text/plain", fmt.Sprint(asked))(w, r)
	}
	for name, tt := range map[string]struct {
		change func(*Settings)
		values []string
		want   string // of the answers, one after the other
	}{
		"address": {func(s *Settings) { s.URL = template(t, s.URL.String()+"{q}") }, []string{`{"q":1}`, `{"q":2}`, `{"q":1}`, `{"q":"1"}`}, "1211"},
		"header": {func(s *Settings) {
			s.Headers = map[string]expr.Template{"accept-language": template(t, "{q}")}
		}, []string{`{"q":"de"}`, `{"q":"nb"}`, `{"q":"de"}`}, "121"},
		"body": {func(s *Settings) { s.Method, s.Body = "POST", &doc }, []string{`{"q":1}`, `{"q":2}`, `{"q":1}`, `{"q":"1"}`}, "1213"},
	} {
		asked = 0
		server := newServer(t, answer)
		s, e := Defaults(), env(1)
		s.URL, s.Into = template(t, server+"/"), "got"
		tt.change(&s)
		e.Settings.Cache = &calls.CacheSettings{TTL: time.Hour, Entries: 10, Bytes: 1 << 20}
		h, err := New(s, "", e)
		if err != nil {
			t.Fatal(err)
		}
		var charged int64
		h.Account(func(n int64) { charged += n })
		got := ""
		for _, v := range tt.values {
			rec := record(v)
			if err := h.Process(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
			got += gjson.GetBytes(rec.Value(), "got").String()
		}
		if got != tt.want {
			t.Errorf("%s: the answers are %s, want %s", name, got, tt.want)
		}
		if r := h.Report(); r.CacheHits != int64(len(tt.values)-asked) || r.CacheMisses != int64(asked) || charged <= 0 {
			t.Errorf("%s: %+v, %d bytes charged", name, r, charged)
		}
		_ = h.Close()
		if charged != 0 {
			t.Errorf("%s: %d bytes are charged for what is gone", name, charged)
		}
	}
}

// What is to change something is neither kept nor shared.
func TestCallsBesideTheMethod(t *testing.T) {
	yes, kept := true, calls.DefaultCache()
	byHTTP := kept
	byHTTP.HTTP = true
	for _, tt := range []struct {
		method string
		c      calls.Settings
		ok     bool
	}{
		{"GET", calls.Settings{Cache: &byHTTP, Share: &yes}, true}, {"HEAD", calls.Settings{Cache: &byHTTP}, true}, {"POST", calls.Settings{Cache: &kept, Share: &yes}, true},
		{"POST", calls.Settings{Cache: &byHTTP}, false}, {"PUT", calls.Settings{Cache: &kept}, false}, {"PATCH", calls.Settings{Share: &yes}, false},
		{"DELETE", calls.Settings{Share: &yes}, false}, {"DELETE", calls.Settings{}, true},
	} {
		s := Defaults()
		s.Method = tt.method
		if err := s.CheckCalls(tt.c); (err == nil) != tt.ok {
			t.Errorf("%s beside %+v: %v", tt.method, tt.c, err)
		}
	}
}

// A tombstone needs no call, and waits for nothing.
func TestTombstonesWaitForNothing(t *testing.T) {
	h := newStage(t, nil, "/", nil)
	var rec pipeline.Record
	rec.Init(pipeline.Position{}, nil, nil, nil, 0)
	call, err := h.Admit(&rec, 1)
	if err != nil || call.Gate() != nil || call.Do(t.Context(), &rec) != nil || !call.Leave(pipeline.CallResult{Begun: true}) {
		t.Errorf("%v %v", call, err)
	}
}
