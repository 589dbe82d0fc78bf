package client

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A rawServer answers each request with what a test writes on the connection, which is closed then.
type rawServer struct {
	url  string
	sent atomic.Int64 // bytes of answers
}

func (s *rawServer) Write(conn io.Writer, text string) bool { return s.write(conn, []byte(text)) }

func (s *rawServer) write(conn io.Writer, b []byte) bool {
	n, err := conn.Write(b)
	s.sent.Add(int64(n))
	return err == nil
}

// repeat writes text until the other side has had enough.
func (s *rawServer) repeat(conn net.Conn, text string) {
	for b := []byte(text); s.write(conn, b); { // what the server allocates counts too
	}
}

// drip writes text byte by byte, slower than any call waits, and again from its beginning.
func (s *rawServer) drip(conn net.Conn, text string) {
	for i := 0; s.Write(conn, text[i%len(text):i%len(text)+1]); i++ {
		time.Sleep(2 * time.Millisecond)
	}
}

func serveRaw(t *testing.T, answer func(s *rawServer, conn net.Conn, r *http.Request)) *rawServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{url: "http://" + l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					answer(s, conn, r)
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return s
}

const (
	okHead   = "HTTP/1.1 200 OK\r\n"
	chunked  = okHead + "Transfer-Encoding: chunked\r\n\r\n"
	zipped   = okHead + "Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
	mostHeap = 4 << 20 // bytes that a call may allocate, server and test included
)

// million is a member of a gzip file that gives a million zeros for a thousand bytes.
var million = sync.OnceValue(func() string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(make([]byte, 1_000_000))
	_ = z.Close()
	return b.String()
})

