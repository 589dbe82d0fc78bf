package cli

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/settings"
)

// This file has the commands that steer a running process.

// filesBehind offers words for the first of n arguments, nothing for the rest of them, and files behind them.
func filesBehind(n int, words ...string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return offersOf(typed, slices.Clone(words)), cobra.ShellCompDirectiveNoFileComp
		case len(args) < n:
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completeFiles("yaml", "yml")(cmd, args, typed)
	}
}

func newLogLevel(g *globals) *cobra.Command {
	s := steering{g: g}
	var hold time.Duration
	cmd := &cobra.Command{
		Use:   "loglevel LEVEL [FILE|DIR...]",
		Short: "Change the level of a running process's log",
		Long: `Change the level of the free lines in the log of a running process: debug, info, warn, error, or disabled. The events of
the log contract are written whatever it is. With --for it is after that time again what it was.
` + steersWhom,
		Example: `  penstock loglevel debug late-flights.yaml --for 10m`,
		Args:    takes(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("for") && hold <= 0 {
				return usagef("--for %v: it is a time like 10m", hold)
			}
			return s.do(cmd.Context(), args[1:], admin.Command{Verb: admin.VerbLogLevel, Level: args[0], For: hold})
		},
	}
	cmd.ValidArgsFunction = filesBehind(1, "debug", "info", "warn", "error", "disabled")
	s.add(cmd, false)
	cmd.Flags().DurationVar(&hold, "for", 0, "how long; default: until it is changed again, or the process ends")
	return cmd
}

func newPause(g *globals) *cobra.Command {
	return holds(g, admin.VerbPause, &cobra.Command{
		Use:   "pause [FILE|DIR...]",
		Short: "Have a running pipeline, or one partition of it, begin with no more records",
		Long: `Have a running pipeline begin with no more records until resume, or only those of one partition (--lane). What is in flight goes on to its end and is committed. The
pipeline keeps its partitions, its place in the group, and what it has read. A paused pipeline is live and ready; it ends at a signal as any other.
` + steersWhom,
		Example: `  penstock pause late-flights.yaml
  penstock pause late-flights.yaml --lane flights/3`,
	})
}

func newResume(g *globals) *cobra.Command {
	return holds(g, admin.VerbResume, &cobra.Command{
		Use:   "resume [FILE|DIR...]",
		Short: "Have a paused pipeline, or one partition of it, go on",
		Long: `Have a pipeline that was paused go on, or one partition (--lane). A partition that was paused by itself stays paused when its pipeline
goes on.
` + steersWhom,
		Example: `  penstock resume late-flights.yaml`,
	})
}

// holds makes pause and resume.
func holds(g *globals, verb admin.Verb, cmd *cobra.Command) *cobra.Command {
	s := steering{g: g}
	lane := ""
	cmd.Args = takes(0, -1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("lane") && lane == "" {
			return usagef("--lane names no partition: give one, as orders/3, or leave --lane out for the whole pipeline")
		}
		return s.doEach(cmd.Context(), args, admin.Command{Verb: verb, Lane: lane})
	}
	s.add(cmd, true)
	cmd.Flags().StringVar(&lane, "lane", "", "one partition alone: topic/partition")
	return cmd
}

func newDrain(g *globals) *cobra.Command {
	s := steering{g: g}
	cmd := &cobra.Command{
		Use:   "drain [FILE|DIR...]",
		Short: "End a running pipeline as a signal would, the others of its process go on",
		Long: `End a running pipeline as SIGTERM ends its process: it stops reading, finishes what it has begun within limits.drain, commits, and leaves its group. The others of
the process go on; when it was the last one the process ends, with exit code 0. It begins again when the process is started again.
` + steersWhom,
		Example: `  penstock drain --pipeline late-flights`,
		Args:    takes(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.doEach(cmd.Context(), args, admin.Command{Verb: admin.VerbDrain})
		},
	}
	s.add(cmd, true)
	return cmd
}

func newReload(g *globals) *cobra.Command {
	s := steering{g: g}
	cmd := &cobra.Command{
		Use:   "reload [FILE|DIR...]",
		Short: "Have a running process read its files again",
		Long: `Have a running process read its files again and go on by them, as SIGHUP does. With any mistake in them, or when what they need does not
answer, it goes on as it was, and the command says what is wrong. It takes as long as what is in flight, up to limits.drain.
` + steersWhom,
		Example: `  penstock check late-flights.yaml && penstock reload late-flights.yaml`,
		Args:    takes(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.do(cmd.Context(), args, admin.Command{Verb: admin.VerbReload})
		},
	}
	s.add(cmd, false)
	return cmd
}

