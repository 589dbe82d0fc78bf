package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/pipeline/source/kafka/lettertopic"
	"github.com/penstockio/penstock/pipeline/source/letters"
	kafkasink "github.com/penstockio/penstock/sinks/kafka"
)

// redriveFlags are the flags of dead-letter replay.
type redriveFlags struct {
	letterFlags
	to, rate      string
	dryRun, again bool
	maxReplays    int
	redacted      bool
}

func newDeadLetterReplay(g *globals) *cobra.Command {
	f := &redriveFlags{}
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Send rejected records through again",
		Long: fmt.Sprintf(`Send the records of dead letters through the pipeline of FILE again. Those of a key go in the order in which they were read, also where they were
rejected in another: a replay looks ahead by %d letters or %d MiB, whichever is less. It says how many stood further apart, and so come behind a later record of
their key. With order.key in FILE it is the order of all records of a partition. What earlier replays have sent does not count.

With --to start they go back to the topic they were read from, into the same partition, with key, value, headers and time as they came and the
header penstock-replayed, and the running daemon takes them from there. So does everybody else who reads the topic: other pipelines and consumers
get these records again, and so do those sinks of this pipeline that have had them when another had rejected them. A pipeline that reads no topic runs in this
process, from its first step. With --to step the pipeline runs in this process, and each record goes on at the step or sink that rejected
it, with the value that it had there: steps before are passed over, sinks are written to, and nobody else gets it again. A record is refused where
its letter does not have that value, or where steps before change key, headers or time.

What was replayed is remembered: in the offsets of the consumer group NAME.dead-letter, or in FILE.NAME.position beside a file of dead letters, letter
by letter, so that with filters the others stay to be replayed. A second replay changes nothing, and one that begins while another is under way
is refused. One that a signal or an error has ended goes on where it was. One that was killed may send what was under way a second time: %d letters
with --to start, %d with --to step, at most. --again does not look at what was replayed. The letters themselves stay where they are.

Exits 0 when all letters that the flags choose were replayed, and when a signal has ended it cleanly: the last line then says how many are left.
Exits 4 when some were refused (would be, with --dry-run) or were rejected again.`, letters.WindowRecords, letters.WindowBytes>>20, aheadToTopics*letters.BatchRecords, aheadInProcess*letters.BatchRecords),
		Example: `  penstock dead-letter replay late-flights.yaml --dry-run
  penstock dead-letter replay late-flights.yaml --reason attempts --rate 100/s
  penstock dead-letter replay late-flights.yaml --to step --step weather --since 2h`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			screen := newScreen(g.err)
			return withLogQueue(screen, func(log *event.Queue) error {
				return redriveFile(cmd.Context(), g, f, screen, log, args[0])
			})
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.to, "to", "start", "where records go on: start, or step (the one that rejected them)")
	flags.StringVar(&f.rate, "rate", "", "so many letters in a time at most, like 100/s")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would go where, and send nothing")
	flags.BoolVar(&f.again, "again", false, "letters that were replayed already, too")
	flags.IntVar(&f.maxReplays, "max-replays", 3, "refuse records that have been replayed so often")
	flags.BoolVar(&f.redacted, "redacted", false, "records, too, of which parts were taken out before the letter was written; never one whose whole value was")
	return cmd
}

const (
	// How many batches may be under way whose letters are not remembered as replayed. To a topic one
	// is enough; in a process slow calls must not hold up all others.
	aheadToTopics  = 1
	aheadInProcess = 16

	// redriveCommit is how soon what was replayed is remembered.
	redriveCommit = 20 * time.Millisecond
)

// A redrive is one replay of dead letters.
type redrive struct {
	*letterBox
	flags    *redriveFlags
	chooser  *letterChooser
	options  letters.Options
	toTopics bool
	signals  <-chan os.Signal
}

// check gives what the flags say, or what is wrong with them.
func (f *redriveFlags) check() (*deadletter.Filter, settings.Rate, error) {
	var rate settings.Rate
	if f.to != "start" && f.to != "step" {
		return nil, rate, usagef("--to %s: it is start or step", f.to)
	}
	if f.maxReplays < 1 {
		return nil, rate, usagef("--max-replays %d: it is a number from 1 on", f.maxReplays)
	}
	if f.rate != "" {
		if err := rate.UnmarshalText([]byte(f.rate)); err != nil {
			return nil, rate, usagef("--rate %s: %w", f.rate, err)
		}
	}
	filter, err := f.filter(time.Now())
	return filter, rate, err
}

func redriveFile(ctx context.Context, g *globals, f *redriveFlags, screen *screen, log *event.Queue, file string) error {
	filter, rate, err := f.check()
	if err != nil {
		return err
	}
	signals := catchSignals()
	set, events, err := loadDaemon(ctx, g, log, []string{file}, signals, endsInTerminal, notADaemon)
	if set == nil || err != nil {
		return err
	}
	defer events.Close()
	box, err := letterBoxOf(set, file, f.from)
	if err != nil {
		return err
	}
	r := &redrive{letterBox: box, flags: f, signals: signals, toTopics: f.to == "start" && box.source != nil}
	r.chooser = &letterChooser{
		box: box, filter: filter, maxReplays: f.maxReplays, redacted: f.redacted,
		refused: map[string]int64{}, chosen: map[string]int64{},
	}
	stopped, err := interrupted(ctx, signals, true, time.Second, r.prepare)
	if stopped || err != nil {
		return errors.Join(err, box.log.Close())
	}
	r.options = letters.Options{
		Log: box.log, Choose: r.chooser.choose, Ahead: aheadInProcess, Again: f.again, Limit: f.limit, Rate: rate,
		ByPartition: box.file.Order.Key != nil, Unchosen: r.chooser.unchosen,
	}
	if r.toTopics {
		r.options.Ahead = aheadToTopics
	}
	if f.dryRun {
		return errors.Join(r.rehearse(ctx, g.out, screen), box.log.Close())
	}
	code := r.run(ctx, g, events, screen)
	if torn := box.torn(); torn != "" {
		fmt.Fprintln(g.out, torn)
	}
	return endedWith(code)
}

