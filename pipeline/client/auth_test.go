package client

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

const canary = "s3cr3t-canary"

func TestAuthIsOneKindWithOneSecret(t *testing.T) {
	oauth := func(change func(*OAuth2Auth)) Auth {
		o := &OAuth2Auth{TokenURL: "https://id.test/token", ClientID: "me", ClientSecret: canary}
		change(o)
		return Auth{OAuth2: o}
	}
	for name, tt := range map[string]struct {
		auth  Auth
		wrong string // what the error says; "": none
	}{
		"none":                {Auth{}, "give one of basic, bearer, header and oauth2"},
		"two":                 {Auth{Basic: &BasicAuth{Username: "u", Password: canary}, Bearer: &BearerAuth{Token: canary}}, "give one of"},
		"basic":               {Auth{Basic: &BasicAuth{Username: "u", Password: canary}}, ""},
		"basic, file":         {Auth{Basic: &BasicAuth{Username: "u", PasswordFile: "/f"}}, ""},
		"basic, both":         {Auth{Basic: &BasicAuth{Username: "u", Password: canary, PasswordFile: "/f"}}, "basic: give one of password and password_file"},
		"basic, neither":      {Auth{Basic: &BasicAuth{Username: "u"}}, "basic: give one of password"},
		"basic, colon":        {Auth{Basic: &BasicAuth{Username: "a:b", Password: canary}}, "basic.username"},
		"basic, no name":      {Auth{Basic: &BasicAuth{Password: canary}}, "basic.username"},
		"bearer, line break":  {Auth{Bearer: &BearerAuth{Token: canary + "\nX: y"}}, "bearer: it holds a line break"},
		"bearer, neither":     {Auth{Bearer: &BearerAuth{}}, "bearer: give one of token"},
		"header":              {Auth{Header: &HeaderAuth{Name: "X-Api-Key", Value: canary}}, ""},
		"header, name":        {Auth{Header: &HeaderAuth{Name: "X Key", Value: canary}}, "header.name"},
		"header, own":         {Auth{Header: &HeaderAuth{Name: "Content-Length", Value: canary}}, "header.name"},
		"oauth2":              {oauth(func(*OAuth2Auth) {}), ""},
		"oauth2, no address":  {oauth(func(o *OAuth2Auth) { o.TokenURL = "id.test/token" }), "oauth2.token_url"},
		"oauth2, user in it":  {oauth(func(o *OAuth2Auth) { o.TokenURL = "https://u:" + canary + "@id.test/" }), "oauth2.token_url"},
		"oauth2, no client":   {oauth(func(o *OAuth2Auth) { o.ClientID = "" }), "oauth2.client_id"},
		"oauth2, two secrets": {oauth(func(o *OAuth2Auth) { o.ClientSecretFile = "/f" }), "oauth2: give one of client_secret"},
	} {
		err := tt.auth.Validate()
		if (err != nil) != (tt.wrong != "") || err != nil && (!strings.Contains(err.Error(), tt.wrong) || strings.Contains(err.Error(), canary)) {
			t.Errorf("%s: %v", name, err)
		}
		if text := fmt.Sprintf("%+v %#v", tt.auth.Bearer, tt.auth.Basic); strings.Contains(text, canary) {
			t.Errorf("%s shows its secret: %s", name, text)
		}
	}
}

// A keyFile is a file of a test that changes.
func keyFile(t *testing.T, text string) settings.Path {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return settings.Path(path)
}

