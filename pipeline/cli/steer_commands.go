package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/admin"
)

// This file has the commands that steer a running process.

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
	s.add(cmd, false)
	cmd.Flags().DurationVar(&hold, "for", 0, "how long; default: until it is changed again, or the process ends")
	return cmd
}
