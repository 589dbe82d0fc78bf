//go:build unix

package cli

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestWatchARun: who watches a daemon sees what comes in, what it asks for of what was there before, and at a signal that it ends.
func TestWatchARun(t *testing.T) {
	dir, file := streamFile(t, `{files: ["-"], as: value}`)
	socket := filepath.Join(dir, "live")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "stdout: {}", "websocket: {listen: unix:"+socket+"}\n  - stdout: {}", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	in, stdin := pipes(t)
	r := startCommandOn(t, stdin, nil, nil, "run", file)
	out := bufio.NewReader(r.out)
	say(t, in, "{\"delay\":20}\n{\"delay\":1}\n{\"delay\":30}\n")
	hear(t, out, `{"delay":20}`)
	hear(t, out, `{"delay":30}`)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dialer := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	o := &websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dialer}}}
	var c *websocket.Conn
	want := []string{`{"delay":20}`, `{"delay":30}`, `{"delay":40}`}
	for { // the other sink may have the last record a moment before this one
		c, _, err = websocket.Dial(ctx, "ws://live/live?last=2&filter=delay+%3C+50", o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		if _, first, err := c.Read(ctx); err == nil && string(first) == want[0] {
			break
		}
		_ = c.CloseNow()
	}
	say(t, in, "{\"delay\":50}\n{\"delay\":40}\n")
	for _, w := range want[1:] {
		if _, got, err := c.Read(ctx); err != nil || string(got) != w {
			t.Fatalf("got %q, %v; want %s", got, err, w)
		}
	}
	r.signal(syscall.SIGTERM)
	_, _, err = c.Read(ctx)
	var end websocket.CloseError
	if !errors.As(err, &end) || end.Code != websocket.StatusGoingAway {
		t.Errorf("it ends with %v", err)
	}
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
	if !strings.Contains(r.log.String(), `"clients can watch"`) || strings.Contains(r.log.String(), "client.dropped") {
		t.Errorf("the log:\n%s", r.log.String())
	}
}
