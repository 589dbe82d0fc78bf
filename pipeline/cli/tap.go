package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/settings"
)

// tapFlags are the flags of tap.
type tapFlags struct {
	endpointFlags
	pipeline, condition, rate                     string
	before, after, both, rejected, filtered, diff bool
	asJSON                                        bool
	limit                                         int64
}

func newTap(g *globals) *cobra.Command {
	var f tapFlags
	cmd := &cobra.Command{
		Use:   "tap [FILE|DIR...] STEP",
		Short: "Show records that pass a step of a running process",
		Long: `Show records that pass a step or sink of a running process, as they pass: as they come to it (--before), as they leave it
(--after, the default), or both, with what has changed; those that it rejects or filters; with "source" as STEP those that the source gives.
The process shows copies and goes on: what is beyond the rate, or beyond what is read here, is skipped, and how much that was is told at the end.

The file of the process has to allow it, and says what is shown: admin: {tap: {values: true, redact: {fields: [card]}}}. What it redacts stands
nowhere in what comes, but for texts of less than 4 bytes within others, and --where sees no more than is shown. The log of the process has a line when somebody begins to look, and
another when he ends.

With --json each line is a fixture, with step, side and time beside it; replay takes such lines.
The process is asked over its admin endpoint: that of the file, or of --addr; without either ` + defaultEndpoint + `.
Ctrl-C ends it, with the exit code 0.`,
		Example: `  penstock tap late-flights.yaml weather --both
  penstock tap late-flights.yaml filter-2 --filtered --limit 20
  penstock tap --addr unix:/run/penstock/admin.sock map --diff --where 'origin == "TXL"'
  penstock tap late-flights.yaml source --json --limit 100 > input.jsonl`,
		Args: takes(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			return f.tap(ctx, g, args)
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.before, "before", false, "records as they come to the step")
	flags.BoolVar(&f.after, "after", false, "records as they leave it")
	flags.BoolVar(&f.both, "both", false, "both, one below the other")
	flags.BoolVar(&f.diff, "diff", false, "what the step has changed")
	flags.BoolVar(&f.rejected, "rejected", false, "records that it rejects")
	flags.BoolVar(&f.filtered, "filtered", false, "records that it filters")
	flags.StringVar(&f.condition, "where", "", "only records for which this expression holds, on one of the sides that are shown")
	flags.StringVar(&f.rate, "rate", "10/s", "most records a second; admin.tap.rate of the process's file bounds it")
	flags.Int64Var(&f.limit, "limit", 0, "end after so many records")
	flags.StringVar(&f.pipeline, "pipeline", "", "which pipeline, of a process that runs several")
	flags.BoolVar(&f.asJSON, "json", false, "one line of JSON a record and side")
	return cmd
}

// sides gives which sides are asked for, with commas.
func (f *tapFlags) sides() string {
	var names []string
	for _, one := range []struct {
		name string
		on   bool
	}{{"before", f.before || f.both || f.diff}, {"after", f.after || f.both || f.diff}, {"rejected", f.rejected}, {"filtered", f.filtered}} {
		if one.on {
			names = append(names, one.name)
		}
	}
	if len(names) == 0 {
		return "after"
	}
	return strings.Join(names, ",")
}

// query gives the parameters of the request.
func (f *tapFlags) query(e *endpoint, step string) (url.Values, error) {
	if err := new(settings.Rate).UnmarshalText([]byte(f.rate)); err != nil {
		return nil, usagef("--rate: %w", err)
	}
	if f.limit < 0 {
		return nil, usagef("--limit is a number of records, not %d", f.limit)
	}
	q := url.Values{"step": {step}, "side": {f.sides()}, "rate": {f.rate}, "limit": {strconv.FormatInt(f.limit, 10)}}
	if f.condition != "" {
		q.Set("where", f.condition)
	}
	switch {
	case f.pipeline != "":
		q.Set("pipeline", f.pipeline)
	case len(e.named) == 1:
		q.Set("pipeline", e.named[0])
	case len(e.named) > 1:
		return nil, usagef("the files have several pipelines: --pipeline names one of %s", strings.Join(e.named, ", "))
	}
	return q, nil
}

func (f *tapFlags) tap(ctx context.Context, g *globals, args []string) error {
	files, step := args[:len(args)-1], args[len(args)-1]
	e, err := f.open(g, files)
	if err != nil {
		return err
	}
	q, err := f.query(e, step)
	if err != nil {
		return err
	}
	out := &tapOutput{w: g.out, asJSON: f.asJSON, diff: f.diff, terminal: isTerminal(g.out)}
	out.color = out.terminal && os.Getenv("NO_COLOR") == "" && !f.asJSON
	var last admin.TapEnd
	err = e.client.Stream(ctx, "/api/v1/tap?"+q.Encode(), whoAsks(), func(event string, data []byte) error {
		if event == "record" {
			return out.record(data)
		}
		return json.Unmarshal(data, &last)
	})
	if ctx.Err() != nil { // the one who looks has seen enough
		err = nil
	}
	if err == nil {
		err = out.flush()
	}
	if err != nil {
		return tapError(err)
	}
	return onlyError(fmt.Fprintln(g.err, out.summary(last)))
}

// tapError says of an answer what is to be done.
func tapError(err error) error {
	var answer *admin.AnswerError
	if !errors.As(err, &answer) {
		return err
	}
	switch {
	case answer.Status == http.StatusUnauthorized:
		return &exitError{exitEnvironment, fmt.Errorf("%w; --token-file gives one", err)}
	case answer.Status == http.StatusNotFound && strings.HasPrefix(answer.Why, "there is /"):
		return &exitError{exitEnvironment, fmt.Errorf("the process at %s lets nobody look at records: its file says what may be seen, with admin: {tap: {values: true}}", answer.Address)}
	case answer.Status == http.StatusNotFound, answer.Status == http.StatusBadRequest:
		return usagef("%s", answer.Why)
	}
	return &exitError{exitEnvironment, err}
}
