package cli

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

func newRun(g *globals) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run FILE|DIR...",
		Short: "Run one or several pipelines until they end or a signal comes",
		Long: `Run one or several pipelines in one process, until all their sources have ended or a signal comes.

SIGTERM and SIGINT stop reading, hand back what has not begun, finish the rest within the drain budget, commit,
and exit with 0.
A second one ends the process at once. SIGUSR1 writes one log line for each record in flight, SIGUSR2 has the log show more for
ten minutes (not on Windows, which has no such signals).

A mistake in any file keeps all pipelines from starting (exit code 2). From then on each is on its own: when one fails,
at the start or later, the others go on. It stays down until the process is started again; /livez and /readyz fail and
name it, and so do pipeline.stopped in the log and, at the end, process.stopped. The process ends when all have ended:
with 1 when one of several has failed, also after a signal, and with the code of the first failure when all have.
With --fail-fast the first failure ends all of them, and no pipeline starts unless all can.

SIGHUP loads the files again, unless the process runs in a terminal that is closed. What is wrong with them is logged, and the process goes on as it was. Else
steps, sinks, rates and the log level are replaced while the sources go on. With --watch the same happens when a file changes.`,
		Args: takes(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("drain") && (f.drain < time.Millisecond || f.drain > time.Hour) {
				return usagef("--drain %v: it is a time from 1ms to 1h, like 25s", f.drain)
			}
			return runDaemon(cmd.Context(), g, args, f)
		},
	}
	cmd.Flags().DurationVar(&f.drain, "drain", 0, "how long work in flight may go on after a signal (default: limits.drain of the file)")
	cmd.Flags().BoolVar(&f.failFast, "fail-fast", false, "end all pipelines when one of them fails")
	cmd.Flags().BoolVar(&f.watch, "watch", false, "load the files again when one of them changes")
	return cmd
}

// runFlags are the flags of run.
type runFlags struct {
	drain    time.Duration
	failFast bool
	watch    bool
}

// runDaemon runs files until they end.
func runDaemon(ctx context.Context, g *globals, files []string, f runFlags) error {
	signals := catchSignals()
	signal.Ignore(syscall.SIGPIPE) // a reader of the log or the output that goes away makes an error, and no end
	return withLogQueue(g.err, func(log *event.Queue) error {
		return runFiles(ctx, g, log, files, f, signals)
	})
}

// logPatience is how long the end of a process waits for its log to be written.
const logPatience = 750 * time.Millisecond

// withLogQueue runs a command whose lines on standard error pass a queue, its error included:
// neither its work nor its end waits for a reader of w who has stopped reading. The error has
// been printed then: the one that is returned holds the exit code alone.
func withLogQueue(w io.Writer, run func(log *event.Queue) error) error {
	defer keepStandardLog()()
	log := event.NewQueue(w)
	err := run(log)
	if err != nil {
		printError(log, err)
		err = endedWith(exitCode(err))
	}
	_ = log.Close(logPatience) // nobody is left to tell what was not written
	return err
}

func runFiles(ctx context.Context, g *globals, log *event.Queue, files []string, f runFlags, signals <-chan os.Signal) error {
	var early []os.Signal
	set, events, err := loadDaemon(ctx, g, log, files, signals, func(s os.Signal) bool {
		if asksToEnd(s, false) {
			return true
		}
		early = append(early, s)
		return false
	})
	if set == nil || err != nil {
		return err
	}
	defer events.Close()
	f.apply(set)
	daemon := newDaemon(set, events, log, signals)
	daemon.early = early // nothing is added any more: the files have been loaded
	daemon.failFast = f.failFast
	daemon.supervisor = newSupervisor(set.Process.Log.StatsEvery)
	daemon.config.files = sourceFiles{g: g, files: files, flags: f}
	daemon.watchProgress(false)
	return endedWith(daemon.start(ctx, set))
}

// endedWith is the error of a command that has printed or logged what went wrong: the code
// alone.
func endedWith(code int) error {
	if code == exitDone {
		return nil
	}
	return &exitError{code: code}
}

