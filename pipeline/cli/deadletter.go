package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/kafka"
	kafkasource "github.com/penstockio/penstock/pipeline/source/kafka"
	"github.com/penstockio/penstock/pipeline/source/kafka/lettertopic"
	"github.com/penstockio/penstock/pipeline/source/letters"
	filesink "github.com/penstockio/penstock/sinks/file"
	kafkasink "github.com/penstockio/penstock/sinks/kafka"
)

// This file holds what the commands about dead letters have in common: where the letters of a
// pipeline are, and which of them are meant.

func newDeadLetter(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead-letter",
		Short: "Look at rejected records, and send them through again",
		Long: `Look at the dead letters of a pipeline, and replay them. FILE is the pipeline file: its dead_letter says where they are, a
topic or a file. --from names a file of fixture lines in its place.`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeadLetterList(g), newDeadLetterShow(g), newDeadLetterReplay(g))
	return cmd
}

// letterFlags say which letters are meant.
type letterFlags struct {
	from                string
	reasons, steps      []string
	since, until, where string
	limit               int64
}

func (f *letterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "read the letters from this file of fixture lines, in place of where dead_letter writes them")
	flags.StringSliceVar(&f.reasons, "reason", nil, "letters with this reason; may be repeated")
	flags.StringSliceVar(&f.steps, "step", nil, "letters that this step or sink rejected; may be repeated")
	flags.StringVar(&f.since, "since", "", "letters from this time on: 2026-11-30T12:00:00Z, or 2h for two hours ago")
	flags.StringVar(&f.until, "until", "", "letters before this time")
	flags.StringVar(&f.where, "where", "", "letters for whose record, as it came, this expression holds; meta is where it was read")
	flags.Int64Var(&f.limit, "limit", 0, "so many letters at most")
	for _, flag := range []string{"since", "until"} { // elsewhere until is a step
		if err := cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions); err != nil {
			panic(err) // a flag that is not there: no command line brings that about
		}
	}
}

// filter gives what the flags choose, now.
func (f *letterFlags) filter(now time.Time) (*deadletter.Filter, error) {
	d := &deadletter.Filter{Reasons: f.reasons, Steps: f.steps}
	var err error
	if d.Since, err = timeOrAgo("since", f.since, now); err != nil {
		return nil, err
	}
	if d.Until, err = timeOrAgo("until", f.until, now); err != nil {
		return nil, err
	}
	if f.limit < 0 {
		return nil, usagef("--limit %d: it is a number of letters", f.limit)
	}
	if f.where != "" {
		c := new(expr.Condition)
		if err := c.UnmarshalText([]byte(f.where)); err != nil {
			return nil, usagef("--where %s: %w", f.where, err)
		}
		d.Where = c.Condition
	}
	return d, nil
}

// timeOrAgo reads a time, or how long ago it was; "" is the zero time.
func timeOrAgo(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, usagef("--%s %s: it is a time like 2026-11-30T12:00:00Z, or how long ago like 2h", flag, text)
	}
	return at, nil
}

// A letterBox is the dead letters of one pipeline.
type letterBox struct {
	set  *config.Set
	file *config.Pipeline
	log  letters.Log
	// source is that of the file when it reads from Kafka. It is not opened.
	source *kafkasource.Source
	// unsure says why it is not known what was replayed; nil: it is.
	unsure error
}

// openLetters finds the dead letters of a file. The caller closes the log.
func openLetters(g *globals, file, from string) (*letterBox, error) {
	set, err := g.load([]string{file})
	if err != nil {
		return nil, err
	}
	return letterBoxOf(set, file, from)
}

// openChosen opens the dead letters of a file for looking at those that flags choose, and says which were
// replayed. The caller closes the log when there is no error.
func openChosen(ctx context.Context, g *globals, f *letterFlags, file string) (*letterBox, *deadletter.Filter, letters.Progress, error) {
	filter, err := f.filter(time.Now())
	if err != nil {
		return nil, nil, nil, err
	}
	box, err := openLetters(g, file, f.from)
	if err != nil {
		return nil, nil, nil, err
	}
	var done letters.Progress
	if err = box.log.Ping(ctx); err == nil {
		err = box.checkNames(ctx, f)
	}
	if err == nil {
		done, err = box.log.Load(ctx)
	}
	var changed *letters.ChangedError
	if errors.As(err, &changed) { // the letters can be looked at all the same
		box.unsure, err = changed, nil
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, box.log.Close())
	}
	return box, filter, done, nil
}

// state says whether a letter was replayed; nil: it is not known.
func (b *letterBox) state(l *deadletter.Letter, done letters.Progress) *bool {
	if b.unsure != nil {
		return nil
	}
	has := done.Has(l.At)
	return &has
}

