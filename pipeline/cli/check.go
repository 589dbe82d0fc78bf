package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline"
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
}

type checkedPipeline struct {
	Name string `json:"name"`
	File string `json:"file"`
	Hash string `json:"config_hash"`
}

func newCheck(g *globals) *cobra.Command {
	var connect, asJSON, strict bool
	timeout := 15 * time.Second
	cmd := &cobra.Command{
		Use:   "check FILE|DIR...",
		Short: "Report everything that can be known to be wrong without running",
		Long: `Reads pipeline files and reports every mistake in them at once, as
file:line:column with the line and a suggestion. Exits 2 when there is one.
A warning is what is right and hardly means what was meant: set: {country: "DE"},
which reads a field DE, or a sink to the topic that the pipeline reads. Warnings alone
exit 0; with --strict they exit 2, which is what a check before a deployment wants.
With --connect it also probes what the components connect to: brokers, databases,
servers. Exits 3 when one of them does not answer.`,
		Args: takes(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if timeout <= 0 {
				return usagef("--connect-timeout %v: it is a time like 15s", timeout)
			}
			set, err := g.load(args)
			var invalid *config.InvalidError
			if err != nil && !errors.As(err, &invalid) {
				return err
			}
			if err == nil {
				err = buildAll(cmd.Context(), set, connect, timeout)
			}
			if asJSON {
				return checkJSON(g.out, set, err, strict)
			}
			if set != nil {
				printProblems(g.err, set.Warnings)
				if strict && len(set.Warnings) > 0 {
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
		},
	}
	cmd.Flags().BoolVar(&connect, "connect", false, "probe brokers, databases and servers too")
	cmd.Flags().DurationVar(&timeout, "connect-timeout", timeout, "how long --connect waits for all of them")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit 2 when there are warnings, too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
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
	for _, p := range set.Pipelines {
		o, err := catalog.Build(p, catalog.Env{Stdout: io.Discard})
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
	return errors.Join(errs...)
}

// A buildError is a file that is right by itself, and whose components cannot be made,
// for a reason that lies in the file.
type buildError struct{ err error }

func (e *buildError) Error() string { return e.err.Error() }
func (e *buildError) Unwrap() error { return e.err }

// checkJSON prints the answer of check --json; the error that it returns says nothing
// more.
func checkJSON(w io.Writer, set *config.Set, err error, strict bool) error {
	c := checked{OK: err == nil, Pipelines: []checkedPipeline{}, Problems: config.Problems{}}
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
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if werr := enc.Encode(c); werr != nil {
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
