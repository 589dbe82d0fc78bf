package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
)

// TestProbe: the exit code is the answer, and a "no" is another one than "nobody is there".
func TestProbe(t *testing.T) {
	answers := map[string]string{"/livez": "", "/readyz": "pipeline p: not_connected"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := answers[r.URL.Path]; why != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintf(w, `{"status":"unavailable","reason":%q}`, why)
			return
		}
		fmt.Fprint(w, `{"status":"ok"}`)
	}))
	defer server.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	nobody := gone.Listener.Addr().String()
	gone.Close()
	for _, c := range []struct {
		what, addr string
		code       int
		says       string
	}{
		{"live", server.Listener.Addr().String(), exitDone, ""},
		{"ready", server.Listener.Addr().String(), exitFailed, "penstock: not ready: pipeline p: not_connected\n"},
		{"live", nobody, exitEnvironment, "nothing listens there"},
		{"well", nobody, exitUsage, `probe asks whether a process is live or ready, and not "well"`},
	} {
		var out, errs bytes.Buffer
		code := execute(t.Context(), []string{"probe", c.what, "--addr", c.addr}, streams{strings.NewReader(""), &out, &errs}, catalog.Kinds())
		if code != c.code || out.Len() > 0 || !strings.Contains(errs.String(), c.says) || c.says == "" && errs.Len() > 0 {
			t.Errorf("%s at %s: %d %s%s", c.what, c.addr, code, out.String(), errs.String())
		}
	}
}
