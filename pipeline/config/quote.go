package config

import (
	"regexp"
	"strconv"
	"strings"
)

// inQuotes gives the entry for the value at path as it should be written, with the text
// that was meant in quotes.
func (d *decoder) inQuotes(n *node, path string) string {
	name, key := label(path), d.keys[path]
	if key != nil {
		name = key.asWritten()
	}
	text, ok := n.inline()
	if !ok || n.kind == scalarNode && !n.flow {
		text = n.sourceText()
	}
	if key == nil && strings.HasSuffix(path, "]") { // an item of a list has no key
		return quoted(text)
	}
	return name + ": " + quoted(text)
}

// asWritten is a key as it may stand in a file.
func (n *node) asWritten() string {
	if n.style == quotedStyle {
		return quoted(n.raw)
	}
	return n.raw
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// maxInline bounds what a suggestion repeats.
const maxInline = 100

// inline writes a value on one line, as an expression has it: what somebody meant who
// wrote an expression that YAML reads as its own. It is made of what YAML gives, because
// the brackets in the line may be those of what the value stands in. ok is false when
// something in it is not known.
func (n *node) inline() (text string, ok bool) {
	parts := make([]string, len(n.items))
	for i, item := range n.items {
		if parts[i], ok = item.inline(); !ok {
			return "", false
		}
	}
	switch n.kind {
	case sequenceNode:
		return "[" + strings.Join(parts, ", ") + "]", true
	case mappingNode:
		for i, key := range n.keys {
			switch {
			case parts[i] == "": // {origin}, which is a mapping to YAML
				parts[i] = key.raw
			case key.style == quotedStyle || !identifier.MatchString(key.raw):
				parts[i] = strconv.Quote(key.raw) + ": " + parts[i]
			default:
				parts[i] = key.raw + ": " + parts[i]
			}
		}
		return "{" + strings.Join(parts, ", ") + "}", true
	case brokenNode:
		return "", false
	}
	switch {
	case n.anchor, n.tag != "" && n.style != plainStyle:
		text, _, _ = strings.Cut(n.sourceText(), ",")
		return strings.TrimRight(text, "]}"), n.src.line(n.line) != ""
	case n.tag != "":
		return strings.TrimSpace(n.tag + " " + n.raw), true
	case n.style != plainStyle:
		return strconv.Quote(n.raw), true
	}
	return n.raw, true
}

// sourceText is what stands on n's line from the beginning of n to the end of the value, as near
// as that is known.
func (n *node) sourceText() string {
	line := n.src.line(n.line)
	rest := line[byteIndex(line, n.col):]
	if before, _, ok := strings.Cut(rest, " #"); ok {
		rest = before
	}
	return strings.TrimSpace(rest)
}

func quoted(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }

// closingQuote gives the index of the quote that ends the quoted text s begins with,
// or -1.
func closingQuote(s string) int {
	q := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case q == '"' && s[i] == '\\':
			i++
		case s[i] == q && q == '\'' && i+1 < len(s) && s[i+1] == q:
			i++
		case s[i] == q:
			return i
		}
	}
	return -1
}
