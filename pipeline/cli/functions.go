package cli

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/expr"
)

// newListFunctions makes list functions.
func newListFunctions(g *globals) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "functions [NAME]",
		Short:             "List the functions of expressions, or one with its arguments, errors and examples",
		Args:              takes(0, 1),
		ValidArgsFunction: completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			all := expr.Reference()
			if len(args) == 1 {
				if all = functionsNamed(all, args[0]); len(all) == 0 {
					return unknownFunction(args[0])
				}
			}
			switch {
			case asJSON:
				return writeJSON(g.out, all)
			case len(args) == 1:
				return listFunction(g.out, all[0])
			}
			return listFunctions(g.out, all)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

func functionsNamed(all []expr.Function, name string) []expr.Function {
	return slices.DeleteFunc(all, func(f expr.Function) bool { return f.Name != name })
}

func unknownFunction(name string) error {
	if n := config.Nearest(name, expr.Functions()); n != "" {
		return usagef("there is no function %q; did you mean %s?", name, n)
	}
	return usagef("there is no function %q; penstock list functions prints all", name)
}

// listFunctions prints a line for each function, by group.
func listFunctions(w io.Writer, all []expr.Function) error {
	p := printer{w: w}
	width, group := 0, ""
	for _, f := range all {
		width = max(width, len(f.Usage))
	}
	for _, f := range all {
		if f.Group != group {
			if group != "" {
				p.line("")
			}
			group = f.Group
			p.line("%s", group)
		}
		p.line("  %-*s  %s", width, f.Usage, brief(f.Says))
	}
	p.line("")
	p.line("penstock list functions NAME prints one with its arguments, errors and examples.")
	return p.err
}

// listFunction prints all there is to say of one function.
func listFunction(w io.Writer, f expr.Function) error {
	p := printer{w: w}
	p.line("%s: %s", f.Usage, inText(f.Says))
	p.line("")
	p.line("Takes  %s", takenBy(f))
	p.line("Gives  %s", f.Gives)
	if f.Fails != "" {
		p.line("Fails  %s", inText(f.Fails))
	}
	p.line("")
	p.line("Examples")
	width := 0
	for _, e := range f.Examples {
		width = max(width, len(e.Text))
	}
	for _, e := range f.Examples {
		p.line("  %-*s  %s", width, e.Text, e.Gives)
	}
	return p.err
}

// inText gives a text of the reference without the marks of Markdown.
func inText(says string) string { return strings.ReplaceAll(says, "`", "") }

// takenBy gives the arguments of a function in one line.
func takenBy(f expr.Function) string {
	var all []string
	for _, a := range f.Takes {
		what := a.Name
		if a.Type != a.Name {
			what += ": " + a.Type
		}
		if a.Optional {
			what += ", may be left out"
		}
		if a.Many {
			what += ", any number"
		}
		all = append(all, what)
	}
	return strings.Join(all, "; ")
}