func newHTTP(t *testing.T, o HTTPOptions) *HTTP {
	t.Helper()
	h, err := NewHTTP(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// Each kind shows what the server wants to see, beside headers of the request's own, and the client's
// settings stay as they are.
func TestLogIn(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Authorization"), r.Header.Get("X-Api-Key"), r.Header.Get("X-Own"))
	}))
	defer s.Close()
	for name, tt := range map[string]struct {
		auth Auth
		want string
	}{
		"basic":                            {Auth{Basic: &BasicAuth{Username: "u", Password: "p:ä"}}, "Basic " + base64.StdEncoding.EncodeToString([]byte("u:p:ä"))},
		"basic, file":                      {Auth{Basic: &BasicAuth{Username: "u", PasswordFile: keyFile(t, "from file\r\n")}}, "Basic " + base64.StdEncoding.EncodeToString([]byte("u:from file"))},
		"bearer":                           {Auth{Bearer: &BearerAuth{Token: "t"}}, "Bearer t"},
		"bearer, file":                     {Auth{Bearer: &BearerAuth{TokenFile: keyFile(t, "t2\n")}}, "Bearer t2"},
		"bearer, file as editors write it": {Auth{Bearer: &BearerAuth{TokenFile: keyFile(t, "\ufeff t2 \t\r\n\n")}}, "Bearer t2"},
		"header":                           {Auth{Header: &HeaderAuth{Name: "x-api-key", Value: "k"}}, "k"},
		"header, file":                     {Auth{Header: &HeaderAuth{Name: "X-Api-Key", ValueFile: keyFile(t, "k2")}}, "k2"},
	} {
		h := newHTTP(t, HTTPOptions{Auth: &tt.auth})
		for range 2 {
			for _, own := range []string{"", "own"} {
				r := Request{Method: "GET", URL: s.URL}
				if own != "" {
					r.Header = http.Header{"X-Own": {own}}
				}
				if a, err := h.Do(t.Context(), r); err != nil || string(a.Body) != tt.want+own {
					t.Errorf("%s: %v, %+v", name, err, a)
				}
			}
		}
		if h.header.Get("Authorization")+h.header.Get("X-Api-Key") != "" {
			t.Errorf("%s: the client's own header holds the secret", name)
		}
	}
	if _, err := NewHTTP(HTTPOptions{Auth: &Auth{Bearer: &BearerAuth{Token: "t"}}, Header: http.Header{"authorization": {"x"}}}); err == nil {
		t.Error("the header of the log-in was taken twice")
	}
	var env *pipeline.EnvironmentError
	if _, err := NewHTTP(HTTPOptions{Auth: &Auth{Bearer: &BearerAuth{TokenFile: "/nowhere/token"}}}); !errors.As(err, &env) || !strings.Contains(err.Error(), "/nowhere/token") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// A file that changes is read again: after a while, and at once when the server has said 401. One