// What servers do to those who call them. Each call ends, within its time, with an error that says
// what is to become of the record, and with little memory; the client is as good as new after it.
func TestServersThatMisbehave(t *testing.T) {
	const limit = 64 << 10
	hops := 0
	for _, tt := range []struct {
		name      string
		answer    func(s *rawServer, conn net.Conn)
		typ       string // "": an answer
		permanent bool
		body      string // of an answer
		status    int    // 0: 200
	}{
		{"hangs before its answer", func(s *rawServer, conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }, TypeTimeout, false, "", 0},
		{"a byte at a time in the status", func(s *rawServer, conn net.Conn) { s.drip(conn, "HTTP/1.1") }, TypeTimeout, false, "", 0},
		{"a byte at a time in a header", func(s *rawServer, conn net.Conn) { s.Write(conn, okHead); s.drip(conn, "X-A: b\r\n") }, TypeTimeout, false, "", 0},
		{"a byte at a time in the body", func(s *rawServer, conn net.Conn) {
			s.Write(conn, okHead+"Content-Length: 9999\r\n\r\n")
			s.drip(conn, "x")
		}, TypeTimeout, false, "", 0},
		{"a byte at a time of chunks", func(s *rawServer, conn net.Conn) { s.Write(conn, chunked); s.drip(conn, "1\r\nx\r\n") }, TypeTimeout, false, "", 0},
		{"a byte at a time of gzip", func(s *rawServer, conn net.Conn) { s.Write(conn, zipped); s.drip(conn, million()) }, TypeTimeout, false, "", 0},
		{"a byte at a time after an error", func(s *rawServer, conn net.Conn) { s.Write(conn, "HTTP/1.1 500 no\r\n\r\n"); s.drip(conn, "x") }, "", false, "", 500},
		{"redirects in a circle", func(s *rawServer, conn net.Conn) {
			s.Write(conn, "HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}, TypeRedirect, true, "", 0},
		{"redirects ever further", func(s *rawServer, conn net.Conn) {
			hops++
			s.Write(conn, fmt.Sprintf("HTTP/1.1 307 Go on\r\nLocation: /%d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", hops))
		}, TypeRedirect, true, "", 0},
		{"a bomb of 10 MB that holds 10 GB", func(s *rawServer, conn net.Conn) {
			s.Write(conn, zipped)
			for i, b := 0, []byte(million()); i < 10_000 && s.write(conn, b); i++ {
			}
		}, TypeTooLarge, true, "", 0},
		{"a bomb after an error", func(s *rawServer, conn net.Conn) {
			s.Write(conn, "HTTP/1.1 503 no\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")
			for i, b := 0, []byte(million()); i < 10_000 && s.write(conn, b); i++ {
			}
		}, "", false, "", 503},
		{"an empty member of gzip without end", func(s *rawServer, conn net.Conn) {
			s.Write(conn, zipped)
			var b bytes.Buffer
			_ = gzip.NewWriter(&b).Close()
			s.repeat(conn, strings.Repeat(b.String(), 100))
		}, TypeTooLarge, true, "", 0},
		{"an empty member of gzip without end after an error", func(s *rawServer, conn net.Conn) {
			s.Write(conn, "HTTP/1.1 500 no\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")
			var b bytes.Buffer
			_ = gzip.NewWriter(&b).Close()
			s.repeat(conn, strings.Repeat(b.String(), 100))
		}, "", false, "", 500},
		{"half a body", func(s *rawServer, conn net.Conn) {
			s.Write(conn, okHead+"Content-Length: 100\r\n\r\n"+strings.Repeat("x", 50))
		}, TypeNetwork, false, "", 0},
		{"half a chunk", func(s *rawServer, conn net.Conn) { s.Write(conn, chunked+"64\r\nabc") }, TypeNetwork, false, "", 0},
		{"chunks without an end", func(s *rawServer, conn net.Conn) { s.Write(conn, chunked+"3\r\nabc\r\n") }, TypeNetwork, false, "", 0},
		{"half a gzip", func(s *rawServer, conn net.Conn) { s.Write(conn, zipped+million()[:40]) }, TypeNetwork, false, "", 0},
		{"half a header", func(s *rawServer, conn net.Conn) { s.Write(conn, okHead+"Content-") }, TypeNetwork, false, "", 0},
		{"nothing", func(s *rawServer, conn net.Conn) {}, TypeNetwork, false, "", 0},
		{"no HTTP", func(s *rawServer, conn net.Conn) { s.Write(conn, "220 mail.test ESMTP\r\n") }, TypeNetwork, false, "", 0},
		{"gzip that is none", func(s *rawServer, conn net.Conn) { s.Write(conn, zipped+"hello, hello, hello") }, TypeBadAnswer, true, "", 0},
		{"gzip that is corrupt", func(s *rawServer, conn net.Conn) {
			s.Write(conn, zipped+million()[:20]+strings.Repeat("\xff", 100)+million()[120:])
		}, TypeBadAnswer, true, "", 0},
		{"brotli, unasked", func(s *rawServer, conn net.Conn) {
			s.Write(conn, okHead+"Content-Encoding: br\r\nContent-Length: 3\r\n\r\nabc")
		}, TypeBadAnswer, true, "", 0},
		{"chunks for ever", func(s *rawServer, conn net.Conn) { s.Write(conn, chunked); s.repeat(conn, "1\r\nx\r\n") }, TypeTooLarge, true, "", 0},
		{"one chunk for ever", func(s *rawServer, conn net.Conn) {
			s.Write(conn, chunked+"7fffffffffffffff\r\n")
			s.repeat(conn, strings.Repeat("x", 4096))
		}, TypeTooLarge, true, "", 0},
		{"the size of a chunk for ever", func(s *rawServer, conn net.Conn) { s.Write(conn, chunked); s.repeat(conn, "0000") }, TypeNetwork, false, "", 0},
		{"empty lines around chunks for ever", func(s *rawServer, conn net.Conn) {
			s.Write(conn, chunked)
			s.repeat(conn, "1;"+strings.Repeat("a", 2000)+"\r\nx\r\n")
		}, TypeNetwork, false, "", 0},
		{"trailers for ever", func(s *rawServer, conn net.Conn) { s.Write(conn, chunked+"0\r\n"); s.repeat(conn, "X-A: b\r\n") }, TypeNetwork, false, "", 0},
		{"a body for ever", func(s *rawServer, conn net.Conn) {
			s.Write(conn, okHead+"Connection: close\r\n\r\n")
			s.repeat(conn, strings.Repeat("x", 4096))
		}, TypeTooLarge, true, "", 0},
		{"a length that is huge", func(s *rawServer, conn net.Conn) {
			s.Write(conn, okHead+"Content-Length: 9223372036854775807\r\n\r\nx")
		}, TypeTooLarge, true, "", 0},
		{"a length that is no number", func(s *rawServer, conn net.Conn) { s.Write(conn, okHead+"Content-Length: -1\r\n\r\nx") }, TypeNetwork, false, "", 0},
		{"two lengths", func(s *rawServer, conn net.Conn) {
			s.Write(conn, okHead+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx")
		}, TypeNetwork, false, "", 0},
		{"a length below the body", func(s *rawServer, conn net.Conn) {
			s.Write(conn, okHead+"Connection: close\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
		}, "", false, "ok", 0},
		{"a body that nobody announced", func(s *rawServer, conn net.Conn) { s.Write(conn, "HTTP/1.1 204 None\r\nConnection: close\r\n\r\nxxxx") }, "", false, "", 204},
		{"one header that is huge", func(s *rawServer, conn net.Conn) { s.Write(conn, okHead+"X-A: "); s.repeat(conn, "xxxxxxxx") }, TypeTooLarge, true, "", 0},
		{"headers for ever", func(s *rawServer, conn net.Conn) { s.Write(conn, okHead); s.repeat(conn, "X-A: b\r\n") }, TypeTooLarge, true, "", 0},
		{"a status line for ever", func(s *rawServer, conn net.Conn) { s.Write(conn, "HTTP/1.1 200 "); s.repeat(conn, "OK") }, TypeTooLarge, true, "", 0},
		{"news without an answer", func(s *rawServer, conn net.Conn) { s.repeat(conn, "HTTP/1.1 102 Processing\r\n\r\n") }, TypeTooLarge, true, "", 0},
		{"hints without an answer", func(s *rawServer, conn net.Conn) { s.repeat(conn, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") }, TypeTooLarge, true, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serveRaw(t, func(s *rawServer, conn net.Conn, r *http.Request) {
				if r.URL.Path == "/good" {
					s.Write(conn, okHead+"Content-Length: 4\r\nConnection: close\r\n\r\ngood")
					return
				}
				tt.answer(s, conn)
			})
			h := newHTTP(t, HTTPOptions{MaxBytes: limit, Slots: 1})
			wait := 30 * time.Second // for what ends by itself
			if tt.typ == TypeTimeout || strings.Contains(tt.name, "a byte at a time") {
				wait = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			_ = million()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			a, err := h.Do(ctx, Request{Method: "GET", URL: s.url + "/a"})
			runtime.ReadMemStats(&after)
			if heap := after.TotalAlloc - before.TotalAlloc; heap > mostHeap {
				t.Errorf("%d bytes were allocated", heap)
			}
			if tt.typ != "" {
				is(t, err, tt.typ, tt.permanent)
			} else if err != nil || a.Status != max(tt.status, 200) || string(a.Body) != tt.body {
				t.Errorf("%v, %+v", err, a)
			}
			t.Logf("%v; %d bytes sent, %d KiB allocated", err, s.sent.Load(), (after.TotalAlloc-before.TotalAlloc)>>10)
			if a, err := get(t, h, s.url+"/good"); err != nil || string(a.Body) != "good" {
				t.Errorf("the next call: %v, %+v", err, a)
			}
		})
	}
}

// Every tenth call is answered 500: with as many attempts as that takes, each call has its own answer.
func TestEveryTenthAnswerIs500(t *testing.T) {
	const calls = 200
	var asked atomic.Int64
	h, s := serve(t, HTTPOptions{Slots: 8}, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, r.URL.Path)
	})
	var answers []string
	again := 0
	for i := range calls {
		for {
			a, err := get(t, h, fmt.Sprintf("%s/%d", s.URL, i))
			if err == nil && a.Status != 200 {
				err = StatusError("calling", a, TransientStatuses)
			}
			if err == nil {
				answers = append(answers, string(a.Body))
				break
			}
			is(t, err, Type5xx, false)
			var e *Error
			if errors.As(err, &e) && e.AsksToWait() {
				t.Error("a 500 asks to wait")
			}
			again++
		}
	}
	if len(answers) != calls || !slices.IsSortedFunc(answers, func(a, b string) int { return len(a) - len(b) }) || again != calls/9 {
		t.Errorf("%d answers, %d calls again", len(answers), again)
	}
}

// Nothing is decoded but gzip, and nothing else is asked for.
func TestWhichEncodingsAreAskedFor(t *testing.T) {
	for _, mode := range []HTTP2{HTTP2Auto, HTTP2On} {
		for _, want := range []string{"", "gzip"} {
			s := serveH2(t, false, 0, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Values("Accept-Encoding")) })
			h := newHTTP(t, HTTPOptions{Gzip: want != "", HTTP2: mode})
			if a, err := get(t, h, s.URL); err != nil || string(a.Body) != "["+want+"]" {
				t.Errorf("%s: %v, asked for %s", mode, err, a.Body)
			}
		}
	}
}

// HEAD has headers and no body, whatever the headers say of one.
func TestHead(t *testing.T) {
	h, s := serve(t, HTTPOptions{MaxBytes: 10}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/to", http.StatusMovedPermanently)
			return
		}
		w.Header().Set("Content-Length", "1000000")
		w.Header().Set("X-Method", r.Method)
		if r.URL.Path == "/gzip" {
			w.Header().Set("Content-Encoding", "gzip")
		}
		if r.URL.Path == "/br" {
			w.Header().Set("Content-Encoding", "br")
		}
		if r.URL.Path == "/404" {
			w.WriteHeader(404)
		}
	})
	for path, status := range map[string]int{"/": 200, "/from": 200, "/gzip": 200, "/br": 200, "/404": 404} {
		a, err := h.Do(t.Context(), Request{Method: "HEAD", URL: s.URL + path})
		if err != nil || a.Status != status || len(a.Body) != 0 || a.Header.Get("X-Method") != "HEAD" || a.Header.Get("Content-Length") != "1000000" {
			t.Errorf("%s: %v, %+v", path, err, a)
		}
	}
}

// 429 alone asks to wait, as a transient error and with a time or without one.
func TestAsksToWait(t *testing.T) {
	for status, want := range map[int]bool{429: true, 503: false, 500: false, 404: false} {
		err := StatusError("calling", &Answer{Status: status, Header: http.Header{"Retry-After": {"3"}}}, TransientStatuses)
		var asks interface{ AsksToWait() bool }
		if !errors.As(err, &asks) || asks.AsksToWait() != want {
			t.Errorf("%d: %v", status, err)
		}
		if hint := pipeline.RetryHint(err); status >= 429 && hint != 3*time.Second {
			t.Errorf("%d: %v", status, hint)
		}
	}
}
