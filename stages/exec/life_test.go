//go:build unix

package execstage

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// there says whether there is a process of that number, which has not ended.
func there(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // of one that nobody has waited for
	return err != nil || !strings.Contains(string(text), ") Z ")
}

// started gives the numbers of the processes that were started.
func started(t *testing.T, dir string) (pids []int) {
	names, err := filepath.Glob(filepath.Join(dir, "started-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		_, number, _ := strings.Cut(filepath.Base(name), "-")
		pid, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// Close ends all processes, by the end of their input where that is enough.
func TestCloseEndsAll(t *testing.T) {
	for _, mode := range []string{"protocol", "stubborn"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := testSettings(t, mode)
			s.Processes = 3
			if mode == "stubborn" {
				s.StopTimeout = 50 * time.Millisecond
			} else {
				s.StopTimeout = long // SIGTERM and SIGKILL never come
			}
			dir := s.Env["TEST_DIR"].Reveal()
			st := testStage(t, s)
			good(t, st)
			until(t, "all have started", func() bool { return len(started(t, dir)) == 3 })
			if err := st.Close(); err != nil {
				t.Error(err)
			}
			for _, pid := range started(t, dir) {
				if there(pid) {
					t.Errorf("process %d is left", pid)
				}
				if ended := exists(filepath.Join(dir, fmt.Sprint("ended-", pid))); ended != (mode == "protocol") {
					t.Errorf("process %d has ended by itself: %v", pid, ended)
				}
			}
			if _, err := tried(t, st, `{}`, long); typeOf(err) != "canceled" {
				t.Errorf("a record behind the end: %v", err)
			}
		})
	}
}

// A process that hangs is gone soon after its record was given up, with what it has started.
func TestGrandchildren(t *testing.T) {
	for _, do := range []string{"hang for good", "exit", "junk", ""} {
		t.Run(do, func(t *testing.T) {
			t.Parallel()
			s := testSettings(t, "forks")
			s.StopTimeout = 50 * time.Millisecond
			dir := s.Env["TEST_DIR"].Reveal()
			st := testStage(t, s)
			good(t, st)
			text, err := os.ReadFile(filepath.Join(dir, "grandchild"))
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(string(text))
			if err != nil || !there(pid) {
				t.Fatalf("there is no process %d: %v", pid, err)
			}
			if do != "" {
				if _, err := tried(t, st, fmt.Sprintf(`{"do":%q}`, do), 100*time.Millisecond); err == nil {
					t.Error("no error")
				}
				until(t, "the child of the process has ended", func() bool { return !there(pid) })
			}
			if err := st.Close(); err != nil {
				t.Error(err)
			}
			until(t, "the child of the process has ended", func() bool { return !there(pid) })
		})
	}
}

// That a process has ended is told at once, though one that it has put into a group of its own holds its output open.
// What it had written before is read.
func TestOutputHeldOpen(t *testing.T) {
	settleTime = time.Hour
	defer func() { settleTime = time.Second }()
	st := testStage(t, testSettings(t, "protocol"))
	defer st.Close()
	for _, do := range []string{"exit", "last word"} {
		rec, err := tried(t, st, `{"do":"hold"}`, long)
		var v struct{ Got int }
		if err != nil || json.Unmarshal(rec.Value(), &v) != nil || v.Got == 0 {
			t.Fatalf("%s, %v", rec.Value(), err)
		}
		defer func() { _ = syscall.Kill(v.Got, syscall.SIGKILL) }()
		proc := st.pool.only(t)
		_, err = tried(t, st, fmt.Sprintf(`{"do":%q}`, do), long)
		if do == "exit" && (typeOf(err) != "child_died" || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(detailOf(err), "no way out")) {
			t.Errorf("%v, %q", err, detailOf(err))
		}
		if do != "exit" && err != nil {
			t.Errorf("the last word is lost: %v", err)
		}
		<-proc.ended()
	}
}

// parentSettings has a process that does not see the end of its input.
func parentSettings() Settings {
	s := Default()
	s.Command = []string{os.Args[0]}
	s.Env = map[string]settings.Secret{asChild: "deaf", "TEST_DIR": settings.Secret(os.Getenv("TEST_DIR"))}
	return s
}

// runAsParent is a pipeline's process that has children and is killed.
func runAsParent() {
	st, err := New(parentSettings(), Place{Pipeline: "p", Step: "enrich"})
	if err == nil {
		err = st.Ping(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	runtime.GC()
	fmt.Println("ready")
	time.Sleep(time.Hour)
}

// On Linux no process is left when the pipeline's is killed, though it sees nothing of that: it does not read.
func TestKilledParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("processes are tied to the pipeline's on Linux alone")
	}
	dir := t.TempDir()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), asChild+"=parent", "TEST_DIR="+dir, "GORACE=atexit_sleep_ms=0")
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	if err == nil {
		err = parent.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Errorf("%q, %v", line, err)
	}
	pids := started(t, dir)
	if err := parent.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = parent.Wait() // it was killed
	if len(pids) == 0 {
		t.Error("there was no process")
	}
	for _, pid := range pids {
		until(t, "the process has ended", func() bool { return !there(pid) })
	}
}

