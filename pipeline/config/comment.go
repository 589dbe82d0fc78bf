package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// comment says whether a comment follows a plain scalar on its line, and how many spaces stand
// before it.
func (n *node) comment() (spaces int, ok bool) {
	line := n.src.line(n.line)
	rest, ok := strings.CutPrefix(line[byteIndex(line, n.col):], n.raw)
	if !ok || n.style != plainStyle || n.raw == "" {
		return 0, false
	}
	trimmed := strings.TrimLeft(rest, " \t")
	return len(rest) - len(trimmed), strings.HasPrefix(trimmed, "#") && len(trimmed) < len(rest)
}

// shownOrigin is a comment that Pipeline.Show writes, behind one space.
var shownOrigin = regexp.MustCompile(`^# (default$|from \S)`)

// warnComment warns of a comment that may have been meant as a part of the expression. People
// put two spaces before a comment, so one space is taken for doubt.
func (d *decoder) warnComment(n *node, name string) {
	spaces, ok := n.comment()
	if !ok || spaces != 1 {
		return
	}
	line := n.src.line(n.line)
	if rest := line[byteIndex(line, n.col)+len(n.raw)+spaces:]; shownOrigin.MatchString(rest) {
		return
	}
	col := n.col + utf8.RuneCountInString(n.raw) + spaces
	d.report(n.src.problem(SeverityWarning, n.line, col, 1,
		fmt.Sprintf("%s ends here: to YAML, # begins a comment", name),
		"quote the expression if # belongs to it; if this is a comment, put two spaces before it"))
}
