package expr

import (
	"regexp"
	"strings"
	"unicode/utf16"

	"github.com/expr-lang/expr/ast"
)

const slashHint = "write ?? for a default, and int(a / b) for a whole part; a comment is /* … */, or // at the beginning of a line"

// prepared gives the text for the parser, which has as many characters up to the end of each text
// within it, and refuses what the parser would pass over: a // that is no comment for sure, and one
// half of a surrogate pair. Both halves, as JSON writes what is beyond 16 bits, become one character.
func prepared(text string) (string, error) {
	if !strings.Contains(text, "//") && !strings.Contains(text, `\u`) && !strings.Contains(text, `\U`) {
		return text, nil
	}
	out := []byte(text)
	for i := 0; i < len(text); {
		switch {
		case text[i] == '"' || text[i] == '\'':
			end, err := joinSurrogates(text, out, i)
			if err != nil {
				return "", err
			}
			i = end
		case text[i] == '`':
			i = behind(text, i+1, "`")
		case strings.HasPrefix(text[i:], "/*"):
			i = behind(text, i+2, "*/")
		case strings.HasPrefix(text[i:], "//"):
			line := text[strings.LastIndexByte(text[:i], '\n')+1 : i]
			if strings.TrimSpace(line) != "" && line[len(line)-1] != ':' { // of a URL, which is none in any case
				return "", &Error{Column: i + 1, Message: "// is no operator, and no comment behind something", Suggestion: slashHint}
			}
			i = behind(text, i, "\n")
		default:
			i++
		}
	}
	return string(out), nil
}

// behind gives the index behind the next end in text from i on.
func behind(text string, i int, end string) int {
	at := strings.Index(text[i:], end)
	if at < 0 {
		return len(text)
	}
	return i + at + len(end)
}

// joinSurrogates goes through the text in quotes at i, and gives the index behind it. In out, which
// is a copy, a pair becomes \U and eight digits; the two bytes that this is shorter stand behind the
// text as spaces.
func joinSurrogates(text string, out []byte, i int) (end int, err error) {
	quote, to := text[i], i
	put := func(s string) { to += copy(out[to:], s) }
	put(text[i : i+1])
	for i++; i < len(text) && text[i] != quote && text[i] != '\n'; {
		n := 1
		if text[i] == '\\' {
			n = min(2, len(text)-i)
		}
		if loneSurrogate.MatchString(text[i:]) {
			return 0, halfAt(i)
		}
		r, ok := unit(text[i:])
		if !ok || !utf16.IsSurrogate(r) {
			put(text[i : i+n])
			i += n
			continue
		}
		low, _ := unit(text[i+len(`\uXXXX`):])
		pair := utf16.DecodeRune(r, low)
		if pair == '\uFFFD' {
			return 0, halfAt(i)
		}
		const digits = "0123456789abcdef"
		put(`\U00`)
		for shift := 20; shift >= 0; shift -= 4 {
			put(digits[pair>>shift&15:][:1])
		}
		i += len(`\uXXXX\uXXXX`)
	}
	if i < len(text) {
		put(text[i : i+1])
		i++
	}
	for ; to < i; to++ {
		out[to] = ' '
	}
	return i, nil
}

// loneSurrogate are the escapes that stand for a character alone, with the number of a half.
var loneSurrogate = regexp.MustCompile(`^\\(?:u\{0{0,2}|U0000)[dD][89a-fA-F][0-9a-fA-F]{2}`)

func halfAt(i int) error {
	return &Error{Column: i + 1, Message: "half of a surrogate pair, which is no character", Suggestion: `write both halves, as in "\ud83d\ude00", or the character itself`}
}

// unit gives the code unit that \u and four digits at the beginning of text stand for.
func unit(text string) (rune, bool) {
	if len(text) < len(`\uXXXX`) || text[:2] != `\u` || text[2] == '{' {
		return 0, false
	}
	r := hex4([]byte(text), 2)
	return r, r != '\uFFFD'
}

// negated refuses a comparison whose left side is a not, as in not x == 1: the not goes with x alone.
func (c *compiler) negated(n *ast.BinaryNode) {
	not, ok := n.Left.(*ast.UnaryNode)
	if !ok || not.Operator != "not" && not.Operator != "!" {
		return
	}
	from, at := column(c.text, not.Location().From)-1, column(c.text, n.Location().From)-1
	if from >= at || parenthesised(c.text[from:at]) {
		return
	}
	if r, ok := n.Right.(*ast.UnaryNode); ok && not.Operator == "!" && r.Operator == "!" {
		return // !a == !b says what it means
	}
	instead := "write not (a " + n.Operator + " b)"
	switch n.Operator {
	case "==":
		instead += " or a != b"
	case "!=":
		instead += " or a == b"
	case "in", "contains", "startsWith", "endsWith", "matches":
		instead += " or a not " + n.Operator + " b"
	}
	c.fail(n, not.Operator+" goes with what stands before "+n.Operator+" alone", instead)
}

// parenthesised says whether a parenthesis ends in text that began before it.
func parenthesised(text string) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"', '\'', '`':
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' && c != '`' {
					i++
				}
			}
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return true
			}
		}
	}
	return false
}
