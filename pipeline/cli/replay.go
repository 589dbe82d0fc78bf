package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/pipeline/source/replay"
	"github.com/penstockio/penstock/sinks"
)

// replayFlags are the flags of replay.
type replayFlags struct {
	form                     inputForm
	speed, clock, until, out string
	failOn                   []string
	values                   bool
}

func newReplay(g *globals) *cobra.Command {
	f := &replayFlags{}
	cmd := &cobra.Command{
		Use:   "replay FILE FIXTURE...",
		Short: "Run a pipeline over recorded records, printing what each sink would get",
		Long: `Run the pipeline of FILE with fixtures in place of its source, and standard output in place of every sink:
one fixture line a record, with the name of the sink in "sink". Rejected records of a pipeline that has dead letters
are printed with sink "dead_letter". No broker is needed; steps that call a server call it. FIXTURE - is standard
input. Logs and progress go to standard error.`,
		Example: `  penstock replay late-flights.yaml testdata/flights/flights.jsonl --as value --key origin --values | head`,
		Args:    takes(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReplay(cmd.Context(), g, f, args[0], args[1:])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.form.as, "as", "fixture", "what a line of a fixture is: fixture, or value (the record's value as it stands)")
	flags.StringVar(&f.form.key, "key", "", "expression that gives a record's key, with --as value")
	flags.StringVar(&f.speed, "speed", "max", "how fast time passes between the records: max, 1x, 10x")
	flags.StringVar(&f.clock, "clock", "record", "the time in dead letters and of now(): record (its own), or wall; with record, uuid and random give the same in each run")
	flags.StringVar(&f.until, "until", "", "stop behind this step, and print what leaves it")
	flags.StringVar(&f.out, "out", "", "print to this file")
	flags.BoolVar(&f.values, "values", false, "print values alone, without dead letters")
	flags.StringSliceVar(&f.failOn, "fail-on", nil, "exit with 4 when there was one of these: dead_letter, error")
	return cmd
}

// check gives the source's settings, or what is wrong with the flags.
func (f *replayFlags) check(fixtures []string) (s replay.Settings, o replay.Options, err error) {
	if f.clock != "record" && f.clock != "wall" {
		return s, o, usagef("--clock %s: it is record or wall", f.clock)
	}
	for _, name := range f.failOn {
		if name != catalog.DeadLetterName && name != "error" {
			return s, o, usagef("--fail-on %s: it is dead_letter, error, or both with a comma", name)
		}
	}
	if f.speed != "max" {
		text, ok := strings.CutSuffix(f.speed, "x")
		o.Speed, err = strconv.ParseFloat(text, 64)
		if !ok || err != nil || !(o.Speed > 0) || o.Speed > 1e9 {
			return s, o, usagef("--speed %s: it is max, or a factor like 1x or 10x", f.speed)
		}
	}
	s.As = f.form.as
	if s.Key, err = f.form.check(); err != nil {
		return s, o, err
	}
	if s.Key != nil && f.clock == "record" {
		s.Key.Repeatable("--key")
	}
	for _, name := range fixtures {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) && name != "-" {
			return s, o, &exitError{exitEnvironment, fmt.Errorf("replaying: there is no %s", name)}
		}
		s.Files = append(s.Files, settings.Path(name))
	}
	if err := s.Validate(); err != nil {
		return s, o, usagef("replaying: %w", err)
	}
	o.Count = true
	return s, o, nil
}

func runReplay(ctx context.Context, g *globals, f *replayFlags, file string, fixtures []string) error {
	screen := newScreen(g.err)
	return withLogQueue(screen, func(log *event.Queue) error {
		return replayFile(ctx, g, f, screen, log, file, fixtures)
	})
}

func replayFile(ctx context.Context, g *globals, f *replayFlags, screen *screen, log *event.Queue, file string, fixtures []string) (err error) {
	settings, options, err := f.check(fixtures)
	if err != nil {
		return err
	}
	signals := catchSignals()
	g.repeatable = f.clock == "record"
	set, events, err := loadDaemon(ctx, g, log, []string{file}, signals, endsInTerminal)
	if set == nil || err != nil {
		return err
	}
	defer events.Close()
	if len(set.Pipelines) != 1 {
		return usagef("replaying: %s holds %d pipelines; name the file of one", file, len(set.Pipelines))
	}
	if f.until != "" {
		if set.Pipelines[0], err = until(set.Pipelines[0], "until", f.until); err != nil {
			return err
		}
	}
	if err := f.refuseInputAsOutput(append(fixtures, file)); err != nil {
		return err
	}
	var (
		out      io.Writer
		closeOut func() error
	)
	stopped, err := interrupted(ctx, signals, true, 0, func(context.Context) (err error) { // opening a FIFO waits for its reader
		out, closeOut, err = f.open(g.out)
		return err
	})
	if stopped || err != nil {
		return err
	}
	defer func() {
		if e := closeOut(); e != nil && exitCode(err) == exitDone {
			err = e
		}
	}()
	r := &replaying{flags: f, set: set, events: events, screen: screen, names: fixtures}
	if r.source, err = replay.New(settings, options); err != nil {
		return usagef("replaying: %w", err)
	}
	r.progress = r.source.Progress
	return endedWith(r.run(ctx, signals, out))
}

