package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/expr"
)

// A Severity says whether a Problem keeps the file from being run.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// A Problem is one thing that is wrong, or doubtful, in a pipeline file.
type Problem struct {
	File       string   `json:"file"`   // as it was given, or --set
	Line       int      `json:"line"`   // from 1; 0: the file as a whole
	Column     int      `json:"column"` // from 1, in characters
	Severity   Severity `json:"severity"`
	Text       string   `json:"text"`
	Suggestion string   `json:"suggestion,omitempty"`
	Source     string   `json:"source,omitempty"` // the line, without secrets; of a very long one a part
	Notes      []string `json:"notes,omitempty"`  // from where the file was included, and where its parameters are given

	width int        // characters that the caret marks
	from  int        // characters of the line that Source leaves out at its beginning
	order int        // of the file among those given
	trail []position // of the includes that lead to the file, the first one in that which was given
	src   *source    // nil: that is not known
}

// String gives one line: file:line:column: text.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Severity == SeverityWarning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Detail gives String, the line with a caret below it, the suggestion and the notes, each on
// lines of their own, the last one ended by a newline.
func (p Problem) Detail() string {
	var b strings.Builder
	b.WriteString(p.String())
	b.WriteByte('\n')
	if p.Line > 0 && p.Source != "" {
		gutter := fmt.Sprintf("%5d | ", p.Line)
		line, at, width := clip(p.Source, p.Column-p.from, p.width)
		b.WriteString(gutter + line + "\n")
		b.WriteString(strings.Repeat(" ", len(gutter)-2) + "| ")
		for i, r := range []rune(line) {
			if i >= at-1 {
				break
			}
			if r == '\t' {
				b.WriteByte('\t')
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteString(strings.Repeat("^", max(width, 1)) + "\n")
	}
	if p.Suggestion != "" {
		b.WriteString("        = " + p.Suggestion + "\n")
	}
	for _, note := range p.Notes {
		b.WriteString("        = " + note + "\n")
	}
	return b.String()
}

// clip keeps the marked part of a line that is too long for a terminal.
func clip(line string, column, width int) (string, int, int) {
	const most = 160
	runes := []rune(line)
	column = min(max(column, 1), len(runes)+1)
	width = min(max(width, 1), max(len(runes)-column+1, 1))
	if len(runes) <= most {
		return line, column, width
	}
	from := max(0, column-1-most/4)
	to := min(len(runes), from+most)
	return string(runes[from:to]), column - from, min(width, to-column+1)
}

// Problems are what a Loader found, in the order of files, lines and columns.
type Problems []Problem

// Errors gives those that keep the files from being run.
func (p Problems) Errors() Problems { return p.withSeverity(SeverityError) }

// Warnings gives the others.
func (p Problems) Warnings() Problems { return p.withSeverity(SeverityWarning) }

func (p Problems) withSeverity(s Severity) Problems {
	var some Problems
	for _, q := range p {
		if q.Severity == s {
			some = append(some, q)
		}
	}
	return some
}

// Detail gives Problem.Detail of each.
func (p Problems) Detail() string {
	var b strings.Builder
	for _, q := range p {
		b.WriteString(q.Detail())
	}
	return b.String()
}

// sort puts problems in order and drops repeats.
func (p Problems) sort() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.order, b.order), slices.CompareFunc(a.way(), b.way(), func(a, b position) int {
			return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.col, b.col))
		}))
	})
	return slices.CompactFunc(p.joined(), func(a, b Problem) bool { return a.String() == b.String() })
}

// joined makes one problem of those that a file has because it is included several times.
func (p Problems) joined() Problems {
	first := map[string]int{}
	var kept Problems
	for _, q := range p {
		i, again := first[q.String()]
		if !again || len(q.trail) == 0 {
			first[q.String()] = len(kept)
			kept = append(kept, q)
			continue
		}
		for _, note := range q.Notes {
			if have := kept[i].Notes; len(have) < maxNotes && !slices.Contains(have, note) {
				kept[i].Notes = append(slices.Clip(have), note)
			}
		}
	}
	return kept
}

const maxNotes = 20

