// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line: it runs, checks, replays and tests pipelines, with
// components of one's own beside those of the catalog.
//
// Data goes to standard output, logs and progress to standard error. The exit code says what
// kind of end it was; [Main] gives it, and ending the process is left to the caller.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	_ "time/tzdata" // an image that holds nothing but the binary has no zones, nor has Windows

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
)

// Exit codes.
const (
	exitDone        = 0 // also after a clean drain on a signal
	exitFailed      = 1 // failed while running
	exitUsage       = 2 // usage or configuration
	exitEnvironment = 3 // broker, database, port, credentials
	exitExpectation = 4 // an expectation was not met
	exitAbandoned   = 5 // the drain budget ran out
	exitInterrupt   = 130
	exitTerminate   = 143
)

// An exitError ends the process with a code of its own. With a nil err nothing is printed:
// what there is to say has been printed or logged before.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}
func (e *exitError) Unwrap() error { return e.err }

// usagef is an error of the one who typed the command.
func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// globals are the streams, and the flags that every command has.
type globals struct {
	streams
	logLevel  string
	logFormat string
	set       []string
	kinds     config.Kinds // that files may name

	repeatable bool      // see config.Loader
	read       readFiles // those that were read the last time

	running bool // arguments and flags were right; errors are of the command
}

// Main runs the command line of this process, os.Args, and gives the exit code. The kinds
// are known to all commands beside those of the catalog: check, test, replay, list, the
// schema and run. One that no file could name
// (see [config.Kind.Usable]), or that has the section and the name of another, is an error.
//
// Codes: 0 done, also after a clean stop by a signal; 1 failed while running; 2 usage or
// configuration; 3 the environment (broker, database, port, credentials); 4 an expectation
// was not met; 5 the drain budget ran out; 130 and 143 a second signal.
//
// It handles SIGINT, SIGTERM, SIGHUP and, where the system has them, SIGUSR1 and SIGUSR2 while it runs. It
// may be called once.
func Main(kinds ...config.Kind) int {
	s := streams{os.Stdin, os.Stdout, os.Stderr}
	all := catalog.Kinds()
	for _, k := range kinds {
		if err := k.Usable(); err != nil {
			fmt.Fprintf(s.err, "penstock: %v\n", err)
			return exitUsage
		}
		if all.Find(k.Section, k.Name) != nil {
			fmt.Fprintf(s.err, "penstock: there is another %s of the name %s\n", k.Section, k.Name)
			return exitUsage
		}
		all = append(all, k)
	}
	return execute(context.Background(), os.Args[1:], s, all)
}

// execute runs one command line, prints its error, and gives the exit code.
func execute(ctx context.Context, args []string, s streams, kinds config.Kinds) int {
	root, g := newRoot(s, kinds)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	printError(s.err, err)
	if !g.running {
		fmt.Fprintf(s.err, "see: %s --help\n", cmd.CommandPath())
		return exitUsage
	}
	return exitCode(err)
}

// printError writes the error of a command: one line each, and all there is to say of a
// file that cannot be run.
func printError(w io.Writer, err error) {
	var (
		exit    *exitError
		invalid *config.InvalidError
	)
	switch {
	case errors.As(err, &exit) && exit.err == nil:
	case errors.As(err, &invalid):
		printProblems(w, invalid.Problems)
	default:
		for _, e := range flatten(err) {
			if unmade := (*config.UnmadeError)(nil); errors.As(e, &unmade) {
				fmt.Fprint(w, "penstock: "+unmade.Detail())
				continue
			}
			fmt.Fprintf(w, "penstock: %s\n", onLines(e.Error())) // which may quote what a server says
		}
	}
}

// exitCode classifies the error of a command.
func exitCode(err error) int {
	var (
		exit      *exitError
		abandoned *engine.AbandonedError
		env       *pipeline.EnvironmentError
		invalid   *config.InvalidError
		build     *buildError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &abandoned):
		return exitAbandoned
	case errors.As(err, &invalid), errors.As(err, &build):
		return exitUsage
	case errors.As(err, &env):
		return exitEnvironment
	}
	return exitFailed
}

