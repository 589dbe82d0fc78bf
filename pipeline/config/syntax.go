package config

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// statement takes a line apart: indentation and dashes, a key with its colon, and
// what follows.
var statement = regexp.MustCompile("^([ \t]*(?:-[ \t]+)*)((?:\"[^\"]*\"|'[^']*'|[^\\s:#{}\\[\\],&*!|>'\"%@`-][^:#]*?)[ \t]*:(?:[ \t]+|$))?(.*)$")

const readingYAML = "reading YAML: "

// A syntaxError is what is wrong where YAML stops reading.
type syntaxError struct {
	line, col, width int
	text             string
	key              string
	value            int // byte in the line where the value begins
	unexplained      bool
}

// valueMatters says whether YAML can read the line with another value.
func valueMatters(lines []string, at int, e syntaxError) bool {
	line := withoutEnd(lines[at])
	_, _, err := decodeYAML([]byte(strings.Join(lines[:at], "") + line[:min(e.value, len(line))] + " ~\n"))
	return err == nil
}

// misplaced makes e an error of the whole line, which does not fit those above, and not of its
// value.
func (e *syntaxError) misplaced(line string) {
	line = withoutEnd(line)
	indent := indentation(line)
	e.text = readingYAML + "the line does not fit the indentation of those above"
	e.col, e.width, e.value = 1+indent, max(1, utf8.RuneCountInString(e.key)), len(line)
}

// removeUnreadable reports what YAML could not read in text, and gives text with that taken out.
// Every other value keeps its place. It gives nil when the line cannot be found.
func (r *reading) removeUnreadable(text []byte, cause error) []byte {
	lines := splitLines(string(text))
	at := -1
	if !strings.Contains(cause.Error(), "exceeded max depth") { // which takes its time to find out
		at = r.failingLine(lines)
	}
	if at < 0 {
		r.reportFile(readingYAML+plainWords(cause), "about here, as the YAML library counts: "+withoutAnchor(cause.Error()))
		return nil
	}
	if at >= len(lines) {
		r.reportFile(readingYAML+plainWords(cause), "")
		return nil
	}
	e := explain(lines[at], cause)
	if e.unexplained && !valueMatters(lines, at, e) {
		e.misplaced(lines[at])
	}
	e.line = at + 1
	if !r.damaged || len(r.problems) < 8 {
		r.report(r.src.problem(SeverityError, e.line, e.col, e.width, e.text, r.advise(e, lines, at)))
	}
	r.takeOut(lines, at, e)
	return []byte(strings.Join(lines, ""))
}

// failingLine gives the index of the line at which YAML stops: all before it can be
// read without it. What the library says about lines is that of an enclosing block.
// It is negative when that takes too long.
func (r *reading) failingLine(lines []string) int {
	readable := func(n int) bool {
		for _, l := range lines[:n] {
			r.probed += len(l)
		}
		if r.probed > maxProbed {
			return true
		}
		_, _, err := decodeYAML([]byte(strings.Join(lines[:n], "")))
		return err == nil || err.Error() == "EOF"
	}
	const step = 64
	low, high := 0, len(lines)-1
	for high-low > 3*step {
		probe := high - step
		if readable(probe) {
			low = probe
			break
		}
		high = probe
	}
	at := low
	for n := high; n > low; n-- {
		if readable(n) {
			at = n
			break
		}
	}
	if r.probed > maxProbed {
		return -1
	}
	for at < len(lines)-1 && blank(lines[at]) {
		at++
	}
	return at
}

func blank(line string) bool {
	t := strings.TrimSpace(line)
	return t == "" || t[0] == '#'
}

// plainWords is the library's message without its prefix and its line.
func plainWords(err error) string {
	s := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(s, "line "); ok {
		if _, after, ok := strings.Cut(rest, ": "); ok {
			s = after
		}
	}
	return withoutAnchor(s)
}

// withoutAnchor leaves out the name of an anchor, which a secret that begins with * is to YAML.
func withoutAnchor(message string) string {
	return unknownAnchor.ReplaceAllString(message, "a text behind * names an anchor that there is none of")
}

var unknownAnchor = regexp.MustCompile(`unknown anchor '.*' referenced`)

// explain says in plain words what is wrong with a line.
func explain(line string, cause error) syntaxError {
	line = withoutEnd(line)
	m := statement.FindStringSubmatchIndex(line)
	e := syntaxError{value: len(line)}
	if m == nil {
		e.col, e.text = 1, readingYAML+plainWords(cause)
		return e
	}
	if m[4] >= 0 {
		e.key = strings.Trim(strings.TrimRight(line[m[4]:m[5]], " \t:"), `"'`)
	}
	e.value = m[6]
	value := line[m[6]:]
	offset, width, text := diagnose(value)
	switch {
	case strings.Contains(line[:m[3]], "\t"):
		e.value = len(line)
		offset, width, text = strings.IndexByte(line, '\t')-m[6], 1, "a tab in the indentation: YAML wants spaces"
	case text == "" && value != "":
		offset, width = 0, utf8.RuneCountInString(strings.TrimRight(value, " \t"))
	case text == "":
		offset, width = m[3]-m[6], max(1, utf8.RuneCountInString(e.key))
	}
	if text == "" {
		text = plainWords(cause)
		e.unexplained = true
	}
	e.text = readingYAML + text
	e.col, e.width = 1+utf8.RuneCountInString(line[:m[6]+offset]), width
	return e
}