func TestPing(t *testing.T) {
	tests := map[string]struct {
		change func(*Settings)
		says   []string // nothing: all is well
	}{
		"protocol":      {},
		"slow start":    {change: func(s *Settings) { s.Ready = true }},
		"broken":        {says: []string{"it has ended: exit status 7", "it has written: NoSuchThing: there is no such thing"}},
		"never ready":   {change: func(s *Settings) { s.Ready, s.StartTimeout = true, 100*time.Millisecond }, says: []string{"it was not ready within 100ms"}},
		"other version": {change: func(s *Settings) { s.Ready = true }, says: []string{"it is ready for a version of the protocol that is not 1"}},
		"no program":    {change: func(s *Settings) { s.Command = []string{"no-such-program"} }, says: []string{"there is no program no-such-program in PATH: install it, or write its path"}},
		"no path":       {change: func(s *Settings) { s.Command = []string{"./none"} }, says: []string{"there is no program /"}},
	}
	for mode, tt := range tests {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := testSettings(t, mode)
			s.StopTimeout = 50 * time.Millisecond
			if tt.change != nil {
				tt.change(&s)
			}
			st := testStage(t, s)
			defer st.Close()
			err := st.Ping(t.Context())
			if len(tt.says) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				first := st.pool.only(t).pid()
				if mode == "protocol" && good(t, st) != first {
					t.Error("the process that was seen to live is not the one that answers")
				}
				return
			}
			var env *pipeline.EnvironmentError
			if !errors.As(err, &env) {
				t.Fatalf("%v is no error of the environment", err)
			}
			for _, says := range tt.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%v, want %q in it", err, says)
				}
			}
		})
	}
}

// One that takes longer to load than somebody waits for it is no error.
func TestPingOfASlowStart(t *testing.T) {
	s := testSettings(t, "never ready")
	s.Ready, s.StartTimeout, s.StopTimeout = true, long, 50*time.Millisecond
	st := testStage(t, s)
	defer st.Close()
	st.pool.only(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := st.Ping(ctx); err != nil {
		t.Error(err)
	}
	given, giveUp := context.WithCancel(t.Context())
	giveUp()
	if err := st.Ping(given); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

// Processes that do not come to be ready cost no record an attempt, and are started less and less often.
func TestNeverReady(t *testing.T) {
	s := testSettings(t, "broken")
	s.Ready, s.Processes = true, 2
	st := testStage(t, s)
	defer st.Close()
	_, err := tried(t, st, `{}`, 700*time.Millisecond)
	if !errors.Is(err, os.ErrDeadlineExceeded) && err.Error() != "context deadline exceeded" {
		t.Errorf("%v: the record was asked about", err)
	}
	n := len(started(t, s.Env["TEST_DIR"].Reveal()))
	if n == 0 || n > 2*8 {
		t.Errorf("%d processes were started in 0.7 s", n)
	}
}
