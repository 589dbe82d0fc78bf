package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/event"
)

// A logView is what logs fmt shows of a log.
type logView struct {
	noStats  bool
	level    string
	pipeline string
}

var logLevels = []string{"trace", "debug", "info", "warn", "error", "fatal"}

func newLogsFmt(g *globals) *cobra.Command {
	var (
		l logInput
		v logView
	)
	cmd := &cobra.Command{
		Use:   "fmt [FILE...]",
		Short: "Show a log of JSON lines as a terminal would have it",
		Long: `Show a log of JSON lines to people, as a terminal would have it: time of day, level, pipeline, message, details. The date
stands in a line of its own where it changes. Without a FILE, or with -, standard input is read, and shown line by line:

  kubectl logs -f deploy/orders | penstock logs fmt --no-stats

A line that is none of a log, as what a runtime says before it ends, is shown as it is, whatever the flags; of one above 4 KiB
its beginning.`,
		Args: takes(0, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			l.files = args
			if v.level != "" && !slices.Contains(logLevels, v.level) {
				return usagef("--level %s: it is one of trace, debug, info, warn, error, fatal", v.level)
			}
			return formatLog(g, l, v)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&l.prefix, "prefix", false, prefixHelp)
	f.BoolVar(&v.noStats, "no-stats", false, "leave out the figures that come in every interval")
	f.StringVar(&v.level, "level", "", "leave out lines below this level: debug, info, warn, error")
	f.StringVar(&v.pipeline, "pipeline", "", "only lines of this pipeline")
	return cmd
}

func formatLog(g *globals, l logInput, v logView) error {
	file, _ := g.out.(*os.File)
	_, color := event.ConsoleFor("console", file)
	buffer := bufio.NewWriter(g.out)
	out := printer{w: buffer}
	day := ""
	err := l.each(g, func(raw logLine) error {
		line, err := event.ReadLine(raw.text)
		switch today := line.Time.Local().Format(time.DateOnly); {
		case raw.long:
			out.line("%s... (longer than %d MiB: the rest of the line is left out)", indented(raw.text), maxLogLine>>20)
		case err != nil:
			out.line("%s", indented(raw.text))
		case !v.shows(&line):
			return nil
		case today != day:
			day = today
			out.line("--- %s", today)
			fallthrough
		default:
			out.line("%s", bytes.TrimSuffix(line.Console(color), []byte("\n")))
		}
		if raw.file == standardInput && out.err == nil {
			return buffer.Flush() // somebody may wait for each line of it
		}
		return out.err
	})
	return cmp.Or(err, buffer.Flush())
}

// indented gives a text that may be shown on a terminal, behind the blanks and tabs that it begins with: a stack trace is read by them.
func indented(line []byte) string {
	text := bytes.TrimLeft(line, " \t")
	return string(line[:len(line)-len(text)]) + event.Printable(string(text))
}

func (v logView) shows(l *event.Line) bool {
	switch {
	case v.noStats && l.IsStats():
		return false
	case v.pipeline != "" && l.Pipeline != v.pipeline:
		return false
	}
	// A level that is not known is shown.
	at := slices.Index(logLevels, l.Level)
	return at < 0 || at >= slices.Index(logLevels, v.level)
}
