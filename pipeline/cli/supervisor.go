package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/engine"
)

// This file tells systemd how the process does, when it has asked: see sd_notify(3). Each message is a datagram.

const (
	tellPatience = time.Second // a supervisor that does not read holds up nobody for longer
	endsAfter    = time.Second // beyond the last deadline of an end: the endpoint, and a log that nobody reads
)

// A supervisor has started the process and wants to hear how it does. Its methods are safe for concurrent use; those of
// nil do nothing: nobody has asked.
type supervisor struct {
	tell        func(message string) error
	watchdog    time.Duration // within which it wants a sign of life; 0: it wants none
	statusEvery time.Duration // how often it is told a status
	ran         atomic.Bool   // it has heard that the start is done
	refused     atomic.Value  // a string: what the last reload was refused for, "" when it was not
	over        atomic.Bool   // it has heard how the process ends: nothing else is said any more
}

// newSupervisor makes the supervisor that the environment names, and takes its variables out of it: they are not for the children of
// this process. nil: there is none.
func newSupervisor(statusEvery time.Duration) *supervisor {
	socket, usec, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name)
	}
	if !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") {
		return nil
	}
	s := &supervisor{statusEvery: statusEvery, tell: func(message string) error { return tellSocket(socket, message) }}
	if n, err := strconv.ParseInt(usec, 10, 64); err == nil && n > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		s.watchdog = time.Duration(n) * time.Microsecond
	}
	return s
}

// tellSocket sends one message. Without the deadline it would wait for as long as the queue of the socket is full.
func tellSocket(socket, message string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(tellPatience)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}

// say sends what lines say. An error is dropped: the supervisor acts on what it does not hear.
func (s *supervisor) say(lines ...string) {
	if s != nil {
		_ = s.tell(strings.Join(lines, "\n"))
	}
}

// status says how the process does, for people.
func (s *supervisor) status(text string) {
	s.say("STATUS=" + strings.ReplaceAll(onLines(text), "\n", "; "))
} // one line: the next would be another message

// running says that the start is done: all files are right, what they need was there, and the pipelines run. Whether they can make
// progress is another question, which /readyz answers: a broker that goes away meanwhile is no failed start.
func (s *supervisor) running() {
	if s != nil {
		s.ran.Store(true)
		s.say("READY=1")
	}
}

// reloading says that a reload has begun. What comes of it is said by reloaded or notReloaded: who has asked for it waits for that.
func (s *supervisor) reloading() {
	if s != nil && s.ran.Load() {
		s.say("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", monotonicMicroseconds()))
	}
}

// reloaded says that what was loaded again runs.
func (s *supervisor) reloaded(hash string) { s.endReload("reloaded: "+hash, "") }

// notReloaded says that a reload was refused, and why. It stays in the status until the next one: systemd does not know of a reload that fails, and
// who looks may come later.
func (s *supervisor) notReloaded(why string) {
	text := "not reloaded: " + why
	s.endReload(text, text)
}

func (s *supervisor) endReload(says, refused string) {
	if s != nil && s.ran.Load() {
		s.refused.Store(refused)
		s.status(says)
		s.say("READY=1")
	}
}

// withRefusal adds to a status that the last reload was refused.
func (s *supervisor) withRefusal(text string) string {
	if refused, _ := s.refused.Load().(string); refused != "" {
		return text + "; " + refused
	}
	return text
}

// stopping says that the end has begun, and how long it may take: longer than the unit allows, when the file has a long drain.
func (s *supervisor) stopping(drain time.Duration) {
	most := drain + abortAfter + forceAfter + endsAfter
	s.say("STOPPING=1", fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", most.Microseconds()), fmt.Sprintf("STATUS=stopping, %v at most", most))
}

// ended says how the process ends, and for what: it stays in the status until the next start, which may be one that is waited for.
func (s *supervisor) ended(code int, cause error) {
	if s == nil {
		return
	}
	text := fmt.Sprintf("ended with %d", code)
	if cause != nil {
		text += ": " + cause.Error()
	}
	s.over.Store(true)
	s.status(text)
}

// keepTelling says what the process does, and that it lives, until ctx ends: the status after each statusEvery, the sign of life
// twice as often as is asked for, as long as progress finds nothing wrong. Both are asked for with patience for a second, so that a
// pipeline that hangs is no reason to be silent about the others, and does not count as alive.
func (s *supervisor) keepTelling(ctx context.Context, progress func() error, status func() string) {
	every := s.statusEvery
	if s.watchdog > 0 {
		every = min(every, s.watchdog/2)
	}
	alive, line := question[error]{of: progress}, question[string]{of: status}
	ticker := time.NewTicker(max(every, time.Millisecond))
	defer ticker.Stop()
	var said time.Time
	for {
		if s.watchdog > 0 {
			if err, ok := alive.ask(); ok && err == nil {
				s.say("WATCHDOG=1")
			}
		}
		if time.Since(said) >= s.statusEvery {
			if text, ok := line.ask(); ok && ctx.Err() == nil && !s.over.Load() {
				s.status(s.withRefusal(text))
				said = time.Now()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// watchProgress makes the check of /livez and of the watchdog, if somebody may ask for it.
func (p *process) watchProgress(asked bool) {
	if !asked && (p.supervisor == nil || p.supervisor.watchdog == 0) {
		return
	}
	watch := admin.NewWatch(0)
	p.checkProgress = func() error { return watch.Check(p.snapshots(), p.holdsOf) }
}

// supervise tells the supervisor of the process how it does until done is closed.
func (p *process) supervise(done <-chan struct{}) {
	if p.supervisor == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // the drain is told of too: ctx of the pipelines has ended by then
		<-done
		cancel()
	}()
	progress := p.checkProgress
	if progress == nil {
		progress = func() error { return nil }
	}
	line := statusLine{process: p}
	p.supervisor.keepTelling(ctx, progress, line.say)
}

// A statusLine says in one line how the process does, and remembers what it has said for the rates.
type statusLine struct {
	process *process
	in, out int64
	at      time.Time
}

// say gives the line: whether it is ready, rates, lag and what is in flight, of all pipelines together.
func (l *statusLine) say() string {
	p := l.process
	var in, out, inFlight int64
	var records, bytes int64 // the lag, which some sources count in bytes
	inRecords, inBytes := false, false
	for _, s := range askAll(p.pipelines, engine.Runner.Snapshot) {
		in, out, inFlight = in+s.In, out+s.Out, inFlight+s.InFlight
		sum, _ := s.Source.Lag()
		switch {
		case sum < 0:
		case s.Source.InBytes:
			bytes, inBytes = bytes+sum, true
		default:
			records, inRecords = records+sum, true
		}
	}
	text := "ready"
	if err := p.readiness(); err != nil {
		text = "not ready: " + err.Error()
	}
	if n := len(p.pipelines); n > 1 {
		text = fmt.Sprintf("%d pipelines, %s", n, text)
	}
	if seconds := time.Since(l.at).Seconds(); !l.at.IsZero() && seconds > 0 {
		text += fmt.Sprintf("; %.1f records/s in, %.1f out", float64(in-l.in)/seconds, float64(out-l.out)/seconds)
	}
	l.in, l.out, l.at = in, out, time.Now()
	text += fmt.Sprintf("; %d read, %d in flight", in, inFlight)
	if inRecords {
		text += fmt.Sprintf(", lag %d", records)
	}
	if inBytes {
		text += fmt.Sprintf(", lag %d bytes", bytes)
	}
	return text
}
