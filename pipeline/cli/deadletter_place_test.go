//go:build unix

package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/fixture"
)

// A letterFile is a file of dead letters, and the pipeline whose step has rejected them.
type letterFile struct {
	t          *testing.T
	dir, yaml  string
	dead       string
	written    int64
	nextReason string // of letters; "": attempts
}

// newLetterFile gives a file with so many letters, whose step calls a server.
func newLetterFile(t *testing.T, server string, n int) *letterFile {
	t.Helper()
	dir := t.TempDir()
	f := &letterFile{t: t, dir: dir, yaml: filepath.Join(dir, "p.yaml"), dead: filepath.Join(dir, "dead.jsonl")}
	text := fmt.Sprintf(`pipeline: late
source:
  replay: {files: [in.jsonl]}
stages:
  - http: {url: "%s/{n}", into: answer}
    name: weather
    breaker: off
sinks:
  - stdout: {}
dead_letter:
  file: {path: dead.jsonl}
log: {format: json}
`, server)
	for name, text := range map[string]string{f.yaml: text, filepath.Join(dir, "in.jsonl"): ""} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f.add(n)
	return f
}

// line gives the next letter.
func (f *letterFile) line() string {
	f.written++
	reason := f.nextReason
	if reason == "" {
		reason = "attempts"
	}
	h := func(name, value string) pipeline.Header { return pipeline.Header{Name: name, Value: []byte(value)} }
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{Topic: "flights", Offset: f.written}, []byte("k"), fmt.Appendf(nil, `{"n":%d}`, f.written), []pipeline.Header{
		h(deadletter.Pipeline, "late"), h(deadletter.Step, "weather"), h(deadletter.Reason, reason), h(deadletter.Attempts, "2"),
		h(deadletter.Topic, "flights"), h(deadletter.Partition, "0"), h(deadletter.Offset, fmt.Sprint(f.written)),
	}, 5)
	return string(fixture.Append(nil, rec, ""))
}

// add writes letters at the end of the file.
func (f *letterFile) add(n int) {
	f.t.Helper()
	var lines strings.Builder
	for range n {
		lines.WriteString(f.line())
	}
	f.appendText(lines.String())
}