// takes makes the check of how many arguments a command has: at least least, at most most;
// -1: any number. The error names what the command's usage line names.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if n := len(args); n >= least && (n <= most || most < 0) {
			return nil
		}
		name := strings.TrimPrefix(cmd.CommandPath(), "penstock ")
		_, what, _ := strings.Cut(cmd.Use, " ")
		switch n := len(args); {
		case what == "":
			return fmt.Errorf("%s takes no arguments, and got %d", name, n)
		case n == 0:
			return fmt.Errorf("%s takes %s, and got nothing", name, what)
		case n == 1:
			return fmt.Errorf("%s takes %s, and got one argument", name, what)
		default:
			return fmt.Errorf("%s takes %s, and got %d arguments", name, what, n)
		}
	}
}

// newHelp makes the help command. That of cobra prints the general help, without an error, for a
// command that does not exist.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			switch {
			case err != nil:
				return usagef("%w", err)
			case len(rest) > 0:
				return usagef("unknown command %q for %q", rest[0], about.CommandPath())
			}
			about.InitDefaultHelpFlag()
			about.InitDefaultVersionFlag()
			return about.Help()
		},
	}
}

// newRoot makes the command tree, and the globals that its flags set.
func newRoot(s streams, kinds config.Kinds) (*cobra.Command, *globals) {
	g := &globals{streams: s, kinds: kinds}
	root := &cobra.Command{
		Use:   "penstock",
		Short: "Ordered, parallel, bounded pipelines from Kafka through stages to sinks",
		Long: `Ordered, parallel, bounded pipelines from Kafka through stages to sinks.

Data goes to standard output, logs and progress to standard error.
Exit codes: 0 done, also after a clean stop by a signal; 1 failed while running; 2 usage or configuration; 3 the
environment (broker, database, port, credentials); 4 an expectation was not met; 5 the drain budget ran out.`,
		Example: `  penstock init late-flights.yaml                 a file to begin with
  penstock check late-flights.yaml                every mistake in it, at line and column
  penstock replay late-flights.yaml input.jsonl   over recorded records, without a broker
  penstock run late-flights.yaml                  the daemon`,
		Version:       buildInfo().Version, // for --version
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRun: func(*cobra.Command, []string) {
			g.running = true
		},
	}
	root.SetHelpCommand(newHelp())
	root.SetVersionTemplate(buildInfo().text())
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	flags := root.PersistentFlags()
	flags.StringVar(&g.logLevel, "log-level", "", "level of the free log lines: debug, info, warn, error, disabled")
	flags.StringVar(&g.logFormat, "log-format", "", "form of the log: auto, json, console")
	flags.StringArrayVar(&g.set, "set", nil, "override a setting of the file: path=value (stages.weather.workers=8); may be repeated")
	for _, group := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Run", []*cobra.Command{newRun(g), newDev(g), newReplay(g), newDemo(g)}},
		{"Write and check", []*cobra.Command{newInit(g), newCheck(g), newEval(g), newTest(g), newList(g), newConfig(g), newGraph(g)}},
		{"Steer", []*cobra.Command{newPause(g), newResume(g), newDrain(g), newReload(g), newWorkers(g), newRate(g), newSkip(g), newUnskip(g), newLogLevel(g)}},
		{"Look", []*cobra.Command{newTop(g), newStatus(g), newWhy(g), newProbe(g), newLag(g), newTap(g), newDeadLetter(g), newLogs(g), newDashboards(g), newVersion(g), newMan(g)}},
	} {
		root.AddGroup(&cobra.Group{ID: group.title, Title: group.title + ":"})
		for _, c := range group.commands {
			c.GroupID = group.title
			root.AddCommand(c)
		}
	}
	if err := g.completeAll(root); err != nil {
		panic(err) // a flag that is not there: no command line brings that about
	}
	return root, g
}
