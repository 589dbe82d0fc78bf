package cli

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// toldTo is a supervisor that keeps what it is told.
type toldTo struct {
	mu  sync.Mutex
	all []string
}

func (k *toldTo) tell(message string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, message)
	return nil
}

// count says how many messages begin with a text.
func (k *toldTo) count(begin string) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.all {
		if strings.HasPrefix(m, begin) {
			n++
		}
	}
	return n
}

// last gives the last message that begins with a text, "" when there is none.
func (k *toldTo) last(begin string) (found string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.all {
		if strings.HasPrefix(m, begin) {
			found = m
		}
	}
	return found
}

// TestWhatASupervisorIsTold: the start, signs of life and a status while it runs, a reload that has an end, and the end.
func TestWhatASupervisorIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told toldTo
		f := newFake(&fakeRunner{drains: 20 * time.Second})
		s := superviseAs(func(p *process) {
			p.supervisor = &supervisor{tell: told.tell, watchdog: 20 * time.Second, statusEvery: 15 * time.Second}
			p.watchProgress(false)
		}, f)
		synctest.Wait()
		if told.all[0] != "READY=1" {
			t.Errorf("first: %q", told.all)
		}
		f.finish(5)
		time.Sleep(time.Minute + time.Second)
		if n := told.count("WATCHDOG=1"); n != 7 {
			t.Errorf("%d signs of life in 61 s, want one each 10 s", n)
		}
		if got := told.last("STATUS="); got != "STATUS=ready; 0.0 records/s in, 0.0 out; 10 read, 2 in flight, lag 0" {
			t.Errorf("status: %q", got)
		}
		s.signals <- syscall.SIGHUP
		synctest.Wait()
		if begun, ended := told.count("RELOADING=1\nMONOTONIC_USEC="), told.count("READY=1"); begun != 1 || ended != 2 {
			t.Errorf("a reload: %d begun, %d ended", begun, ended)
		}
		time.Sleep(time.Minute) // who looks later has to see it
		if got, want := told.last("STATUS="), "; not reloaded: "+notLoadedAgain; !strings.HasPrefix(got, "STATUS=ready; ") || !strings.HasSuffix(got, want) {
			t.Errorf("status after a reload that was refused: %q, want %q at its end", got, want)
		}
		s.process.supervisor.reloaded("sha256:1")
		time.Sleep(time.Minute)
		if got := told.last("STATUS="); !strings.HasPrefix(got, "STATUS=ready; ") || strings.Contains(got, "reloaded") {
			t.Errorf("status after another reload: %q", got)
		}
		before := told.count("WATCHDOG=1")
		s.signals <- syscall.SIGTERM
		s.end()
		if got := told.last("STOPPING=1"); got != "STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000\nSTATUS=stopping, 30s at most" {
			t.Errorf("the end: %q", got)
		}
		if n := told.count("WATCHDOG=1") - before; n < 1 {
			t.Error("no sign of life while it drains")
		}
		if got := told.last("STATUS="); got != "STATUS=ended with 0" {
			t.Errorf("the last word: %q", got)
		}
	})
}

// TestASupervisorIsToldWhatWasMissing: while it waits for the next start, and somebody looks why.
func TestASupervisorIsToldWhatWasMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told toldTo
		s := superviseAs(func(p *process) { p.supervisor = &supervisor{tell: told.tell, statusEvery: 15 * time.Second} },
			newFake(&fakeRunner{after: time.Minute, err: &exitError{exitEnvironment, errors.New("broker 1\nis away")}}))
		s.end()
		if got := told.last("STATUS="); !strings.HasPrefix(got, "STATUS=ended with 3: ") || !strings.HasSuffix(got, "broker 1; is away") {
			t.Errorf("the last word: %q", got)
		}
		var never toldTo // what is missing at the start keeps it from running at all
		p := &process{events: event.New(&logBuffer{}, event.Options{Instance: "test"}), started: time.Now()}
		p.supervisor = &supervisor{tell: never.tell}
		p.neverRan(&exitError{exitEnvironment, errors.New("broker 2 is away")}, nil)
		if got := never.last("STATUS="); got != "STATUS=ended with 3: broker 2 is away" {
			t.Errorf("the last word of one that never ran: %q", got)
		}
	})
}

