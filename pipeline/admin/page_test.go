package admin

import (
	"net/http"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/settings"
)

// TestThePageHoldsNothing: it is served without the token, may load and ask nothing but its own address, and everything
// that it shows wants the token.
func TestThePageHoldsNothing(t *testing.T) {
	o := healthy()
	o.Page, o.Token = true, settings.Secret("a-token-of-the-test")
	s := start(t, o)
	c := client(t, &http.Transport{})
	base := "http://" + s.Addr()
	_, page, h := ask(t, c, "GET", base+"/", nil)
	if !strings.HasPrefix(page, "<!doctype html>") || h.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("the page: %v %.40s", h, page)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-cache",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q", name, h.Get(name))
		}
	}
	for path, kind := range map[string]string{"/page/main.js": "text/javascript; charset=utf-8", "/page/page.css": "text/css; charset=utf-8", "/page/icon.svg": "image/svg+xml"} {
		status, body, h := ask(t, c, "GET", base+path, nil)
		if status != 200 || body == "" || h.Get("Content-Type") != kind || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d %v", path, status, h)
		}
		if status, body, _ := ask(t, c, "GET", base+path, func(r *http.Request) { r.Header.Set("If-None-Match", h.Get("ETag")) }); status != 304 || body != "" {
			t.Errorf("%s again: %d", path, status)
		}
	}
	for path, want := range map[string]int{
		"/page/": 404, "/page/../page/main.js": 404, "/page/../api/v1/stats": 404, "/page/nothing.js": 404, "/index.html": 401, "//": 401,
		"/api/v1/stats": 401, "/api/v1/stats/stream": 401, "/api/v1/history": 401, "/version": 401,
	} {
		r, err := http.NewRequest("GET", base, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Opaque = path // as it stands: a client would clean it
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	for _, name := range []string{"onclick=", "onload=", "<style", "style=", "http://", "https://", "javascript:"} {
		if strings.Contains(strings.ToLower(page), name) {
			t.Errorf("the page has %s", name)
		}
	}
	o.Page = false
	s = start(t, o)
	for _, path := range []string{"/", "/page/main.js"} {
		if status, _, _ := ask(t, c, "GET", "http://"+s.Addr()+path, func(r *http.Request) { r.Header.Set("Authorization", "Bearer a-token-of-the-test") }); status != 404 {
			t.Errorf("without the page %s: %d", path, status)
		}
	}
}
