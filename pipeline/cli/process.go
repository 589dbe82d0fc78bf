package cli

import (
	"context"
	"errors"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/trace"
)

const (
	abortAfter   = 2 * time.Second // beyond the drain budget: then what still runs is aborted
	forceAfter   = 2 * time.Second // beyond an abort: then the process ends without waiting
	readyEvery   = 100 * time.Millisecond
	unreadyEvery = time.Second
)

// A process runs pipelines until all of them have ended or failed, or a signal comes, and
// says so in process.* events. From the signal on it never waits longer than the drain
// budget and a few seconds, whatever a sink does: its events must write without waiting,
// to a Queue.
type process struct {
	events    *event.Emitter
	log       *event.Queue // that events writes to; nil: it writes to something else
	pipelines []*managedPipeline
	drain     time.Duration
	signals   <-chan os.Signal
	started   time.Time

	traces *trace.Traces // nil: nothing is traced

	terminal bool // it runs in a terminal, and ends when that is closed
	failFast bool // the first pipeline that fails ends all
	failed   failures
	expect   func() error // called when no pipeline has failed: gives an expectation that was not met
	atEnd    func()       // called before the last line

	watched
	changing

	standing
	stopping time.Time // when the drain began; zero: it has not
	deadline *time.Timer
	signalled
	aborted bool
}

// changing is what changes while the process runs, and by whom.
type changing struct {
	commands commands
	config   configuration
}

// standing is what other goroutines may ask of how far the process is.
type standing struct {
	ready    atomic.Bool
	draining atomic.Bool // stopping is set
}

// signalled is which signals the process has got.
type signalled struct {
	early    []os.Signal // that came while the files were loaded, and do not ask for the end; in the order in which they came
	signal   os.Signal   // the first one
	signalAt time.Time
	forcedBy os.Signal   // the second one
	dumping  atomic.Bool // what one has asked to be written is being written
}

// watched is who watches the process from outside, and by what.
type watched struct {
	supervisor    *supervisor  // nil: none
	checkProgress func() error // of /livez and of the watchdog of the supervisor; nil: nobody asks
}

type ending struct {
	pipeline *managedPipeline
	err      error
}

// run blocks until everything has ended, or has been given up, and gives the exit
// code.
func (p *process) run(ctx context.Context) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := make(chan ending, len(p.pipelines)) // room for all, so that none blocks when run has returned
	for _, m := range p.pipelines {
		m.finished = make(chan struct{})
		of, stop := context.WithCancel(ctx)
		defer stop()
		m.stop = stop
		go func() { ends <- ending{m, m.runner.Run(of)} }()
	}
	p.commands.open(ctx)
	watching, ended := make(chan struct{}), make(chan struct{})
	defer close(ended)
	go p.watch(ctx, watching)
	p.supervisor.running()
	go p.reloadWhenAsked(ctx) // behind that: what was asked for meanwhile is a reload that the supervisor is told of
	go p.supervise(ended)

	p.deadline = time.NewTimer(time.Hour)
	p.deadline.Stop()
	defer p.deadline.Stop()
	for left := len(p.pipelines); left > 0; {
		select {
		case e := <-ends:
			left--
			p.pipelineEnded(e, left, cancel)
		case s := <-p.signals:
			p.handle(s, cancel)
		case <-p.deadline.C:
			if p.aborted {
				left = 0
				break
			}
			p.abort()
		}
	}
	cancel()
	<-watching // not for long: it waits a second at most for each call
	p.commands.close()
	p.closeTraces()
	return p.stopped()
}

// pipelineEnded notes the end of a pipeline, and stops the process when it was the last one, or
// the first failure with --fail-fast.
func (p *process) pipelineEnded(e ending, left int, cancel func()) {
	if errors.Is(e.err, context.Canceled) && p.asked(e.pipeline) {
		e.err = nil // there was nothing to drain
	}
	e.pipeline.ended, e.pipeline.err = true, e.err
	if e.err != nil {
		e.pipeline.events.Log().Error().Msg(e.pipeline.locate(e.err))
	}
	failed := p.isFailure(e.pipeline, e.err)
	all := left == 0 || failed && p.failFast
	if failed && !all {
		p.failed.add(e.pipeline) // before its event: whoever reads that may ask the endpoint at once
	}
	p.emitStopped(e.pipeline, left)
	close(e.pipeline.finished)
	if !all {
		return
	}
	switch {
	case p.allSucceeded():
		p.stop("completed", cancel)
	case failed || len(p.failed.all()) > 0:
		p.stop("failed", cancel)
	default: // by a command
		p.stop("drain_timeout", cancel)
	}
	if failed {
		p.failed.add(e.pipeline)
	}
}

// stop begins the drain of what still runs.
func (p *process) stop(reason string, cancel func()) {
	if !p.stopping.IsZero() {
		return
	}
	p.stopping = time.Now()
	p.draining.Store(true)
	name := ""
	if reason == "signal" {
		name = signalName(p.signal)
	}
	if reason == "completed" && p.ready.CompareAndSwap(false, true) {
		p.emitReady()
	}
	ev := event.ProcessStopping{Reason: reason, Signal: name, DrainTimeoutMs: p.drain.Milliseconds(), Inflight: p.totals().InFlight}
	p.events.Emit(ev, "")
	if p.deadline != nil {
		p.deadline.Reset(p.drain + abortAfter)
	}
	cancel()
	p.supervisor.stopping(p.drain)
}

// abort ends what still runs, now.
func (p *process) abort() {
	p.aborted = true
	if p.deadline != nil {
		p.deadline.Reset(forceAfter)
	}
	for _, m := range p.pipelines {
		go m.runner.Abort()
	}
}

