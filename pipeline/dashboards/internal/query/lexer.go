package query

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A kind is what a token of LogQL is.
type kind int

const (
	end      kind = iota
	word          // a name, or a variable of Grafana
	number        // a number, a duration or a size
	text          // a string, unquoted
	operator      // everything else
)

// A token is one of a LogQL text.
type token struct {
	kind kind
	text string
	at   int // bytes before it
}

func (t token) String() string {
	if t.kind == end {
		return "the end"
	}
	return strconv.Quote(t.text)
}

// tokens are tried in this order.
var tokens = []struct {
	kind kind
	re   *regexp.Regexp
}{
	{end, regexp.MustCompile(`^(\s+|#[^\n]*)`)}, // skipped
	{text, regexp.MustCompile("^(\"(\\\\.|[^\"\\\\\n])*\"|`[^`]*`)")},
	{word, regexp.MustCompile(`^(\$\{[^}]*\}|\$?[A-Za-z_][A-Za-z0-9_]*)`)},
	{number, regexp.MustCompile(`^[0-9][0-9A-Za-z.]*`)},
	{operator, regexp.MustCompile(`^(\|=|\|~|\|>|!=|!~|!>|=~|==|>=|<=|[-|=><{}()\[\],+*/%^@.])`)},
}

// scan takes a LogQL text apart.
func scan(s string) ([]token, error) {
	var all []token
next:
	for at := 0; at < len(s); {
		for _, k := range tokens {
			m := k.re.FindString(s[at:])
			if m == "" {
				continue
			}
			t := token{kind: k.kind, text: m, at: at}
			if k.kind == text {
				u, err := strconv.Unquote(m)
				if err != nil {
					return nil, fmt.Errorf("at %d: %s is no string: %w", at, m, err)
				}
				t.text = u
			}
			at += len(m)
			if k.kind != end {
				all = append(all, t)
			}
			continue next
		}
		rest, _, _ := strings.Cut(s[at:], "\n")
		return nil, fmt.Errorf("at %d: %q is nothing that LogQL has", at, rest)
	}
	return append(all, token{kind: end, at: len(s)}), nil
}
