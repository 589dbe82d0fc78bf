//go:build unix

package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// TestSignalsAtOnceOfARealProcess: a terminal and a supervisor that both signal are one
// signal, what is in flight is finished; a signal well behind it forces the end.
func TestSignalsAtOnceOfARealProcess(t *testing.T) {
	for _, two := range [][]os.Signal{{os.Interrupt, syscall.SIGTERM}, {syscall.SIGTERM, syscall.SIGTERM}} {
		h := startHolding(t)
		r := startRun(t, h, "1h")
		for _, s := range two {
			r.signal(s)
		}
		r.read(`"event_name":"process.stopping"`)
		close(h.answer)
		if code := r.end(); code != exitDone || strings.Count(string(r.stdout), `"weather":"clear"`) != 3 {
			t.Errorf("%v: exit code %d\n%s\n%s", two, code, r.stdout, r.log.String())
		}
	}
}

// A fifo has a reader of it wait without end, as nobody writes to it. opened is closed when
// somebody has opened it to read.
func fifo(t *testing.T, path string) (opened chan struct{}) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	opened = make(chan struct{})
	go func() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0) // waits for a reader
		if err == nil {
			t.Cleanup(func() { _ = f.Close() })
		}
		close(opened)
	}()
	t.Cleanup(func() { // let the goroutine go when nobody has come
		f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		<-opened
		if err == nil {
			_ = f.Close()
		}
	})
	return opened
}

// TestASignalEndsEveryStart: at whatever the process waits before its pipelines run, and for
// a command that runs in a terminal also when that is closed.
func TestASignalEndsEveryStart(t *testing.T) {
	const plain = `pipeline: p
source:
  replay: {files: [input.jsonl]}
sinks:
  - file: {path: out.jsonl}
log: {format: json}
`
	tests := map[string]struct {
		text   string
		args   []string
		signal os.Signal
	}{
		"run reads a file":  {plain, []string{"run", "fifo"}, syscall.SIGTERM},
		"dev reads a file":  {plain, []string{"dev", "fifo"}, os.Interrupt},
		"a replay":          {plain, []string{"replay", "fifo", "input.jsonl"}, syscall.SIGTERM},
		"a closed terminal": {plain, []string{"replay", "fifo", "input.jsonl"}, syscall.SIGHUP},
		"dev in a terminal": {plain, []string{"dev", "fifo"}, syscall.SIGHUP},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			opened := fifo(t, filepath.Join(dir, "fifo"))
			for file, text := range map[string]string{"p.yaml": c.text, "input.jsonl": `{"payload":"{}"}` + "\n"} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			args := []string{c.args[0]}
			for _, a := range c.args[1:] {
				args = append(args, filepath.Join(dir, a))
			}
			r := startCommand(t, nil, nil, append(args, "--log-format", "json")...)
			select {
			case <-opened:
			case <-r.dumped:
				t.Fatalf("it does not read:\n%s", r.read(""))
			}
			r.signal(c.signal)
			if code := r.end(); code != exitDone {
				t.Errorf("exit code %d\n%s", code, r.log.String())
			}
		})
	}
}

