package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
)

// A checked is the answer of check --json.
type checked struct {
	OK        bool              `json:"ok"`
	Pipelines []checkedPipeline `json:"pipelines"`
	Problems  config.Problems   `json:"problems"`
	// Connect holds what could not be reached, with --connect.
	Connect []string `json:"connect,omitempty"`
	// Sample is what --sample found out.
	Sample *sample `json:"sample,omitempty"`
}

type checkedPipeline struct {
	Name string `json:"name"`
	File string `json:"file"`
	Hash string `json:"config_hash"`
}

// checkFlags are the flags of check.
type checkFlags struct {
	connect, asJSON, strict bool
	timeout                 time.Duration
	sample                  sampleFlags
}

func newCheck(g *globals) *cobra.Command {
	f := &checkFlags{timeout: 15 * time.Second}
	cmd := &cobra.Command{
		Use:   "check FILE|DIR...",
		Short: "Report everything that can be known to be wrong without running",
		Long: `Reads pipeline files and reports every mistake in them at once, as
file:line:column with the line and a suggestion. Exits 2 when there is one.
A warning is what is right and hardly means what was meant: set: {country: "DE"},
which reads a field DE, or a sink to the topic that the pipeline reads. Warnings alone
exit 0; with --strict they exit 2, which is what a check before a deployment wants.
With --connect it also probes what the components connect to: brokers, databases,
servers. Exits 3 when one of them does not answer.

With --sample it takes records of a fixture file through the steps, and says in how many
of those that reach it each field stands that a step or sink names, what each expression
gave and where it failed, and what each step passes, filters and rejects. A name that
stands in none of them is a warning; one that may be missing on purpose (what remove takes
out, x ?? y, x?.y) is one only when another name is near, and x == nil says that it may. Of a file with more than --records records some are
taken, evenly out of the first million. Steps that call somebody (http, sql) are not
called: their records go on as they are, and of what they would put in, and of what
depends on it, nothing is said. Fields of dead letters, and names of headers, are not
looked at. A step that rejects all that reach it is a warning, too. now() is the record's
time there, and uuid() and random() come from its position.`,
		Example: `  penstock check late-flights.yaml --sample flights.jsonl --as value`,
		Args:    takes(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.timeout <= 0 {
				return usagef("--connect-timeout %v: it is a time like 15s", f.timeout)
			}
			for _, flag := range []string{"as", "key", "records"} {
				if len(f.sample.files) == 0 && cmd.Flags().Changed(flag) {
					return usagef("--%s is of a sample: name its file with --sample", flag)
				}
			}
			if f.sample.records < 1 {
				return usagef("--records %d: it is at least 1", f.sample.records)
			}
			if _, err := f.sample.form.check(); err != nil {
				return err
			}
			return runCheck(cmd.Context(), g, f, args)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.connect, "connect", false, "probe brokers, databases and servers too, and read what the admin endpoint needs")
	flags.DurationVar(&f.timeout, "connect-timeout", f.timeout, "how long --connect waits for all of them")
	flags.BoolVar(&f.strict, "strict", false, "exit 2 when there are warnings, too")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object")
	flags.StringArrayVar(&f.sample.files, "sample", nil, "fixture file with records to judge the file by, or - for standard input; may be repeated")
	flags.StringVar(&f.sample.form.as, "as", "fixture", "what a line of the sample is: fixture, or value (the record's value as it stands)")
	flags.StringVar(&f.sample.form.key, "key", "", "expression that gives a record's key, with --as value")
	flags.IntVar(&f.sample.records, "records", 500, "how many records of the sample are looked at")
	return cmd
}

func runCheck(ctx context.Context, g *globals, f *checkFlags, paths []string) error {
	g.repeatable = len(f.sample.files) > 0
	set, err := g.load(paths)
	var invalid *config.InvalidError
	if err != nil && !errors.As(err, &invalid) {
		return err
	}
	if err == nil {
		err = buildAll(ctx, set, f.connect, f.timeout)
	}
	var found *sample
	if len(f.sample.files) > 0 && set != nil {
		if len(set.Pipelines) != 1 {
			return usagef("--sample: %d pipelines are checked, and the records are of one; name its file", len(set.Pipelines))
		}
		var problems config.Problems
		var failed error
		if found, problems, failed = runSample(ctx, g.in, set.Pipelines[0], f.sample); failed != nil {
			return failed
		}
		set.Warnings = append(set.Warnings, problems...)
	}
	if f.asJSON {
		return checkJSON(g.out, set, found, err, f.strict)
	}
	if set != nil {
		printProblems(g.err, set.Warnings)
		if found != nil {
			found.print(g.out)
		}
		if f.strict && len(set.Warnings) > 0 {
			return strictly(g.err, len(set.Warnings), err)
		}
	}
	if err != nil {
		return err
	}
	for _, p := range set.Pipelines {
		fmt.Fprintf(g.out, "%s: %s is right (config %s)\n", p.File, p.Name, p.Hash)
	}
	return nil
}

// strictly is the error of a check --strict that found n warnings. An err besides, of
// --connect, is printed: the exit code is that of the file, not of what does not answer.
func strictly(w io.Writer, n int, err error) error {
	if err != nil {
		printError(w, err)
	}
	return usagef("%s, and --strict takes none", counted(n, "warning"))
}

// buildAll makes the components of every pipeline, probes them if asked to, and closes
// them.
func buildAll(ctx context.Context, set *config.Set, connect bool, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var errs []error
	shared := calls.NewShared(set.Process.Limits.Rates)
	for _, p := range set.Pipelines {
		o, err := catalog.Build(p, catalog.Env{Shared: shared, Stdout: io.Discard})
		if err != nil {
			var env *pipeline.EnvironmentError
			if !errors.As(err, &env) {
				err = &buildError{err}
			}
			errs = append(errs, err)
			continue
		}
		if connect {
			if err := catalog.Ping(ctx, p, o); err != nil {
				errs = append(errs, &pipeline.EnvironmentError{Err: err})
			}
		}
		if err := catalog.Close(context.WithoutCancel(ctx), o); err != nil {
			errs = append(errs, err)
		}
	}
	if connect {
		if _, err := new(process).newEndpoint(set); err != nil { // nothing listens: its files are read
			errs = append(errs, &pipeline.EnvironmentError{Err: errors.Unwrap(err)})
		}
	}
	return errors.Join(errs...)
}

// A buildError is a file that is right by itself, and whose components cannot be made,
// for a reason that lies in the file.
type buildError struct{ err error }

func (e *buildError) Error() string { return e.err.Error() }
func (e *buildError) Unwrap() error { return e.err }

// checkJSON prints the answer of check --json; the error that it returns says nothing
// more.
func checkJSON(w io.Writer, set *config.Set, found *sample, err error, strict bool) error {
	c := checked{OK: err == nil, Sample: found, Pipelines: []checkedPipeline{}, Problems: config.Problems{}}
	if set != nil {
		c.Problems = append(c.Problems, set.Warnings...)
		strict = strict && len(set.Warnings) > 0
		c.OK = c.OK && !strict
		for _, p := range set.Pipelines {
			c.Pipelines = append(c.Pipelines, checkedPipeline{p.Name, p.File, p.Hash})
		}
	}
	var invalid *config.InvalidError
	switch {
	case errors.As(err, &invalid):
		c.Problems = invalid.Problems
	case err != nil:
		for _, e := range flatten(err) {
			c.Connect = append(c.Connect, e.Error())
		}
	}
	if werr := writeJSON(w, c); werr != nil {
		return werr
	}
	switch {
	case set != nil && strict:
		return &exitError{code: exitUsage}
	case err != nil:
		return &exitError{code: exitCode(err)}
	}
	return nil
}

// flatten gives the errors that were joined.
func flatten(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range many.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	var env *pipeline.EnvironmentError
	if errors.As(err, &env) && env.Err != nil {
		if _, ok := env.Err.(interface{ Unwrap() []error }); ok {
			return flatten(env.Err)
		}
	}
	return []error{err}
}
