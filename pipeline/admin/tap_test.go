package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/settings"
)

// fakeTap gives lines, and then an error, or waits.
type fakeTap struct {
	lines  []string
	end    error // nil: it waits for its reader to go
	closed chan string
}

func (f *fakeTap) Next(ctx context.Context) ([][]byte, error) {
	if len(f.lines) > 0 {
		line := f.lines[0]
		f.lines = f.lines[1:]
		return [][]byte{[]byte(line)}, nil
	}
	if f.end != nil {
		return nil, f.end
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (f *fakeTap) Counts() engine.TapCounts { return engine.TapCounts{Shown: 2, Skipped: 3, Failed: 1} }
func (f *fakeTap) Close(reason string)      { f.closed <- reason }

// tapServer starts an endpoint behind a token that opens the taps that open gives, and gives its address.
func tapServer(t *testing.T, open func(TapRequest) (Tap, error)) string {
	t.Helper()
	o := healthy()
	o.Token = "canary-canary"
	o.Snapshots = func() []engine.Snapshot { return []engine.Snapshot{{Pipeline: "p"}} }
	o.Tap = open
	return start(t, o).Addr()
}

func tapClient(t *testing.T, addr string) *Client {
	return ofClient(t, ClientOptions{Address: addr, Token: "canary-canary"})
}

// A tap is read as events or as lines, up to its end, and is closed with what ended it.
func TestTapIsRead(t *testing.T) {
	for _, c := range []struct {
		end    error
		reason string
	}{{io.EOF, "limit"}, {engine.ErrTapOver, "stopped"}, {engine.ErrTapGone, "gone"}} {
		f := &fakeTap{lines: []string{`{"n":1}`, `{"n":2}`}, end: c.end, closed: make(chan string, 2)}
		var got TapRequest
		addr := tapServer(t, func(r TapRequest) (Tap, error) {
			got = r
			one := *f
			return &one, nil
		})
		var events []string
		path := "/api/v1/tap?" + url.Values{"step": {"x"}, "side": {"before,rejected"}, "where": {"a == 1"}, "rate": {"5/s"}, "limit": {"2"}}.Encode()
		err := tapClient(t, addr).Stream(t.Context(), path, "me@ops", func(event string, data []byte) error {
			events = append(events, event+" "+string(data))
			return nil
		})
		const counts = `"records":2,"skipped":3,"failed":1}`
		want := []string{`open {` + counts, `record {"n":1}`, `record {"n":2}`, `end {"reason":"` + c.reason + `",` + counts}
		if err != nil || !slices.Equal(events, want) {
			t.Errorf("%v\n%q, want\n%q", err, events, want)
		}
		if reason := <-f.closed; reason != c.reason {
			t.Errorf("closed as %s, want %s", reason, c.reason)
		}
		if got.From = ""; got != (TapRequest{Pipeline: "p", Step: "x", Sides: engine.TapBefore | engine.TapRejected, Where: "a == 1",
			Rate: settings.Rate{N: 5, Per: time.Second}, Limit: 2, By: "me@ops"}) {
			t.Errorf("asked was %+v", got)
		}
		status, body, head := ask(t, client(t, &http.Transport{}), "GET", "http://"+addr+"/api/v1/tap?step=x", func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer canary-canary")
			r.Header.Set("Accept", "application/x-ndjson")
		})
		if status != 200 || body != `{"n":1}`+"\n"+`{"n":2}` || head.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("as lines: %d %q %v", status, body, head)
		}
		<-f.closed
		if got.Sides != engine.TapAfter || got.Rate != (settings.Rate{N: 10, Per: time.Second}) || got.Limit != 0 {
			t.Errorf("of itself a tap asks for %+v", got)
		}
	}
}

// Who goes ends his tap, also while nothing comes.
func TestTapEndsWithItsReader(t *testing.T) {
	closed := make(chan string, 1)
	addr := tapServer(t, func(TapRequest) (Tap, error) { return &fakeTap{closed: closed}, nil })
	ctx, leave := context.WithCancel(t.Context())
	err := tapClient(t, addr).Stream(ctx, "/api/v1/tap?step=x", "", func(string, []byte) error { leave(); return nil })
	if ctx.Err() == nil || err == nil {
		t.Errorf("the stream has ended by itself: %v", err)
	}
	if reason := <-closed; reason != "left" {
		t.Errorf("closed as %s", reason)
	}
}

