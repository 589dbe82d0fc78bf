package webpage

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

// A Selector is a list of CSS selectors, parted by commas. The zero value is none, which selects the
// element that it is asked of. It is never changed and may be used by several goroutines.
//
// Cascadia judges what stands between the combinators. These are walked through here, each element of
// a page once: to try every way from an element to its ancestors takes a page that is made for it
// hours.
type Selector struct {
	text  string
	group []chain
}

// A chain is one selector: compounds, and what each has to do with the one before it.
type chain []link

type link struct {
	combinator byte // ' ', '>', '+' or '~'; ' ' for the first
	compound   cascadia.Matcher
}

// maxLinks is the most compounds of a selector: what an element matches is kept in as many bits.
const maxLinks = 64

// UnmarshalText compiles a list of selectors.
func (s *Selector) UnmarshalText(text []byte) error {
	group, err := parse(string(text))
	if err != nil {
		return err
	}
	*s = Selector{text: string(text), group: group}
	return nil
}

// MarshalText is the reverse of UnmarshalText.
func (s Selector) MarshalText() ([]byte, error) { return []byte(s.text), nil }

// IsZero says whether there is no selector.
func (s Selector) IsZero() bool { return s.group == nil }

func parse(text string) ([]chain, error) {
	if strings.Trim(text, blanks) == "" {
		return nil, errors.New("the selector is empty: write CSS, like a.title")
	}
	// As a whole first: its errors are about what stands there.
	if _, err := cascadia.ParseGroup(text); err != nil {
		return nil, fmt.Errorf("%q is no CSS selector: %w%s", text, err, instead(text))
	}
	var group []chain
	for _, part := range split(text, ",") {
		c, err := parseChain(part)
		if err != nil {
			return nil, err
		}
		group = append(group, c)
	}
	return group, nil
}

// notCSS are what other tools write behind a selector to say what is to be taken.
var notCSS = regexp.MustCompile(`^(.+?)(?:\s*::attr\(\s*["']?([\w:.-]+)["']?\s*\)|\s*/?@([\w:.-]+)|(\s*(?:::text|/?\btext\(\))))$`)

// instead says what to write in place of what is no selector, where that is known.
func instead(text string) string {
	m := notCSS.FindStringSubmatch(text)
	switch {
	case strings.HasPrefix(strings.TrimLeft(text, blanks+"("), "/"):
		return "; it looks like XPath, and selectors are CSS: write div > a"
	case m == nil:
		return ""
	case m[4] != "":
		return fmt.Sprintf("; the text is what is taken by itself: write %s, and attr beside css for an attribute", m[1])
	}
	return fmt.Sprintf("; an attribute is taken by attr: write {css: '%s', attr: %s}", m[1], m[2]+m[3])
}

func parseChain(text string) (chain, error) {
	var c chain
	combinator := byte(' ')
	for _, word := range split(text, combinators) {
		word = strings.Trim(word, blanks)
		switch {
		case word == "":
			continue
		case strings.Contains(">+~", word):
			combinator = word[0]
			continue
		}
		compound, err := cascadia.Parse(word)
		if err != nil {
			return nil, fmt.Errorf("%q is no CSS selector: %w", text, err)
		}
		if deep(word, 0) {
			return nil, fmt.Errorf("%q looks too far in its parentheses: write one step there, as in :has(ul > a), and the others outside of it", word)
		}
		c = append(c, link{combinator, compound})
		combinator = ' '
	}
	if len(c) == 0 || len(c) > maxLinks {
		return nil, fmt.Errorf("the selector has %d parts; it takes 1 to %d", len(c), maxLinks)
	}
	return c, nil
}

// deep says whether selectors in parentheses have more than one combinator, or stand in one another
// more than twice: Cascadia tries every way through these.
func deep(compound string, depth int) bool {
	all := pieces(compound)
	before := 0 // bytes in front of the piece at hand
	for i := 0; i < len(all); i++ {
		if all[i] != "(" {
			before += len(all[i])
			continue
		}
		end, inner := i+1, 1
		for ; end < len(all) && inner > 0; end++ {
			switch all[end] {
			case "(":
				inner++
			case ")":
				inner--
			}
		}
		within := strings.Join(all[i+1:max(end-1, i+1)], "")
		name := strings.ToLower(compound[:before])
		if strings.HasSuffix(name, ":not") || strings.HasSuffix(name, ":has") || strings.HasSuffix(name, ":haschild") {
			if depth == 2 || slices.ContainsFunc(split(within, ","), func(s string) bool { return words(s) > 2 || deep(s, depth+1) }) {
				return true
			}
		}
		before += 2 + len(within)
		i = end - 1
	}
	return false
}

