package expr

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
)

// An Error says why a text does not compile, or where evaluating it failed (see Locate): Column
// (from 1, in bytes) within the text, what is wrong, and what to do about it ("" if nothing is
// known).
type Error struct {
	Column              int
	Message, Suggestion string

	syntax bool // of the parser
}

func (e *Error) Error() string { return e.Message }

// column turns a place of the parser, which counts characters, into a column.
func column(text string, characters int) int {
	at := 0
	for ; characters > 0 && at < len(text); characters-- {
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
	}
	return at + 1
}

// syntaxError makes an Error of what the parser says.
func syntaxError(text string, err error) *Error {
	var f *file.Error
	if !errors.As(err, &f) {
		return &Error{Column: 1, Message: err.Error()}
	}
	e := &Error{Column: column(text, f.From), syntax: true}
	switch msg := f.Message; {
	case strings.Contains(msg, "exceeds maximum allowed nodes"):
		e.Message = "the expression is too long"
		e.Suggestion = "compute parts of it in an earlier map stage"
	case strings.HasPrefix(msg, "unexpected token EOF"):
		e.Column = len(strings.TrimRight(text, " \t\r\n")) + 1
		e.Message = "the expression ends too early"
		if ifWithoutElse.MatchString(text) && !lastElse.MatchString(text) {
			e.Message, e.Suggestion = noElse, "write if a { b } else { c }, or a ? b : nil"
		}
	case strings.HasPrefix(msg, "unexpected token"):
		e.Message, e.Suggestion = unexpected(msg)
		if objectInPredicate.MatchString(text[:min(e.Column, len(text))]) {
			e.Suggestion = objectHint
		}
	case msg == "literal not terminated":
		e.Message = "a string without its closing quote"
	case strings.HasPrefix(msg, "invalid integer literal") || strings.HasPrefix(msg, "integer literal"):
		e.Message = "an integer beyond 64 bits"
		e.Suggestion = `compare it as text: string(id) == "…"`
		if at := longNumber.FindStringIndex(text); at != nil {
			e.Column = at[0] + 1
		}
	case strings.HasPrefix(msg, "invalid float literal"):
		e.Message = "a number beyond float64"
	case strings.HasPrefix(msg, "Operator ("):
		e.Message = "?? beside another operator needs parentheses"
	case strings.HasPrefix(msg, "a map key must be"):
		e.Message = "an object has names and values in its braces"
		e.Suggestion = `write {"name": value}`
	case strings.HasPrefix(msg, "expected at least"):
		e.missingPredicate(text)
	case strings.Contains(msg, "wrap predicate with brackets"):
		e.Message = "several expressions in a predicate need { and }"
	default:
		e.Message = lowerFirst(strings.TrimPrefix(msg, "compilation failed: "))
	}
	if foreignPath.MatchString(text) {
		e.Suggestion = pathHint
	}
	return e
}

var (
	ifWithoutElse = regexp.MustCompile(`(?s)\bif\b.*\}\s*$`)
	lastElse      = regexp.MustCompile(`\belse\s*\{`)
)

const (
	equalHint = "write == to compare"
	noElse    = "an if without its else"
	pathHint  = "a path is written user.id or items[0].sku; of all elements: map(items, .sku)"
	// objectHint is about braces that begin a predicate.
	objectHint = "braces in a predicate hold expressions: an object there stands in parentheses, map(items, ({sku: .sku}))"
	joinHint   = `join two values by an operator; a field name with a space is $env["…"]`
)

// isGeneric says whether a suggestion is one that a more specific one may replace.
func isGeneric(hint string) bool { return hint == joinHint || hint == equalHint || hint == pathHint }

// objectInPredicate is the beginning of an object that stands where a predicate has its braces, up to
// its first colon, or to its end. Where an object may stand neither is unexpected.
var objectInPredicate = regexp.MustCompile(`,\s*\{\s*(?:(?:[\pL_][\pL\pN_]*|"[^"]*"|'[^']*')\s*:|\})$`)

// foreignPath is what paths of other languages have and no expression that is right.
var foreignPath = regexp.MustCompile(`\w\[\s*\*?\s*\]|\w\.\*|^\s*[/@.][\w.]|\w->\w|[A-Za-z_\]]\.\d`)

var calls = regexp.MustCompile(`([A-Za-z]+)\s*\(`)

// missingPredicate says what a predicate function takes that got too few arguments: the parser
// does not name it, and counts arguments that may be left out.
func (e *Error) missingPredicate(text string) {
	e.Message = "a function gets too few arguments"
	for _, at := range calls.FindAllStringSubmatchIndex(text, -1) {
		name := text[at[2]:at[3]]
		p, ok := predicates[name]
		if !ok || at[2] >= e.Column && e.Column > 1 {
			continue
		}
		e.Message = name + " takes an array and a predicate"
		if p.optional {
			e.Message = name + " takes an array"
		}
		e.Suggestion = name + "(items, .price > 3)"
		if !p.truth {
			e.Suggestion = name + "(items, .price)"
		}
		if p.member != nil {
			e.Message, e.Suggestion = name+" takes an object and a predicate", p.examples[0].Text
		}
	}
}

var longNumber = regexp.MustCompile(`[0-9][0-9a-fA-FxX_]{15,}`)

// words of the language that are no field names unless written with $env.
var words = []string{"in", "not", "and", "or", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"}

func unexpected(msg string) (message, suggestion string) {
	token := msg
	if i, j := strings.IndexByte(msg, '"'), strings.LastIndexByte(msg, '"'); i >= 0 && j > i {
		token = msg[i+1 : j]
	}
	message = "unexpected " + token
	switch {
	case token == "=":
		suggestion = equalHint
	case token == "&":
		suggestion = "write && or and"
	case slices.Contains(words, token):
		suggestion = `a field of this name is $env["` + token + `"]`
	case strings.HasPrefix(msg, "unexpected token Identifier"), strings.HasPrefix(msg, "unexpected token Number"):
		suggestion = joinHint
	}
	return message, suggestion
}

func lowerFirst(s string) string {
	if s == "" {
		return "invalid expression"
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// Nearest gives the candidate that differs least from name, or "" when all differ much. Upper and
// lower case do not differ.
func Nearest(name string, candidates []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, c := range candidates {
		if strings.EqualFold(c, name) {
			return c
		}
		if d := Distance(name, c); d < least && 2*d < max(len(c), len(name)) { // year is no mean
			best, least = c, d
		}
	}
	return best
}

// Distance counts the letters to insert, delete, replace or swap with their neighbours that make y of
// x, upper and lower case left aside. What is longer than 64 letters is as far as both are long.
func Distance(x, y string) int {
	a, b := []rune(strings.ToLower(x)), []rune(strings.ToLower(y))
	if len(a) > 64 || len(b) > 64 {
		return len(a) + len(b)
	}
	prev, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], prev[j-1]+1)
			}
		}
		prev, last, row = last, row, prev
	}
	return last[len(b)]
}
