package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/config"
)

func newConfig(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show effective settings, or the schema of pipeline files",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("config takes show or schema: penstock config show FILE")
		},
	}
	cmd.AddCommand(newConfigShow(g), newConfigSchema(g))
	return cmd
}

func newConfigShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE|DIR...",
		Short: "Print the effective settings: defaults filled in and marked, secrets as ***",
		Args:  takes(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			set, err := g.load(args)
			if err != nil {
				return err
			}
			printProblems(g.err, set.Warnings)
			for i, p := range set.Pipelines {
				text, err := p.Show()
				if err != nil {
					return err
				}
				if i > 0 {
					fmt.Fprintln(g.out, "---")
				}
				if _, err := fmt.Fprintf(g.out, "# %s, config %s\n%s", p.File, p.Hash, text); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newConfigSchema(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of pipeline files",
		Args:  takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			schema, err := config.Schema(g.kinds)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(g.out, "%s\n", schema)
			return err
		},
	}
}
