package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newMan(g *globals) *cobra.Command {
	date := ""
	cmd := &cobra.Command{
		Use:    "man",
		Short:  "Print the manual page, for man -l -",
		Hidden: true, // packages bring it as penstock(1)
		Args:   takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			m := manPage{w: g.out}
			m.write(cmd.Root(), date)
			return m.err
		},
	}
	cmd.Flags().StringVar(&date, "date", "", "day of the release, as the page shows it")
	return cmd
}

// A manPage is penstock(1), in man(7): one page, with a section for each command, so that what is looked for is found by searching it.
type manPage struct {
	w   io.Writer
	err error // the first one of w
}

// line writes one line as it stands.
func (m *manPage) line(format string, args ...any) {
	if m.err == nil {
		_, m.err = fmt.Fprintf(m.w, format+"\n", args...)
	}
}

// roff gives text as man(7) has it: backslashes and hyphens that are meant as they stand.
func roff(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
}

// text writes lines of text; one that would be a request is none.
func (m *manPage) text(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		line = roff(strings.TrimRight(line, "\n"))
		switch {
		case line == "":
			m.line(".PP")
		case line[0] == '.' || line[0] == '\'':
			m.line(`\&%s`, line)
		default:
			m.line("%s", line)
		}
	}
}

// literal writes lines as they stand, indented.
func (m *manPage) literal(text string) {
	m.line(".PP\n.nf")
	for line := range strings.Lines(text) {
		m.line(`\&%s`, roff(strings.TrimRight(line, "\n")))
	}
	m.line(".fi")
}

func (m *manPage) write(root *cobra.Command, date string) {
	m.line(`.TH PENSTOCK 1 "%s" "penstock %s" "User Commands"`, date, roff(buildInfo().Version))
	m.line(".SH NAME")
	m.line(`penstock \- ordered, parallel, bounded pipelines from Kafka and files through stages to sinks`)
	m.line(".SH SYNOPSIS\n.B penstock\n.I COMMAND\n[flags]")
	m.line(".SH DESCRIPTION")
	m.text(root.Long)
	m.literal(root.Example)
	m.line(".SH OPTIONS\nOf every command:")
	m.flags(root.PersistentFlags())
	m.line(".SH COMMANDS")
	for _, group := range root.Groups() {
		for _, cmd := range root.Commands() {
			if cmd.GroupID == group.ID {
				m.command(cmd)
			}
		}
	}
	m.line(".SH FILES")
	for _, f := range [][2]string{
		{"/etc/penstock/*.yaml", "the pipelines of penstock.service, all in one process"},
		{"/etc/penstock/NAME/*.yaml", "the pipelines of penstock@NAME.service"},
		{"/var/lib/penstock", "where they may write, and their working directory"},
	} {
		m.line(".TP\n.I %s\n%s", roff(f[0]), roff(f[1]))
	}
	m.line(".SH SIGNALS")
	m.text("SIGTERM and SIGINT end it within the drain budget, a second one at once. SIGHUP asks for a reload, SIGUSR1 for a log line for each record in flight, SIGUSR2 for lines for debugging for ten minutes.")
	m.line(".SH SEE ALSO\n.BR systemctl (1),\n.BR systemd.service (5)")
}

// command writes a command and what is beneath it.
func (m *manPage) command(cmd *cobra.Command) {
	if !cmd.IsAvailableCommand() {
		return
	}
	m.line(`.SS "%s"`, roff(strings.TrimSuffix(cmd.UseLine(), " [flags]")))
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	m.text(long)
	m.flags(cmd.LocalNonPersistentFlags())
	if cmd.Example != "" {
		m.literal(cmd.Example)
	}
	for _, sub := range cmd.Commands() {
		m.command(sub)
	}
}

// flags writes what flags there are, but that for help.
func (m *manPage) flags(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" || f.Name == "version" {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		if name != "" {
			name = " " + name
		}
		m.line(".TP\n.B %s", roff("--"+f.Name+name))
		m.text(usage)
		if v := f.DefValue; v != "" && v != "false" && v != "[]" && v != "0" && v != "0s" {
			m.line("(default %s)", roff(v))
		}
	})
}
