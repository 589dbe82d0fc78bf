package config

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline/settings"
)

func isName(err error) bool {
	var e *settings.NameError
	return errors.As(err, &e)
}

// nameError reports the error of a name or a path at n, and adds what to write in this setting,
// as its tag nested has it.
func (d *decoder) nameError(n *node, name string, err error, t tags) bool {
	var e *settings.NameError
	if !errors.As(err, &e) {
		return d.errorAt(n, name+": "+n.conceal(err.Error()), "")
	}
	suggestion := e.Suggestion
	if hint := nestedHint(t.nested, e.Path); hint != "" {
		suggestion = hint + "; " + suggestion
	}
	if len(n.pieces) > 0 { // the text must not show, and a part of it would
		suggestion = `see what the variable holds; a character of a name itself has a \ before it`
	}
	return d.errorAt(n, n.conceal(name+": "+e.Message), suggestion)
}

// nestedHint fills in what the tag nested says about a path: PATH is the path as redact
// has it, READ an expression that reads it, FIRST and LAST its names at both ends.
func nestedHint(hint string, path []string) string {
	var names []string
	for _, part := range path {
		if part[0] != '[' {
			names = append(names, part)
		}
	}
	switch {
	case hint == "" || len(names) == 0:
		return ""
	case strings.Contains(hint, "PATH") && len(names) > 1:
	case slices.Contains(names, "*"):
		return "name each field"
	case len(path) == 1:
		return "did you mean " + path[0] + "?"
	}
	read, ok := readExpression(path)
	if !ok && strings.Contains(hint, "READ") {
		return ""
	}
	if strings.ContainsAny(read, `["`) { // within the { } of the hint
		read = "'" + strings.ReplaceAll(read, "'", "''") + "'"
	}
	return strings.NewReplacer(
		"PATH", strings.Join(names, "."), "READ", read, "FIRST", names[0], "LAST", names[len(names)-1],
	).Replace(hint)
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// readExpression gives the expression that reads a path; there is none for one that
// leads to several values, unless they are all that is in an array.
func readExpression(path []string) (string, bool) {
	for len(path) > 1 && path[len(path)-1] == "[*]" {
		path = path[:len(path)-1]
	}
	var b strings.Builder
	for i, part := range path {
		plain := strings.ReplaceAll(part, `\`, "")
		switch {
		case part == "*" || part == "[*]":
			return "", false
		case part[0] == '[' && i > 0:
			b.WriteString(part)
		case !identifier.MatchString(plain) && i == 0:
			b.WriteString("$env[" + strconv.Quote(plain) + "]")
		case !identifier.MatchString(plain):
			b.WriteString("[" + strconv.Quote(plain) + "]")
		case i > 0:
			b.WriteString("." + plain)
		default:
			b.WriteString(plain)
		}
	}
	return b.String(), true
}
