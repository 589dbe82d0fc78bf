package client

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A server that quotes the request does not get the log-in into a dead letter.
func TestQuotedLogInIsHidden(t *testing.T) {
	const secret = `s3cr/t"&<canary>`
	packed := base64.StdEncoding.EncodeToString([]byte("u:" + secret))
	for _, before := range []int{0, 150, 190, 199} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"access_token":"t0ken-canary","token_type":"bearer","expires_in":3600}`)
				return
			}
			w.WriteHeader(http.StatusForbidden)
			said := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key") + " "
			quoted, err := json.Marshal(said)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprint(w, strings.Repeat(".", before)+said+url.QueryEscape(secret)+" "+string(quoted)+strings.Repeat("|"+said, 30)+" you")
		}))
		for name, o := range map[string]HTTPOptions{
			"basic":         {Auth: &Auth{Basic: &BasicAuth{Username: "u", Password: secret}}},
			"bearer":        {Auth: &Auth{Bearer: &BearerAuth{TokenFile: keyFile(t, secret)}}},
			"header":        {Auth: &Auth{Header: &HeaderAuth{Name: "X-Api-Key", Value: secret}}},
			"oauth2":        {Auth: &Auth{OAuth2: &OAuth2Auth{TokenURL: s.URL + "/token", ClientID: "me", ClientSecret: secret}}},
			"secret header": {Header: http.Header{"X-Api-Key": {secret}}, Secrets: []string{secret}},
			"of the file":   {Header: http.Header{"X-Api-Key": {"canary"}}, Conceal: func(text string) string { return strings.ReplaceAll(text, "canary", "***") }, Secrets: []string{secret}},
		} {
			a, err := get(t, newHTTP(t, o), s.URL)
			if err != nil {
				t.Fatal(err)
			}
			var failed *Error
			if !errors.As(StatusError("calling", a, nil), &failed) {
				t.Fatal("no Error")
			}
			for _, s := range []string{"canary", "s3cr", packed[:5], url.QueryEscape(secret)[:5]} {
				if strings.Contains(failed.Detail(), s) {
					t.Errorf("%s, %d before: %q is shown: %s", name, before, s, failed.Detail())
				}
			}
			if !strings.Contains(failed.Detail(), "***") && before < 190 {
				t.Errorf("%s: %q", name, failed.Detail())
			}
		}
		s.Close()
	}
}