// stopped gives the exit code, and writes the last events.
func (p *process) stopped() int {
	code, cause := p.exit()
	for _, m := range p.pipelines {
		if !m.ended {
			m.events.Log().Error().Msg(m.locate(p.hungError()))
			p.emitStopped(m, 0)
		}
	}
	if cause != nil && code == exitExpectation {
		p.events.Log().Error().Msg(cause.Error())
	}
	t := p.totals()
	ev := event.ProcessStopped{
		ExitCode: int64(code), Reason: p.exitReason(code),
		UptimeMs: time.Since(p.started).Milliseconds(), DrainMs: time.Since(p.stopping).Milliseconds(),
		RecordsInTotal: t.In, RecordsOutTotal: t.Out, CreatedTotal: t.Created, FilteredTotal: t.Filtered, RejectedTotal: t.Rejected,
		Abandoned: t.Abandoned, FailedPipelines: p.failed.names(p.pipelines),
	}
	ev.E2EP50Ms, ev.E2EP95Ms, ev.E2EP99Ms, ev.E2EMaxMs = p.latency()
	if cause != nil {
		ev.ErrorMessage = cause.Error()
	}
	if p.atEnd != nil {
		_, _ = withinSecond(func() struct{} { p.atEnd(); return struct{}{} }) // a terminal that is stopped blocks its writers
	}
	p.events.Close()
	p.events.Emit(ev, "")
	p.supervisor.ended(code, cause)
	return code
}

// askAll asks all pipelines at once, and waits a second at most: of those that have not
// answered by then it gives the zero value.
func askAll[T any](members []*managedPipeline, what func(engine.Runner) T) []T {
	all := make([]T, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		asked.Go(func() { all[i], _ = withinSecond(func() T { return what(m.runner) }) })
	}
	asked.Wait()
	return all
}

// latency gives the percentiles of the whole run over all pipelines, as percentiles does.
func (p *process) latency() (p50, p95, p99, most float64) {
	var sum engine.RunLatency
	for _, l := range askAll(p.pipelines, engine.Runner.Latency) {
		sum.Add(l)
	}
	return percentiles(sum)
}

// percentiles gives those of a whole run, in milliseconds; NaN when no record has had an outcome.
func percentiles(l engine.RunLatency) (p50, p95, p99, most float64) {
	f := l.Figures()
	if f.Count == 0 {
		return math.NaN(), math.NaN(), math.NaN(), math.NaN()
	}
	return f.P50, f.P95, f.P99, f.Max
}

// totals sums the counts of all pipelines that give them within a second.
func (p *process) totals() (sum engine.Counts) {
	for _, s := range askAll(p.pipelines, engine.Runner.Snapshot) {
		sum.In += s.In
		sum.Out += s.Out
		sum.Created += s.Created
		sum.Filtered += s.Filtered
		sum.Rejected += s.Rejected
		sum.Abandoned += s.Abandoned
		sum.Errors += s.Errors
		sum.InFlight += s.InFlight
	}
	return sum
}

// watch writes process.ready and process.unready until ctx ends.
func (p *process) watch(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	every := readyEvery
	lastCheck := time.Now()
	progress, readiness := question[error]{of: p.checkProgress}, question[string]{of: p.unready}
	for {
		timer := time.NewTimer(every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if p.checkProgress != nil && time.Since(lastCheck) >= checkProgressEvery {
			_, _ = progress.ask() // so that a standstill is known before somebody asks
			lastCheck = time.Now()
		}
		why, ok := readiness.ask()
		if !ok || ctx.Err() != nil || p.draining.Load() {
			continue
		}
		every = readyEvery
		switch was := p.ready.Load(); {
		case why == "" && !was:
			p.ready.Store(true)
			p.emitReady()
		case why != "" && was:
			p.ready.Store(false)
			p.events.Emit(event.ProcessUnready{Reason: why}, "")
			p.supervisor.status("not ready: " + why)
		}
		if p.ready.Load() {
			every = unreadyEvery
		}
	}
}

func (p *process) emitReady() {
	p.events.Emit(event.ProcessReady{StartupMs: time.Since(p.started).Milliseconds()}, "")
	p.supervisor.status("ready")
}

// unready says why the process can make no progress, "" when it can.
func (p *process) unready() string {
	if len(p.failed.all()) > 0 {
		return "failed"
	}
	for _, m := range p.pipelines {
		s := m.runner.Snapshot()
		switch {
		case s.State == "starting":
			return "starting"
		case (s.State == "running" || s.State == "paused") && m.reports && m.link.away(s.Source.Connected, time.Now()):
			return "not_connected"
		}
	}
	return ""
}

// withinSecond calls f, and after a second no longer waits for it: ok is false then.
func withinSecond[T any](f func() T) (v T, ok bool) {
	q := question[T]{of: f}
	return q.ask()
}

// A question is a function that is called again and again, and may hang: of is not called before the last call has returned, since
// each that hangs keeps a goroutine.
type question[T any] struct {
	of     func() T
	answer chan T // of the call that has not been heard yet; nil: there is none
}

// ask calls the function, or waits on for the call that is under way, a second at most: ok is false then.
func (q *question[T]) ask() (v T, ok bool) {
	select {
	case <-q.answer: // it has come meanwhile, and may be out of date
		q.answer = nil
	default:
	}
	if q.answer == nil {
		c := make(chan T, 1)
		q.answer = c
		go func() { c <- q.of() }()
	}
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case v = <-q.answer:
		q.answer = nil
		return v, true
	case <-timer.C:
		return v, false
	}
}
