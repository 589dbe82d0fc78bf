package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/settings"
	kafkasource "github.com/penstockio/penstock/pipeline/source/kafka"
	"github.com/penstockio/penstock/pipeline/source/replay"
	kafkasink "github.com/penstockio/penstock/sinks/kafka"
)

// A devSession is what `penstock dev` adds to a run.
type devSession struct {
	loads      []string // topic=file
	as, key    string
	partitions int32
	port       int
	keep       bool
}

func newDev(g *globals) *cobra.Command {
	var d devSession
	cmd := &cobra.Command{
		Use:   "dev FILE|DIR...",
		Short: "Run pipelines with everything on this machine: an embedded broker, its topics, fixtures",
		Long: `Run pipelines as the daemon does, against a broker inside this process, which is one for all of them: the topics of their
Kafka sources and sinks are made, fixtures are loaded, logs are for people. Nothing that the files say of brokers, TLS or SASL is used.
The broker keeps everything in memory and goes with the process.

Other commands, like lag and dead-letter, ask the brokers that a file names. While dev runs, in another terminal, they find its broker when
--port gives it the port that the file has (--port 9092 for 127.0.0.1:9092), or with --set source.kafka.brokers=[ADDRESS], the
address that the log tells.`,
		Example: `  penstock dev late-flights.yaml --load flights=flights.jsonl --as value --key origin --keep
  penstock dev late-flights.yaml --load flights=flights.jsonl --as value --port 9092   # and elsewhere: penstock lag late-flights.yaml`,
		Args: takes(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if g.logFormat == "" {
				g.logFormat = "console"
			}
			return d.run(cmd.Context(), g, args)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&d.loads, "load", nil, "topic=file: load a fixture file, or standard input (-) to its end, into a topic before the start; may be repeated")
	f.StringVar(&d.as, "as", "fixture", "what a line of these files is: fixture, or value (a value as it stands)")
	f.StringVar(&d.key, "key", "", "expression that gives the key of a record, with --as value")
	f.Int32Var(&d.partitions, "partitions", 4, "partitions of the topics that are made")
	f.IntVar(&d.port, "port", 0, "port of the broker (default: a free one)")
	f.BoolVar(&d.keep, "keep", false, "leave the broker up after the pipeline has ended, until interrupted")
	return cmd
}

func (d *devSession) run(ctx context.Context, g *globals, files []string) error {
	if d.partitions < 1 {
		return usagef("--partitions %d: a topic has at least one", d.partitions)
	}
	if d.port < 0 || d.port > 65535 {
		return usagef("--port %d: it is a number up to 65535; 0 takes a free one", d.port)
	}
	return withLogQueue(g.err, func(log *event.Queue) error { return d.runFiles(ctx, g, log, files) })
}

func (d *devSession) runFiles(ctx context.Context, g *globals, log *event.Queue, files []string) error {
	signals := catchSignals()
	set, events, err := loadDaemon(ctx, g, log, files, signals, endsInTerminal)
	if set == nil || err != nil {
		return err
	}
	defer events.Close()
	if err := d.checkStandardInput(set.Pipelines); err != nil {
		return err
	}
	broker, err := kafkatest.Embedded(kafkatest.Settings{Port: d.port})
	if err != nil {
		return &pipeline.EnvironmentError{Err: err}
	}
	defer withinSecond(func() struct{} { broker.Close(); return struct{}{} }) // it goes with the process
	use := redirectAll(set.Pipelines, broker.Addrs())
	topics := use.topics
	for _, l := range d.loads {
		topic, _, ok := strings.Cut(l, "=")
		if !ok || topic == "" {
			return usagef("--load %s: write topic=file", l)
		}
		if !slices.Contains(use.read, topic) {
			events.Log().Warn().Msgf("--load %s: nothing reads the topic %s: %s", l, topic, describeTopics(set.Pipelines, use.read))
		}
		topics = withTopics(topics, topic)
	}
	for _, t := range topics {
		if err := broker.CreateTopic(t, d.partitions); err != nil {
			return err
		}
	}
	addr := broker.Addrs()[0]
	events.Log().Info().Msgf("embedded broker on %s with topics %s, %d partitions each%s", addr, strings.Join(topics, ", "), d.partitions, othersFind(addr, use.own))
	if len(use.open) > 0 {
		events.Log().Warn().Msgf("the topics of %s depend on the record and are not made: name them with --load, or make them with another client", strings.Join(use.open, ", "))
	}
	if stopped, err := interrupted(ctx, signals, true, loadDrain+abortAfter, func(ctx context.Context) error { return d.load(ctx, events, broker.Addrs()) }); err != nil || stopped {
		return err
	}
	daemon := newDaemon(set, events, log, signals)
	daemon.terminal = true
	code := daemon.start(ctx, set)
	if d.keep && code == exitDone && daemon.signal != syscall.SIGHUP { // nobody is left who could interrupt it
		events.Log().Info().Msgf("the broker stays up on %s until interrupted; read a topic with: kcat -C -e -b %s -t TOPIC", addr, addr)
		untilSignal(ctx, signals, daemon.signalAt)
	}
	return endedWith(code)
}

// othersFind says how other commands find a broker that a file with brokers of its own does not name.
func othersFind(addr string, own []string) string {
	if len(own) == 0 || slices.Contains(own, addr) {
		return ""
	}
	return "; penstock lag and penstock dead-letter find it with --set source.kafka.brokers=[" + addr + "]"
}

// loadDrain is the drain budget of loading a fixture.
const loadDrain = 5 * time.Second

// describeTopics says what pipelines read, for people.
func describeTopics(all []*config.Pipeline, read []string) string {
	who := "the source of " + all[0].File
	if len(all) > 1 {
		who = "what the sources read of Kafka"
	}
	switch {
	case len(read) > 0 && len(all) > 1:
		return who + " is " + strings.Join(read, ", ")
	case len(read) > 0:
		return who + " reads " + strings.Join(read, ", ")
	case len(all) > 1:
		return "none of the sources is Kafka"
	}
	return who + " is not Kafka"
}

// A kafkaUse is what pipelines say of Kafka.
type kafkaUse struct {
	read   []string // topics that sources read
	topics []string // all that are named
	open   []string // sinks whose topics depend on the record
	own    []string // brokers of a source
}

// redirectAll points the Kafka components of pipelines at other brokers.
func redirectAll(all []*config.Pipeline, addrs []string) (use kafkaUse) {
	for _, p := range all {
		if s, ok := p.Source.Settings.(*kafkasource.Settings); ok {
			if len(s.Brokers) > 0 && !slices.Contains(addrs, s.Brokers[0]) {
				use.own = s.Brokers
			}
			use.read = withTopics(use.read, s.Topics...)
		}
		topics, open := redirect(p, addrs)
		use.topics = withTopics(use.topics, topics...)
		for _, sink := range open {
			if len(all) > 1 {
				sink = p.Name + "." + sink
			}
			use.open = append(use.open, sink)
		}
	}
	return use
}

// withTopics gives topics and more of them, each once.
func withTopics(topics []string, more ...string) []string {
	for _, t := range more {
		if !slices.Contains(topics, t) {
			topics = append(topics, t)
		}
	}
	return topics
}

// redirect points the Kafka components of a pipeline at other brokers. It gives the
// topics that they name, and the names of the sinks whose topics depend on the record.
func redirect(p *config.Pipeline, addrs []string) (topics, open []string) {
	if s, ok := p.Source.Settings.(*kafkasource.Settings); ok {
		s.Brokers, s.TLS, s.SASL = addrs, nil, nil
		topics = withTopics(topics, s.Topics...)
	}
	all := p.Sinks
	if p.DeadLetter != nil {
		all = append(slices.Clone(all), config.Sink{SinkSettings: config.SinkSettings{Name: "dead_letter"}, Component: p.DeadLetter.Component})
	}
	for _, sink := range all {
		s, ok := sink.Settings.(*kafkasink.Settings)
		if !ok {
			continue
		}
		if len(s.Brokers) > 0 {
			s.Brokers, s.TLS, s.SASL = addrs, nil, nil
		}
		if s.Topic.Static() {
			topics = withTopics(topics, s.Topic.String())
		} else {
			open = append(open, sink.Name)
		}
	}
	return topics, open
}

// checkStandardInput refuses a second reader of standard input: of the loads and the pipelines
// only one can have it.
func (d *devSession) checkStandardInput(pipelines []*config.Pipeline) error {
	taken := false
	for _, p := range pipelines {
		if k := p.Source.Kind; k != nil && k.Once != nil {
			what, _ := k.Once(p.Source.Settings)
			taken = taken || what == "standard input"
		}
	}
	for _, l := range d.loads {
		_, file, _ := strings.Cut(l, "=")
		if input := (&replay.Settings{Files: []settings.Path{settings.Path(file)}}); input.StandardInput() == "" {
			continue
		}
		if taken {
			return usagef("--load %s: standard input is read already: it can be read once", l)
		}
		taken = true
	}
	return nil
}

// load writes the fixtures into their topics, through a pipeline of their own.
func (d *devSession) load(ctx context.Context, events *event.Emitter, addrs []string) error {
	for _, l := range d.loads {
		topic, path, _ := strings.Cut(l, "=")
		file := path
		if file == "-" {
			file = "standard input"
		} else if _, err := os.Stat(path); err != nil {
			return usagef("--load %s: %w", l, err)
		}
		n, err := loadFixture(ctx, addrs, topic, path, d.as, d.key)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("loading %s into topic %s: %w", file, topic, err)
		}
		events.Log().Info().Msgf("loaded %d records of %s into topic %s", n, file, topic)
	}
	return nil
}

func loadFixture(ctx context.Context, addrs []string, topic, path, as, key string) (int64, error) {
	settings := replay.Settings{Files: []settings.Path{settings.Path(path)}, As: as}
	if key != "" {
		settings.Key = new(expr.Expr)
		if err := settings.Key.UnmarshalText([]byte(key)); err != nil {
			return 0, usagef("--key %s: %w", key, err)
		}
	}
	src, err := replay.New(settings, replay.Options{})
	if err != nil {
		return 0, usagef("%w", err)
	}
	out := kafkasink.Defaults()
	out.Brokers = addrs
	if err := out.Topic.UnmarshalText([]byte(topic)); err != nil {
		return 0, usagef("topic %s: %w", topic, err)
	}
	sink, err := kafkasink.New(out, nil)
	if err != nil {
		return 0, err
	}
	p, err := engine.New(engine.Options{
		Name: "load", Source: src, Sinks: []engine.Output{{Name: "kafka", Kind: "kafka", Sink: sink}}, Drain: loadDrain,
	})
	if err != nil {
		return 0, errors.Join(err, sink.Close(ctx))
	}
	if err := p.Run(ctx); err != nil {
		return 0, err
	}
	return p.Snapshot().Out, nil
}
