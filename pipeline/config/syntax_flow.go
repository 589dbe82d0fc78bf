package config

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// This file has the mistakes within { } and [ ] that YAML does not take, or takes for something else.

// A flowMistake is a value within { } or [ ] that YAML cannot read: bytes from and to of the text,
// and where the mistake begins and how many characters wide it is.
type flowMistake struct {
	from, to, at, width int
	text                string
}

// diagnoseFlow looks for a value within { } or [ ] that is a quoted text with something
// behind it, or a variable without quotes.
func diagnoseFlow(value string) (c flowMistake) {
	depth := 0
	begin := true
	from, parens := -1, 0 // of a value without quotes, and those that are open in it
	for i := 0; i < len(value); i++ {
		switch ch := value[i]; {
		case ch == '(' && from >= 0:
			parens++
		case ch == ')' && parens > 0:
			parens--
		case parens > 0 || ch == ' ' || ch == '\t':
		case strings.IndexByte("{}[],:", ch) >= 0:
			from = -1
		case from < 0:
			from = i
		}
		switch ch := value[i]; {
		case (ch == '"' || ch == '\'') && begin:
			end := closingQuote(value[i:])
			if end < 0 {
				return flowMistake{i, len(value), i, 1, "a text that begins with " + string(ch) + " and does not end"}
			}
			after := strings.TrimLeft(value[i+end+1:], " \t")
			if after != "" && parens > 0 && after[0] == ')' {
				to := flowEnd(value, from)
				return flowMistake{from, to, from, utf8.RuneCountInString(value[from:to]), strings.TrimPrefix(commaEnds, readingYAML)}
			}
			if after != "" && !strings.ContainsRune(",}]:#", rune(after[0])) {
				return flowMistake{i, flowEnd(value, i), i, end + 1, "something follows the closing " + string(ch)}
			}
			i += end
			begin = false
		case begin && strings.IndexByte("!@`%", ch) >= 0 && i+1 < len(value):
			return flowMistake{i, flowEnd(value, i), i, 1, "a value cannot begin with " + string(ch)}
		case strings.HasPrefix(value[i:], "${"):
			from := 1 + strings.LastIndexAny(value[:i], "{[,:")
			from += len(value[from:i]) - len(strings.TrimLeft(value[from:i], " \t"))
			to := flowEnd(value, from)
			return flowMistake{from, to, i, 2, "within { } and [ ], a variable must stand in quotes"}
		case ch == '{' || ch == '[':
			depth++
			begin = true
		case ch == '}' || ch == ']':
			depth--
			begin = false
			if after := strings.TrimLeft(value[i+1:], " \t"); depth == 0 && after != "" && after[0] != '#' {
				return flowMistake{0, len(value), len(value) - len(after), utf8.RuneCountInString(after), "something follows the closing " + string(ch)}
			}
		case ch == ',' || ch == ':':
			begin = true
		case ch != ' ' && ch != '\t':
			begin = false
		}
	}
	return flowMistake{to: len(value), width: utf8.RuneCountInString(value)}
}

// flowEnd gives the end of a value within { } or [ ] that was meant to begin at from.
func flowEnd(value string, from int) int {
	depth := 0
	for i := from; i < len(value); i++ {
		switch c := value[i]; c {
		case '"', '\'':
			if end := closingQuote(value[i:]); end > 0 {
				i += end
			}
		case '{', '[', '(':
			depth++
		case '}', ']', ')':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(value)
}

// takeOutOfFlow replaces one value within { } or [ ], so that the others beside it are
// checked. It says whether that was enough for the line.
func (r *reading) takeOutOfFlow(lines []string, at int, head, line string) bool {
	value := line[len(head):]
	if value == "" || (value[0] != '{' && value[0] != '[') {
		return false
	}
	c := diagnoseFlow(value)
	width := utf8.RuneCountInString(value[c.from:c.to])
	if c.text == "" || c.from == 0 || width == 0 {
		return false
	}
	mended := head + value[:c.from] + "~" + strings.Repeat(" ", width-1) + value[c.to:]
	old := lines[at]
	lines[at] = mended + old[len(line):]
	_, _, err := decodeYAML([]byte(strings.Join(lines[:at+1], "")))
	further := diagnoseFlow(mended[len(head):])
	if err != nil && (further.text == "" || further.from <= c.from) {
		lines[at] = old
		return false
	}
	r.broken[position{at + 1, 1 + utf8.RuneCountInString(head+value[:c.from])}] = true
	return true
}

const commaEnds = readingYAML + "within { } and [ ], a comma ends the text"

// cutAtComma says how many entries of a mapping within { } are the rest of the value that nodes
// begins with: a call, f(a, b), ends at its comma, and b) is a key without a value to YAML. The
// nodes behind the value are keys and values in turn.
func cutAtComma(nodes []*yaml.Node) int {
	open := func(y *yaml.Node) int {
		if y.Kind != yaml.ScalarNode || y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
			return 0
		}
		return strings.Count(y.Value, "(") - strings.Count(y.Value, ")")
	}
	parens := open(nodes[0])
	for i := 1; parens > 0 && i+1 < len(nodes); i += 2 {
		if value := nodes[i+1]; nodes[i].Kind != yaml.ScalarNode || value.Tag != "!!null" || value.Value != "" {
			return 0
		}
		if parens += open(nodes[i]); parens <= 0 {
			return (i + 1) / 2
		}
	}
	return 0
}

// reportComma reports a value that YAML has cut at a comma.
func (r *reading) reportComma(n *node) {
	line := r.src.line(n.line)
	text := line[byteIndex(line, n.col):]
	text = strings.TrimSpace(text[:flowEnd(text, 0)])
	suggestion := "quote it: " + quoted(text)
	if text == "" || strings.Count(text, "(") != strings.Count(text, ")") { // it goes on in the next line
		suggestion = inFlow
	}
	r.report(r.src.problem(SeverityError, n.line, n.col, max(1, utf8.RuneCountInString(text)), commaEnds, suggestion))
	n.kind = brokenNode
}
