package admin

import (
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// TestTokenFile: the token of a file is another one a second after the file is; a file that is bad or
// gone changes nothing, and is told of once.
func TestTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		write("canary-one\n")
		var mu sync.Mutex
		var warnings []string
		o := healthy()
		o.TokenFile = settings.Path(path)
		o.Warn = func(err error) {
			mu.Lock()
			defer mu.Unlock()
			warnings = append(warnings, err.Error())
		}
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		takes := func(what string, good, bad string) {
			t.Helper()
			for token, want := range map[string]bool{good: true, bad: false, "": false} {
				r := &http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}}
				if s.server.Authorized(r) != want {
					t.Errorf("%s: %s was taken: %v", what, token, !want)
				}
			}
		}
		takes("at first", "canary-one", "canary-two")
		write("canary-two\n")
		time.Sleep(time.Second)
		takes("renewed", "canary-two", "canary-one")
		for _, bad := range []string{"", "canary three", "\x00canary"} {
			write(bad)
			time.Sleep(time.Second)
			takes("while it is bad", "canary-two", bad)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		takes("gone", "canary-two", "canary-one")
		if len(warnings) != 1 || strings.Contains(warnings[0], "canary") || !strings.Contains(warnings[0], "admin.token_file") {
			t.Errorf("warnings: %q", warnings)
		}
	})
	// A file that cannot be read at the start keeps the endpoint from starting.
	o := healthy()
	o.TokenFile = settings.Path(path)
	var env *pipeline.EnvironmentError
	if _, err := New(o); !errors.As(err, &env) || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
}

// TestWrongTokens: what is nearly the token is none, and a path that needs the token answers
// nothing else without it, whatever the path.
func TestWrongTokens(t *testing.T) {
	o := healthy()
	o.Token, o.Pprof = "canary-canary", true
	o.Metrics = http.NotFoundHandler()
	o.Files = func() ([]File, error) { return nil, nil }
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	running := start(t, o)
	c := client(t, &http.Transport{})
	paths := []string{"/", "/nope", "/livez/", "//livez"}
	for _, r := range s.table() {
		if !r.open && r.handler != nil {
			paths = append(paths, r.path)
		}
	}
	for _, auth := range []string{"", "Bearer", "Bearer ", "Bearer canary", "Bearer canary-canary-canary", "Bearer Canary-canary",
		"Bearer  canary", "bearer Canary-canary", "Basic canary-canary", "canary-canary", "Bearer canary-canary, Bearer x"} {
		for _, path := range paths {
			status, body, h := ask(t, c, "GET", "http://"+running.Addr()+path, func(r *http.Request) { r.Header.Set("Authorization", auth) })
			if status != 401 || body != `{"error":"the token is missing or wrong"}` || h.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%q %s: %d %s", auth, path, status, body)
			}
		}
	}
}

// TestShortTokens: what other machines may guess at has to be long, wherever it stands.
func TestShortTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for listen, needed := range map[string]bool{"127.0.0.1:0": false, "0.0.0.0:0": true} {
		for token, long := range map[string]bool{"canary": false, "canary-canary-1": false, "canary-canary-16": true} {
			o := healthy()
			o.Listen, o.TLS, o.Token = listen, &tls.Config{}, settings.Secret(token)
			if _, err := New(o); (err == nil) != (long || !needed) || err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("%s, %s: %v", listen, token, err)
			}
			if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
				t.Fatal(err)
			}
			o.Token, o.TokenFile = "", settings.Path(path)
			if _, err := New(o); (err == nil) != (long || !needed) || err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("%s, %s in a file: %v", listen, token, err)
			}
		}
	}
}
