package client

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Of an answer the beginning alone may be wanted, plain or packed; the limit for whole ones does not
// hold then.
func TestFirstBytesAlone(t *testing.T) {
	body := strings.Repeat("0123456789", 1000)
	h, s := serve(t, HTTPOptions{MaxBytes: 50, Gzip: true}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/plain" {
			fmt.Fprint(w, body)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		zw := gzip.NewWriter(w)
		fmt.Fprint(zw, body)
		zw.Close()
	})
	for _, path := range []string{"/plain", "/packed"} {
		for first, want := range map[int64]int{1: 1, 49: 49, 123: 123, 10_000: 10_000, 20_000: 10_000} {
			a, err := h.Do(t.Context(), Request{Method: "GET", URL: s.URL + path, First: first})
			if err != nil || string(a.Body) != body[:want] {
				t.Errorf("%s, first %d: %v", path, first, err)
			}
		}
		_, err := get(t, h, s.URL+path)
		is(t, err, TypeTooLarge, true)
	}
}

func TestBodiesLeftOutByTheirHeader(t *testing.T) {
	h, s := serve(t, HTTPOptions{MaxBytes: 50}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.URL.Path)
		fmt.Fprint(w, strings.Repeat("x", 40+len(r.URL.Path)))
	})
	skip := func(h http.Header) bool { return h.Get("Content-Type") == "/a/very/long/one" }
	for path, want := range map[string]int{"/a": 42, "/a/very/long/one": 0} {
		a, err := h.Do(t.Context(), Request{Method: "GET", URL: s.URL + path, Skip: skip})
		if err != nil || len(a.Body) != want || a.Status != 200 {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
	}
}

func TestRedirectsAsAnswers(t *testing.T) {
	calls := 0
	h, s := serve(t, HTTPOptions{Stay: true, AnyHost: true}, func(w http.ResponseWriter, r *http.Request) {
		calls++
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	a, err := get(t, h, s.URL+"/")
	if err != nil || a.Status != http.StatusFound || a.Header.Get("Location") != "/elsewhere" || calls != 1 {
		t.Errorf("%+v, %v, %d calls", a, err, calls)
	}
}
