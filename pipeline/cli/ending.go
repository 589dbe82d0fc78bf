package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// This file says how the pipelines of a process end, each and together.

// A managedPipeline is one pipeline of a process, with how it has ended.
type managedPipeline struct {
	name    string
	runner  engine.Runner
	events  *event.Emitter // stamps the pipeline
	reports bool           // its source says whether it is connected
	link    connection     // of its source, if it does
	locate  func(error) string
	runs    atomic.Pointer[assembled] // what it is made of now; nil: it has never started

	hidesKeys atomic.Bool // its dead letters redact keys, and no event has a hash of one

	stop     context.CancelFunc // has Run drain this one alone
	drained  atomic.Bool        // by a command
	finished chan struct{}      // closed when ended is set

	ended bool
	err   error // of Run
}

// A neverStarted pipeline is one that could not start, because of its environment. It stands
// among the others, so that the endpoint, the log and the exit code include it.
type neverStarted struct {
	name string
	err  error
}

func (n *neverStarted) Run(context.Context) error   { return n.err }
func (n *neverStarted) Abort()                      {}
func (n *neverStarted) InFlight() []engine.InFlight { return nil }
func (n *neverStarted) Why() []engine.Hold          { return nil }
func (n *neverStarted) Latency() engine.RunLatency  { return engine.RunLatency{} }

// Nothing of it can be steered. A command says so itself; what is asked anyway changes nothing.

func (n *neverStarted) Pause()                             {}
func (n *neverStarted) Resume()                            {}
func (n *neverStarted) PauseLane(string) error             { return n.cannot() }
func (n *neverStarted) ResumeLane(string) error            { return n.cannot() }
func (n *neverStarted) SetWorkers(string, int) error       { return n.cannot() }
func (n *neverStarted) Skip([]byte) error                  { return n.cannot() }
func (n *neverStarted) Unskip([]byte)                      {}
func (n *neverStarted) SkipRecord(pipeline.Position) error { return n.cannot() }
func (n *neverStarted) UnskipRecord(pipeline.Position)     {}

func (n *neverStarted) cannot() error {
	return fmt.Errorf("pipeline %s has not started: %w", n.name, n.err)
}

func (n *neverStarted) Snapshot() engine.Snapshot {
	return engine.Snapshot{Pipeline: n.name, State: "failed", Err: n.err, At: time.Now(), Backpressure: "ok"}
}

// failures are the pipelines that have failed, in the order in which they did. Its methods
// are safe for concurrent use: the endpoint asks for them too.
type failures struct {
	mu        sync.Mutex
	pipelines []*managedPipeline
}

func (f *failures) add(m *managedPipeline) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pipelines = append(f.pipelines, m)
}

func (f *failures) all() []*managedPipeline {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.pipelines)
}

