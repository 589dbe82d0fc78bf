package httpsink

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/settings"
)

// The log-in goes with each request; one that has run out holds the records, as others do.
func TestHTTPLogIn(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(token, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	var want atomic.Value
	want.Store("Bearer old")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != want.Load() {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	s := Defaults()
	s.URL, s.Auth = template(t, server.URL), &client.Auth{Bearer: &client.BearerAuth{TokenFile: settings.Path(token)}}
	sink, err := New(s, "pipe/hook", calls.Env{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close(t.Context())
	if err := sink.Write(t.Context(), run(1, 2)); err != nil {
		t.Error(err)
	}
	want.Store("Bearer new")
	if got := outcome(2, sink.Write(t.Context(), run(3, 2))); got != "later,later" {
		t.Errorf("with a token that has run out: %s", got)
	}
	write("new")
	if err := sink.Write(t.Context(), run(3, 2)); err != nil {
		t.Error(err)
	}
}