func TestTapRequestsThatAreRefused(t *testing.T) {
	addr := tapServer(t, func(r TapRequest) (Tap, error) {
		if r.Step == "none" {
			return nil, fmt.Errorf("%w %q", engine.ErrNoStep, r.Step)
		}
		return nil, errors.New("where: it ends too early")
	})
	for query, want := range map[string]string{
		"":                       `400 {"error":"step is missing: the name of a step or sink, or source"}`,
		"step=none":              `404 {"error":"there is no such step \"none\""}`,
		"step=x&where=a":         `400 {"error":"where: it ends too early"}`,
		"step=x&pipeline=q":      `404 {"error":"there is no pipeline \"q\" here: there is p"}`,
		"step=x&side=left":       `400 {"error":"side is before, after, rejected or filtered, or several with commas, not \"left\""}`,
		"step=x&rate=0/s":        `400 {"error":"rate: \"0/s\" is no rate: write 100/s, 30/m or 1/10s"}`,
		"step=x&limit=-1":        `400 {"error":"limit is a number of records, and 0 for no end, not \"-1\""}`,
		"step=x&limit=1&limit=2": `400 {"error":"the parameter limit comes twice"}`,
		"step=x&sides=after":     `400 {"error":"there is no parameter \"sides\" here: there is pipeline, step, side, where, rate, limit"}`,
	} {
		status, body, _ := ask(t, client(t, &http.Transport{}), "GET", "http://"+addr+"/api/v1/tap?"+query, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer canary-canary")
		})
		if got := fmt.Sprint(status, " ", body); got != want {
			t.Errorf("%s: %s\nwant %s", query, got, want)
		}
	}
	status, body, _ := ask(t, client(t, &http.Transport{}), "GET", "http://"+addr+"/api/v1/tap?step=x", nil)
	if status != 401 {
		t.Errorf("without a token: %d %s", status, body)
	}
	status, _, head := ask(t, client(t, &http.Transport{}), "HEAD", "http://"+addr+"/api/v1/tap?step=x", func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer canary-canary")
	})
	if status != 405 || head.Get("Allow") != "GET" {
		t.Errorf("HEAD: %d %v", status, head)
	}
}

// There are at most four at a time; a fifth is told to come again, and finds a place when another has gone.
func TestTapsAreBounded(t *testing.T) {
	closed := make(chan string, 8)
	addr := tapServer(t, func(TapRequest) (Tap, error) { return &fakeTap{closed: closed}, nil })
	ctx, leave := context.WithCancel(t.Context())
	var open, gone sync.WaitGroup
	for range mostTaps {
		open.Add(1)
		gone.Go(func() {
			once := sync.OnceFunc(open.Done)
			_ = tapClient(t, addr).Stream(ctx, "/api/v1/tap?step=x", "", func(string, []byte) error { once(); return nil })
		})
	}
	open.Wait()
	var refused *AnswerError
	err := tapClient(t, addr).Stream(t.Context(), "/api/v1/tap?step=x", "", func(string, []byte) error { return nil })
	if !errors.As(err, &refused) || refused.Status != 503 || !strings.Contains(refused.Why, "4 taps are open") {
		t.Errorf("a fifth: %v", err)
	}
	leave()
	gone.Wait()
	for range mostTaps {
		<-closed
	}
	enough := errors.New("enough")
	for { // the place is free a moment after the tap is closed
		err := tapClient(t, addr).Stream(t.Context(), "/api/v1/tap?step=x", "", func(string, []byte) error { return enough })
		if err == enough {
			break
		}
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
	}
	<-closed
}

// Records are shown behind a token, or on a socket, and nowhere else.
func TestTapNeedsAToken(t *testing.T) {
	o := healthy()
	o.Tap = func(TapRequest) (Tap, error) { return nil, io.EOF }
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "a token is needed") {
		t.Errorf("without one: %v", err)
	}
	o.Listen = "unix:" + t.TempDir() + "/s"
	if _, err := New(o); err != nil {
		t.Error(err)
	}
}

// TestATapEndsWithItsToken: who has been looking at records may not look on when the token is another one.
func TestATapEndsWithItsToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("the-first-token")
	closed := make(chan string, 1)
	o := healthy()
	o.TokenFile = settings.Path(path)
	o.Snapshots = func() []engine.Snapshot { return []engine.Snapshot{{Pipeline: "p"}} }
	o.Tap = func(TapRequest) (Tap, error) { return &endlessTap{fakeTap{closed: closed}}, nil }
	c := ofClient(t, ClientOptions{Address: start(t, o).Addr(), Token: "the-first-token"})
	records := 0
	_ = c.Stream(t.Context(), "/api/v1/tap?step=x", "", func(event string, _ []byte) error {
		if event != "record" {
			return nil
		}
		if records++; records == 1 {
			write("the-second-token")
		}
		if records > 300 {
			return errors.New("it goes on with a token that is none any more")
		}
		return nil
	})
	if records > 300 || records == 0 {
		t.Errorf("%d records were shown, half a minute long", records)
	}
	<-closed
}

// An endlessTap gives ten records a second.
type endlessTap struct{ fakeTap }

func (f *endlessTap) Next(ctx context.Context) ([][]byte, error) {
	select {
	case <-time.After(100 * time.Millisecond):
		return [][]byte{[]byte(`{}`)}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
