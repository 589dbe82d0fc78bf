package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/expr"
)

// A listedKind is one component in the answer of list --json.
type listedKind struct {
	Section  config.Section   `json:"section"`
	Name     string           `json:"name"`
	Doc      string           `json:"doc"`
	Waits    bool             `json:"waits"`
	Example  string           `json:"example"`
	Settings []config.Setting `json:"settings"`
	Beside   []config.Setting `json:"beside,omitempty"`
}

func newList(g *globals) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [NAME]",
		Short: "List sources, stages and sinks, or one with its settings and an example",
		Long: `List sources, stages and sinks, or one with its settings and an example. A NAME that no component has may be that of a
function of expressions; penstock list functions lists those.`,
		Args:              takes(0, 1),
		ValidArgsFunction: g.completeKinds,
		RunE: func(_ *cobra.Command, args []string) error {
			kinds := g.kinds
			if len(args) == 1 {
				kinds = slices.DeleteFunc(slices.Clone(kinds), func(k config.Kind) bool { return k.Name != args[0] })
				if len(kinds) == 0 {
					return listOther(g, args[0], asJSON)
				}
			}
			switch {
			case asJSON:
				return listJSON(g.out, kinds)
			case len(args) == 1:
				return listOne(g.out, kinds)
			}
			return listAll(g.out, kinds)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	cmd.AddCommand(newListFunctions(g))
	return cmd
}

// listOther lists what a name means that no component has: a function.
func listOther(g *globals, name string, asJSON bool) error {
	switch fs := functionsNamed(expr.Reference(), name); {
	case len(fs) == 0:
		return unknownKind(name, g.kinds)
	case asJSON:
		return writeJSON(g.out, fs)
	default:
		return listFunction(g.out, fs[0])
	}
}

func unknownKind(name string, kinds config.Kinds) error {
	var names []string
	for _, k := range kinds {
		names = append(names, k.Name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if n := config.Nearest(name, names); n != "" {
		return usagef("there is no %q; did you mean %s?", name, n)
	}
	if n := config.Nearest(name, expr.Functions()); n != "" {
		return usagef("there is no %q; did you mean the function %s?", name, n)
	}
	return usagef("there is no %q; there are %s", name, strings.Join(names, ", "))
}

func listJSON(w io.Writer, kinds config.Kinds) error {
	all := []listedKind{}
	for i := range kinds {
		k := &kinds[i]
		all = append(all, listedKind{k.Section, k.Name, k.Doc, k.Waits, k.Example, k.SettingList(), beside(k)})
	}
	return writeJSON(w, all)
}

// writeJSON writes v for people too: indented.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// beside lists what may stand beside a component in its item.
func beside(k *config.Kind) []config.Setting {
	switch k.Section {
	case config.StageSection:
		return config.StepSettings(k)
	case config.SinkSection:
		return config.OutputSettingList(k)
	}
	return nil
}

func listAll(w io.Writer, kinds config.Kinds) error {
	p := printer{w: w}
	kinds = slices.Clone(kinds) // those of one's own stand behind the others: they go under the same heads
	order := []config.Section{config.SourceSection, config.StageSection, config.SinkSection}
	slices.SortStableFunc(kinds, func(a, b config.Kind) int { return slices.Index(order, a.Section) - slices.Index(order, b.Section) })
	var section config.Section
	for _, k := range kinds {
		if k.Section != section {
			if section != "" {
				p.line("")
			}
			section = k.Section
			p.line("%ss", strings.ToUpper(string(section[:1]))+string(section[1:]))
		}
		waits := ""
		if k.Waits {
			waits = " (waits)"
		}
		p.line("  %-10s %s%s", k.Name, k.Doc, waits)
	}
	p.line("")
	p.line("penstock list NAME prints one with its settings and an example, penstock list functions the functions of expressions.")
	return p.err
}

func listOne(w io.Writer, kinds config.Kinds) error {
	p := printer{w: w}
	for i := range kinds {
		k := &kinds[i]
		if i > 0 {
			p.line("")
		}
		p.line("%s %s: %s", k.Section, k.Name, k.Doc)
		if k.Guarantee != "" {
			p.line("guarantees: %s", k.Guarantee)
		}
		p.line("")
		p.line("Settings")
		if p.settings(k.SettingList(), "  "); len(k.SettingList()) == 0 {
			p.line("  none")
		}
		if k.Short != "" {
			p.line("  %s: VALUE is short for %s: {%s: VALUE}", k.Name, k.Name, k.Short)
		}
		if b := beside(k); len(b) > 0 {
			p.line("")
			p.line("Beside it")
			p.settings(b, "  ")
		}
		p.line("")
		p.line("Example")
		for line := range strings.Lines(example(k)) {
			p.line("  %s", strings.TrimRight(line, "\n"))
		}
	}
	return p.err
}

// example gives the example of a component as it stands in a file.
func example(k *config.Kind) string {
	indent, first, head := "    ", "  - ", string(k.Section)+"s:\n"
	if k.Section == config.SourceSection {
		indent, first, head = "  ", "  ", "source:\n"
	}
	return head + first + strings.ReplaceAll(strings.TrimRight(k.Example, "\n"), "\n", "\n"+indent) + "\n"
}

// A printer writes lines until one fails.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) settings(list []config.Setting, indent string) {
	width := 0
	for _, s := range list {
		width = max(width, len(s.Name))
	}
	for _, s := range list {
		what := s.Type
		if len(s.Enum) > 0 {
			what = strings.Join(s.Enum, " | ")
		}
		switch {
		case s.Required:
			what += ", required"
		case s.Default != nil:
			what += fmt.Sprintf(", default %v", s.Default)
		}
		p.line("%s%-*s  %s (%s)", indent, width, s.Name, s.Doc, what)
		p.settings(s.Inner, indent+"  ")
	}
}
