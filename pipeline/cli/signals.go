package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/penstockio/penstock/pipeline/admin"
)

// sameSignal is how long after the first signal another one counts as the same. A supervisor
// may signal a process and its group, and a terminal all processes of a pipe, so that it
// arrives twice; nobody who wants to force an end is that quick.
const sameSignal = 200 * time.Millisecond

// catchSignals gives the signals that a process handles. SIGHUP is none of them when it was
// ignored at the start, as nohup has it: then a closed terminal is not to end the process. They
// stay caught until the process is gone: one that comes late must not kill a process that has
// ended well and only has to exit.
func catchSignals() <-chan os.Signal {
	c := make(chan os.Signal, 8)
	handled := []os.Signal{syscall.SIGTERM, os.Interrupt}
	if dumpSignal != nil {
		handled = append(handled, dumpSignal, debugSignal)
	}
	if !signal.Ignored(syscall.SIGHUP) {
		handled = append(handled, syscall.SIGHUP)
	}
	signal.Notify(c, handled...)
	return c
}

// asksToEnd says whether a signal asks for the end, also of what runs in a terminal.
func asksToEnd(s os.Signal, terminal bool) bool {
	return s == syscall.SIGTERM || s == os.Interrupt || s == syscall.SIGHUP && terminal
}

// endsInTerminal is asksToEnd of what runs in a terminal.
func endsInTerminal(s os.Signal) bool { return asksToEnd(s, true) }

func (p *process) handle(s os.Signal, cancel func()) {
	switch {
	case s == syscall.SIGHUP && !p.terminal:
		if p.config.files.g != nil {
			p.config.ask("sighup")
			return
		}
		p.supervisor.reloading()
		p.events.Log().Warn().Str("signal", "SIGHUP").Msg(notLoadedAgain)
		p.supervisor.notReloaded(notLoadedAgain)
	case s == dumpSignal:
		if p.dumping.CompareAndSwap(false, true) {
			go func() {
				defer p.dumping.Store(false)
				for _, m := range p.pipelines {
					dump(m)
				}
			}()
		}
	case s == debugSignal:
		p.debugForAWhile(signalName(s))
	case p.signal == nil:
		p.signal = s
		p.stop("signal", cancel)
		p.signalAt = time.Now() // after stop, which may take a second: meanwhile a second signal waits in the channel
	case time.Since(p.signalAt) < sameSignal:
	case p.forcedBy == nil:
		p.forcedBy = s
		p.abort()
	}
}

// debugFor is how long the log has lines for debugging after a signal that asks for them.
const debugFor = 10 * time.Minute

// debugForAWhile has the log show more for a while, or begins that while anew. It needs no right to commands: only the user of the process, and
// root, may send it a signal.
func (p *process) debugForAWhile(by string) {
	c := admin.Command{Verb: admin.VerbLogLevel, Level: "debug", For: debugFor, By: by, From: "signal"}
	done, err := p.setLevel(c)
	p.events.Emit(commandDone(c, done, err, 0), "")
}

// whileStarting waits for f, but only until a signal asks for the end: what f still does then,
// like reading from a pipe that nobody writes to, ends with the process.
func (p *process) whileStarting(f func()) (done bool) {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		f()
	}()
	for {
		select {
		case <-finished:
			return true
		case s := <-p.signals:
			if p.handle(s, func() {}); p.signal != nil {
				return false
			}
		}
	}
}

// interrupted runs f with a ctx that the first signal that asks for the end cancels, and says
// whether one came. It then waits for f as long as patience, or until a second signal. Other
// signals are lost.
func interrupted(ctx context.Context, signals <-chan os.Signal, terminal bool, patience time.Duration, f func(context.Context) error) (bool, error) {
	return interruptedBy(ctx, signals, func(s os.Signal) bool { return asksToEnd(s, terminal) }, patience, f)
}

// interruptedBy is interrupted with what says whether a signal asks for the end, which it is asked once of each.
func interruptedBy(ctx context.Context, signals <-chan os.Signal, asks func(os.Signal) bool, patience time.Duration, f func(context.Context) error) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	var late <-chan time.Time
	for {
		select {
		case err := <-done:
			if late != nil {
				return true, nil
			}
			return false, err
		case <-late:
			return true, nil
		case s := <-signals:
			if !asks(s) {
				continue
			}
			if late != nil || patience == 0 {
				return true, nil
			}
			cancel()
			late = time.After(patience)
		}
	}
}

// untilSignal waits for a signal that asks for the end. since is when the last one before
// came: within sameSignal of that, one counts as the same.
func untilSignal(ctx context.Context, signals <-chan os.Signal, since time.Time) {
	for {
		select {
		case s := <-signals:
			if asksToEnd(s, true) && time.Since(since) >= sameSignal {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func signalName(s os.Signal) string {
	switch s {
	case syscall.SIGTERM:
		return "SIGTERM"
	case os.Interrupt:
		return "SIGINT"
	case syscall.SIGHUP:
		return "SIGHUP"
	case debugSignal:
		return "SIGUSR2"
	}
	return fmt.Sprint(s)
}