func newWorkers(g *globals) *cobra.Command {
	s := steering{g: g}
	cmd := &cobra.Command{
		Use:   "workers STEP N [FILE|DIR...]",
		Short: "Change how many workers a step of a running pipeline has",
		Long: `Change how many workers a step of a running pipeline has, or how many calls at once if it waits for somebody else (http, sql). It holds until the process ends, or until
a reload has another number for the step.
` + steersWhom,
		Example: `  penstock workers weather 128 late-flights.yaml`,
		Args:    takes(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 1 {
				return usagef("%s is no number of workers: it is 1 or more", args[1])
			}
			return s.doEach(cmd.Context(), args[2:], admin.Command{Verb: admin.VerbWorkers, Step: args[0], Workers: n})
		},
	}
	cmd.ValidArgsFunction = filesBehind(2)
	s.add(cmd, true)
	return cmd
}

func newRate(g *globals) *cobra.Command {
	s := steering{g: g}
	burst := 0
	cmd := &cobra.Command{
		Use:   "rate NAME RATE [FILE|DIR...]",
		Short: "Change a rate of a running process",
		Long: `Change a rate of limits.rates in a running process, by its name: for all steps and sinks that keep to it, and for calls that wait for it already, which keep their
order. It holds until the process ends, or until a reload has another rate of that name.
` + steersWhom,
		Example: `  penstock rate api 50/s late-flights.yaml
  penstock rate api 50/s late-flights.yaml --burst 10`,
		Args: takes(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var r settings.Rate
			if err := r.UnmarshalText([]byte(args[1])); err != nil {
				return usagef("%s is no rate: %w", args[1], err)
			}
			if cmd.Flags().Changed("burst") && burst < 1 {
				return usagef("--burst %d: it is 1 or more", burst)
			}
			return s.do(cmd.Context(), args[2:], admin.Command{Verb: admin.VerbRate, Rate: args[0], Per: r, Burst: burst})
		},
	}
	cmd.ValidArgsFunction = filesBehind(2)
	s.add(cmd, false)
	cmd.Flags().IntVar(&burst, "burst", 0, "calls that may come at once after a quiet time; default: as many as before")
	return cmd
}

func newSkip(g *globals) *cobra.Command {
	return skips(g, admin.VerbSkip, &cobra.Command{
		Use:   "skip WHAT [FILE|DIR...]",
		Short: "Have records that hold others up go to the dead letters",
		Long: `Have the records of one key go to the dead letters of a running pipeline with the reason skipped, those that come and those that a step works on; or one record. WHAT is the
position of the record, as penstock why has it (orders/3@4711), or a key with --key: the one that orders the pipeline where
keys do, and else the record's own. It ends with unskip, or with the process; that of one record when the record is done. The log names a key by its hash alone; the shell may remember what was
typed.
` + steersWhom,
		Example: `  penstock skip orders/3@4711 late-flights.yaml
  penstock skip --key JFK late-flights.yaml`,
	})
}

func newUnskip(g *globals) *cobra.Command {
	return skips(g, admin.VerbUnskip, &cobra.Command{
		Use:   "unskip WHAT [FILE|DIR...]",
		Short: "End what skip has begun",
		Long: `Have the records of a key, or one record, be worked on again: those that come from now on. What has gone to the dead letters stays there; penstock dead-letter replay sends it
back.
` + steersWhom,
		Example: `  penstock unskip --key JFK late-flights.yaml`,
	})
}

// skips makes skip and unskip.
func skips(g *globals, verb admin.Verb, cmd *cobra.Command) *cobra.Command {
	s := steering{g: g}
	var isKey, isBase64 bool
	cmd.Args = takes(1, -1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c := admin.Command{Verb: verb}
		switch {
		case isKey && isBase64:
			return usagef("--key and --key-base64: give one of them")
		case isKey:
			c.Key = []byte(args[0])
		case isBase64:
			var err error
			if c.Key, err = base64.StdEncoding.DecodeString(args[0]); err != nil {
				return usagef("--key-base64: what was given is no base64")
			}
		default:
			at, err := admin.ParsePosition(strings.TrimSuffix(args[0], ":")) // as it is copied out of a line of why
			if err != nil {
				return usagef("%w; a key is given with --key", err)
			}
			c.Record = &at
		}
		return s.doEach(cmd.Context(), args[1:], c)
	}
	cmd.ValidArgsFunction = filesBehind(1)
	s.add(cmd, true)
	cmd.Flags().BoolVar(&isKey, "key", false, "WHAT is a key, as text")
	cmd.Flags().BoolVar(&isBase64, "key-base64", false, "WHAT is a key, in base64")
	return cmd
}
