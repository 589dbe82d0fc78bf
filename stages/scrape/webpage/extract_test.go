package webpage

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestExtract(t *testing.T) {
	p := parsed(t, `<!doctype html><title> A
		&amp; B </title><base href="../other/">
		<main><h1>One</h1><p>Two <b>three</b>,four<br>five<script>no</script></p><ul><li>a<li>b</ul></main>
		<a href="x.html#part" title="">x</a><a>none</a><a href=" https://b.example/?q=ü ">b</a><a href="mailto:a@b.example">m</a><a href="http://u:p@c.example/">c</a>
		<table><tr><th>Name<th>Price</tr><tr><td class=a>tea</td><td class=b>1</td></tr><tr><td class=a>milk</td></tr></table>
		<pre>  one
    two
</pre>`, "text/html")
	for _, c := range []struct {
		want Want
		got  string
	}{
		{Want{Select: css(t, "title")}, `"A \u0026 B"`},
		{Want{Select: css(t, "main")}, `"One\nTwo three,four\nfive\na\nb"`},
		{Want{Select: css(t, "main"), HTML: true}, `"\u003ch1\u003eOne\u003c/h1\u003e\u003cp\u003eTwo \u003cb\u003ethree\u003c/b\u003e,four\u003cbr/\u003efive\u003cscript\u003eno\u003c/script\u003e\u003c/p\u003e\u003cul\u003e\u003cli\u003ea\u003c/li\u003e\u003cli\u003eb\u003c/li\u003e\u003c/ul\u003e"`},
		{Want{Select: css(t, "nothing")}, `null`},
		{Want{Select: css(t, "nothing"), All: true}, `[]`},
		{Want{Select: css(t, "nothing"), Inner: []Want{{Name: "x"}}}, `null`},
		{Want{Select: css(t, "li"), All: true}, `["a","b"]`},
		{Want{Select: css(t, "a"), Attr: "title"}, `""`},
		{Want{Select: css(t, "a"), Attr: "href"}, `"x.html#part"`},
		{Want{Select: css(t, "a"), Attr: "nothing"}, `null`},
		{Want{Select: css(t, "a"), Attr: "href", All: true}, `["x.html#part"," https://b.example/?q=ü ","mailto:a@b.example","http://u:p@c.example/"]`},
		{Want{Select: css(t, "a"), Attr: "href", All: true, Absolute: true}, `["http://a.example/other/x.html","https://b.example/?q=ü","http://c.example/"]`},
		{Want{Select: css(t, "a[href^=mailto]"), Attr: "href", Absolute: true}, `null`},
		{Want{Select: css(t, "tr"), All: true, Inner: []Want{{Name: "n", Select: css(t, ".a")}, {Name: "p", Select: css(t, ".b")}}},
			`[{"n":null,"p":null},{"n":"tea","p":"1"},{"n":"milk","p":null}]`},
		{Want{Select: css(t, "tr"), Inner: []Want{{Name: "self"}, {Name: "first", Select: css(t, "th")}}}, `{"self":"Name Price","first":"Name"}`},
		{Want{Select: css(t, "pre")}, `"  one\n    two"`},
		{Want{Select: css(t, "table")}, `"Name Price\ntea 1\nmilk"`},
	} {
		c.want.Name = "v"
		got := extracted(t, p, c.want)
		if plain := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&"); plain.Replace(got) != plain.Replace(`{"v":`+c.got+`}`) {
			t.Errorf("%+v:\n%s\nwant\n%s", c.want, got, c.got)
		}
	}
	if got := extracted(t, p, Want{Name: "b", Select: css(t, "li")}, Want{Name: `a"`, Select: css(t, "th")}); got != `{"b":"a","a\"":"Name"}` {
		t.Errorf("the order of the file is not kept: %s", got)
	}
}

func TestText(t *testing.T) {
	for body, want := range map[string]string{
		"<p>a<p>b":                      "a\nb",
		"a <i> b </i> c":                "a b c",
		"a<i> </i>b":                    "a b",
		"a<i>b</i>c":                    "abc",
		"<div><div>a</div></div><div>b": "a\nb",
		"a&nbsp;&nbsp;b\u00a0":          "a b",
		"  \n a \t b \r\n":              "a b",
		"a<br><br>b":                    "a\nb",
		"a<!-- no -->b":                 "ab",
		"a<style>x</style><noscript>b</noscript><template>c</template>d": "abd",
		"<pre><b>x</b>\n<i>y</i>\n\n</pre>z":                             "x\ny\n\nz",
		"<pre>\n\nx</pre>":                                               "\nx",
		"<textarea>\n a  b</textarea>":                                   " a  b",
		"<svg><text>s</text></svg>t":                                     "st",
		"":                                                               "",
		"a<hr>b":                                                         "a\nb",
		"<td>a<td>b":                                                     "ab", // no table, no cells
		"<table><td>a<td>b<tr><td>c":                                     "a b\nc",
		"<iframe>x</iframe>y":                                            "y",
		"\u200ba":                                                        "\u200ba",
	} {
		if got := extracted(t, parsed(t, body, "text/html"), Want{Name: "t", Select: css(t, "body")}); got != `{"t":`+quoted(want)+`}` {
			t.Errorf("%q: %s, want %q", body, got, want)
		}
	}
}

func quoted(s string) string {
	return `"` + strings.NewReplacer("\n", `\n`, `"`, `\"`).Replace(s) + `"`
}

// Lists, and what is selected as a whole, have bounds: a page cannot make one record of any size.
func TestExtractionIsBounded(t *testing.T) {
	p := parsed(t, strings.Repeat("<div>", 100)+strings.Repeat("word ", 2000)+strings.Repeat("</div>", 100)+strings.Repeat("<i>x</i>", 11), "text/html")
	for name, w := range map[string]Want{
		"items":  {Select: css(t, "i"), All: true},
		"texts":  {Select: css(t, "div"), All: true},
		"markup": {Select: css(t, "div"), All: true, HTML: true},
		"inner":  {Select: css(t, "div"), All: true, Inner: []Want{{Name: "a", Select: css(t, "div"), All: true}}},
	} {
		if _, err := p.Extract(t.Context(), []Want{w}, Limits{Bytes: 100_000, Items: 10}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if out, err := p.Extract(t.Context(), []Want{{Name: "i", Select: css(t, "i"), All: true}}, Limits{Bytes: 100_000, Items: 11}); err != nil || strings.Count(string(out), `"x"`) != 11 {
		t.Errorf("as many as may be: %s, %v", out, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Extract(ended, []Want{{Name: "i", Select: css(t, "i"), All: true}}, roomy); !errors.Is(err, context.Canceled) {
		// A page as small as this is done before the time is looked at.
		if err != nil {
			t.Errorf("error %v", err)
		}
	}
}
