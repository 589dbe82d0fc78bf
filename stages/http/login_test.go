package httpstage

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/settings"
)

// The log-in goes with each request, to whatever host of the file, and not behind a redirect.
func TestLogIns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "elsewhere %s%s", r.Header.Get("Authorization"), r.Header.Get("X-Key"))
	}))
	defer elsewhere.Close()
	for name, tt := range map[string]struct {
		auth client.Auth
		want string
	}{
		"basic":       {client.Auth{Basic: &client.BasicAuth{Username: "u", Password: "canary"}}, "Basic dTpjYW5hcnk="},
		"bearer file": {client.Auth{Bearer: &client.BearerAuth{TokenFile: settings.Path(file)}}, "Bearer canary"},
		"header":      {client.Auth{Header: &client.HeaderAuth{Name: "X-Key", Value: "canary"}}, "canary"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newStage(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/away" {
					http.Redirect(w, r, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
					return
				}
				fmt.Fprint(w, r.Header.Get("Authorization")+r.Header.Get("X-Key"))
			}, "/{to}", func(s *Settings) {
				s.Auth, s.Redirects = &tt.auth, "any_host"
				opened(t, s, strings.TrimPrefix(strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1), "http://"), "localhost")
			})
			for to, want := range map[string]string{"here": tt.want, "away": "elsewhere "} {
				rec := record(`{"to":"` + to + `"}`)
				if err := h.Process(t.Context(), rec); err != nil {
					t.Fatal(err)
				}
				if got := gjson.GetBytes(rec.Value(), "got").String(); got != want {
					t.Errorf("%s is shown %q, want %q", to, got, want)
				}
			}
		})
	}
}

// A file of a log-in that is not there is an error of the environment, and nothing stays behind.
func TestLogInWithoutItsFile(t *testing.T) {
	s := Defaults()
	s.URL, s.Into = template(t, "http://h/"), "got"
	s.Auth = &client.Auth{Bearer: &client.BearerAuth{TokenFile: "/nowhere/token"}}
	_, err := New(s, "", env(1))
	var environment *pipeline.EnvironmentError
	if !errors.As(err, &environment) {
		t.Errorf("%v", err)
	}
}

// HTTP/2 without TLS is spoken where the file says that the server does.
func TestHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	for version, want := range map[client.HTTP2]string{client.HTTP2Auto: "HTTP/1.1", client.HTTP2On: "HTTP/2.0", client.HTTP2Off: "HTTP/1.1"} {
		s := Defaults()
		s.URL, s.Into, s.HTTP2 = template(t, server.URL), "got", version
		h, err := New(s, "", env(4))
		if err != nil {
			t.Fatal(err)
		}
		rec := record(`{}`)
		if err := h.Process(t.Context(), rec); err != nil || gjson.GetBytes(rec.Value(), "got").String() != want {
			t.Errorf("%s: %v %s, want %s", version, err, rec.Value(), want)
		}
		_ = h.Close()
	}
}

// opened has the file open the host of its address and another one.
func opened(t *testing.T, s *Settings, host, allow string) {
	t.Helper()
	own, _, _ := strings.Cut(strings.TrimPrefix(s.URL.String(), "http://"), "/")
	s.Hosts, s.Allow = make(client.Hosts, 2), make([]client.Allow, 1)
	if err := errors.Join(s.Hosts[0].UnmarshalText([]byte(own)), s.Hosts[1].UnmarshalText([]byte(host)), s.Allow[0].UnmarshalText([]byte(allow))); err != nil {
		t.Fatal(err)
	}
}

// A redirect leads nowhere that the file does not name, and nowhere inside without being told so.
func TestRedirectsStayWithinHosts(t *testing.T) {
	var reached atomic.Bool
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer inside.Close()
	at := strings.TrimPrefix(inside.URL, "http://")
	for name, tt := range map[string]struct {
		change func(*testing.T, *Settings)
		ok     bool
	}{
		"same host":        {func(*testing.T, *Settings) {}, false},
		"any host":         {func(_ *testing.T, s *Settings) { s.Redirects = "any_host" }, false},
		"another is named": {func(t *testing.T, s *Settings) { s.Redirects = "any_host"; opened(t, s, "other.example", "127.0.0.1") }, false},
		"it is named": {func(t *testing.T, s *Settings) {
			s.Redirects = "any_host"
			opened(t, s, at, "10.0.0.0/8")
		}, false},
		"and opened": {func(t *testing.T, s *Settings) {
			s.Redirects = "any_host"
			opened(t, s, at, "127.0.0.0/8")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			reached.Store(false)
			h := newStage(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, inside.URL, http.StatusFound)
			}, "/", func(s *Settings) {
				s.URL = template(t, strings.Replace(s.URL.String(), "127.0.0.1", "localhost", 1)) // open by its name
				tt.change(t, s)
			})
			err := h.Process(t.Context(), record(`{}`))
			reason, _ := pipeline.IsPermanent(err)
			if reached.Load() != tt.ok || (err == nil) != tt.ok || !tt.ok && reason != client.TypeEgress && reason != client.TypeRedirect {
				t.Errorf("%v, reached: %v", err, reached.Load())
			}
		})
	}
}

// To any_host without hosts is to the public internet: at the ports that everybody may call, too.
func TestRedirectsToAnyHostStayOutside(t *testing.T) {
	for to, why := range map[string]string{
		"http://127.0.0.9/": "a loopback address", "http://169.254.169.254/latest/meta-data": "an address of a cloud's metadata",
		"http://[::ffff:127.0.0.9]/": "a loopback address", "http://10.1.2.3/": "a private address",
	} {
		h := newStage(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }, "/", func(s *Settings) { s.Redirects = "any_host" })
		err := h.Process(t.Context(), record(`{}`))
		if reason, _ := pipeline.IsPermanent(err); reason != client.TypeEgress || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", to, err)
		}
	}
}