// loadDaemon loads files and reports all that is wrong with them. From then on what libraries log is of
// the daemon's log. It gives no set and no error
// when a signal that asks for the end, as asks says of each, came first: a file may be a pipe that nobody writes to. changes are to the options of the log.
func loadDaemon(ctx context.Context, g *globals, log *event.Queue, files []string, signals <-chan os.Signal, asks func(os.Signal) bool, changes ...func(*event.Options)) (*config.Set, *event.Emitter, error) {
	var loaded *config.Set
	stopped, err := interruptedBy(ctx, signals, asks, 0, func(context.Context) (err error) {
		loaded, err = g.load(files)
		return err
	})
	if stopped {
		return nil, nil, nil
	}
	set := loaded
	if err != nil {
		return nil, nil, rejectConfig(g, log, err)
	}
	if set.Process.Admin != nil {
		changes = append(changes, func(o *event.Options) { o.Recent = event.NewRecent(recentLines, recentBytes) })
	}
	events, err := newEvents(g, log, set.Process.Log, changes...)
	if err != nil {
		return nil, nil, err
	}
	takeStandardLog(events)
	return set, events, nil
}

// What the endpoint shows of the log: more lines than a person reads, and no more memory than a process has to spare.
const (
	recentLines = 500
	recentBytes = 1 << 20
)

// rejectConfig reports what is wrong with the files. A log in JSON gets a line for each
// problem. For people the error is returned, and printed with the lines of the file.
func rejectConfig(g *globals, log *event.Queue, err error) error {
	var invalid *config.InvalidError
	file, _ := g.err.(*os.File)
	if console, _ := event.ConsoleFor(g.logFormat, file); console || !errors.As(err, &invalid) {
		return err
	}
	l := config.Log{Level: "info", Format: "json", Events: true}
	g.logFlags(&l)
	events, optErr := newEvents(g, log, l)
	if optErr != nil {
		return optErr
	}
	defer events.Close()
	logProblems(events, invalid.Problems)
	errs := invalid.Problems.Errors()
	first := ""
	if len(errs) > 0 {
		first = errs[0].String()
	}
	events.Emit(event.ConfigRejected{Trigger: "start", ErrorCount: int64(len(errs)), ErrorFirst: first}, "")
	return &exitError{code: exitUsage}
}

// logProblems writes a free line for each problem.
func logProblems(events *event.Emitter, problems config.Problems) {
	for _, p := range problems {
		line := events.Log().Error()
		if p.Severity == config.SeverityWarning {
			line = events.Log().Warn()
		}
		if p.Suggestion != "" {
			line = line.Str("suggestion", p.Suggestion)
		}
		if len(p.Notes) > 0 {
			line = line.Str("notes", strings.Join(p.Notes, "; "))
		}
		line.Msg(p.String())
	}
}

// newDaemon makes the process of what was loaded.
func newDaemon(set *config.Set, events *event.Emitter, log *event.Queue, signals <-chan os.Signal) *process {
	return &process{events: events, log: log, drain: set.Process.Limits.Drain, signals: signals, started: time.Now()}
}

// start builds what was loaded, probes what it needs, runs it, and gives the exit code.
func (p *process) start(ctx context.Context, set *config.Set) int {
	p.config.begin(set)
	announce(p.events, set)
	tuneMemory(set)
	for _, s := range p.early { // what was loaded may be older than what SIGHUP is about
		p.handle(s, func() {})
	}
	logProblems(p.events, set.Warnings)
	p.events.Emit(event.ConfigApplied{ConfigHash: set.Hash, Trigger: "start"}, "")

	if err := p.openTraces(set); err != nil {
		return p.neverRan(err, nil)
	}
	all, err := p.prepare(ctx, set, standIns{change: p.traced(set)})
	var endpoint *admin.Server
	if err == nil && p.signal == nil && slices.ContainsFunc(all, (*assembled).canStart) {
		endpoint, err = p.serve(set)
	}
	if err != nil || p.signal != nil {
		discardAll(all)
		return p.neverRan(err, all)
	}
	p.config.runs(all)
	defer shutDown(endpoint)
	return p.run(ctx)
}

func announce(events *event.Emitter, set *config.Set) {
	b := buildInfo()
	var files []string
	for _, p := range set.Pipelines {
		files = append(files, p.File)
	}
	listen := ""
	if set.Process.Admin != nil {
		listen = set.Process.Admin.Listen
	}
	events.Emit(event.ProcessStarted{
		ServiceVersion: b.Version, VCSRevision: b.Revision, GoVersion: b.Go, ConfigHash: set.Hash,
		ConfigPath: strings.Join(files, ","), AdminAddr: listen, Pipelines: int64(len(files)),
	}, "")
}

