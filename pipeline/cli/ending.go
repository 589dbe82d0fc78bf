package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// This file says how the pipelines of a process end, each and together.

// A member is one pipeline of a process.
type member struct {
	name    string
	runner  engine.Runner
	events  *event.Emitter // stamps the pipeline
	reports bool           // its source says whether it is connected
	locate  func(error) string

	ended bool
	err   error // of Run
}

// A neverStarted pipeline is one whose environment was missing at the start. It stands
// among the others, so that it is seen wherever they are.
type neverStarted struct {
	name string
	err  error
}

func (n *neverStarted) Run(context.Context) error   { return n.err }
func (n *neverStarted) Abort()                      {}
func (n *neverStarted) InFlight() []engine.InFlight { return nil }
func (n *neverStarted) Latency() engine.RunLatency  { return engine.RunLatency{} }
func (n *neverStarted) Snapshot() engine.Snapshot {
	return engine.Snapshot{Pipeline: n.name, State: "failed", Err: n.err, At: time.Now(), Backpressure: "ok"}
}

// failures are the pipelines that have failed, in the order in which they did. Anybody
// may ask for them.
type failures struct {
	mu  sync.Mutex
	got []*member
}

func (f *failures) add(m *member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, m)
}

func (f *failures) all() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.got)
}

// names gives those that failed, with commas and in the order of members.
func (f *failures) names(members []*member) string {
	var names []string
	for _, m := range members {
		if slices.Contains(f.all(), m) {
			names = append(names, m.name)
		}
	}
	return strings.Join(names, ",")
}

// error says which pipelines have failed, and why; nil: none.
func (f *failures) error() error {
	var errs []error
	for _, m := range f.all() {
		errs = append(errs, fmt.Errorf("pipeline %s has failed: %s", m.name, cause(m.err)))
	}
	return errors.Join(errs...)
}

// fails says whether err is a failure of its pipeline. Work that was given up is one when
// nobody has asked for the end.
func (p *process) fails(err error) bool {
	var abandoned *engine.AbandonedError
	return err != nil && (p.stopping.IsZero() || !errors.As(err, &abandoned))
}

// well says whether no pipeline has ended with an error.
func (p *process) well() bool {
	return !slices.ContainsFunc(p.members, func(m *member) bool { return m.err != nil })
}

// sayEnded writes pipeline.stopped, when there are other pipelines that may go on: of a
// single one process.stopped says all.
func (p *process) sayEnded(m *member, left int) {
	if len(p.members) == 1 {
		return
	}
	err := m.err
	if !m.ended {
		err = p.hung()
	}
	s, _ := within(m.runner.Snapshot)
	ev := event.PipelineStopped{
		Reason: p.endOf(err), UptimeMs: time.Since(p.started).Milliseconds(), RecordsInTotal: s.In, RecordsOutTotal: s.Out,
		FilteredTotal: s.Filtered, RejectedTotal: s.Rejected, Abandoned: s.Abandoned,
	}
	words := ""
	if err != nil {
		ev.ErrorMessage = cause(err)
		words = "pipeline stopped: " + ev.ErrorMessage
		if left > 0 && p.stopping.IsZero() && !p.failFast {
			words = fmt.Sprintf("pipeline stopped until the process is started again, %d of %d are left: %s", left, len(p.members), ev.ErrorMessage)
		}
	}
	m.events.Emit(ev, words)
}

// endOf is the reason of pipeline.stopped.
func (p *process) endOf(err error) string {
	var abandoned *engine.AbandonedError
	switch {
	case err == nil && p.stopping.IsZero():
		return "completed"
	case err == nil:
		return "stopping"
	case errors.As(err, &abandoned) && abandoned.Forced && p.forced != nil:
		return "forced"
	case exitCode(err) == exitAbandoned:
		return "drain_timeout"
	case exitCode(err) == exitEnvironment:
		return "environment"
	}
	return "failed"
}

// exit gives the exit code of all ends together, and its error. A failure is never hidden
// behind a good end of the others, or behind a signal that asks for one.
func (p *process) exit() (code int, cause error) {
	code, cause = p.together()
	switch {
	case p.forced == syscall.SIGTERM:
		return exitTerminate, cause
	case p.forced != nil:
		return exitInterrupt, cause
	case code == exitDone && p.expect != nil: // also after a signal: what has happened, has
		cause = p.expect()
		return exitCode(cause), cause
	}
	return code, cause
}

func (p *process) together() (code int, cause error) {
	failed := p.failed.all()
	switch {
	case len(failed) == 0:
		return p.worst()
	case len(p.members) == 1 || p.failFast: // what followed in the drain is no cause
		return exitCode(failed[0].err), failed[0].err
	case len(failed) == len(p.members):
		return exitCode(failed[0].err), summary(failed, len(p.members))
	}
	return exitFailed, summary(failed, len(p.members))
}

// worst gives the exit code of the worst end, none of which is a failure, and its error.
func (p *process) worst() (code int, cause error) {
	for _, m := range p.members {
		err := m.err
		if !m.ended {
			err = p.hung()
		}
		if c := exitCode(err); badness(c) > badness(code) {
			code, cause = c, err
		}
	}
	return code, cause
}

// summary says which of all pipelines have failed, for the last line.
func summary(failed []*member, all int) error {
	var whys []string
	for _, m := range failed {
		whys = append(whys, m.name+": "+cause(m.err))
	}
	return fmt.Errorf("%d of %d pipelines failed: %s", len(failed), all, strings.Join(whys, "; "))
}

// hung is the error of a pipeline that did not even end when it was aborted.
func (p *process) hung() error {
	return fmt.Errorf("waiting for the pipeline to end: %w", &engine.AbandonedError{Forced: p.forced != nil, Running: 1})
}

// badness puts exit codes in order: the cause of a stop is worse than what became of
// the others.
func badness(code int) int {
	order := []int{exitDone, exitExpectation, exitAbandoned, exitEnvironment, exitFailed, exitUsage}
	for i, c := range order {
		if c == code {
			return i
		}
	}
	return len(order)
}

func (p *process) reason(code int) string {
	switch code {
	case exitDone:
		if p.signal != nil {
			return "signal"
		}
		return "completed"
	case exitAbandoned:
		return "drain_timeout"
	case exitEnvironment:
		return "environment"
	case exitExpectation:
		return "expectation"
	case exitInterrupt, exitTerminate:
		return "forced"
	}
	return "failed"
}
