package webpage

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

// What is walked through here selects what Cascadia selects, in the same order, on trees and
// selectors that were drawn at random.
func TestSelectsWhatCascadiaSelects(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	compounds := []string{"div", "p", "a", "*", ".x", ".y", "div.x", "#i1", "[k]", `[k="1,2"]`, `[k="a b>c"]`, "p:first-child", "a:nth-child(2n+1)", "p:nth-child( 2n + 1 )",
		":not(.x)", "div:has(a)", "div:has(p > a)", "p:not(div ~ p, a)", ":not(p, a)", `a[href$=".html"]`, `p:contains("t ~ (1)")`, `.z\:1`, `.\31 0`}
	combinators := []string{" ", " > ", ">", "+", " ~ ", "~", "\n"}
	selected := 0
	for range 300 {
		root, err := html.Parse(strings.NewReader(tree(r)))
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			var text strings.Builder
			for i := range 1 + r.IntN(4) {
				if i > 0 {
					text.WriteString([]string{combinators[r.IntN(len(combinators))], ", ", ","}[min(r.IntN(8), 2)])
				}
				text.WriteString(compounds[r.IntN(len(compounds))])
			}
			same, err := cascadia.ParseGroup(text.String())
			if err != nil {
				t.Fatalf("%s: %v", text.String(), err)
			}
			want := cascadia.QueryAll(root, same)
			s := css(t, text.String())
			var got []*html.Node
			s.each(root, newClock(t.Context()), func(n *html.Node) bool { got = append(got, n); return true })
			if !slices.Equal(got, want) {
				t.Fatalf("%s selects %d elements, Cascadia %d", text.String(), len(got), len(want))
			}
			selected += len(got)
		}
	}
	if selected < 1000 {
		t.Errorf("only %d elements were selected: the trees do not try much", selected)
	}
}

func tree(r *rand.Rand) string {
	var b strings.Builder
	var put func(depth int)
	put = func(depth int) {
		for range 1 + r.IntN(4) {
			name := []string{"div", "p", "a", "span"}[r.IntN(4)]
			if name == "p" || name == "a" {
				fmt.Fprintf(&b, `<%s class="%s" k="%s" href="u.html">t ~ (1)</%s>`, name, []string{"x", "y", "x y", "z:1", "10"}[r.IntN(5)], []string{"1,2", "a b>c", ""}[r.IntN(3)], name)
				continue
			}
			fmt.Fprintf(&b, `<%s class="%s" id="i%d">`, name, []string{"x", "y", ""}[r.IntN(3)], r.IntN(3))
			if depth < 5 {
				put(depth + 1)
			}
			fmt.Fprintf(&b, `</%s>`, name)
		}
	}
	put(0)
	return b.String()
}

func TestWrongSelectors(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "empty",
		"  ":                          "empty",
		"a[":                          "no CSS selector",
		"a,":                          "no CSS selector",
		"a:what":                      "unknown pseudoclass",
		"a::before":                   "pseudo",
		strings.Repeat("a ", 65):      "65 parts",
		":has(a b c d e)":             "too far",
		":has(:has(:has(a)))":         "too far",
		"div > a:not(:has(p > a b)))": "no CSS selector",
	} {
		var s Selector
		if err := s.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}

// Within an element, what stands above it counts for nothing, the element itself does.
func TestSelectsWithinAnElement(t *testing.T) {
	p := parsed(t, `<section><ul class=l><li>a<li>b</ul></section><ul class=l><li>c</ul>`, "text/html")
	for selector, want := range map[string]string{
		"li":           `{"l":[{"i":["a","b"]},{"i":["c"]}]}`,
		".l > li":      `{"l":[{"i":["a","b"]},{"i":["c"]}]}`,
		"section li":   `{"l":[{"i":[]},{"i":[]}]}`,
		"li + li":      `{"l":[{"i":["b"]},{"i":[]}]}`,
		"li, li li, *": `{"l":[{"i":["a","b"]},{"i":["c"]}]}`,
	} {
		got := extracted(t, p, Want{Name: "l", Select: css(t, "ul"), All: true, Inner: []Want{{Name: "i", Select: css(t, selector), All: true}}})
		if got != want {
			t.Errorf("%s: %s, want %s", selector, got, want)
		}
	}
}

// What other tools write behind a selector is refused with what to write in place of it.
func TestSelectorsOfOtherTools(t *testing.T) {
	for text, want := range map[string]string{
		"h1::text": "write h1, and attr", "div > h1 ::text": "write div > h1, and attr", "a::attr(href)": "write {css: 'a', attr: href}", "ul a::attr('data-x')": "write {css: 'ul a', attr: data-x}",
		"a@href": "write {css: 'a', attr: href}", "a/@href": "write {css: 'a', attr: href}", "//h1": "XPath", "h1/text()": "write h1, and attr", "a >> b": "",
	} {
		var s Selector
		err := s.UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || want == "" && strings.Contains(err.Error(), "write") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	css(t, `a[title="x@href"], [t="::text"]`) // which are none of these
}

func FuzzSelector(f *testing.F) {
	for _, s := range []string{"a > b", `[k="]"]`, `a\,b`, "a:has(> b), c ~ d", `\31 a`, `"`, "(", "a[b='\\'"} {
		f.Add(s)
	}
	root, err := html.Parse(strings.NewReader("<div class=a><p id=b>x</p><a href=c>y</a></div>"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s Selector
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		same, err := cascadia.ParseGroup(text)
		if err != nil {
			t.Fatalf("%q is taken, and Cascadia does not take it: %v", text, err)
		}
		var got []*html.Node
		s.each(root, newClock(t.Context()), func(n *html.Node) bool { got = append(got, n); return true })
		if want := cascadia.QueryAll(root, same); !slices.Equal(got, want) {
			t.Errorf("%q selects %d elements, Cascadia %d", text, len(got), len(want))
		}
	})
}