// prepare finds out where letters can go.
func (r *redrive) prepare(ctx context.Context) error {
	if err := r.log.Ping(ctx); err != nil {
		return err
	}
	if err := r.checkNames(ctx, &r.flags.letterFlags); err != nil {
		return err
	}
	switch {
	case r.flags.to == "step":
		r.chooser.place = r.toStep
		return nil
	case !r.toTopics:
		r.chooser.place = toFirst
		return nil
	}
	topics := r.source.KafkaTopics()
	if _, ok := r.log.(*lettertopic.Topic); ok && slices.Contains(topics, r.log.Name()) {
		return usagef("%s: the pipeline reads topic %s, which holds its dead letters: replayed, they would be read as records", r.file.Place("source.kafka"), r.log.Name())
	}
	partitions, err := partitionsOf(ctx, r.source.KafkaConfig(), topics)
	if err != nil {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("%s: %w", r.file.Place("source.kafka"), err)}
	}
	r.chooser.place = r.letterBox.toTopics(partitions)
	return nil
}

// partitionsOf gives how many partitions topics have.
func partitionsOf(ctx context.Context, config kafka.Config, topics []string) (map[string]int32, error) {
	client, err := kafka.NewClient(config)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := client.Check(ctx, topics...); err != nil {
		return nil, err
	}
	found := map[string]int32{}
	for _, topic := range topics {
		if found[topic], err = client.Partitions(ctx, topic); err != nil {
			return nil, fmt.Errorf("looking at topic %s: %w", topic, err)
		}
	}
	return found, nil
}

// where says where letters go.
func (r *redrive) where() string {
	switch {
	case r.toTopics:
		return "back to the topics they were read from"
	case r.flags.to == "step":
		return "on at the steps and sinks that rejected them, in this process"
	}
	return "through the pipeline from its first step, in this process"
}

// run replays, and gives the exit code.
func (r *redrive) run(ctx context.Context, g *globals, events *event.Emitter, screen *screen) int {
	p := &process{events: events, drain: r.set.Process.Limits.Drain, signals: r.signals, started: time.Now(), terminal: true}
	if t, ok := r.log.(*lettertopic.Topic); ok {
		t.Watch(outages{events})
	}
	source := letters.New(r.options)
	set, in, err := r.assembly(g, source)
	if err != nil {
		_ = r.log.Close()
		return p.neverRan(err, nil)
	}
	logProblems(events, set.Warnings)
	all, err := p.prepare(ctx, set, in)
	if err != nil || p.signal != nil {
		discardAll(all)
		return p.neverRan(err, all)
	}
	p.expect = func() error { return r.expect(source.Tally()) }
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shown := &replaying{events: events.Pipeline(r.file.Name), screen: screen, names: []string{r.log.Name()}, progress: source.Progress}
	reported := make(chan struct{})
	go shown.report(ctx, reported)
	p.atEnd = func() {
		cancel()
		<-reported
		shown.finished(time.Since(p.started))
	}
	code := p.run(ctx)
	r.summarize(g.out, source.Tally(), p.pipelines[0].runner.Snapshot(), p.pipelines[0].err)
	return code
}

// assembly gives the pipeline that letters go through: that of the file, or one that brings them to
// their topics.
func (r *redrive) assembly(g *globals, source *letters.Source) (*config.Set, standIns, error) {
	target := func(pos pipeline.Position) (letterTarget, bool) {
		t, ok := source.Target(pos)
		if !ok {
			return letterTarget{}, false
		}
		return t.(letterTarget), true
	}
	in := standIns{source: r.standIn(source), change: func(o *engine.Options) {
		o.CommitEvery = redriveCommit
		if r.toTopics {
			o.Steps = []engine.Step{{Name: "dead-letter", Kind: "dead-letter", Stage: again(target)}}
			if sink, ok := o.Sinks[0].Sink.(*kafkasink.Sink); ok {
				o.Sinks[0].Sink = &returning{sink, source, r.chooser, target}
			}
			return
		}
		beginWithin(o, target)
	}}
	if !r.toTopics {
		return r.set, in, nil
	}
	kind := g.kinds.Find(config.SinkSection, "kafka")
	s := kafkasink.Defaults()
	s.Partitioner = "source"
	if err := s.Topic.UnmarshalText([]byte("{meta.topic}")); err != nil {
		return nil, in, err
	}
	back := *r.file
	back.Stages, back.DeadLetter, back.Order = nil, nil, config.Order{}
	back.Sinks = []config.Sink{{SinkSettings: config.SinkSettings{Name: "start"}, Component: config.Component{Kind: kind, Settings: &s}}}
	set := *r.set
	set.Pipelines = []*config.Pipeline{&back}
	return &set, in, nil
}
