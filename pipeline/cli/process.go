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
	events  *event.Emitter
	log     *event.Queue // behind events; nil: something else is
	members []*member
	drain   time.Duration
	signals <-chan os.Signal
	started time.Time

	terminal bool // it runs in a terminal, and ends when that is closed
	failFast bool // the first pipeline that fails ends all
	failed   failures
	expect   func() error // asked when all has gone well: nil, or what was not met
	atEnd    func()       // called before the last line

	look func() error // looks whether there is progress; nil: nobody wants to know

	ready    atomic.Bool
	draining atomic.Bool // what stopping says, for other goroutines
	dumping  atomic.Bool
	stopping time.Time // zero: not yet
	limit    *time.Timer
	signalled
	aborted bool
}

// signalled is what signals have told the process.
type signalled struct {
	signal   os.Signal // the first one
	signalAt time.Time
	forced   os.Signal // the second one
}

type ending struct {
	m   *member
	err error
}

// run blocks until everything has ended, or has been given up, and gives the exit
// code.
func (p *process) run(ctx context.Context) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := make(chan ending, len(p.members)) // room for all: who is given up does not hang
	for _, m := range p.members {
		go func() { ends <- ending{m, m.runner.Run(ctx)} }()
	}
	watching := make(chan struct{})
	go p.watch(ctx, watching)

	p.limit = time.NewTimer(time.Hour)
	p.limit.Stop()
	defer p.limit.Stop()
	for left := len(p.members); left > 0; {
		select {
		case e := <-ends:
			left--
			p.memberEnded(e, left, cancel)
		case s := <-p.signals:
			p.handle(s, cancel)
		case <-p.limit.C:
			if p.aborted {
				left = 0
				break
			}
			p.abort()
		}
	}
	cancel()
	<-watching // what it calls is given up after a second each
	return p.stopped()
}

func (p *process) memberEnded(e ending, left int, cancel func()) {
	if errors.Is(e.err, context.Canceled) && !p.stopping.IsZero() {
		e.err = nil // a drain that had nothing to do
	}
	e.m.ended, e.m.err = true, e.err
	if e.err != nil {
		e.m.events.Log().Error().Msg(e.m.locate(e.err))
	}
	failed, all := p.fails(e.err), left == 0 || e.err != nil && p.failFast
	if failed && !all {
		p.failed.add(e.m) // before it is said: who reads that may ask
	}
	p.sayEnded(e.m, left)
	if !all {
		return
	}
	if p.well() {
		p.stop("completed", cancel)
	} else {
		p.stop("failed", cancel)
	}
	if failed {
		p.failed.add(e.m)
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
		p.sayReady()
	}
	ev := event.ProcessStopping{Reason: reason, Signal: name, DrainTimeoutMs: p.drain.Milliseconds(), Inflight: p.totals().InFlight}
	p.events.Emit(ev, "")
	if p.limit != nil {
		p.limit.Reset(p.drain + abortAfter)
	}
	cancel()
}

// abort ends what still runs, now.
func (p *process) abort() {
	p.aborted = true
	if p.limit != nil {
		p.limit.Reset(forceAfter)
	}
	for _, m := range p.members {
		go m.runner.Abort()
	}
}

// stopped classifies the end and writes the last line.
func (p *process) stopped() int {
	code, cause := p.exit()
	for _, m := range p.members {
		if !m.ended {
			m.events.Log().Error().Msg(m.locate(p.hung()))
			p.sayEnded(m, 0)
		}
	}
	if cause != nil && code == exitExpectation {
		p.events.Log().Error().Msg(cause.Error())
	}
	t := p.totals()
	ev := event.ProcessStopped{
		ExitCode: int64(code), Reason: p.reason(code),
		UptimeMs: time.Since(p.started).Milliseconds(), DrainMs: time.Since(p.stopping).Milliseconds(),
		RecordsInTotal: t.In, RecordsOutTotal: t.Out, FilteredTotal: t.Filtered, RejectedTotal: t.Rejected,
		Abandoned: t.Abandoned, FailedPipelines: p.failed.names(p.members),
	}
	ev.E2EP50Ms, ev.E2EP95Ms, ev.E2EP99Ms, ev.E2EMaxMs = p.latency()
	if cause != nil {
		ev.ErrorMessage = cause.Error()
	}
	if p.atEnd != nil {
		_, _ = within(func() struct{} { p.atEnd(); return struct{}{} }) // a terminal may be stopped
	}
	p.events.Close()
	p.events.Emit(ev, "")
	return code
}

// ask asks all pipelines at once, and waits a second at most: of those that do not say it
// by then there is the zero value.
func ask[T any](members []*member, what func(engine.Runner) T) []T {
	all := make([]T, len(members))
	var asked sync.WaitGroup
	for i, m := range members {
		asked.Go(func() { all[i], _ = within(func() T { return what(m.runner) }) })
	}
	asked.Wait()
	return all
}

// latency gives the percentiles of the whole run over all pipelines, in milliseconds;
// no numbers when no record has had an outcome.
func (p *process) latency() (p50, p95, p99, most float64) {
	var sum engine.RunLatency
	for _, l := range ask(p.members, engine.Runner.Latency) {
		sum.Add(l)
	}
	f := sum.Figures()
	if f.Count == 0 {
		return math.NaN(), math.NaN(), math.NaN(), math.NaN()
	}
	return f.P50, f.P95, f.P99, f.Max
}

// totals sums the counts of all pipelines, but of those that do not say them within a
// second.
func (p *process) totals() (sum engine.Counts) {
	for _, s := range ask(p.members, engine.Runner.Snapshot) {
		sum.In += s.In
		sum.Out += s.Out
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
	looked := time.Now()
	for {
		timer := time.NewTimer(every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if p.look != nil && time.Since(looked) >= lookEvery {
			_, _ = within(p.look) // a standstill is measured from the first look at it
			looked = time.Now()
		}
		why, ok := within(p.unready)
		if !ok || ctx.Err() != nil || p.draining.Load() {
			continue
		}
		every = readyEvery
		switch was := p.ready.Load(); {
		case why == "" && !was:
			p.ready.Store(true)
			p.sayReady()
		case why != "" && was:
			p.ready.Store(false)
			p.events.Emit(event.ProcessUnready{Reason: why}, "")
		}
		if p.ready.Load() {
			every = unreadyEvery
		}
	}
}

func (p *process) sayReady() {
	p.events.Emit(event.ProcessReady{StartupMs: time.Since(p.started).Milliseconds()}, "")
}

// unready says why the process can make no progress, "" when it can.
func (p *process) unready() string {
	if len(p.failed.all()) > 0 {
		return "failed"
	}
	for _, m := range p.members {
		s := m.runner.Snapshot()
		switch {
		case s.State == "starting":
			return "starting"
		case s.State == "running" && m.reports && !s.Source.Connected:
			return "not_connected"
		}
	}
	return ""
}

// within calls f and gives up on it after a second.
func within[T any](f func() T) (v T, ok bool) {
	c := make(chan T, 1)
	go func() { c <- f() }()
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case v = <-c:
		return v, true
	case <-timer.C:
		return v, false
	}
}
