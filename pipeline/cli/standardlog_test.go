//go:build unix

package cli

import (
	"bytes"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/penstockio/penstock/pipeline/event"
)

// TestLibraryLines: what a library logs is one line of the log, of level debug and bounded, whatever is in
// it, and afterwards the standard library's log is as it was.
func TestLibraryLines(t *testing.T) {
	var before bytes.Buffer
	defer keepStandardLog()()
	log.SetOutput(&before)
	log.SetPrefix("own: ")
	log.SetFlags(log.Lmsgprefix)
	for level, lines := range map[zerolog.Level]int{zerolog.DebugLevel: 3, zerolog.InfoLevel: 0} {
		var out logBuffer
		restore := keepStandardLog()
		takeStandardLog(event.New(&out, event.Options{Instance: "test", Log: level}))
		log.Print("two\nlines\x1b[31m")
		log.Print("not UTF-8: \xff\xfe")
		log.Print(strings.Repeat("é", 5000))
		restore()
		all := out.lines(t)
		if len(all) != lines {
			t.Fatalf("level %v: %d lines: %v", level, len(all), all)
		}
		for i, want := range []string{"two\nlines\x1b[31m", "not UTF-8: ?", strings.Repeat("é", maxLibraryLine/2) + "…"}[:lines] {
			if m := all[i]; m["text"] != want || m["level"] != "debug" || m["message"] != "a library has logged" {
				t.Errorf("line %d: %v", i, m)
			}
		}
	}
	log.Print("as before")
	if got := before.String(); got != "own: as before\n" {
		t.Errorf("afterwards the log has %q", got)
	}
}

// TestUnaskedAnswersAreLinesOfTheLog: a server that sends more than its answer has net/http quote that to the
// standard library's log. In the daemon that is a line like all others.
func TestUnaskedAnswersAreNoLines(t *testing.T) {
	second, told := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/2" {
			close(second)
			select {
			case <-told:
			case <-r.Context().Done():
			}
			return
		}
		select {
		case <-second: // has a connection of its own, as this one is in use
		case <-r.Context().Done():
			return
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclearnobody has asked for this\n")
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	dir := t.TempDir()
	for name, text := range map[string]string{
		"p.yaml": "pipeline: p\nsource:\n  replay: {files: [two.jsonl], as: value}\nstages:\n  - http: {url: \"" + server.URL + "/{n}\", into: weather}\n" +
			"sinks:\n  - file: {path: out.jsonl}\nlog: {format: json, level: debug}\n",
		"two.jsonl": "{\"n\":1}\n{\"n\":2}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := startCommand(t, nil, nil, "run", filepath.Join(dir, "p.yaml"))
	if line := r.read("nobody has asked for this"); !strings.Contains(line, `"message":"a library has logged"`) {
		t.Errorf("net/http has written %s", line)
	}
	close(told)
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if err := event.ValidateAll(r.log.Bytes()); err != nil {
		t.Error(err)
	}
}
