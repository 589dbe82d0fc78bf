package client

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAnswerWithinLimit(t *testing.T) {
	const limit = 1000
	for _, size := range []int{0, 1, limit - 1, limit, limit + 1, 10 * limit} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes chunked %v", size, chunked), func(t *testing.T) {
				h, s := serve(t, HTTPOptions{MaxBytes: limit}, func(w http.ResponseWriter, r *http.Request) {
					if chunked {
						w.(http.Flusher).Flush()
					}
					_, _ = w.Write(bytes.Repeat([]byte("x"), size))
				})
				a, err := get(t, h, s.URL)
				if size > limit {
					is(t, err, TypeTooLarge, true)
					return
				}
				if err != nil || len(a.Body) != size {
					t.Errorf("%v, body %d bytes, want %d", err, len(a.Body), size)
				}
			})
		}
	}
}

func TestGzipBombEndsAtTheLimit(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 8 {
		_, _ = z.Write(zeros)
	}
	z.Close()
	h, s := serve(t, HTTPOptions{MaxBytes: 1 << 16}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	_, err := get(t, h, s.URL)
	is(t, err, TypeTooLarge, true)
}

func TestEncodings(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	fmt.Fprint(z, "hello")
	z.Close()
	corrupt := bytes.Clone(zipped.Bytes())
	corrupt[12] ^= 0xff
	tests := []struct {
		name, encoding string
		body           []byte
		typ            string
		permanent      bool
	}{
		{"gzip", "gzip", zipped.Bytes(), "", false},
		{"no gzip at all", "gzip", []byte("hello, hello, hello"), TypeBadAnswer, true},
		{"no gzip and short", "gzip", []byte("{}"), TypeBadAnswer, true},
		{"no gzip and one byte", "gzip", []byte("1"), TypeBadAnswer, true},
		{"cut in its first bytes", "gzip", zipped.Bytes()[:1], TypeNetwork, false},
		{"corrupt", "gzip", corrupt, TypeBadAnswer, true},
		{"cut", "gzip", zipped.Bytes()[:15], TypeNetwork, false},
		{"twice", "gzip, gzip", zipped.Bytes(), TypeBadAnswer, true},
		{"unknown", "br", zipped.Bytes(), TypeBadAnswer, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, s := serve(t, HTTPOptions{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Encoding", tt.encoding)
				_, _ = w.Write(tt.body)
			})
			for range 3 { // the pooled reader too
				a, err := get(t, h, s.URL)
				if tt.typ != "" {
					is(t, err, tt.typ, tt.permanent)
				} else if err != nil || string(a.Body) != "hello" {
					t.Fatalf("%v, %+v", err, a)
				}
			}
		})
	}
}

func TestGzipIsAskedForOnlyWhenWanted(t *testing.T) {
	for _, want := range []bool{false, true} {
		h, s := serve(t, HTTPOptions{Gzip: want}, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Header.Get("Accept-Encoding"))
		})
		a, err := get(t, h, s.URL)
		if err != nil || (string(a.Body) == "gzip") != want {
			t.Errorf("gzip %v: %v, asked for %q", want, err, a.Body)
		}
	}
}

func TestRedirects(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "other %s%s", r.Header.Get("X-Api-Key"), r.Header.Get("Authorization"))
	}))
	defer other.Close()
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch p := r.URL.Path; p {
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/other":
			http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
		case "/other307":
			http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1), http.StatusTemporaryRedirect)
		case "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case "/1", "/2", "/3", "/4", "/5", "/6":
			http.Redirect(w, r, "/"+string(p[1]-1), http.StatusFound)
		case "/307":
			http.Redirect(w, r, "/0", http.StatusTemporaryRedirect)
		default:
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.Header.Get("X-Api-Key"), body)
		}
	}
	header := http.Header{"X-Api-Key": {"k"}, "Authorization": {"Bearer b"}}
	h, s := serve(t, HTTPOptions{Header: header}, handler)
	anyHost, s2 := serve(t, HTTPOptions{Header: header, AnyHost: true}, handler)
	tests := []struct {
		name   string
		h      *HTTP
		method string
		url    string
		body   string
		status int
		typ    string
	}{
		{"five hops", h, "GET", s.URL + "/5", "GET k ", 200, ""},
		{"six hops", h, "GET", s.URL + "/6", "", 0, TypeRedirect},
		{"loop", h, "GET", s.URL + "/loop", "", 0, TypeRedirect},
		{"file", h, "GET", s.URL + "/file", "", 0, TypeRedirect},
		{"another host refused", h, "GET", s.URL + "/other", "", 0, TypeRedirect},
		{"another host allowed, without keys", anyHost, "GET", s2.URL + "/other", "other ", 200, ""},
		{"a body never goes to another host", anyHost, "POST", s2.URL + "/other307", "", 0, TypeRedirect},
		{"POST kept", h, "POST", s.URL + "/307", "POST k body", 200, ""},
		{"POST made GET is not followed", h, "POST", s.URL + "/1", "", 302, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Request{Method: tt.method, URL: tt.url}
			if tt.method == "POST" {
				r.Body = []byte("body")
			}
			a, err := tt.h.Do(t.Context(), r)
			if tt.typ != "" {
				is(t, err, tt.typ, true)
				return
			}
			if err != nil || a.Status != tt.status || string(a.Body) != tt.body {
				t.Errorf("%v %+v, want status %d and %q", err, a, tt.status, tt.body)
			}
		})
	}
}

func TestDiscard(t *testing.T) {
	url := raw(t, "HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\nshort", true)
	h, err := NewHTTP(HTTPOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	a, err := h.Do(t.Context(), Request{Method: "POST", URL: url, Body: []byte("x"), Discard: true})
	if err != nil || a.Status != 202 {
		t.Errorf("%v %+v", err, a)
	}
}