// way gives the places of the includes that lead to p, and its own: what is included stands in the
// order of problems where it is included.
func (p Problem) way() []position { return append(slices.Clip(p.trail), position{p.Line, p.Column}) }

// An InvalidError says that files cannot be run. It holds all problems found,
// warnings too.
type InvalidError struct {
	Problems Problems
}

// Error gives the first error and how many more there are.
func (e *InvalidError) Error() string {
	errs := e.Problems.Errors()
	if len(errs) == 0 {
		return "checking the configuration: no error"
	}
	if len(errs) == 1 {
		return errs[0].String()
	}
	return fmt.Sprintf("%s (and %d more)", errs[0], len(errs)-1)
}

// A source is a text that nodes come from: a file, or the --set flags.
type source struct {
	name  string
	order int
	lines []string
	dir   string            // folder that names of files are relative to
	path  string            // of a file: absolute
	from  *node             // what includes the file; nil: nothing
	code  map[position]bool // where expressions begin

	hidden map[int][]span // by line, what is not shown of it
}

// beginsCode notes that an expression begins at a place.
func (s *source) beginsCode(line, col int) {
	if s.code == nil {
		s.code = map[position]bool{}
	}
	s.code[position{line, col}] = true
}

// isCode says whether an expression begins at a column of a line: it is no secret, whatever its key is
// called.
func (p *Problem) isCode(column int) bool {
	return p.src != nil && p.src.code[position{p.Line, column}]
}

// trail gives the places of the includes that lead to s, with a note for each.
func (s *source) trail() (at []position, notes []string) {
	for f := s.from; f != nil; f = f.src.from {
		at = append([]position{{f.line, f.col}}, at...)
		notes = append(notes, fmt.Sprintf("included from %s:%d:%d", f.src.name, f.line, f.col))
	}
	return at, notes
}

func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// problem makes a problem at a place.
func (s *source) problem(sev Severity, line, col, width int, text, suggestion string) Problem {
	shown, from := excerpt(s.line(line), col)
	trail, notes := s.trail()
	return Problem{
		File: s.name, Line: line, Column: col, Severity: sev, Text: text, Suggestion: suggestion,
		Source: shown, Notes: notes, width: width, from: from, order: s.order, trail: trail, src: s,
	}
}

// InText makes a problem of what is wrong, or doubtful, within a text that stands in no file; name is
// what stands in place of the file's.
func InText(severity Severity, name, text string, e *expr.Error) Problem {
	at := min(max(e.Column-1, 0), len(text))
	line := strings.Count(text[:at], "\n")
	from := strings.LastIndexByte(text[:at], '\n') + 1
	src := &source{name: name, lines: strings.Split(text, "\n")}
	return src.problem(severity, line+1, utf8.RuneCountInString(text[from:at])+1, wordWidth(text[at:]), e.Message, e.Suggestion)
}

// excerpt keeps what stands around the column of a very long line, and says how many
// characters it left out before.
func excerpt(line string, column int) (string, int) {
	const most = 600
	if len(line) <= most {
		return line, 0
	}
	from := max(0, column-most/4)
	rest := line[byteIndex(line, from+1):]
	return rest[:byteIndex(rest, most+1)], from
}

// byteIndex gives the byte index of a column, which counts characters from 1.
func byteIndex(line string, column int) int {
	i := 0
	for c := 1; c < column && i < len(line); c++ {
		_, n := utf8.DecodeRuneInString(line[i:])
		i += n
	}
	return i
}

// splitLines parts a text where YAML ends lines: behind \n, \r\n, \r and the three of
// Unicode. The ends stay.
func splitLines(text string) []string {
	var lines []string
	from := 0
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		i += n
		if r == '\r' && i < len(text) && text[i] == '\n' {
			i++
		}
		if r == '\n' || r == '\r' || r == '\u0085' || r == '\u2028' || r == '\u2029' {
			lines, from = append(lines, text[from:i]), i
		}
	}
	return append(lines, text[from:])
}

// withoutEnd takes the end off a line.
func withoutEnd(line string) string { return strings.TrimRight(line, lineEnds) }

const lineEnds = "\r\n\u0085\u2028\u2029"