// words counts the compounds of one selector.
func words(selector string) (n int) {
	for _, w := range split(selector, combinators) {
		if w = strings.Trim(w, blanks); w != "" && !strings.Contains(">+~", w) {
			n++
		}
	}
	return n
}

// What stands between compounds, and what of that is white space to CSS.
const (
	combinators = blanks + ">+~"
	blanks      = " \t\r\n\f"
)

// split parts text at the bytes of at, which are pieces of their own but for commas, where they
// stand in no string, brackets or parentheses.
func split(text, at string) []string {
	var parts []string
	depth, begin, i := 0, 0, 0
	for _, piece := range pieces(text) {
		switch {
		case piece == "(" || piece == "[":
			depth++
		case piece == ")" || piece == "]":
			depth--
		case depth == 0 && len(piece) == 1 && strings.Contains(at, piece):
			parts = append(parts, text[begin:i])
			if piece != "," {
				parts = append(parts, piece)
			}
			begin = i + 1
		}
		i += len(piece)
	}
	return append(parts, text[begin:])
}

// pieces takes text apart into single bytes; strings, and backslashes with what they are about, stay
// whole.
func pieces(text string) []string {
	var all []string
	for i := 0; i < len(text); {
		end := i + 1
		switch c := text[i]; c {
		case '\\':
			end = escaped(text, i)
		case '"', '\'':
			for end < len(text) && text[end] != c {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(text))
		}
		all = append(all, text[i:end])
		i = end
	}
	return all
}

// escaped gives the end of an escape: a character, or up to six hexadecimal digits and a blank.
func escaped(text string, i int) int {
	end := i + 1
	for end < len(text) && end < i+7 && strings.IndexByte("0123456789abcdefABCDEF", text[end]) >= 0 {
		end++
	}
	if end == i+1 || end < len(text) && strings.IndexByte(blanks, text[end]) >= 0 {
		end++
	}
	return min(end, len(text))
}

// matched are the parts of one chain that are satisfied, a bit for each: up to there the chain holds.
type matched struct {
	above  uint64 // by some ancestor
	parent uint64 // by the parent
	before uint64 // by some sibling before
	last   uint64 // by the one just before
}

// step gives the bits of n, in whose place m is.
func (c chain) step(n *html.Node, m matched) uint64 {
	var bits uint64
	for i, l := range c {
		if i > 0 {
			from := m.above
			switch l.combinator {
			case '>':
				from = m.parent
			case '~':
				from = m.before
			case '+':
				from = m.last
			}
			if from&(1<<(i-1)) == 0 {
				continue
			}
		}
		if l.compound.Match(n) {
			bits |= 1 << i
		}
	}
	return bits
}

// each calls yield for the elements below n that the selector selects, in the order of the page, each
// once, until it says false. What stands above n and beside it counts for nothing. n itself may be
// what they are below of: its own part of a selector is looked for in it too.
func (s *Selector) each(n *html.Node, c *clock, yield func(*html.Node) bool) {
	if s.group == nil {
		yield(n)
		return
	}
	places := make([]matched, len(s.group))
	for i, ch := range s.group {
		if n.Type == html.ElementNode {
			bits := ch.step(n, matched{})
			places[i] = matched{above: bits, parent: bits}
		}
	}
	s.below(n, places, c, yield)
}

// below goes through the children of n. Its depth is that of the page, which the parser bounds.
func (s *Selector) below(n *html.Node, places []matched, c *clock, yield func(*html.Node) bool) bool {
	deeper := make([]matched, len(places))
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		if child.Type != html.ElementNode {
			continue
		}
		if c.tick() {
			return false
		}
		selected := false
		for i, ch := range s.group {
			bits := ch.step(child, places[i])
			selected = selected || bits&(1<<(len(ch)-1)) != 0
			places[i].before |= bits
			places[i].last = bits
			deeper[i] = matched{above: places[i].above | bits, parent: bits}
		}
		if selected && !yield(child) || child.FirstChild != nil && !s.below(child, deeper, c, yield) {
			return false
		}
	}
	return true
}