// that is gone or wrong changes nothing and is told of once.
func TestSecretFilesAreReadAgain(t *testing.T) {
	var good atomic.Value
	good.Store("one")
	var calls atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.Header.Get("Authorization") != "Bearer "+good.Load().(string) {
			w.WriteHeader(401)
		}
	}))
	defer s.Close()
	path := keyFile(t, "one\n")
	var warnings []string
	h := newHTTP(t, HTTPOptions{Auth: &Auth{Bearer: &BearerAuth{TokenFile: path}}, Warn: func(err error) { warnings = append(warnings, err.Error()) }})
	file := h.auth.(*fixed).secret
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(string(path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	call := func(what string, status int, want int64) {
		t.Helper()
		calls.Store(0)
		a, err := h.Do(t.Context(), Request{Method: "POST", URL: s.URL, Body: []byte("x")})
		if err != nil || a.Status != status || calls.Load() != want {
			t.Errorf("%s: %v, %+v after %d calls", what, err, a, calls.Load())
		}
	}
	later := file.Expire
	call("as it was", 200, 1)
	write("two")
	call("before the next look", 200, 1)
	good.Store("two")
	call("renewed on both sides", 200, 2)
	write("three")
	good.Store("three")
	later()
	call("after a while", 200, 1)
	good.Store("four")
	call("only there", 401, 1)
	good.Store("three")
	for _, text := range []string{"", "\n", "a\nb", "a\x00b"} {
		write(text)
		later()
		call("bad file", 200, 1)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "auth.bearer.token_file") {
		t.Errorf("warnings: %q", warnings)
	}
	write("three")
	later()
	call("good again", 200, 1)
	if err := os.Remove(string(path)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		later()
		call("gone", 200, 1)
	}
	if len(warnings) != 2 {
		t.Errorf("warnings: %q", warnings)
	}
}

// What this side shows stays with the host that is called, by whatever kind of log-in, and so does a
// second attempt after a 401 of another host.
func TestLogInStaysWithItsHost(t *testing.T) {
	var strangers sync.Map
	var strangersAsked atomic.Int64
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strangersAsked.Add(1)
		if shown := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key"); shown != "" {
			strangers.Store(shown, true)
		}
		w.WriteHeader(401)
	}))
	defer stranger.Close()
	var calls, tokens atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/token":
			tokens.Add(1)
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"t","token_type":"bearer","expires_in":3600}`)
			return
		case "/moved":
			http.Redirect(w, r, strings.Replace(stranger.URL, "127.0.0.1", "localhost", 1), http.StatusTemporaryRedirect)
			return
		case "/same":
			http.Redirect(w, r, "/end", http.StatusFound)
			return
		case "/end":
			fmt.Fprint(w, r.Header.Get("Authorization")+r.Header.Get("X-Api-Key"))
			return
		}
		calls.Add(1)
		http.Redirect(w, r, strings.Replace(stranger.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
	}))
	defer s.Close()
	for name, auth := range map[string]*Auth{
		"basic": {Basic: &BasicAuth{Username: "u", Password: canary}}, "bearer": {Bearer: &BearerAuth{TokenFile: keyFile(t, canary)}},
		"header": {Header: &HeaderAuth{Name: "X-Api-Key", Value: canary}}, "oauth2": {OAuth2: &OAuth2Auth{TokenURL: s.URL + "/token", ClientID: "me", ClientSecret: canary}},
	} {
		h := newHTTP(t, HTTPOptions{Auth: auth, AnyHost: true})
		calls.Store(0)
		a, err := get(t, h, s.URL+"/other")
		if err != nil || a.Status != 401 || calls.Load() != 1 {
			t.Errorf("%s: %v, %+v after %d calls", name, err, a, calls.Load())
		}
		if a, err := get(t, h, s.URL+"/same"); err != nil || len(a.Body) == 0 {
			t.Errorf("%s: a redirect to the same host is not logged in: %v", name, err)
		}
	}
	// Nor does the secret of the client go where a server of tokens leads.
	strangersAsked.Store(0)
	h := newHTTP(t, HTTPOptions{Auth: &Auth{OAuth2: &OAuth2Auth{TokenURL: s.URL + "/moved", ClientID: "me", ClientSecret: canary}}})
	_, err := get(t, h, s.URL+"/end")
	is(t, err, TypeAuth, false)
	if strangersAsked.Load() != 0 {
		t.Error("a redirect of the server of tokens is followed")
	}
	strangers.Range(func(shown, _ any) bool { t.Errorf("another host was shown %v", shown); return true })
	if tokens.Load() != 1 {
		t.Errorf("%d tokens were got", tokens.Load())
	}
}

// An address of the host that is called which another host has chosen is not shown the log-in either,
// nor any other header.
func TestLogInDoesNotComeBack(t *testing.T) {
	var shown []string
	var second, first *httptest.Server
	first = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = append(shown, r.URL.Path+" "+r.Header.Get("Authorization")+r.Header.Get("X-Own"))
		switch r.URL.Path {
		case "/":
			http.Redirect(w, r, strings.Replace(second.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
		case "/chosen":
			http.Redirect(w, r, "/401", http.StatusFound)
		default:
			w.WriteHeader(401)
		}
	}))
	defer first.Close()
	second = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, first.URL+"/chosen", http.StatusFound)
	}))
	defer second.Close()
	h := newHTTP(t, HTTPOptions{Auth: &Auth{Bearer: &BearerAuth{TokenFile: keyFile(t, "key")}}, Header: http.Header{"X-Own": {"own"}}, AnyHost: true})
	if a, err := get(t, h, first.URL); err != nil || a.Status != 401 {
		t.Errorf("%v, %+v", err, a)
	}
	if got := strings.Join(shown, ", "); got != "/ Bearer keyown, /chosen , /401 " {
		t.Errorf("shown was %q", got)
	}
}

// What is no token alone is refused, with words that say why and do not show it.
func TestTokensThatAreNone(t *testing.T) {
	for text, why := range map[string]string{"Bearer canary": "begins with Bearer", "bearer canary\n": "begins with Bearer", "a canary": "holds a blank", " \t\n": "is empty", "a\ncanary": "line break"} {
		_, err := NewHTTP(HTTPOptions{Auth: &Auth{Bearer: &BearerAuth{TokenFile: keyFile(t, text)}}})
		if err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := (&Auth{Bearer: &BearerAuth{Token: "Bearer canary"}}).Validate(); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("in the file: %v", err)
	}
}
