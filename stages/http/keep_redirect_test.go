package httpstage

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
)

// Behind a redirect, what is known of one answer is asked about where that came from and nowhere
// else, and it holds for no longer than the redirect.
func TestKeptBehindRedirects(t *testing.T) {
	for name, tt := range map[string]struct {
		redirect map[string]string // headers of the redirect
		moved    bool              // the redirect leads to v2 after the first record
		after    time.Duration     // of the second record, since the first
		want     string            // requests, in their order; a question mark behind one that asks whether what is known holds
		answer   string            // in the second record
	}{
		"that moves":                     {map[string]string{"Cache-Control": "no-store"}, true, time.Second, "/latest /v1 /latest /v2", "v2"},
		"that stays":                     {map[string]string{"Cache-Control": "no-store"}, false, time.Second, "/latest /v1 /latest /v1?", "v1"},
		"that does not say":              {nil, false, time.Second, "/latest /v1 /latest /v1?", "v1"},
		"that holds":                     {map[string]string{"Cache-Control": "max-age=60"}, true, 59 * time.Second, "/latest /v1", "v1"},
		"that holds for less":            {map[string]string{"Cache-Control": "max-age=60"}, true, 61 * time.Second, "/latest /v1 /latest /v2", "v2"},
		"that holds for longer and more": {map[string]string{"Cache-Control": "max-age=600"}, false, 121 * time.Second, "/latest /v1 /latest /v1?", "v1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n network
				var asked []string
				to := "/v1"
				n.serve("api.example", func(w http.ResponseWriter, r *http.Request, _ int, _ time.Duration) {
					at, known := r.URL.Path, r.Header.Get("If-Modified-Since")
					if known != "" || r.Header.Get("If-None-Match") != "" {
						at += "?"
					}
					asked = append(asked, at)
					if r.URL.Path == "/latest" {
						for k, v := range tt.redirect {
							w.Header().Set(k, v)
						}
						w.Header().Set("Location", to)
						w.WriteHeader(http.StatusFound)
						return
					}
					changed := map[string]string{"/v1": "Fri, 01 Jan 1999 00:00:00 GMT", "/v2": "Thu, 01 Jan 1998 00:00:00 GMT"}[r.URL.Path] // v2 is older
					w.Header().Set("Last-Modified", changed)
					w.Header().Set("Cache-Control", "max-age=120")
					if known != "" { // it has not changed since
						w.WriteHeader(http.StatusNotModified)
						return
					}
					_, _ = w.Write([]byte(r.URL.Path[1:]))
				})
				s, e := Defaults(), env(1)
				s.URL, s.Into = template(t, "http://api.example/latest"), "got"
				e.Settings.Cache = &calls.CacheSettings{TTL: 5 * time.Minute, Entries: 10, Bytes: 1 << 20, HTTP: true}
				h, err := open(s, "", e, client.HTTPOptions{Dial: n.dial})
				if err != nil {
					t.Fatal(err)
				}
				for i, want := range []string{"v1", tt.answer} {
					rec := record(`{}`)
					if err := h.Process(t.Context(), rec); err != nil {
						t.Fatal(err)
					}
					if got := gjson.GetBytes(rec.Value(), "got").String(); got != want {
						t.Errorf("record %d has the answer %s, want %s", i, got, want)
					}
					if tt.moved {
						to = "/v2"
					}
					time.Sleep(tt.after)
				}
				if got := strings.Join(asked, " "); got != tt.want {
					t.Errorf("requests %s, want %s", got, tt.want)
				}
				if err := h.Close(); err != nil {
					t.Error(err)
				}
				n.close()
			})
		})
	}
}