// torn says that the last line of a file of letters is only a part; "": it is whole, or was not reached.
func (b *letterBox) torn() string {
	f, ok := b.log.(*letters.File)
	if !ok || f.Torn() == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d: the line has no end, and is left out: it is being written, or a crash has cut it off; the pipeline mends it when it next opens the file", f.Name(), f.Torn())
}

func letterBoxOf(set *config.Set, file, from string) (b *letterBox, err error) {
	if len(set.Pipelines) != 1 {
		return nil, usagef("reading dead letters: %s holds %d pipelines; name the file of one", file, len(set.Pipelines))
	}
	b = &letterBox{set: set, file: set.Pipelines[0]}
	if s, ok := b.file.Source.Settings.(*kafkasource.Settings); ok {
		if b.source, err = kafkasource.New(*s, kafkasource.Options{Pipeline: b.file.Name}); err != nil {
			return nil, fmt.Errorf("%s: %w", b.file.Place("source.kafka"), err)
		}
	}
	b.log, err = b.findLog(from)
	return b, err
}

// group is the consumer group that holds what was replayed.
func (b *letterBox) group() string { return replayName(b.file.Name) }

func (b *letterBox) findLog(from string) (letters.Log, error) {
	d := b.file.DeadLetter
	switch {
	case from != "":
		return letters.NewFile(from, b.file.Name), nil
	case d == nil:
		return nil, usagef("%s has no dead_letter, so there are no dead letters; name a file with --from", b.file.File)
	}
	wrong := func(format string, args ...any) error {
		return usagef("%s: %s; name a file of fixture lines with --from", b.file.Place("dead_letter."+d.Kind.Name), fmt.Sprintf(format, args...))
	}
	switch s := d.Settings.(type) {
	case *kafkasink.Settings:
		if !s.Topic.Static() {
			return nil, wrong("the topic of the dead letters depends on the record, so that nobody knows which topics there are")
		}
		var src pipeline.Source
		if b.source != nil {
			src = b.source
		}
		c, err := s.KafkaConfig(src, func(error) {})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.file.Place("dead_letter.kafka"), err)
		}
		client, err := kafka.NewClient(c)
		if err != nil {
			return nil, &pipeline.EnvironmentError{Err: err}
		}
		return lettertopic.New(client, s.Topic.String(), b.group()), nil
	case *filesink.Settings:
		switch {
		case strings.ContainsAny(s.Path.String(), "{}"):
			return nil, wrong("the file of the dead letters depends on the record, so that nobody knows which files there are")
		case s.As == "value":
			return nil, wrong("the dead letters are values alone (as: value), which do not say why")
		}
		return letters.NewFile(s.Path.String(), b.file.Name), nil
	}
	return nil, wrong("dead letters that go to %s cannot be read back", d.Kind.Name)
}

// letterCount is how many letters a command has met.
type letterCount struct {
	chosen  int64
	foreign int64 // of another pipeline
	none    int64 // no letter
	notOne  error // why the last of these is none
	failed  int64 // --where failed
	failure error // the last one of --where
}

// errEnough ends a reading: the limit is reached.
var errEnough = errors.New("enough")

// each calls yield for every letter of the pipeline that the filter chooses.
func (b *letterBox) each(ctx context.Context, filter *deadletter.Filter, limit int64, yield func(*deadletter.Letter) error) (n letterCount, err error) {
	err = letters.Each(ctx, b.log, func(rec *pipeline.Record, at pipeline.Position) error {
		l, err := deadletter.Read(rec, at)
		if err != nil {
			n.none, n.notOne = n.none+1, err
			return nil
		}
		if l.Pipeline != b.file.Name {
			n.foreign++
			return nil
		}
		ok, err := filter.Match(l)
		if err != nil {
			n.failed, n.failure = n.failed+1, err
		}
		if !ok {
			return nil
		}
		if limit > 0 && n.chosen == limit {
			return errEnough
		}
		n.chosen++
		return yield(l)
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return n, err
}

// report says what was left out without having been asked for, and what is not known.
func (b *letterBox) report(g *globals, n letterCount) {
	if b.unsure != nil {
		fmt.Fprintf(g.err, "which letters were replayed is not known: %v\n", b.unsure)
	}
	if n.foreign > 0 {
		fmt.Fprintf(g.err, "%s of other pipelines left out\n", counted(int(n.foreign), "letter"))
	}
	if n.none > 0 {
		fmt.Fprintf(g.err, "%s left out for being no dead letter, the last: %v\n", counted(int(n.none), "record"), n.notOne)
	}
	if n.failed > 0 {
		fmt.Fprintf(g.err, "--where failed on %s, which it does not choose, the last time: %v\n", counted(int(n.failed), "record"), n.failure)
	}
	if torn := b.torn(); torn != "" {
		fmt.Fprintln(g.err, torn)
	}
}

// untilInterrupted gives a context that ends with a signal.
func untilInterrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}