// TestNoSignOfLifeFromAStandstill: with work to do and nothing finished for 5 minutes.
func TestNoSignOfLifeFromAStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told toldTo
		fake := newFake(&fakeRunner{})
		s := superviseAs(func(p *process) {
			p.supervisor = &supervisor{tell: told.tell, watchdog: 20 * time.Second, statusEvery: time.Hour}
			p.watchProgress(false)
		}, fake)
		for range 6 * 60 { // the moment of a snapshot is what a standstill is measured by
			fake.mu.Lock()
			fake.state.At = time.Now()
			fake.mu.Unlock()
			time.Sleep(time.Second)
		}
		before := told.count("WATCHDOG=1")
		if before < 29 || before > 31 {
			t.Errorf("%d signs of life in 6 minutes, want one each 10 s for 5 minutes", before)
		}
		fake.finish(1)
		time.Sleep(11 * time.Second)
		if n := told.count("WATCHDOG=1"); n <= before {
			t.Error("no sign of life since one has finished")
		}
		s.signals <- syscall.SIGTERM
		s.end()
	})
}

// TestNoSignOfLifeFromWhatHangs: a process that cannot say whether it makes progress makes none.
func TestNoSignOfLifeFromWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told toldTo
		s := superviseAs(func(p *process) {
			p.supervisor = &supervisor{tell: told.tell, watchdog: 20 * time.Second, statusEvery: time.Minute}
			p.checkProgress = func() error { time.Sleep(time.Hour); return nil }
		}, newFake(&fakeRunner{}))
		time.Sleep(10 * time.Minute)
		if n := told.count("WATCHDOG=1"); n != 0 {
			t.Errorf("%d signs of life", n)
		}
		if n := told.count("STATUS="); n < 5 {
			t.Errorf("%d lines of status in 10 minutes, want one each minute and a bit", n)
		}
		s.signals <- syscall.SIGTERM
		s.end()
		time.Sleep(2 * time.Hour) // what nobody waits for any more
	})
}

// TestANoticeIsOneLine: another line would be another message.
func TestANoticeIsOneLine(t *testing.T) {
	var told toldTo
	s := &supervisor{tell: told.tell}
	s.notReloaded("before the start nobody waits for one")
	s.running()
	s.notReloaded("a\nREADY=0")
	if len(told.all) != 3 || told.all[1] != "STATUS=not reloaded: a; READY=0" || told.all[2] != "READY=1" {
		t.Errorf("%q", told.all)
	}
	s = nil // nobody has asked
	s.running()
	s.reloading()
	s.reloaded("")
	s.stopping(time.Second)
}

// TestTheSocketOfASupervisor: its name and the rest come from the environment, and are not left there for children.
func TestTheSocketOfASupervisor(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no system with sockets of datagrams for certain")
	}
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", "")
	s := newSupervisor(10 * time.Millisecond)
	if left := os.Getenv("NOTIFY_SOCKET") + os.Getenv("WATCHDOG_USEC"); left != "" {
		t.Errorf("left for children: %s", left)
	}
	if s == nil || s.watchdog != 20*time.Millisecond {
		t.Fatalf("%+v", s)
	}
	var log logBuffer
	events := event.New(&log, event.Options{Instance: "test"})
	signals := make(chan os.Signal, 1)
	p := &process{events: events, drain: time.Second, signals: signals, started: time.Now(),
		pipelines: []*managedPipeline{{name: "p", runner: newFake(&fakeRunner{}), events: events.Pipeline("p"), reports: true,
			locate: func(err error) string { return err.Error() }}}}
	p.supervisor = s
	p.watchProgress(false)
	code := make(chan int, 1)
	go func() { code <- p.run(context.Background()) }()
	heard, b := "", make([]byte, 4096)
	until := func(what string) {
		t.Helper()
		if err := socket.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		for !strings.Contains(heard, what) {
			n, err := socket.Read(b)
			if err != nil {
				t.Fatalf("waiting for %s, heard\n%s%v", what, heard, err)
			}
			heard += string(b[:n]) + "\n"
		}
	}
	until("READY=1\n")
	until("WATCHDOG=1\n")
	until("STATUS=ready; ")
	signals <- syscall.SIGHUP
	until("RELOADING=1\nMONOTONIC_USEC=")
	until("STATUS=not reloaded")
	heard = ""
	until("READY=1\n")
	signals <- syscall.SIGTERM
	until("STOPPING=1\nEXTEND_TIMEOUT_USEC=6000000\n")
	if c := <-code; c != exitDone && c != exitAbandoned {
		t.Errorf("exit code %d", c)
	}
}

// TestWithoutASupervisor, or with variables of another's.
func TestWithoutASupervisor(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if s := newSupervisor(time.Second); s != nil {
		t.Error("there is one without a socket")
	}
	t.Setenv("NOTIFY_SOCKET", "@penstock-test-of-nobody")
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", "1")
	s := newSupervisor(time.Second)
	if s == nil || s.watchdog != 0 {
		t.Fatalf("%+v", s)
	}
	if err := s.tell("READY=1"); !errors.Is(err, syscall.ECONNREFUSED) && err == nil {
		t.Error("somebody hears it")
	}
	s.running() // and says nothing of it
}
