package cli

import (
	"context"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"
)

// defaultCases is where `penstock test` looks without arguments.
const defaultCases = "testdata/cases"

func newTest(g *globals) *cobra.Command {
	var (
		update bool
		run    string
		format string
	)
	cmd := &cobra.Command{
		Use:   "test [PATH...]",
		Short: "Run cases: a pipeline, its input, and what each sink must get",
		Long: `Run the cases below PATH (default: testdata/cases). A case is a folder:

  pipeline.yaml        the pipeline; its source and its sinks are stood in for
  input.jsonl          fixture lines; or input.values, one value a line
  want/SINK.jsonl      what each sink gets, and want/dead_letter.jsonl; or SINK.values, one value a line
  answers/http.jsonl   for steps that call a server: answers, served on loopback at ${HTTP}, one object a line with
                       method, url, status, headers, body
  answers/redis.jsonl  for steps that look up in Redis: what a server on loopback at ${REDIS} holds, one object a line with
                       key and value, or key and hash
  answers/exec.jsonl   for steps that have child processes work: what these answer, and none is started; one object a line with
                       step, value or text, answer
  case.yaml            pipeline: FILE (in place of a pipeline.yaml here), set: [PATH=VALUE], env: {NAME: VALUE},
                       compare: bytes or json (by meaning), key: EXPR (of input.values)

Several cases stand in one file *.txtar as NAME/pipeline.yaml and so on; what stands at its top without a NAME counts for
each that has none of its own. A wanted line with topic, partition and offset is about the record of that position, as a
whole; any other is compared in what stands in it. Of headers that are an object, {"name": "text"}, those count that
are named. --update keeps lines that fit and the form of the others.
Exit code 4: a case failed.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{defaultCases}
			}
			only, err := regexp.Compile(run)
			if err != nil {
				return usagef("--run: %w", err)
			}
			report, err := newCaseReport(format, g.out)
			if err != nil {
				return err
			}
			return runCases(cmd.Context(), g, args, only, update, report)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&update, "update", false, "write what came out as what is expected")
	flags.StringVar(&run, "run", "", "only cases whose name matches this regular expression")
	flags.StringVar(&format, "format", "pretty", "pretty, json or junit")
	return cmd
}

func runCases(ctx context.Context, g *globals, paths []string, only *regexp.Regexp, update bool, report caseReport) error {
	cases, err := findCases(paths, g.kinds)
	if err != nil {
		return err
	}
	ran, failed := 0, 0
	for _, c := range cases {
		if !only.MatchString(c.name) {
			continue
		}
		ran++
		r := c.run(ctx, g.set, update)
		if !r.ok() {
			failed++
		}
		if err := report.add(r); err != nil {
			return fmt.Errorf("reporting: %w", err)
		}
	}
	if ran == 0 {
		return usagef("--run %s: no case has such a name", only)
	}
	if err := report.end(); err != nil {
		return fmt.Errorf("reporting: %w", err)
	}
	if failed > 0 {
		return &exitError{code: exitExpectation}
	}
	return nil
}
