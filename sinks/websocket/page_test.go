package websocketsink

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

const testPage = "<!doctype html><title>t</title><style>p{color:red}</style>\r\n<p>x</p><script>\r\nnew EventSource('/live')</script><script src=\"https://evil.example/x.js\"></script>"

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// TestPage: the page is served as it stands, without the token, and may run only what stands in it.
func TestPage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(testPage), 0o600); err != nil {
		t.Fatal(err)
	}
	s := opened(t, func(s *Settings) {
		s.Page = settings.Path(file)
		s.PageCalls = []string{"http://127.0.0.1:8090"}
		s.Token = "a-token"
	})
	ask := func(method, host string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+s.Addr()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(b)
	}
	resp, text := ask(http.MethodGet, "")
	if resp.StatusCode != 200 || text != testPage {
		t.Errorf("%d %q", resp.StatusCode, text)
	}
	policy := map[string]string{}
	for part := range strings.SplitSeq(resp.Header.Get("Content-Security-Policy"), "; ") {
		name, value, _ := strings.Cut(part, " ")
		policy[name] = value
	}
	for name, want := range map[string]string{
		"default-src": "'none'", "script-src": hash("\nnew EventSource('/live')"), "style-src": hash("p{color:red}"),
		"connect-src": "'self' ws://" + s.Addr() + " wss://" + s.Addr() + " http://127.0.0.1:8090", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
	} {
		if policy[name] != want {
			t.Errorf("%s is %s, want %s", name, policy[name], want)
		}
	}
	if resp.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("the head is %v", resp.Header)
	}
	if resp, text := ask(http.MethodHead, ""); resp.StatusCode != 200 || text != "" {
		t.Errorf("HEAD: %d %q", resp.StatusCode, text)
	}
	if resp, _ := ask(http.MethodPost, ""); resp.StatusCode != 405 {
		t.Errorf("POST: %d", resp.StatusCode)
	}
	if resp, _ := ask(http.MethodGet, "evil.example"); resp.StatusCode != 421 {
		t.Errorf("another host: %d", resp.StatusCode)
	}
}

// TestPageThatCannotBeRead: the error names the file, and is one of the environment.
func TestPageThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.html")
	if err := os.WriteFile(big, make([]byte, maxPage+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{filepath.Join(dir, "none.html"): "no such file", big: "4 MiB", dir: "no plain file"} {
		_, err := New(settingsOf(func(s *Settings) { s.Page = settings.Path(file) }))
		if err == nil || !strings.Contains(err.Error(), "reading the page "+file) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
		if _, ok := err.(*pipeline.EnvironmentError); !ok {
			t.Errorf("%s: %T", file, err)
		}
	}
}

// TestSettings: what is wrong is said, by its name.
func TestSettings(t *testing.T) {
	for want, change := range map[string]func(*Settings){
		"path: it is a path":             func(s *Settings) { s.Path = "live" },
		"path: it is a path without":     func(s *Settings) { s.Path = "/live?x=1" },
		"path: the page is at /":         func(s *Settings) { s.Path, s.Page = "/", "p.html" },
		"as: \"text\" is none":           func(s *Settings) { s.As = "text" },
		"slow: \"never\" is none":        func(s *Settings) { s.Slow = "never" },
		"queue: it is too small":         func(s *Settings) { s.Queue = 0 },
		"ping: it is too small":          func(s *Settings) { s.Ping = 0 },
		"page_calls: it takes sites":     func(s *Settings) { s.Page, s.PageCalls = "p.html", []string{"https://a.example/x"} },
		"page_calls: there is no page":   func(s *Settings) { s.PageCalls = []string{"https://a.example"} },
		"listen: it is reachable from":   func(s *Settings) { s.Listen = ":8089" },
		"origins: it takes sites":        func(s *Settings) { s.Origins = []string{"a.example"} },
		"catch_up_bytes: it is too smal": func(s *Settings) { s.CatchUpBytes = 0 },
	} {
		s := settingsOf(change)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	s := settingsOf(nil)
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
}
