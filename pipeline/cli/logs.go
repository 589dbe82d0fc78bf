package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/event"
)

func newLogs(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Check a log against its contract, show it to people, or print the contract",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("logs takes schema, validate or fmt: penstock logs fmt penstock.log")
		},
	}
	cmd.AddCommand(newLogsSchema(g), newLogsValidate(g), newLogsFmt(g))
	return cmd
}

func newLogsSchema(g *globals) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of log lines, or of one event",
		Args:  takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			schema := event.Schema()
			if name != "" {
				var ok bool
				if schema, ok = event.EventSchema(name); !ok {
					return unknownEvent(name)
				}
			}
			_, err := g.out.Write(schema)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "event", "", "print that of one event alone; log: of the lines for people")
	return cmd
}

// eventNames are those of all events, and of lines for people.
func eventNames() []string {
	names := make([]string, 0, len(event.Registry)+1)
	for i := range event.Registry {
		names = append(names, event.Registry[i].Name)
	}
	return append(names, event.Free)
}

func unknownEvent(name string) error {
	if n := config.Nearest(name, eventNames()); n != "" {
		return usagef("there is no event %q; did you mean %s?", name, n)
	}
	return usagef("there is no event %q; penstock logs schema prints all", name)
}

// A logInput is where lines of a log are read from.
type logInput struct {
	files  []string // none, or -: standard input
	prefix bool     // leave out what stands before the first brace
}

// A logLine is a line without its end. The text is valid until the function that gets it returns.
type logLine struct {
	file string
	n    int
	text []byte // without white space at its end
	long bool   // it is longer than maxLogLine, and the text is its beginning
}

// maxLogLine is the longest line that is read whole. Those of penstock are below 64 KiB; a shipper may add to them.
const maxLogLine = 4 << 20

// each calls f for every line, with the name of its file and its number. Lines that are empty are left out.
func (l logInput) each(g *globals, f func(logLine) error) error {
	files := l.files
	if len(files) == 0 {
		if isTerminal(g.in) {
			return usagef("no FILE is named, and standard input is the terminal: penstock logs fmt penstock.log")
		}
		files = []string{"-"}
	}
	for _, file := range files {
		if err := l.eachOf(g, file, f); err != nil {
			return err
		}
	}
	return nil
}

func (l logInput) eachOf(g *globals, name string, f func(logLine) error) error {
	in, title, err := openInput(g.in, name, "reading a log")
	if err != nil {
		return err
	}
	defer in.Close()
	lines := bufio.NewReaderSize(in, 64<<10)
	for n := 1; ; n++ {
		line, long, err := readLine(lines)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &exitError{exitEnvironment, fmt.Errorf("reading a log: %w", err)}
		}
		line = bytes.TrimRightFunc(line, unicode.IsSpace)
		if at := bytes.IndexByte(line, '{'); l.prefix && at > 0 {
			line = line[at:]
		}
		if len(line) == 0 {
			continue
		}
		if err := f(logLine{title, n, line, long}); err != nil {
			return err
		}
	}
}

// readLine gives the next line, of one that is too long its first maxLogLine bytes. io.EOF: there is none.
func readLine(r *bufio.Reader) (line []byte, long bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		room := maxLogLine - len(line)
		long = long || len(part) > room
		line = append(line, part[:min(len(part), room)]...)
		switch {
		case err == nil, err == io.EOF && len(line) > 0:
			return line, long, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}

const prefixHelp = "leave out what stands in front of a line's first {: what a shipper or a container runtime put there"

func newLogsValidate(g *globals) *cobra.Command {
	var l logInput
	cmd := &cobra.Command{
		Use:   "validate [FILE...]",
		Short: "Check each line of a log against the contract",
		Long: `Check each line of a log against the contract: whether a shipper has changed it on its way, and whether a query may rely on it.
What is wrong is printed with file and line, and the exit code is 4 then. Without a FILE, or with -, standard input is read.

A line is held to the schema version that it names, so logs of older versions are read. Docker's json-file puts each line
into a text within another object: jq -r .log FILE | penstock logs validate`,
		Args: takes(0, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			l.files = args
			return validateLog(g, l)
		},
	}
	cmd.Flags().BoolVar(&l.prefix, "prefix", false, prefixHelp)
	return cmd
}

// mostProblems are printed; a log in a wrong form is wrong in each line.
const mostProblems = 100

func validateLog(g *globals, l logInput) error {
	buffer := bufio.NewWriter(g.out)
	out := printer{w: buffer}
	lines, wrong := 0, 0
	hint := ""
	err := l.each(g, func(line logLine) error {
		lines++
		err := judgeLine(line)
		if err == nil {
			return nil
		}
		if wrong++; wrong <= mostProblems {
			out.line("%s:%d: %s", line.file, line.n, event.Printable(err.Error()))
		}
		if hint == "" {
			hint = inAnotherForm(line.text)
		}
		return out.err
	})
	if wrong > mostProblems {
		out.line("and %d more", wrong-mostProblems)
	}
	switch flushed := buffer.Flush(); {
	case err != nil || flushed != nil:
		return cmp.Or(err, flushed)
	case lines == 0:
		return &exitError{exitExpectation, errors.New("there is no line: an empty log says nothing about how it got here")}
	case wrong > 0:
		return &exitError{exitExpectation, fmt.Errorf("%d of %s wrong%s", wrong, areLines(lines), hint)}
	}
	_, err = fmt.Fprintf(g.err, "%s right\n", areLines(lines))
	return err
}

// judgeLine says what is wrong with a line.
func judgeLine(line logLine) error {
	if line.long {
		return fmt.Errorf("the line is longer than %d MiB: it is none of penstock", maxLogLine>>20)
	}
	return event.Validate(line.text)
}

func areLines(n int) string {
	if n == 1 {
		return "1 line is"
	}
	return fmt.Sprintf("%d lines are", n)
}

// inAnotherForm says what to do about a line that holds one of penstock in another form; "" when it does not look so.
func inAnotherForm(line []byte) string {
	switch at := bytes.IndexByte(line, '{'); {
	case at > 0 && event.Validate(line[at:]) == nil:
		return "; without what stands before its first { one of them is right: --prefix"
	case bytes.Contains(line, []byte(`"log":"{\"`)):
		return `; they stand as text within other objects: jq -r .log FILE | penstock logs validate`
	}
	return ""
}
