package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/config"
)

// load reads and checks pipeline files with the overrides of the command line. The
// error is a *config.InvalidError when one of them cannot be run. Warnings are in the
// set: the caller prints them, or logs them.
func (g *globals) load(paths []string) (*config.Set, error) {
	if err := g.checkLogFlags(); err != nil {
		return nil, err
	}
	g.read.forget()
	l := config.Loader{Kinds: g.kinds, Set: g.set, Repeatable: g.repeatable, Reads: g.read.note}
	set, err := l.Load(paths...)
	if err != nil {
		return nil, err
	}
	g.logFlags(&set.Process.Log)
	for _, p := range set.Pipelines {
		g.logFlags(&p.Log)
	}
	return set, nil
}

func (g *globals) logFlags(l *config.Log) {
	if g.logLevel != "" {
		l.Level = g.logLevel
	}
	if g.logFormat != "" {
		l.Format = g.logFormat
	}
}

func (g *globals) checkLogFlags() error {
	for _, f := range []struct {
		flag, value string
		known       []string
	}{
		{"--log-level", g.logLevel, []string{"debug", "info", "warn", "error", "disabled"}},
		{"--log-format", g.logFormat, []string{"auto", "json", "console"}},
	} {
		if f.value != "" && !slices.Contains(f.known, f.value) {
			return usagef("%s is one of %s, not %q", f.flag, strings.Join(f.known, ", "), f.value)
		}
	}
	return nil
}

// printProblems writes problems for people, and, when there are errors, a line that counts them.
func printProblems(w io.Writer, p config.Problems) {
	fmt.Fprint(w, p.Detail())
	if e, a := len(p.Errors()), len(p.Warnings()); e > 0 {
		fmt.Fprintln(w, counted(e, "error")+warningsToo(a))
	}
}

func warningsToo(n int) string {
	if n == 0 {
		return ""
	}
	return ", " + counted(n, "warning")
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
