package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
)

func newProbe(g *globals) *cobra.Command {
	var where endpointFlags
	kinds := []string{"live", "ready"}
	cmd := &cobra.Command{
		Use:   "probe live|ready [FILE|DIR...]",
		Short: "Ask a running process whether it is live, or ready: for probes of containers",
		Long: `Ask a running process whether it makes progress (live), or whether all of it is connected and has not begun to stop (ready), as /livez
and /readyz have it. The exit code is the answer: 0 yes; 1 no, with the reason on standard error; 3 it cannot be reached.
An image that holds nothing but this binary has no other program to ask with, and an endpoint that listens on 127.0.0.1 is not
reached from outside of the container.
The process is asked over its admin endpoint: that of the file, or of --addr; without either ` + defaultEndpoint + `.`,
		Example: `  penstock probe ready --addr 127.0.0.1:9600
  penstock probe live /etc/penstock`,
		Args:      takes(1, -1),
		ValidArgs: kinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(kinds, args[0]) {
				return usagef("probe asks whether a process is live or ready, and not %q", args[0])
			}
			e, err := where.open(g, args[1:])
			if err != nil {
				return err
			}
			why, err := e.probe(cmd.Context(), "/"+args[0]+"z")
			switch {
			case err != nil:
				return err
			case why != "":
				return fmt.Errorf("not %s: %s", args[0], why)
			}
			return nil
		},
	}
	where.add(cmd)
	return cmd
}