// TestAReloadAskedForWhileLoading: what has been loaded may be older than what SIGHUP is about, so that it is done when the process runs.
func TestAReloadAskedForWhileLoading(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		if err := os.WriteFile(at(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const text = `pipeline: p
source:
  tail: {files: [IN], position: STATE}
sinks:
  - file: {path: OUT}
`
	of := func(out string) string {
		return strings.NewReplacer("IN", at("input.jsonl"), "STATE", at("state"), "OUT", at(out)).Replace(text)
	}
	write("input.jsonl", "{}\n")
	write("next.yaml", of("second.jsonl"))
	if err := syscall.Mkfifo(at("p.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startCommand(t, nil, nil, "run", "--log-format", "json", at("p.yaml"))
	pipe, err := os.OpenFile(at("p.yaml"), os.O_WRONLY, 0) // waits for the reader, which has caught its signals by then
	if err != nil {
		t.Fatal(err)
	}
	r.signal(syscall.SIGHUP)
	r.signal(syscall.SIGHUP) // one reload is enough for both
	if err := os.Rename(at("next.yaml"), at("p.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.WriteString(of("first.jsonl")); err != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	r.read(`"event_name":"config.applied"`)
	r.read(`"trigger":"sighup"`)
	r.signal(syscall.SIGTERM)
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
}

// TestASignalWhileBuilding: nobody waits for what is built, and a signal that does not ask
// for the end is no end of it.
func TestASignalWhileBuilding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 8)
		p := &process{events: event.New(&logBuffer{}, event.Options{}), signals: signals, started: time.Now()}
		signals <- syscall.SIGHUP
		if !p.whileStarting(func() { time.Sleep(time.Minute) }) || p.signal != nil {
			t.Error("SIGHUP ended it")
		}
		from := time.Now()
		signals <- syscall.SIGTERM
		if p.whileStarting(func() { time.Sleep(time.Hour) }) || time.Since(from) != 0 {
			t.Errorf("it was waited for: %v", time.Since(from))
		}
		time.Sleep(2 * time.Hour)
	})
}

// TestAReplayInAClosedTerminal finishes what is in flight, and ends.
func TestAReplayInAClosedTerminal(t *testing.T) {
	h := startHolding(t)
	dir := t.TempDir()
	file, input := filepath.Join(dir, "p.yaml"), filepath.Join(dir, "input.jsonl")
	text := fmt.Sprintf(goesOn, h.URL, filepath.Join(dir, "s"))
	for path, text := range map[string]string{file: text, input: `{"payload":"{\"o\":\"a\"}"}` + "\n" + `{"payload":"{\"o\":\"b\"}"}` + "\n" + `{"payload":"{\"o\":\"c\"}"}` + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := startCommand(t, nil, nil, "replay", file, input, "--log-format", "json")
	for range 3 {
		select {
		case <-h.asked:
		case <-r.dumped:
			t.Fatalf("it does not ask the server:\n%s", r.read(""))
		}
	}
	r.signal(syscall.SIGHUP)
	r.read(`"reason":"signal","signal":"SIGHUP"`)
	close(h.answer)
	if code := r.end(); code != exitDone || strings.Count(string(r.stdout), "clear") != 3 {
		t.Errorf("exit code %d\n%s\n%s", code, r.stdout, r.log.String())
	}
}

// TestTheBrokerOfAClosedTerminal does not stay up: nobody could interrupt it.
func TestTheBrokerOfAClosedTerminal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.yaml")
	text := "pipeline: p\nsource:\n  kafka: {brokers: [nowhere], topics: [t]}\nsinks:\n  - stdout: {}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r := startCommand(t, nil, nil, "dev", file, "--keep", "--log-format", "json")
	r.read(`"event_name":"process.ready"`)
	r.signal(syscall.SIGHUP)
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
}

// TestTheBrokerStaysUp until a signal that asks for the end, and is not the one that has
// ended the pipeline.
func TestTheBrokerStaysUp(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGHUP} {
		synctest.Test(t, func(t *testing.T) {
			signals := make(chan os.Signal, 8)
			from := time.Now()
			go func() {
				signals <- s // once more at once
				time.Sleep(time.Second)
				signals <- syscall.SIGUSR1
				time.Sleep(time.Second)
				signals <- s
			}()
			untilSignal(context.Background(), signals, from)
			if took := time.Since(from); took != 2*time.Second {
				t.Errorf("%v: ended after %v", s, took)
			}
		})
	}
}

// TestASignalDoesNotHideWhatFailed: what --fail-on asks about has happened, also when the
// rest is not read any more.
func TestASignalDoesNotHideWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := superviseAs(func(p *process) { p.expect = rejectedOne }, newFake(&fakeRunner{drains: time.Second}))
		s.signals <- syscall.SIGTERM
		if code, _ := s.end(); code != exitExpectation || s.last(t)["reason"] != "expectation" {
			t.Errorf("exit code %d, %v", code, s.last(t))
		}
	})
}

// TestAClosedTerminal ends a command that runs in it, and not the daemon.
func TestAClosedTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := superviseAs(func(p *process) { p.terminal = true }, newFake(&fakeRunner{drains: time.Second}))
		s.signals <- syscall.SIGHUP
		if code, took := s.end(); code != exitDone || took != time.Second {
			t.Errorf("exit code %d after %v", code, took)
		}
	})
}

// TestASignalOnceMoreAtTheEnd does not kill what has ended well and said so.
func TestASignalOnceMoreAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	file, input := filepath.Join(dir, "p.yaml"), filepath.Join(dir, "three.jsonl")
	for path, text := range map[string]string{file: ends, input: strings.Repeat(`{"payload":"{}"}`+"\n", 3)} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		for _, args := range [][]string{{"run", file}, {"replay", file, input}, {"dev", file}} {
			r := startCommand(t, nil, nil, append(args, "--log-format", "json")...)
			r.read(`"event_name":"process.stopped"`)
			r.signal(syscall.SIGTERM)
			if code := r.end(); code != exitDone {
				t.Fatalf("%v: exit code %d\n%s", args, code, r.log.String())
			}
		}
	}
}

func TestHangupAndDump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise(newFake(&fakeRunner{}))
		s.signals <- syscall.SIGHUP
		time.Sleep(time.Millisecond)
		s.signals <- syscall.SIGUSR1
		time.Sleep(time.Millisecond)
		lines := s.log.lines(t)
		if len(lines) != 1+1+mostDumped+1 {
			t.Fatalf("%d lines", len(lines))
		}
		if m := lines[0]["message"]; !strings.Contains(fmt.Sprint(m), "does not load its files again") {
			t.Errorf("SIGHUP: %v", m)
		}
		oldest := lines[2]
		if oldest["offset"] != float64(mostDumped+49) || oldest["step"] != "weather" || oldest["pipeline"] != "p0" {
			t.Errorf("the oldest record: %v", oldest)
		}
		s.signals <- syscall.SIGTERM
		s.end()
	})
}
