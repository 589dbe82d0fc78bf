package cli

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// This file makes text of others harmless for a terminal: what a record, a server or a daemon says may hold
// characters that move the cursor, or hide what stands beside them.

// visible is text with an escape like \x1b in place of each character that cannot be printed; tabs stay.
func visible(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			quoted := strconv.Quote(s[i : i+1])
			b.WriteString(quoted[1 : len(quoted)-1])
		case strconv.IsPrint(r) || r == '\t':
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// inACell is visible for a cell of a table, where a tab would begin the next one and a line end the
// next row.
func inACell(s string) string {
	return visible(strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(s))
}

// onLines is visible for what may have several lines, like errors that were joined.
func onLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = visible(lines[i])
	}
	return strings.Join(lines, "\n")
}

// printable is text for people: what would disturb a terminal is quoted; nil is null.
func printable(b []byte) string {
	if b == nil {
		return "null (no value at all)"
	}
	if !utf8.Valid(b) || len(b) == 0 {
		return strconv.Quote(string(b))
	}
	for _, r := range string(b) {
		if !strconv.IsPrint(r) && r != '\t' {
			return strconv.Quote(string(b))
		}
	}
	return string(b)
}