// refuseInputAsOutput refuses an output that is one of the files that are read: creating it
// would empty that.
func (f *replayFlags) refuseInputAsOutput(files []string) error {
	out, err := os.Stat(f.out)
	if f.out == "" || err != nil {
		return nil
	}
	for _, name := range files {
		if in, err := os.Stat(name); err == nil && os.SameFile(in, out) {
			return usagef("--out %s: it is read too, and would be emptied; name another file", f.out)
		}
	}
	return nil
}

// open gives where records are printed.
func (f *replayFlags) open(stdout io.Writer) (io.Writer, func() error, error) {
	if f.out == "" {
		return stdout, func() error { return nil }, nil
	}
	file, err := os.Create(f.out)
	if err != nil {
		return nil, nil, &exitError{exitEnvironment, fmt.Errorf("opening the output: %w", err)}
	}
	return file, func() error {
		if err := file.Close(); err != nil {
			return fmt.Errorf("closing the output: %w", err)
		}
		return nil
	}, nil
}

// A replaying is one replay under way.
type replaying struct {
	flags  *replayFlags
	set    *config.Set
	events *event.Emitter
	screen *screen
	source *replay.Source
	names  []string

	progress func() (done, expected int64)
}

func (r *replaying) run(ctx context.Context, signals <-chan os.Signal, out io.Writer) int {
	p := &process{events: r.events, drain: r.set.Process.Limits.Drain, signals: signals, started: time.Now(), terminal: true}
	announce(r.events, r.set)
	logProblems(r.events, r.set.Warnings)
	all, err := p.prepare(ctx, r.set, r.standIns(out))
	if err != nil || p.signal != nil {
		discardAll(all)
		return p.neverRan(err, all)
	}
	p.expect = func() error { return r.flags.checkFailOn(p.pipelines[0].runner.Snapshot()) }
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reported := make(chan struct{})
	go r.report(ctx, reported)
	p.atEnd = func() {
		cancel()
		<-reported
		r.finished(time.Since(p.started))
	}
	return p.run(ctx)
}

func (r *replaying) standIns(out io.Writer) standIns {
	form := sinks.StdoutSettings{As: "fixture"}
	if r.flags.values {
		form.As = "value"
	}
	shared := &lockedWriter{w: out}
	in := standIns{source: r.source, sink: func(name, _ string) (pipeline.Sink, error) {
		w := io.Writer(shared)
		if r.flags.values && name == catalog.DeadLetterName {
			w = io.Discard
		}
		return sinks.NewStdout(form, w, name)
	}}
	if r.flags.clock == "record" {
		in.deadLetterTime = recordTime
	}
	return in
}

// recordTime is the clock of dead letters in cases and replays, so that two runs give the
// same: the time of the record, 1970 when it has none.
func recordTime(r *pipeline.Record) time.Time {
	came := r.OriginalTime()
	if came == pipeline.NoTime {
		return time.UnixMilli(0).UTC()
	}
	return time.UnixMilli(came).UTC()
}

// checkFailOn gives an error when something that --fail-on names has happened.
func (f *replayFlags) checkFailOn(s engine.Snapshot) error {
	var found []string
	if n := s.Rejected; n > 0 && slices.Contains(f.failOn, catalog.DeadLetterName) {
		found = append(found, fmt.Sprintf("%d records were rejected", n))
	}
	if n := s.Errors; n > 0 && slices.Contains(f.failOn, "error") {
		found = append(found, fmt.Sprintf("%d attempts failed", n))
	}
	if len(found) == 0 {
		return nil
	}
	return &exitError{exitExpectation, fmt.Errorf("checking --fail-on: %s", strings.Join(found, ", "))}
}

// report shows progress once a second until ctx ends: a line on a terminal, events
// elsewhere.
func (r *replaying) report(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	defer r.screen.clear()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, before := time.Now(), int64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			records, expected := r.progress()
			rate := float64(records-before) / now.Sub(last).Seconds()
			last, before = now, records
			ev := event.ReplayProgress{Fixture: r.fixture(), RecordsDone: records, RecordsExpected: expected, RateIn: rate, EtaMs: -1}
			if rate > 0 && expected >= records {
				ev.EtaMs = int64(float64(expected-records) / rate * 1000)
			}
			if !r.screen.show(ev) {
				r.events.Emit(ev, "")
			}
		}
	}
}

func (r *replaying) finished(took time.Duration) {
	records, expected := r.progress()
	r.events.Emit(event.ReplayFinished{
		Fixture: r.fixture(), RecordsDone: records, RecordsExpected: expected,
		RateIn: float64(records) / took.Seconds(), DurationMs: took.Milliseconds(),
	}, "")
}

func (r *replaying) fixture() string {
	if len(r.names) == 1 {
		return filepath.Base(r.names[0])
	}
	return fmt.Sprintf("%s and %d more", filepath.Base(r.names[0]), len(r.names)-1)
}

// A lockedWriter lets several sinks share one writer: each Write is a block of whole lines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
