package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/admin"
)

func newWhy(g *globals) *cobra.Command {
	var (
		where  endpointFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "why [FILE|DIR...]",
		Short: "Say what each partition of a running process waits for",
		Long: `Say for each partition with records that are not committed which record keeps it from going on, the step or sink that it is at,
the host that is called, what it waits for and since when, how often it was tried, with which error, and how many records stand
behind it. The partition whose record has been in flight longest comes first; how long that is stands behind the record, where it is another
time than that of what it waits for now. What waits for its commit alone is there too: a line of less than
a second is the usual state of a pipeline that runs. A commit that fails or is late has a line beside that of its partition's record.
The process is asked over its admin endpoint: that of the file, or of --addr; without either ` + defaultEndpoint + `.`,
		Example: `  penstock why late-flights.yaml
  penstock why --addr unix:/run/penstock/admin.sock --json`,
		Args: takes(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := where.open(g, args)
			if err != nil {
				return err
			}
			if asJSON {
				var all json.RawMessage
				if err := e.ofPipelines(cmd.Context(), "/api/v1/why", &all); err != nil {
					return err
				}
				return onlyError(fmt.Fprintf(g.out, "%s\n", all))
			}
			var all admin.Why
			if err := e.ofPipelines(cmd.Context(), "/api/v1/why", &all); err != nil {
				return err
			}
			return showWhy(g.out, all)
		},
	}
	where.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer of /api/v1/why as it comes")
	return cmd
}

// showWhy prints a line for each pipeline, and beneath it one for each partition.
func showWhy(w io.Writer, all admin.Why) error {
	for _, p := range all.Pipelines {
		if _, err := fmt.Fprintf(w, "%s: %s\n", visible(p.Pipeline), onLines(whyState(p))); err != nil {
			return err
		}
		for _, h := range p.Holds {
			if _, err := fmt.Fprintf(w, "  %s\n", visible(h.Says)); err != nil {
				return err
			}
		}
	}
	return nil
}

// whyState says in a line how a pipeline is.
func whyState(p admin.PipelineWhy) string {
	text := p.State
	if p.Error != "" {
		text += ", " + p.Error
	}
	if p.Disconnected && p.State != "failed" && p.State != "stopped" {
		text += ", and nothing is read: the source is not connected"
	}
	lanes := map[string]bool{} // one may have two lines: of its commit, and of the record behind that
	for _, h := range p.Holds {
		lanes[h.Lane] = true
	}
	switch n := len(lanes); n {
	case 0:
		return text + "; no record waits"
	case 1:
		return text + "; 1 partition waits"
	default:
		return fmt.Sprintf("%s; %d partitions wait, that whose record has been in flight longest first", text, n)
	}
}
