//go:build unix

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fill writes to a pipe until it holds all it can, and makes its writes wait from then on.
func fill(t *testing.T, pipe *os.File) {
	t.Helper()
	fd := int(pipe.Fd())
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for _, block := range [][]byte{make([]byte, 4096), make([]byte, 1)} {
		for {
			if _, err := syscall.Write(fd, block); errors.Is(err, syscall.EAGAIN) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
}

// fullPipe gives the writing end of a pipe that is full and that nobody reads.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	fill(t, w)
	return w
}

// unreadLogs are places for a log that take none of it.
var unreadLogs = map[string]func(*testing.T) *os.File{
	"a full pipe": fullPipe,
	"a full pipe that does not wait": func(t *testing.T) *os.File {
		w := fullPipe(t)
		if err := syscall.SetNonblock(int(w.Fd()), true); err != nil {
			t.Fatal(err)
		}
		return w
	},
	"a full FIFO": func(t *testing.T) *os.File {
		path := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		fill(t, f)
		return f
	},
	"a pipe without a reader": func(t *testing.T) *os.File {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		return w
	},
	"a full disk": func(t *testing.T) *os.File {
		f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	},
}

// TestALogThatNobodyReads: nothing that a pipeline does, and no signal, waits for a log
// that takes no line.
func TestALogThatNobodyReads(t *testing.T) {
	for name, open := range unreadLogs {
		t.Run(name, func(t *testing.T) {
			t.Run("records are rejected and delivered", func(t *testing.T) {
				const records = 2000
				dir := t.TempDir()
				var input bytes.Buffer
				for i := range records {
					payload := `{\"n\":1}`
					if i%2 == 0 {
						payload = "no JSON"
					}
					fmt.Fprintf(&input, `{"topic":"t","partition":%d,"offset":%d,"payload":"%s"}`+"\n", i%7, i, payload)
				}
				pipeline := `pipeline: p
source:
  replay: {files: [input.jsonl]}
stages:
  - map: {set: {m: n + 1}}
sinks:
  - file: {path: out.jsonl}
dead_letter:
  file: {path: dead.jsonl}
log: {format: json, level: debug, stats_every: 1s}
`
				for file, text := range map[string]string{"input.jsonl": input.String(), "p.yaml": pipeline} {
					if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				r := startDaemonTo(t, filepath.Join(dir, "p.yaml"), nil, open(t))
				if code := r.end(); code != exitDone {
					t.Errorf("exit code %d", code)
				}
				if name != "a pipe without a reader" { // that ends a replay, as it does any filter
					r := startCommand(t, nil, open(t), "replay", filepath.Join(dir, "p.yaml"), filepath.Join(dir, "input.jsonl"))
					if code := r.end(); code != exitDone || bytes.Count(r.stdout, []byte("\n")) != records {
						t.Errorf("replay: exit code %d, %d lines", code, bytes.Count(r.stdout, []byte("\n")))
					}
				}
				for _, file := range []string{"out.jsonl", "dead.jsonl"} {
					text, err := os.ReadFile(filepath.Join(dir, file))
					if n := bytes.Count(text, []byte("\n")); err != nil || n != records/2 {
						t.Errorf("%s has %d lines: %v", file, n, err)
					}
				}
			})
			t.Run("a signal drains", func(t *testing.T) {
				h := startHolding(t)
				r := startRunTo(t, h, "1h", nil, open(t))
				r.signal(syscall.SIGHUP) // both of these write to the log
				r.signal(syscall.SIGUSR1)
				r.signal(syscall.SIGTERM)
				r.untilStopping()
				close(h.answer)
				if code := r.end(); code != exitDone {
					t.Errorf("exit code %d", code)
				}
				if n := strings.Count(string(r.stdout), `"weather":"clear"`); n != 3 {
					t.Errorf("%d records came out\n%s", n, r.stdout)
				}
			})
			t.Run("a second one ends it", func(t *testing.T) {
				r := startRunTo(t, startHolding(t), "1h", nil, open(t))
				r.signal(syscall.SIGTERM)
				r.untilStopping()
				r.force(syscall.SIGTERM)
				if code := r.end(); code != exitTerminate {
					t.Errorf("exit code %d", code)
				}
			})
			t.Run("the configuration is refused", func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "p.yaml")
				if err := os.WriteFile(file, []byte("pipeline: p\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				if code := startDaemonTo(t, file, nil, open(t)).end(); code != exitUsage {
					t.Errorf("exit code %d", code)
				}
			})
		})
	}
}

// TestAnOutputThatNobodyReads: records wait for their reader, and signals do not.
func TestAnOutputThatNobodyReads(t *testing.T) {
	t.Run("the drain budget runs out", func(t *testing.T) {
		h := startHolding(t)
		r := startRunTo(t, h, "100ms", fullPipe(t), nil)
		close(h.answer)
		r.signal(syscall.SIGTERM)
		if code := r.end(); code != exitAbandoned {
			t.Errorf("exit code %d\n%s", code, r.log.String())
		}
	})
	t.Run("a second signal ends it", func(t *testing.T) {
		h := startHolding(t)
		r := startRunTo(t, h, "1h", fullPipe(t), nil)
		close(h.answer)
		r.signal(syscall.SIGTERM)
		r.read(`"event_name":"process.stopping"`)
		r.force(syscall.SIGTERM)
		if code := r.end(); code != exitTerminate {
			t.Errorf("exit code %d\n%s", code, r.log.String())
		}
	})
	t.Run("nor is the log read", func(t *testing.T) {
		h := startHolding(t)
		r := startRunTo(t, h, "1h", fullPipe(t), fullPipe(t))
		close(h.answer)
		r.signal(syscall.SIGTERM)
		r.untilStopping()
		r.force(syscall.SIGTERM)
		if code := r.end(); code != exitTerminate {
			t.Errorf("exit code %d", code)
		}
	})
}