// diagnose finds what YAML cannot read in a value that stands on one line: at which byte, how
// many characters wide, and what it is; "" when it finds nothing.
func diagnose(value string) (offset, width int, text string) {
	if value == "" {
		return 0, 0, ""
	}
	switch c := value[0]; c {
	case '"', '\'':
		end := closingQuote(value)
		if end < 0 {
			return 0, utf8.RuneCountInString(value), "a text that begins with " + string(c) + " and does not end"
		}
		after := strings.TrimLeft(value[end+1:], " \t")
		if after != "" && after[0] != '#' {
			return len(value) - len(after), utf8.RuneCountInString(after), "something follows the closing " + string(c)
		}
		return 0, 0, ""
	case '@', '`', '%':
		return 0, 1, "a value cannot begin with " + string(c)
	case '*':
		return 0, utf8.RuneCountInString(value), value + " names no anchor (a value that begins with * is an alias)"
	case '|', '>':
		return 0, utf8.RuneCountInString(value), "something follows the " + string(c) + " that begins a block of text"
	case '{', '[':
		c := diagnoseFlow(value)
		return c.at, c.width, c.text
	}
	if i := strings.Index(value, ": "); i >= 0 {
		return i, 1, "a colon followed by a space, within a value"
	}
	if strings.HasSuffix(value, ":") {
		return len(value) - 1, 1, "a colon at the end of a value"
	}
	if strings.HasPrefix(value, "? ") || strings.HasPrefix(value, "- ") {
		return 0, 1, "a value cannot begin with " + value[:1] + " and a space"
	}
	return 0, 0, ""
}

// advise says what to do: mostly, to quote.
func (r *reading) advise(e syntaxError, lines []string, at int) string {
	line := withoutEnd(lines[at])
	value := strings.TrimRight(line[min(e.value, len(line)):], " \t")
	if strings.Contains(e.text, "the indentation of those above") {
		return "keys of one mapping, and the dashes of one list, begin in one column"
	}
	if value == "" || strings.Contains(e.text, "a tab in") {
		return ""
	}
	if strings.Contains(e.text, "unknown escape character") {
		return `within double quotes \ begins an escape of YAML: write '…' around the text, or \\ for each \`
	}
	expression := r.expressionKeys()[e.key] || insideSet(lines, at)
	switch {
	case value[0] == '{' || value[0] == '[':
		c := diagnoseFlow(value)
		if strings.HasSuffix(c.text, "does not end") {
			return "close the text with " + value[c.at:c.at+1]
		}
		if c.text != "" && c.to-c.from < len(value) {
			if strings.HasPrefix(value[c.at:], "${") {
				return `quote it: "` + strings.TrimSpace(value[c.from:c.to]) + `"`
			}
			return "quote it: " + quoted(strings.TrimSpace(value[c.from:c.to]))
		}
		return "within { } and [ ], quote every expression that has a quote, a comma, a bracket or a colon in it: '…'"
	case (value[0] == '"' || value[0] == '\'') && closingQuote(value) < 0:
		if expression {
			return "close the text, and quote the whole expression: " + e.key + ": '…'"
		}
		return "close the text with " + value[:1]
	case strings.Contains(e.text, "indentation"):
		return ""
	case e.key != "":
		return "quote it: " + e.key + ": " + quoted(value)
	}
	return "quote it: " + quoted(value)
}

// insideSet says whether the line is an entry of a mapping whose values are
// expressions, below a line that says set:.
func insideSet(lines []string, at int) bool {
	indent := indentation(lines[at])
	for i := at - 1; i >= 0; i-- {
		if blank(lines[i]) {
			continue
		}
		if in := indentation(lines[i]); in < indent {
			return strings.HasSuffix(strings.TrimSpace(lines[i]), "set:")
		}
	}
	return false
}

func indentation(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }

// takeOut replaces the value of a line, with the lines that belong to it, by one that is noted as
// broken. When YAML cannot read the line then either, the whole line goes.
func (r *reading) takeOut(lines []string, at int, e syntaxError) {
	line := withoutEnd(lines[at])
	end := lines[at][len(line):]
	head := line[:min(e.value, len(line))]
	m := statement.FindStringSubmatchIndex(line)
	indent := indentation(line)
	if m != nil {
		indent = m[3]
	}
	value := strings.TrimSpace(line[len(head):])
	if r.takeOutOfFlow(lines, at, head, line) {
		return
	}
	for i := at + 1; i < len(lines); i++ {
		t := strings.TrimSpace(lines[i])
		in := indentation(lines[i])
		same := in == indent && t != "" && (t[0] == '}' || t[0] == ']' || value == "" && strings.HasPrefix(t, "- "))
		if t != "" && in <= indent && !same {
			break
		}
		lines[i] = lineEnd(lines[i])
	}
	if strings.TrimSpace(head) != "" && value != "" && value != "~" {
		if !strings.HasSuffix(head, " ") && !strings.HasSuffix(head, "\t") {
			head += " "
		}
		lines[at] = head + "~" + end
		if _, _, err := decodeYAML([]byte(strings.Join(lines[:at+1], ""))); err == nil {
			r.broken[position{at + 1, 1 + utf8.RuneCountInString(head)}] = true
			return
		}
	}
	lines[at] = end
	r.damaged = true
}

func lineEnd(line string) string { return line[len(withoutEnd(line)):] }
