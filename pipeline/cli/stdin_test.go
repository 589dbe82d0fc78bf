//go:build unix

package cli

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// streamFile writes a pipeline that reads the files, or has a source of another name, and prints
// values. Its drain budget is an hour: a test of a stop that spends it does not end.
func streamFile(t *testing.T, source string) (dir, file string) {
	t.Helper()
	if strings.HasPrefix(source, "{") {
		source = "replay: " + source
	}
	dir = t.TempDir()
	file = filepath.Join(dir, "p.yaml")
	text := "pipeline: p\nsource:\n  " + source + "\nstages:\n  - filter: delay >= 15\nsinks:\n  - stdout: {}\n" +
		"limits: {drain: 1h}\nlog: {format: json}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

// pipes gives a pipe for standard input: the writing end, which the test closes, and the
// reading end.
func pipes(t *testing.T) (in, stdin *os.File) {
	t.Helper()
	stdin, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = stdin.Close() })
	return in, stdin
}

func say(t *testing.T, in *os.File, text string) {
	t.Helper()
	if _, err := in.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// hear reads one line of what the process prints, and fails when it does not come.
func hear(t *testing.T, out *bufio.Reader, want string) {
	t.Helper()
	line, err := out.ReadString('\n')
	if err != nil || strings.TrimSuffix(line, "\n") != want {
		t.Fatalf("got %q, %v, want %s", line, err, want)
	}
}

// TestStandardInput: what comes through a pipe is at the sink before the next comes, and
// a signal ends the wait for it.
func TestStandardInput(t *testing.T) {
	for name, c := range map[string]struct {
		replay string
		fifo   bool
		args   []string // of replay; nil: the daemon
	}{
		"values":                         {replay: `{files: ["-"], as: value}`},
		"under the name of its device":   {replay: `{files: [/dev/stdin], as: value}`},
		"under the name of its number":   {replay: `{files: [/dev/fd/0], as: value}`},
		"behind another file":            {replay: `{files: [first.jsonl, "-"], as: value}`},
		"a FIFO":                         {replay: `{files: [fifo], as: value}`, fifo: true},
		"a FIFO behind another file":     {replay: `{files: [first.jsonl, fifo], as: value}`, fifo: true},
		"the source of its name":         {replay: `stdin: {}`},
		"the same with a key":            {replay: `stdin: {as: value, key: delay}`},
		"a keyed value":                  {replay: `{files: ["-"], as: value, key: delay}`},
		"replay":                         {replay: `{files: [first.jsonl]}`, args: []string{"--as", "value", "--values", "-"}},
		"replay at the speed of records": {replay: `{files: [first.jsonl]}`, args: []string{"--as", "value", "--values", "--speed", "1x", "-"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, file := streamFile(t, c.replay)
			if err := os.WriteFile(filepath.Join(dir, "first.jsonl"), []byte(`{"delay":99}`), 0o644); err != nil {
				t.Fatal(err)
			}
			in, stdin := pipes(t)
			if c.fifo {
				path := filepath.Join(dir, "fifo")
				if err := syscall.Mkfifo(path, 0o600); err != nil {
					t.Fatal(err)
				}
				stdin = nil
			}
			args := []string{"run", file}
			if c.args != nil {
				args = append([]string{"replay", file}, c.args...)
			}
			r := startCommandOn(t, stdin, nil, nil, args...)
			out := bufio.NewReader(r.out)
			if strings.Contains(c.replay, "first.jsonl, ") {
				hear(t, out, `{"delay":99}`)
			}
			if c.fifo { // opened once, so that its writer is not told that nobody reads
				var err error
				if in, err = os.OpenFile(filepath.Join(dir, "fifo"), os.O_WRONLY, 0); err != nil {
					t.Fatal(err)
				}
				defer in.Close()
			}
			for i := 20; i < 23; i++ {
				half := ""
				if i == 22 {
					half = `{"delay":30` // no record yet; it comes with the line before
				}
				say(t, in, fmt.Sprintf("{\"delay\":1}\n{\"delay\":%d}\n%s", i, half))
				hear(t, out, fmt.Sprintf(`{"delay":%d}`, i))
			}
			r.signal(syscall.SIGTERM)
			if code := r.end(); code != exitDone {
				t.Errorf("exit code %d\n%s", code, r.log.String())
			}
			if len(r.stdout) > 0 || out.Buffered() > 0 {
				t.Errorf("half a line came out: %s", r.stdout)
			}
			for _, want := range []string{`"reason":"signal"`, "before its end", `"bytes":11`} {
				if !strings.Contains(r.log.String(), want) {
					t.Errorf("the log lacks %s:\n%s", want, r.log.String())
				}
			}
		})
	}
}

// TestStandardInputEnds: its end is the end of the source; the last line needs no newline.
func TestStandardInputEnds(t *testing.T) {
	for name, c := range map[string]struct{ replay, text, want string }{
		"values":               {`{files: ["-"], as: value}`, "{\"delay\":20}\r\n\n{\"delay\":30}", "{\"delay\":20}\n{\"delay\":30}\n"},
		"fixtures":             {`{files: ["-"]}`, `{"payload":"{\"delay\":20}"}` + "\n" + `{"payload_json":{"delay":30}}`, "{\"delay\":20}\n{\"delay\":30}\n"},
		"as stdin":             {`stdin: {}`, "{\"delay\":20}\n{\"delay\":30}", "{\"delay\":20}\n{\"delay\":30}\n"},
		"fixtures as stdin":    {`stdin: {as: fixture}`, `{"payload":"{\"delay\":20}"}` + "\n", "{\"delay\":20}\n"},
		"before another file":  {`{files: ["-", first.jsonl], as: value}`, `{"delay":20}`, "{\"delay\":20}\n{\"delay\":99}\n"},
		"nothing":              {`{files: ["-"], as: value}`, "", ""},
		"a line of a megabyte": {`{files: ["-"], as: value}`, `{"delay":20,"x":"` + strings.Repeat("x", 1<<20) + `"}`, `{"delay":20,"x":"` + strings.Repeat("x", 1<<20) + "\"}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, file := streamFile(t, c.replay)
			if err := os.WriteFile(filepath.Join(dir, "first.jsonl"), []byte(`{"delay":99}`), 0o644); err != nil {
				t.Fatal(err)
			}
			in, stdin := pipes(t)
			r := startCommandOn(t, stdin, nil, nil, "run", file)
			go func() {
				_, _ = in.WriteString(c.text) // what does not arrive is missed below
				_ = in.Close()
			}()
			_ = stdin.Close()
			out := bufio.NewReader(r.out)
			text := make([]byte, len(c.want))
			for i := range text {
				text[i], _ = out.ReadByte()
			}
			lines := strings.SplitAfter(string(text), "\n")
			slices.Sort(lines) // what is of two files may come in any order
			if code := r.end(); code != exitDone || strings.Join(lines, "") != c.want || len(r.stdout) > 0 {
				t.Errorf("exit code %d, %d bytes and %d more\n%s", code, len(text), len(r.stdout), r.log.String())
			}
		})
	}
	t.Run("closed from the start", func(t *testing.T) {
		_, file := streamFile(t, `{files: ["-"], as: value}`)
		r := startCommandOn(t, nil, nil, nil, "run", file)
		if code := r.end(); code != exitDone || len(r.stdout) > 0 {
			t.Errorf("exit code %d\n%s", code, r.log.String())
		}
	})
	t.Run("a regular file", func(t *testing.T) {
		dir, file := streamFile(t, `{files: ["-"], as: value}`)
		path := filepath.Join(dir, "first.jsonl")
		if err := os.WriteFile(path, []byte("{\"delay\":20}\n{\"delay\":30}"), 0o644); err != nil {
			t.Fatal(err)
		}
		stdin, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer stdin.Close()
		r := startCommandOn(t, stdin, nil, nil, "run", file)
		if code := r.end(); code != exitDone || string(r.stdout) != "{\"delay\":20}\n{\"delay\":30}\n" {
			t.Errorf("exit code %d: %s\n%s", code, r.stdout, r.log.String())
		}
	})
	t.Run("a folder", func(t *testing.T) {
		dir, file := streamFile(t, `{files: ["-"], as: value}`)
		stdin, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer stdin.Close()
		r := startCommandOn(t, stdin, nil, nil, "run", file)
		if code := r.end(); code != exitEnvironment || !strings.Contains(r.log.String(), "p.yaml:3:3: source replay: opening a fixture: standard input is a folder") {
			t.Errorf("exit code %d\n%s", code, r.log.String())
		}
	})
	t.Run("a line that is no record", func(t *testing.T) {
		_, file := streamFile(t, `{files: ["-"]}`)
		in, stdin := pipes(t)
		r := startCommandOn(t, stdin, nil, nil, "run", file)
		say(t, in, `{"payload":"{\"delay\":20}"}`+"\n{\n")
		out := bufio.NewReader(r.out)
		hear(t, out, `{"delay":20}`)
		if code := r.end(); code != exitFailed || !strings.Contains(r.log.String(), "standard input:2: reading a fixture line") {
			t.Errorf("exit code %d\n%s", code, r.log.String())
		}
	})
}