// assembleAll builds all pipelines of a process, with one budget and one of each rate. An error is one of the
// configuration, and then none of them is left open. What a pipeline misses in its environment
// keeps only that one from starting: it is in its err.
func assembleAll(set *config.Set, events *event.Emitter, in standIns) (all []*assembled, err error) {
	limits := set.Process.Limits
	budget, shared := engine.NewBudget(limits.InFlight, limits.InFlightBytes), calls.NewShared(limits.Rates)
	for _, file := range set.Pipelines {
		a, err := assemble(file, events, budget, shared, in)
		if exitCode(err) == exitEnvironment {
			a, err = &assembled{file: file, err: err}, nil
		}
		if err != nil {
			discardAll(all)
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// prepare builds the pipelines and probes what they need. One that misses something becomes a
// neverStarted. The error is one that keeps all of them from starting. A signal ends prepare.
func (p *process) prepare(ctx context.Context, set *config.Set, in standIns) ([]*assembled, error) {
	var (
		built []*assembled
		err   error
	)
	if !p.whileStarting(func() { built, err = assembleAll(set, p.events, in) }) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var probed []error
	if !p.whileStarting(func() { probed = pingAll(ctx, built) }) {
		return built, p.interruptedError(built)
	}
	for i, err := range probed {
		built[i].err = err
		for _, also := range built[i].more { // the first is the error that the pipeline ends with
			p.events.Log().Error().Msg(also.Error())
		}
	}
	if err := p.missing(built); err != nil {
		return built, err
	}
	return built, p.addPipelines(built)
}

// missing gives the error of the environment that keeps the process from starting: that of a
// single pipeline, or the first one with --fail-fast.
func (p *process) missing(all []*assembled) error {
	if p.failFast || len(all) == 1 {
		return firstMissing(all)
	}
	return nil
}

// interruptedError gives the error of a start that a signal has ended: that of the pipelines
// that could not be built. The signal does not hide it, as it hides no later failure.
func (p *process) interruptedError(all []*assembled) error {
	var failed []*managedPipeline
	for _, a := range all {
		if a.err != nil {
			failed = append(failed, &managedPipeline{name: a.file.Name, err: a.err})
		}
	}
	if p.failFast || len(failed) == 0 || len(failed) == len(all) {
		return firstMissing(all)
	}
	return &exitError{exitFailed, summary(failed, len(all))}
}

func firstMissing(all []*assembled) error {
	for _, a := range all {
		if a.err != nil {
			return a.err
		}
	}
	return nil
}

// addPipelines makes the pipelines of the process from what was built.
func (p *process) addPipelines(all []*assembled) error {
	for _, a := range all {
		m, err := a.managed(p.events)
		if err != nil {
			return err
		}
		if a.err != nil {
			a.discard()
		}
		if a.rates != nil {
			p.commands.rates = a.rates
		}
		p.pipelines = append(p.pipelines, m)
	}
	return nil
}

// neverRan writes the last lines of a process whose pipelines did not start: err says
// why, nil means a signal.
func (p *process) neverRan(err error, all []*assembled) int {
	code := exitCode(err)
	if err != nil {
		p.events.Log().Error().Msg(err.Error())
		p.stop("failed", func() {})
	}
	ev := event.ProcessStopped{ExitCode: int64(code), Reason: p.exitReason(code), UptimeMs: time.Since(p.started).Milliseconds(),
		ErrorMessage: cause(err), FailedPipelines: missingIn(all)}
	unknown := math.NaN() // there was no record
	ev.E2EP50Ms, ev.E2EP95Ms, ev.E2EP99Ms, ev.E2EMaxMs = unknown, unknown, unknown, unknown
	p.events.Close()
	p.events.Emit(ev, "")
	p.supervisor.ended(code, err)
	return code
}

// missingIn gives the names of the pipelines that cannot start, with commas.
func missingIn(all []*assembled) string {
	var names []string
	for _, a := range all {
		if a.err != nil {
			names = append(names, a.file.Name)
		}
	}
	return strings.Join(names, ",")
}

// cause is the text of an error without its place in the file, for events: the line of the log
// that goes with them has the place.
func cause(err error) string {
	var exit *exitError
	if errors.As(err, &exit) && exit.err != nil {
		if inner := errors.Unwrap(exit.err); inner != nil {
			return inner.Error()
		}
		return exit.err.Error()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
