package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/dashboards"
)

func newDashboards(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dashboards",
		Short: "Give the dashboards and alert rules for Grafana, Loki and Prometheus",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usagef("dashboards takes export: penstock dashboards export -o DIR")
		},
	}
	cmd.AddCommand(newDashboardsExport(g))
	return cmd
}

func newDashboardsExport(g *globals) *cobra.Command {
	kind, folder, service := "all", "", dashboards.DefaultService
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write dashboards for Grafana (JSON), and alert rules for Loki's ruler and for Prometheus (YAML)",
		Long: `Write dashboards for Grafana (JSON), and alert rules for Loki's ruler and for Prometheus (YAML). Files that are there are
written over. Without a folder, the names of the files are listed; of a kind that has one file, the file itself is printed.`,
		Args: takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			files, err := exported(kind, service)
			if err != nil {
				return err
			}
			switch {
			case folder != "":
				return exportTo(g, folder, files)
			case len(files) == 1:
				_, err := g.out.Write(files[0].Data)
				return err
			}
			for _, f := range files {
				fmt.Fprintf(g.out, "%-28s %s\n", f.Name, f.Kind)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&kind, "kind", kind, strings.Join(exportKinds(), ", "))
	cmd.Flags().StringVarP(&folder, "output", "o", folder, "write into this `folder`")
	_ = cmd.MarkFlagDirname("output") // shells offer folders; it fails without such a flag alone
	cmd.Flags().StringVar(&service, "service", service, "service_name of the log that the alerts for Loki watch, when it is another")
	return cmd
}

func exportKinds() []string {
	var kinds []string
	for _, k := range dashboards.FileKinds() {
		kinds = append(kinds, string(k))
	}
	return append(kinds, "all")
}

// serviceName is what may stand between quotes in a query.
var serviceName = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)

func exported(kind, service string) ([]dashboards.File, error) {
	if !serviceName.MatchString(service) {
		return nil, usagef("--service %s: letters, digits and . _ - / make a name", service)
	}
	if !slices.Contains(exportKinds(), kind) {
		return nil, usagef("--kind is one of %s, not %q", strings.Join(exportKinds(), ", "), kind)
	}
	var kinds []dashboards.FileKind
	if kind != "all" {
		kinds = append(kinds, dashboards.FileKind(kind))
	}
	return dashboards.ForService(dashboards.Files(kinds...), service), nil
}

func exportTo(g *globals, folder string, files []dashboards.File) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return &exitError{code: exitEnvironment, err: fmt.Errorf("writing dashboards: %w", err)}
	}
	for _, f := range files {
		name := filepath.Join(folder, f.Name)
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			return &exitError{code: exitEnvironment, err: fmt.Errorf("writing dashboards: %w", err)}
		}
		fmt.Fprintln(g.out, filepath.ToSlash(name))
	}
	return nil
}
