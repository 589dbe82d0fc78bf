package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/tracing"
)

// inTrace is a trace that calls are part of.
type inTrace struct{}

func (inTrace) Call() []pipeline.Header {
	return []pipeline.Header{{Name: "traceparent", Value: []byte("00-a-b-01")}, {Name: "tracestate", Value: []byte("us=1")}}
}

func (inTrace) Tells(_ *url.URL, fixed bool) bool { return fixed }

func (inTrace) Message(int) []pipeline.Header { return nil }

// TestCallsTellOfTheirTrace: those to servers that the file names do, over redirects on the same host and log-ins too; those
// whose address a record chose, and those to another host, do not.
func TestCallsTellOfTheirTrace(t *testing.T) {
	const both = "00-a-b-01 us=1"
	for name, tt := range map[string]struct {
		options HTTPOptions
		own     http.Header
		path    string
		want    string
		plain   bool // the call is part of no trace
	}{
		"plain":                 {plain: true, path: "/", want: " "},
		"a call":                {path: "/", want: both},
		"with a header":         {path: "/", own: http.Header{"X": {"y"}}, want: both},
		"with its own":          {path: "/", own: http.Header{"Traceparent": {"mine"}}, want: "mine us=1"},
		"with one of the file":  {path: "/", options: HTTPOptions{Header: http.Header{"Traceparent": {"fixed"}}}, want: "fixed us=1"},
		"on the same host":      {path: "/here", want: both},
		"to another host":       {path: "/there", options: HTTPOptions{AnyHost: true}, want: " "},
		"behind a log-in":       {path: "/", options: HTTPOptions{Auth: &Auth{Bearer: &BearerAuth{Token: "abcdef"}}}, want: both},
		"where a record choses": {path: "/", options: HTTPOptions{Egress: &Egress{Allow: ofLoopback(t)}}, want: " "},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan string, 2)
			var other string
			handler := func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/here":
					http.Redirect(w, r, "/", http.StatusFound)
				case "/there":
					http.Redirect(w, r, other, http.StatusFound)
				default:
					got <- r.Header.Get("Traceparent") + " " + r.Header.Get("Tracestate")
				}
			}
			if e := tt.options.Egress; e != nil {
				e.Hosts = Hosts{{}}
			}
			h, server := serve(t, tt.options, handler)
			other = strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/"
			if e := tt.options.Egress; e != nil {
				u, err := url.Parse(server.URL)
				if err != nil {
					t.Fatal(err)
				}
				if err := e.Hosts[0].UnmarshalText([]byte(u.Host)); err != nil {
					t.Fatal(err)
				}
			}
			ctx := context.Context(t.Context())
			if !tt.plain {
				ctx = tracing.With(ctx, inTrace{})
			}
			own := tt.own.Clone()
			if a, err := h.Do(ctx, Request{Method: "GET", URL: server.URL + tt.path, Header: tt.own}); err != nil || a.Status != 200 {
				t.Fatal(a, err)
			}
			if s := <-got; s != tt.want {
				t.Errorf("%q, want %q", s, tt.want)
			}
			if len(own) != len(tt.own) {
				t.Errorf("the header of the request was changed: %v", tt.own)
			}
		})
	}
}

func ofLoopback(t *testing.T) []Allow {
	var a Allow
	if err := a.UnmarshalText([]byte("127.0.0.0/8")); err != nil {
		t.Fatal(err)
	}
	return []Allow{a}
}
