package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/kafka"
	kafkasource "github.com/penstockio/penstock/pipeline/source/kafka"
)

func newLag(g *globals) *cobra.Command {
	var (
		watch  bool
		every  time.Duration
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "lag FILE|DIR...",
		Short: "Show how far the consumer groups of pipelines have come, partition by partition",
		Long: `Show for each partition that a pipeline reads from Kafka the group's committed offset, the end of the log, the
records between them, and how many of those open transactions hold back. A committed offset that the log does not have is
told beneath, with the reason that source.gap has; all that the log has is behind it then. The brokers are asked, so it works whether or not the pipeline runs.`,
		Args: takes(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if every <= 0 {
				return usagef("--every %v: it is a time like 2s", every)
			}
			set, err := g.load(args)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			groups, err := lagGroups(set)
			if err != nil {
				return err
			}
			defer func() {
				for _, l := range groups {
					l.client.Close()
				}
			}()
			return showLag(ctx, g.out, groups, watch, every, asJSON)
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again and again until interrupted")
	cmd.Flags().DurationVar(&every, "every", 2*time.Second, "interval of --watch")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a partition and line")
	return cmd
}

// A lagGroup is the consumer group of one pipeline.
type lagGroup struct {
	pipeline, group, place string
	topics                 []string
	committed              bool // the pipeline reads only what is committed
	client                 *kafka.Client
}

func lagGroups(set *config.Set) ([]*lagGroup, error) {
	var groups []*lagGroup
	for _, p := range set.Pipelines {
		s, ok := p.Source.Settings.(*kafkasource.Settings)
		if !ok {
			continue
		}
		k, err := kafkasource.New(*s, kafkasource.Options{Pipeline: p.Name})
		if err != nil {
			return groups, err
		}
		full := k.Settings()
		client, err := kafka.NewClient(k.KafkaConfig())
		if err != nil {
			return groups, &pipeline.EnvironmentError{Err: err}
		}
		groups = append(groups, &lagGroup{
			pipeline: p.Name, group: k.Group(), place: p.Place("source.kafka"), topics: full.Topics,
			committed: full.Isolation == "read_committed", client: client,
		})
	}
	if len(groups) == 0 {
		return nil, usagef("no pipeline of these files reads from Kafka")
	}
	return groups, nil
}

// A lagLine is one partition, as --json prints it. An offset that is not known is -1.
type lagLine struct {
	Pipeline  string `json:"pipeline"`
	Group     string `json:"consumer_group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"offset_committed"`
	Start     int64  `json:"offset_start"`
	End       int64  `json:"offset_end"`
	Lag       int64  `json:"lag"`
	LagHeld   int64  `json:"lag_held"`
	Gap       string `json:"gap,omitempty"`
}

func showLag(ctx context.Context, w io.Writer, groups []*lagGroup, watch bool, every time.Duration, asJSON bool) error {
	return repeated(ctx, w, watch, !asJSON, every, func(ctx context.Context) error {
		var lines []lagLine
		for _, l := range groups {
			found, err := l.ask(ctx)
			if err != nil {
				return &pipeline.EnvironmentError{Err: fmt.Errorf("%s: %w", l.place, err)}
			}
			lines = append(lines, found...)
		}
		return printLag(w, lines, asJSON)
	})
}

func (l *lagGroup) ask(ctx context.Context) ([]lagLine, error) {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	if err := l.client.Check(ctx, l.topics...); err != nil {
		return nil, err
	}
	found, err := l.client.Lag(ctx, l.group, l.topics, l.committed)
	if err != nil {
		return nil, fmt.Errorf("asking for the lag of group %s: %w", l.group, err)
	}
	var lines []lagLine
	for _, f := range found {
		lines = append(lines, lagLine{l.pipeline, l.group, f.Topic, f.Partition, f.Committed, f.Start, f.End, f.Lag, f.Held, f.Gap})
	}
	return lines, nil
}

func printLag(w io.Writer, lines []lagLine, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		for _, l := range lines {
			if err := e.Encode(l); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "PIPELINE\tGROUP\tTOPIC\tPARTITION\tCOMMITTED\tEND\tLAG\tHELD\t")
	total, totalHeld := int64(0), int64(0)
	for _, l := range lines {
		committed := "-"
		if l.Committed >= 0 {
			committed = fmt.Sprint(l.Committed)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t\n", l.Pipeline, l.Group, l.Topic, l.Partition, committed, l.End, l.Lag, l.LagHeld)
		total += l.Lag
		totalHeld += l.LagHeld
	}
	waiting := ""
	if totalHeld > 0 {
		waiting = fmt.Sprintf(", %d of them held back by open transactions", totalHeld)
	}
	err := errors.Join(t.Flush(), onlyError(fmt.Fprintf(w, "%d records behind in %d partitions%s\n", total, len(lines), waiting)))
	for _, l := range lines {
		if l.Gap != "" {
			err = errors.Join(err, onlyError(fmt.Fprintf(w, "%s/%d has offsets %d to %d, and the committed %d is not one of them: %s; run does what on_gap says\n",
				l.Topic, l.Partition, l.Start, l.End, l.Committed, l.Gap)))
		}
	}
	return err
}

func onlyError(_ int, err error) error { return err }
