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
		Long: `Run the cases below PATH (default: testdata/cases). A case is a folder with pipeline.yaml, input.jsonl (fixture
lines), want/SINK.jsonl for each sink that gets records, want/dead_letter.jsonl, and, for steps that call a server,
answers/http.jsonl, which is served on loopback at ${HTTP}: one object a line with method, url, status, headers, body.
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
