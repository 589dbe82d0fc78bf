package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/fixture"
)

// A tapOutput prints what a tap shows. What was seen of one record comes one line after the other: where the
// difference is wanted, a line is kept until the next one comes.
type tapOutput struct {
	w        io.Writer
	asJSON   bool
	diff     bool
	terminal bool
	color    bool

	shown   int64
	last    uint64 // the number of the record that was printed last
	skipped int64
	before  *tapSeen // with diff: it waits for what it has become
	parts   int      // what was compared with it
}

// A tapSeen is one line of a tap, read.
type tapSeen struct {
	tapped
	record pipeline.Record
}

// record prints one line.
func (o *tapOutput) record(line []byte) error {
	var s tapSeen
	if err := json.Unmarshal(line, &s.tapped); err != nil {
		return fmt.Errorf("reading what the process shows: %w", err)
	}
	if s.Seen != o.last {
		o.last = s.Seen
		o.shown++
	}
	o.skipped = s.Skipped
	if o.asJSON {
		if o.terminal {
			line = harmless(line)
		}
		return onlyError(fmt.Fprintf(o.w, "%s\n", line))
	}
	if err := fixture.Parse(&s.record, line, pipeline.Position{}); err != nil {
		return fmt.Errorf("reading what the process shows: %w", err)
	}
	if o.diff {
		return o.compare(&s)
	}
	return o.line(&s)
}

// flush prints what waits for more.
func (o *tapOutput) flush() error {
	b := o.before
	parts := o.parts
	if o.before, o.parts = nil, 0; b == nil || parts > 0 {
		return nil
	}
	return o.line(b)
}

// line prints a record: where it stands, on which side it was seen, its key and its value.
func (o *tapOutput) line(s *tapSeen) error {
	text := fmt.Sprintf("%s  %s  %s", o.paint(bold, visible(s.at())), o.paint(dim, fmt.Sprintf("%-8s", s.Side)), s.keyText())
	if !s.lacks("value") {
		text += "  " + visibleText(s.record.Value())
	}
	if notes := s.notes(); notes != "" {
		text += "  " + o.paint(dim, "("+visible(notes)+")")
	}
	return onlyError(fmt.Fprintln(o.w, text))
}

// at gives where the record stands, and which part of it this is.
func (s *tapSeen) at() string {
	text := s.record.Position.String()
	if s.Part > 0 {
		text += "#" + strconv.Itoa(int(s.Part))
	}
	return text
}

func (s *tapSeen) keyText() string {
	if s.record.Key() == nil {
		return "-"
	}
	return visibleText(s.record.Key())
}

func (s *tapSeen) lacks(what string) bool { return strings.Contains(","+s.LeftOut+",", ","+what+",") }

// notes says what a reader would else not know of the record.
func (s *tapSeen) notes() string {
	var notes []string
	add := func(yes bool, format string, args ...any) {
		if yes {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	add(s.Became != "" && s.Became != "passed", "%s", s.Became)
	add(s.Reason != "", "%s: %s", s.Reason, s.Error)
	add(s.Parts > 1 && s.Part == 1, "%d parts", s.Parts)
	add(s.Cut && s.LeftOut == "", "the first of %d bytes", s.Bytes)
	add(s.Cut && s.LeftOut != "", "too long to be redacted: %d bytes", s.Bytes)
	add(!s.Cut && s.lacks("value"), "%d bytes", s.Bytes)
	return strings.Join(notes, ", ")
}

// summary says at the end how much was shown, and how much was not.
func (o *tapOutput) summary(last admin.TapEnd) string {
	text := counted(int(o.shown), "record")
	if n := max(o.skipped, last.Skipped); n > 0 {
		text += fmt.Sprintf("; %d more came by and were not looked at", n)
	}
	if last.Failed > 0 {
		text += fmt.Sprintf("; the condition failed for %d", last.Failed)
	}
	switch last.Reason {
	case "stopped":
		text += "; the pipeline has ended"
	case "gone":
		text += "; the pipeline was loaded again and goes on without the step"
	}
	return text
}

// The colors of a terminal. None of them is the only sign of anything.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	blue  = "36"
)

func (o *tapOutput) paint(color, text string) string {
	if !o.color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// visibleText is text for people: what would disturb a terminal is escaped, and null is told from the word.
func visibleText(b []byte) string {
	switch {
	case b == nil:
		return "null (no value at all)"
	case len(b) == 0:
		return `""`
	}
	return visible(string(b))
}

// harmless escapes what does something to a terminal in a line of JSON: such characters stand within its strings alone.
func harmless(line []byte) []byte {
	printable := func(r rune) bool { return strconv.IsPrint(r) || r == '\t' }
	if !bytes.ContainsFunc(line, func(r rune) bool { return !printable(r) }) {
		return line
	}
	var out []byte
	for _, r := range string(line) {
		switch {
		case printable(r):
			out = append(out, string(r)...)
		case r > 0xffff:
			high, low := surrogates(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

func surrogates(r rune) (high, low rune) {
	r -= 0x10000
	return 0xd800 + r>>10, 0xdc00 + r&0x3ff
}
