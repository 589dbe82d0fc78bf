package admin

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestProfilesAreOff unless they are allowed, and then neither the command line nor a trace is
// there, and each needs the token.
func TestProfilesAreOff(t *testing.T) {
	o := healthy()
	o.Token = "canary"
	paths := map[string]int{
		"/debug/pprof/": 200, "/debug/pprof/goroutine?debug=1": 200, "/debug/pprof/heap": 200, "/debug/pprof/nope": 404,
		"/debug/pprof/cmdline": 404, "/debug/pprof/symbol": 404, "/debug/pprof/trace": 404, "/debug/pprof": 404, "/debug/vars": 404,
		"/debug/pprof/profile?seconds=301": 400, "/debug/pprof/heap?seconds=0": 400, "/debug/pprof/heap?seconds=-1": 400, "/debug/pprof/heap?seconds=NaN": 400,
		"/debug/pprof/heap?seconds=1e99": 400, "/debug/pprof/profile?seconds=x": 400, "/debug/pprof/profile?seconds=0.5": 400, "/debug/pprof/profile?seconds=1": 200,
	}
	c := client(t, &http.Transport{})
	with := func(r *http.Request) { r.Header.Set("Authorization", "Bearer canary") }
	closed := start(t, o)
	o.Pprof = true
	open := start(t, o)
	for path, want := range paths {
		if status, body, _ := ask(t, c, "GET", "http://"+closed.Addr()+path, with); status != 404 || strings.Contains(body, "pprof") {
			t.Errorf("%s, closed: %d %s", path, status, body)
		}
		if status, body, _ := ask(t, c, "GET", "http://"+open.Addr()+path, with); status != want {
			t.Errorf("%s, open: %d, want %d: %.200s", path, status, want, body)
		}
		if status, _, _ := ask(t, c, "GET", "http://"+open.Addr()+path, nil); status != 401 {
			t.Errorf("%s, open, without the token: %d", path, status)
		}
	}
}

// TestEachProfileOfThePageIsThere: the page leads to nothing that is not answered.
func TestEachProfileOfThePageIsThere(t *testing.T) {
	o := healthy()
	o.Pprof = true
	s := start(t, o)
	c, base := client(t, &http.Transport{}), "http://"+s.Addr()+"/debug/pprof/"
	status, page, h := ask(t, c, "GET", base, nil)
	if status != 200 || !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
		t.Fatalf("%d %v\n%s", status, h, page)
	}
	links := regexp.MustCompile(`href=["']?([^"'> ]+)`).FindAllStringSubmatch(page, -1)
	for _, want := range []string{"heap", "goroutine", "profile", "mutex"} {
		if !strings.Contains(page, ">"+want+"</a>") {
			t.Errorf("no %s on\n%s", want, page)
		}
	}
	for _, link := range links {
		status, body, _ := ask(t, c, "GET", base+strings.Replace(link[1], "seconds=30", "seconds=1", 1), nil)
		if status != 200 {
			t.Errorf("%s: %d %.200s", link[1], status, body)
		}
	}
}

// TestLongProfiles: a profile may take longer than the time-outs of the server for reading and writing.
func TestLongProfiles(t *testing.T) {
	o := healthy()
	o.Pprof = true
	inMemory(t, o, func(t *testing.T, s *Server, l *memoryListener) {
		began := time.Now()
		status, body := l.get(t, "/debug/pprof/allocs?seconds=120")
		if status != 200 || !strings.HasPrefix(body, "\x1f\x8b") || time.Since(began) < 2*time.Minute {
			t.Errorf("%d after %v, %d bytes: %.100q", status, time.Since(began), len(body), body)
		}
	})
}

// TestTheBodyIsNoParameter: how long a profile takes stands in the address alone, where it is bounded; what a body says is not read.
func TestTheBodyIsNoParameter(t *testing.T) {
	o := healthy()
	o.Pprof = true
	inMemory(t, o, func(t *testing.T, s *Server, l *memoryListener) {
		body := "--b\r\nContent-Disposition: form-data; name=\"seconds\"\r\n\r\n100000\r\n--b--\r\n"
		for _, path := range []string{"/debug/pprof/allocs", "/debug/pprof/allocs?seconds=2"} {
			conn := l.dial(t)
			go fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
			began := time.Now()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 || time.Since(began) > 3*time.Second {
				t.Errorf("%s: %d after %v, %v", path, resp.StatusCode, time.Since(began), err)
			}
			_ = resp.Body.Close()
		}
	})
}