func (f *letterFile) appendText(text string) {
	f.t.Helper()
	file, err := os.OpenFile(f.dead, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = file.WriteString(text)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// edit puts other lines in place of those of the file.
func (f *letterFile) edit(change func(lines []string) []string) {
	f.t.Helper()
	text, err := os.ReadFile(f.dead)
	if err == nil {
		err = os.WriteFile(f.dead, []byte(strings.Join(change(slices.Collect(strings.Lines(string(text)))), "")), 0o644)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// run runs a command about the letters.
func (f *letterFile) run(want int, command string, flags ...string) (out, log string) {
	f.t.Helper()
	code, out, log := penstock(f.t, append([]string{"dead-letter", command, f.yaml}, flags...)...)
	if code != want {
		f.t.Fatalf("%s %v ended with %d, not %d\n%s%s", command, flags, code, want, out, log)
	}
	return out, log
}

// names gives the files in the folder.
func (f *letterFile) names() (names []string) {
	f.t.Helper()
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// firstHeld is a server that answers each call, the first when it is let go.
type firstHeld struct {
	*httptest.Server
	calls   atomic.Int64
	asked   chan struct{}
	release chan struct{}
}

func newFirstHeld(t *testing.T) *firstHeld {
	a := &firstHeld{asked: make(chan struct{}), release: make(chan struct{})}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.calls.Add(1) == 1 {
			close(a.asked)
			select {
			case <-a.release:
			case <-r.Context().Done():
			}
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"ok":true}`)
	}))
	t.Cleanup(a.Close)
	return a
}

// TestSecondReplayOfAFile starts replays while one is under way: they send nothing, whatever their flags, and say who has the
// letters. When that has ended, or was killed, the next one goes on.
func TestSecondReplayOfAFile(t *testing.T) {
	for _, how := range []syscall.Signal{0, syscall.SIGKILL} {
		t.Run(signalName(how), func(t *testing.T) {
			a := newFirstHeld(t)
			f := newLetterFile(t, a.URL, 1)
			first := startCommand(t, nil, nil, "dead-letter", "replay", f.yaml, "--to", "step")
			<-a.asked
			f.add(3)
			for _, flags := range [][]string{{"--to", "step"}, {"--again"}, {"--again", "--to", "step"}} {
				out, log := f.run(exitFailed, "replay", flags...)
				want := fmt.Sprintf("another replay of the dead letters in dead.jsonl is under way (process %d on ", first.command.Process.Pid)
				if !strings.Contains(log, want) || a.calls.Load() != 1 || strings.Contains(out, `"n"`) {
					t.Errorf("%v: %d calls\n%s%s", flags, a.calls.Load(), out, log)
				}
			}
			if out, _ := f.run(exitDone, "ls"); strings.Count(out, "flights/0@") != 4 {
				t.Errorf("they cannot be looked at meanwhile:\n%s", out)
			}
			f.run(exitDone, "replay", "--dry-run")
			if how != 0 {
				first.signal(how)
			}
			close(a.release)
			first.follow("\x00") // to the end of its log
			if code := first.end(); how == 0 && code != exitDone {
				t.Fatalf("the first ended with %d\n%s", code, first.log.String())
			}
			want := "3 of 3 letters replayed"
			if how != 0 {
				want = "4 of 4 letters replayed"
			}
			if out, log := f.run(exitDone, "replay", "--to", "step"); !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s%s", want, out, log)
			}
			if got := f.names(); !slices.Equal(got, []string{"dead.jsonl", "dead.jsonl.late.position", "in.jsonl", "p.yaml"}) {
				t.Errorf("the folder has %v", got)
			}
		})
	}
}

// TestReplayKilledWhileItStores kills replays while they write what was replayed: the next one leaves nothing of that behind.
func TestReplayKilledWhileItStores(t *testing.T) {
	a := newFirstHeld(t)
	close(a.release)
	f := newLetterFile(t, a.URL, 2000)
	for killed, tries := 0, 0; killed < 5; tries++ {
		if tries == 50 {
			t.Fatalf("only %d were seen storing", killed)
		}
		r := exec.Command("penstock", "dead-letter", "replay", f.yaml, "--again", "--rate", "200/s")
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { defer close(ended); _ = r.Wait() }() // that it was killed is no news
		storing := func() bool {
			return slices.ContainsFunc(f.names(), func(name string) bool {
				behind, ok := strings.CutPrefix(name, "dead.jsonl.late.position.")
				return ok && behind != "lock"
			})
		}
		for alive := true; alive; {
			select {
			case <-ended:
				alive = false
			default:
				if storing() {
					_ = r.Process.Kill() // it may have ended by itself
					killed++
					alive = false
				}
			}
		}
		<-ended
	}
	f.run(exitDone, "replay", "--limit", "1", "--again")
	if got := f.names(); !slices.Equal(got, []string{"dead.jsonl", "dead.jsonl.late.position", "in.jsonl", "p.yaml"}) {
		t.Errorf("the folder has %v", got)
	}
}

// TestReplayOfAFileThatHasLostLines takes lines out of a file whose letters were replayed, and adds letters. Where nobody
// knows any more which were sent, that is said, and nothing is sent; a file begun anew is a new one.
func TestReplayOfAFileThatHasLostLines(t *testing.T) {
	a := newFirstHeld(t)
	close(a.release)
	const all = 6
	for _, c := range []struct {
		name   string
		change func(lines []string) []string
		sends  int // letters; -1: it is refused
	}{
		{"nothing", func(l []string) []string { return l }, 2},
		{"in the middle", func(l []string) []string { return slices.Delete(l, 2, 3) }, -1},
		{"the first", func(l []string) []string { return l[1:] }, -1},
		{"the last", func(l []string) []string { return l[:all-1] }, -1},
		{"cut", func(l []string) []string { return l[:2] }, -1},
		{"another in its place", func(l []string) []string { return append(l[1:all:all], l[0]) }, -1},
		{"all", func([]string) []string { return nil }, 2},
		{"all, and begun anew with as many", func([]string) []string { return nil }, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name != "nothing" && c.name != "in the middle" {
				oneGoroutine(t)
			}
			f := newLetterFile(t, a.URL, all)
			if out, log := f.run(exitDone, "replay"); !strings.Contains(out, "6 of 6 letters replayed") {
				t.Fatal(out, log)
			}
			f.edit(c.change)
			f.add(max(c.sends, 2))
			left := strings.Count(strings.Join(linesOf(t, f.dead), "\n"), "penstock-pipeline")
			if c.sends >= 0 {
				if out, _ := f.run(exitDone, "replay"); !strings.Contains(out, fmt.Sprintf("%d of %d letters replayed", c.sends, c.sends)) {
					t.Errorf("the replay says\n%s", out)
				}
				return
			}
			const says = "dead.jsonl is not as it was: line 6, the last that "
			for _, flags := range [][]string{nil, {"--dry-run"}, {"--to", "step"}} {
				before := a.calls.Load()
				if out, log := f.run(exitFailed, "replay", flags...); !strings.Contains(log, says) || !strings.Contains(log, "--again sends what the flags choose") || a.calls.Load() != before {
					t.Errorf("%v: %d calls\n%s%s", flags, a.calls.Load()-before, out, log)
				}
			}
			f.looksUnsure(says, left)
			for i, want := range []string{"would go through", "replayed through", "0 of 0 letters replayed"} {
				flags := [][]string{{"--again", "--dry-run"}, {"--again"}, nil}[i]
				if out, log := f.run(exitDone, "replay", flags...); !strings.Contains(out, want) || i < 2 && !strings.Contains(out, fmt.Sprintf("  %-8d weather (attempts)\n", left)) {
					t.Errorf("%v:\n%s%s", flags, out, log)
				}
			}
		})
	}
}

// TestReplayOfAFileThatWasMovedAway has a file rotated with its position: what is left of it is replayed under its new name, and
// the new file begins with nothing done.
func TestReplayOfAFileThatWasMovedAway(t *testing.T) {
	a := newFirstHeld(t)
	close(a.release)
	f := newLetterFile(t, a.URL, 5)
	f.run(exitDone, "replay", "--limit", "3")
	old := filepath.Join(f.dir, "dead.jsonl.1")
	for from, to := range map[string]string{f.dead: old, f.dead + ".late.position": old + ".late.position"} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	f.add(1)
	if out, _ := f.run(exitDone, "replay", "--from", old); !strings.Contains(out, "2 of 2 letters replayed") {
		t.Errorf("of the old file:\n%s", out)
	}
	if out, _ := f.run(exitDone, "replay"); !strings.Contains(out, "1 of 1 letter replayed") {
		t.Errorf("of the new file:\n%s", out)
	}
}

// looksUnsure looks at letters of which it is not known whether they were replayed.
func (f *letterFile) looksUnsure(says string, letters int) {
	f.t.Helper()
	if out, log := f.run(exitDone, "ls"); strings.Count(out, "  ?  ") != letters || !strings.Contains(log, "which letters were replayed is not known: ") || !strings.Contains(log, says) {
		f.t.Errorf("ls says\n%s%s", out, log)
	}
	if out, _ := f.run(exitDone, "ls", "--json", "--limit", "1"); gjson.Get(out, "replayed").Exists() || !gjson.Get(out, "letter").Exists() {
		f.t.Errorf("ls --json says\n%s", out)
	}
	if out, _ := f.run(exitDone, "show", "2"); !strings.Contains(out, "whether this letter was sent back is not known") {
		f.t.Errorf("show says\n%s", out)
	}
	if out, log := f.run(exitFailed, "ls", "--waiting"); out != "" || !strings.Contains(log, says) {
		f.t.Errorf("ls --waiting says\n%s%s", out, log)
	}
}

// TestDryRunSaysWhatItHasRead has few of many letters chosen.
func TestDryRunSaysWhatItHasRead(t *testing.T) {
	a := newFirstHeld(t)
	close(a.release)
	f := newLetterFile(t, a.URL, 0)
	for i := range 30 {
		f.nextReason = "attempts"
		if i%10 == 3 {
			f.nextReason = "permanent"
		}
		f.add(1)
	}
	f.run(exitDone, "replay", "--reason", "permanent", "--limit", "1")
	for _, c := range []struct {
		flags []string
		want  []string
	}{
		{[]string{"--reason", "permanent"}, []string{"2 letters would go", "1 were replayed already\n", "27 left that the flags do not choose\n", "30 records of dead.jsonl read\n"}},
		{[]string{"--reason", "permanent", "--limit", "1"}, []string{"1 letter would go", "1 were replayed already\n", "27 left that the flags do not choose\n", "30 records of dead.jsonl read\n"}},
		{nil, []string{"29 letters would go", "1 were replayed already\n", "30 records of dead.jsonl read\n"}},
		{[]string{"--again"}, []string{"30 letters would go", "0 were replayed already\n", "30 records of dead.jsonl read\n"}},
	} {
		out, _ := f.run(exitDone, "replay", append(c.flags, "--dry-run")...)
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v: no %q in\n%s", c.flags, want, out)
			}
		}
	}
}

// TestDeadLettersWithATornLine has a file whose last line a crash has cut off: each command says which one, and reads the others.
// One that is torn in the middle ends the reading, with what to do.
func TestDeadLettersWithATornLine(t *testing.T) {
	a := newFirstHeld(t)
	close(a.release)
	f := newLetterFile(t, a.URL, 3)
	half := f.line()
	f.appendText(half[:len(half)/2])
	const says = "dead.jsonl:4: the line has no end, and is left out"
	for _, c := range []struct {
		command, want string
		flags         []string
	}{
		{"ls", "flights/0@3", nil}, {"ls", "3        attempts", []string{"--by", "reason"}}, {"show", "flights/0@3", []string{"flights/0@3"}},
		{"replay", "3 letters would go", []string{"--dry-run"}}, {"replay", "3 of 3 letters replayed", nil},
	} {
		if out, log := f.run(exitDone, c.command, c.flags...); !strings.Contains(out, c.want) || strings.Count(out+log, says) != 1 {
			t.Errorf("%s %v says\n%s%s", c.command, c.flags, out, log)
		}
	}
	f.appendText("\n" + f.line())
	const broken = "dead.jsonl:4: "
	for _, command := range []string{"ls", "replay"} {
		if out, log := f.run(exitFailed, command); !strings.Contains(log, broken) || !strings.Contains(log, "what stands behind it is not reached: mend the line, or take it out") {
			t.Errorf("%s says\n%s%s", command, out, log)
		}
	}
	f.edit(func(lines []string) []string { return slices.Delete(lines, 3, 4) })
	if out, _ := f.run(exitDone, "replay"); !strings.Contains(out, "1 of 1 letter replayed") {
		t.Errorf("without the line the replay says\n%s", out)
	}
}