// names gives those that failed, with commas, in the order of all pipelines: that of the
// files, so that it is the same in each run.
func (f *failures) names(all []*managedPipeline) string {
	var names []string
	for _, m := range all {
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

// isFailure says whether err is a failure of its pipeline. Abandoned work is one only when
// nobody has asked for the end: after a signal, or a command, it is what the drain budget allows.
func (p *process) isFailure(m *managedPipeline, err error) bool {
	var abandoned *engine.AbandonedError
	return err != nil && (!p.asked(m) || !errors.As(err, &abandoned))
}

// asked says whether somebody has asked for the end of a pipeline, or of all.
func (p *process) asked(m *managedPipeline) bool { return !p.stopping.IsZero() || m.drained.Load() }

// allSucceeded says whether no pipeline has ended with an error.
func (p *process) allSucceeded() bool {
	return !slices.ContainsFunc(p.pipelines, func(m *managedPipeline) bool { return m.err != nil })
}

// emitStopped writes pipeline.stopped, of one of several pipelines: of a single one
// process.stopped says all.
func (p *process) emitStopped(m *managedPipeline, left int) {
	if len(p.pipelines) == 1 {
		return
	}
	err := m.err
	if !m.ended {
		err = p.hungError()
	}
	type whole struct {
		engine.Snapshot
		latency engine.RunLatency
	}
	s, _ := withinSecond(func() whole { return whole{m.runner.Snapshot(), m.runner.Latency()} })
	ev := event.PipelineStopped{
		Reason: p.stopReason(m, err), UptimeMs: time.Since(p.started).Milliseconds(), RecordsInTotal: s.In, RecordsOutTotal: s.Out,
		CreatedTotal: s.Created, FilteredTotal: s.Filtered, RejectedTotal: s.Rejected, Abandoned: s.Abandoned,
	}
	ev.E2EP50Ms, ev.E2EP95Ms, ev.E2EP99Ms, ev.E2EMaxMs = percentiles(s.latency)
	words := ""
	if err != nil {
		ev.ErrorMessage = cause(err)
		words = "pipeline stopped: " + ev.ErrorMessage
		if left > 0 && p.stopping.IsZero() && !p.failFast {
			words = fmt.Sprintf("pipeline stopped until the process is started again, %d of %d are left: %s", left, len(p.pipelines), ev.ErrorMessage)
		}
	}
	m.events.Emit(ev, words)
}

// stopReason is the reason of pipeline.stopped.
func (p *process) stopReason(m *managedPipeline, err error) string {
	var abandoned *engine.AbandonedError
	switch {
	case err == nil && !p.asked(m):
		return "completed"
	case err == nil:
		return "stopping"
	case errors.As(err, &abandoned) && abandoned.Forced && p.forcedBy != nil:
		return "forced"
	case exitCode(err) == exitAbandoned:
		return "drain_timeout"
	case exitCode(err) == exitEnvironment:
		return "environment"
	}
	return "failed"
}

// exit gives the exit code of the process, and its error. A failure is never hidden behind
// a good end of the others, or behind a signal that asks for the end.
func (p *process) exit() (code int, cause error) {
	code, cause = p.combinedExit()
	switch {
	case p.forcedBy == syscall.SIGTERM:
		return exitTerminate, cause
	case p.forcedBy != nil:
		return exitInterrupt, cause
	case code == exitDone && p.expect != nil: // after a signal too: it does not undo what was not met
		cause = p.expect()
		return exitCode(cause), cause
	}
	return code, cause
}

// combinedExit gives the exit code that the ends of all pipelines make together, and its error.
func (p *process) combinedExit() (code int, cause error) {
	failed := p.failed.all()
	switch {
	case len(failed) == 0:
		return p.worstExit()
	case len(p.pipelines) == 1 || p.failFast: // what failed in the drain, later, is not the cause
		return exitCode(failed[0].err), failed[0].err
	case len(failed) == len(p.pipelines):
		return exitCode(failed[0].err), summary(failed, len(p.pipelines))
	}
	return exitFailed, summary(failed, len(p.pipelines))
}

// worstExit gives the most severe exit code of the pipelines, none of which has failed, and
// its error.
func (p *process) worstExit() (code int, cause error) {
	for _, m := range p.pipelines {
		err := m.err
		if !m.ended {
			err = p.hungError()
		}
		if c := exitCode(err); severity(c) > severity(code) {
			code, cause = c, err
		}
	}
	return code, cause
}

// summary says which of all pipelines have failed, for the last line.
func summary(failed []*managedPipeline, all int) error {
	var reasons []string
	for _, m := range failed {
		reasons = append(reasons, m.name+": "+cause(m.err))
	}
	return fmt.Errorf("%d of %d pipelines failed: %s", len(failed), all, strings.Join(reasons, "; "))
}

// hungError is the error of a pipeline that did not end when it was aborted.
func (p *process) hungError() error {
	return fmt.Errorf("waiting for the pipeline to end: %w", &engine.AbandonedError{Forced: p.forcedBy != nil, Running: 1})
}

// severity ranks exit codes: what can cause a stop is above what can follow from one.
func severity(code int) int {
	order := []int{exitDone, exitExpectation, exitAbandoned, exitEnvironment, exitFailed, exitUsage}
	for i, c := range order {
		if c == code {
			return i
		}
	}
	return len(order)
}

// exitReason is the reason of process.stopped.
func (p *process) exitReason(code int) string {
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
