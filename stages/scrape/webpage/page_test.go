package webpage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"
)

func TestEncodings(t *testing.T) {
	long := strings.Repeat("<!-- to here no letter that tells -->", 40)
	encoded := func(e interface {
		String(string) (string, error)
	}, text string) string {
		out, err := e.String(text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, c := range map[string]struct{ body, contentType, want string }{
		"none, UTF-8":             {"<title>Tromsø</title>", "text/html", "Tromsø"},
		"none, UTF-8 late":        {long + "<title>Tromsø</title>", "text/html", "Tromsø"},
		"none, windows-1252":      {"<title>Troms\xf8 \x80</title>", "text/html", "Tromsø €"},
		"header":                  {encoded(charmap.ISO8859_5.NewEncoder(), "<title>Привет</title>"), "text/html; charset=ISO-8859-5", "Привет"},
		"header before meta":      {"<meta charset=iso-8859-5><title>Tromsø</title>", "text/html; charset=utf-8", "Tromsø"},
		"meta":                    {"<meta charset=koi8-r><title>" + encoded(charmap.KOI8R.NewEncoder(), "Привет") + "</title>", "text/html", "Привет"},
		"meta http-equiv":         {`<meta http-equiv=Content-Type content="text/html; charset=shift_jis"><title>` + encoded(japanese.ShiftJIS.NewEncoder(), "日本") + "</title>", "", "日本"},
		"meta of seven bits":      {"<meta charset=iso-2022-jp><title>" + encoded(japanese.ISO2022JP.NewEncoder(), "日本") + "</title>", "text/html", "日本"},
		"mark before header":      {"\ufeff<title>Tromsø</title>", "text/html; charset=iso-8859-1", "Tromsø"},
		"UTF-16":                  {encoded(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder(), "<title>Tromsø</title>"), "", "Tromsø"},
		"unknown in the header":   {"<title>Tromsø</title>", "text/html; charset=klingon", "Tromsø"},
		"bytes that are no UTF-8": {"<title>a\xffb</title>", "text/html; charset=utf-8", "a\ufffdb"},
		"broken header":           {"<title>x</title>", "text/html; charset", "x"},
		"XHTML":                   {`<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>Ø</title></head></html>`, "application/xhtml+xml", "Ø"},
	} {
		if got := extracted(t, parsed(t, c.body, c.contentType), Want{Name: "t", Select: css(t, "title")}); got != `{"t":"`+c.want+`"}` {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestWhatIsNoPage(t *testing.T) {
	for contentType, body := range map[string]string{
		"application/pdf": "%PDF-1.7", "image/png": "\x89PNG", "application/json": "{}", "": "%PDF-1.7 <title>x</title>", "IMAGE/GIF; x": "GIF89a", " ": "a\x00b",
		"a/" + strings.Repeat("b", 100): "x",
	} {
		_, err := Parse(t.Context(), []byte(body), contentType, at(t, "http://a.example/"))
		if !errors.Is(err, ErrType) {
			t.Errorf("%q: error %v", contentType, err)
		}
		if strings.Contains(fmt.Sprint(err), "bbb") {
			t.Errorf("the error quotes any type: %v", err)
		}
	}
	p := parsed(t, "<title>no</title>\nplain  text", "text/plain; charset=utf-8")
	if got := extracted(t, p, Want{Name: "t", Select: css(t, "title")}, Want{Name: "b", Select: css(t, "body")}); !strings.Contains(got, `"t":null`) || !strings.Contains(got, `plain  text"`) {
		t.Errorf("plain text: %s", got)
	}
}

// hostile are pages of two megabytes that are made to take a parser's time or memory. Each is built
// of the same few tags over and over.
func hostile(size int) map[string]string {
	fill := func(head, each string) string {
		return head + strings.Repeat(each, max(size-len(head), 10*len(each))/len(each))
	}
	numbered := func(head, format string, n int) string {
		var b strings.Builder
		b.WriteString(head)
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	many := numbered("<p>", "<b x=%d>", 450)
	wide := numbered("<b", " a%d", MaxAttributes) + ">"
	return map[string]string{
		"formats that come again":                 fill(many+"</p>", "<div>x</div>"),
		"formats that come again, short":          fill(many+"</p>", "<p>x"),
		"formats with attributes":                 fill("<p>"+wide+"</p>", "<p>x"),
		"formats with attributes, wrongly nested": fill("", "<b a b c d e f g h i j k l m n><p></b>"),
		"formats with attributes around blocks":   fill("", wide+"<div><div><div><div><div><div><div><div></b>"),
		"formats with attributes in svg style":    fill("<svg><style>"+wide+"</style></svg><p></p>", "<div>x"),
		"a that become heavier":                   fill("<p><a><div><a"+wide[2:]+"</p>", "<div>x</div>"),
		"attributes hidden in math":               numbered("<math><xmp><mi", " a%d", size/9) + ">",
		"attributes behind a hidden quote":        numbered("<math><xmp><mi a=\"</xmp>\"", " a%d", size/9) + ">",
		"attributes behind hidden CDATA":          numbered("<svg><![CDATA[><x q=\"]]><mi", " a%d", size/9) + ">",
		"formats behind hidden CDATA":             fill("<svg><![CDATA[><x q=\"]]></svg>"+many+"</p>", "<div>x</div>"),
		"formats behind hidden CDATA in style":    fill("<svg><style><![CDATA[</style>]]><x q=\"</style></svg>"+many+"</p>", "<div>x</div>"),
		"formats in cells":                        fill("<table><tr><td>"+many+"</b></p>", "<td>x"),
		"formats hidden in svg style":             fill("<svg><style>"+numbered("", "<b x=%d>", 450)+"</style></svg><p></p>", "<div>x</div>"),
		"formats hidden by a wrong end":           fill("<svg><foreignObject><div></svg></div></foreignObject><style>"+numbered("", "<b x=%d>", 450)+"</style>", "<div>x</div>"),
		"formats behind ends that do not count":   fill(many+"</p><table><td>"+strings.Repeat("</b>", 450)+"</table>", "<div>x</div>"),
		"formats hidden in a comment":             fill("<svg><style><!--</style>"+numbered("<p>", "<b x=%d>", 450)+"--></style></svg></p>", "<div>x</div>"),
		"formats wrongly nested":                  fill("", "<b><p></b>"),
		"formats around blocks":                   fill("", "<b><div><div><div><div><div><div><div><div><div><div></b>"),
		"open a":                                  fill("", "<a href=x>"),
		"open a in cells":                         fill("<table>", "<tr><td><a>"),
		"open divs":                               fill("", "<div>"),
		"open tables":                             fill("", "<table>"),
		"open table rows":                         fill("", "<table><tr><td>"),
		"open select":                             fill("<select>", "<option>"),
		"open p":                                  fill("", "<p>"),
		"open templates":                          fill("", "<template>"),
		"open svg":                                fill("", "<svg>"),
		"open math in svg":                        fill("", "<svg><foreignObject><math><mi>"),
		"siblings":                                fill("", "<i></i>"),
		"end tags":                                fill("", "</p>"),
		"wrong end tags":                          fill("<div>", "</x></div></y>"),
		"texts in tables":                         fill("<table>", "x<td></td>"),
		"attributes of one element":               numbered("<p ", "a%d=1 ", size/9) + ">",
		"equal attributes":                        fill("<p ", "a=1 "),
		"attributes of body":                      numbered("<body>", "<body a%d=1>", size/16),
		"attributes of html":                      numbered("", "<html a%d=1>", size/16),
		"comments":                                fill("", "<!---->"),
		"an open comment":                         fill("<!--", "<!-- - "),
		"open CDATA":                              fill("<svg><![CDATA[", "]] "),
		"entities":                                fill("", "&notit;"),
		"NUL bytes":                               fill("<svg>", "\x00"),
		"scripts":                                 fill("<script>", "<!--<script "),
		"line breaks in pre":                      fill("<pre>", "\r\n"),
		"formats in svg that does not end":        fill("<math><br><svg></math><iframe>"+many+"</iframe></svg></p>", "<div>x"),
		"formats in svg within svg":               fill("<svg><g><svg><path></svg><style>"+many+"</style></svg></svg></p>", "<div>x"),
		"ends of paragraphs":                      fill("", "<p><p></p></p>"),
		"frames behind noscript":                  fill("<frameset><noscript><iframe></noscript>", "<frameset x>"),
		"frames":                                  fill("<frameset>", "<frameset><frame>"),
		"forms":                                   fill("", "<form></form>"),
		"buttons":                                 fill("", "<button>x"),
		"lists":                                   fill("", "<ul><li>"),
		"nobr":                                    fill("", "<nobr>"),
		"ruby":                                    fill("<ruby>", "<rb>x<rt>y"),
		"isindex":                                 fill("", "<image><isindex>"),
		"doctypes":                                fill("", "<!doctype html SYSTEM \"x\">"),
		"unfinished tags":                         fill("", "<a "),
		"less than":                               fill("", "<"),
	}
}

// No page takes more than its bounds, however it is made: MaxNodes holds, and what there is to be
// taken out of it is found, or refused. How long that takes on a machine is what BenchmarkHostile says.
func TestHostilePages(t *testing.T) {
	for name, body := range hostile(64 << 10) {
		weighed, err := weigh([]byte(body))
		if err != nil || weighed > MaxNodes {
			continue // it is refused
		}
		root, err := html.ParseWithOptions(strings.NewReader(body), html.ParseOptionEnableScripting(false))
		if err != nil {
			continue // nested too deep
		}
		if n := count(root); n > weighed {
			t.Errorf("%s: it has %d nodes and attributes, and was taken for %d", name, n, weighed)
		}
	}
}

// count counts nodes and attributes, but for html, head and body, which every page has.
func count(root *html.Node) int {
	n := 0
	for e := range root.Descendants() {
		n += 1 + len(e.Attr)
	}
	return n - 3
}

// A page of random tags, nested and with attributes, is never more than it was taken for.
func TestRandomPages(t *testing.T) {
	names := strings.Fields("a a b b i font nobr div p table tr td caption select option button form h1 li svg svg math mi mtext foreignobject desc title style script " +
		"template textarea noscript frameset html body br input object applet marquee rt rb iframe noembed xmp annotation-xml image center path g span u code")
	random := rand.New(rand.NewPCG(1, 2))
	attributes := func() string {
		return strings.Repeat(" a=1", random.IntN(2)*random.IntN(3)) + []string{"", "", "", " x", " y='</xmp>'", ` q="`, "/", " b c d e f g h i j k l m n o", ` z="</style>" c d e f g`}[random.IntN(9)]
	}
	tag := func() string {
		name := names[random.IntN(len(names))]
		switch random.IntN(11) {
		case 0, 1, 2, 3:
			return "</" + name + ">"
		case 4:
			return "x"
		case 5:
			return []string{"<!--c-->", "<![CDATA[<b>]]>", "<![CDATA[", "]]>", "<!--", "-->", `"`, "<![CDATA[><x q='"}[random.IntN(8)]
		case 6:
			return "<" + name + "/>"
		}
		return "<" + name + attributes() + ">"
	}
	run := func(most int) (text string) {
		for range random.IntN(most) {
			text += tag()
		}
		return text
	}
	for range 6000 {
		body := run(14) + strings.Repeat(run(9), 40) + strings.Repeat(run(5), 40)
		weighed, err := weigh([]byte(body))
		if err != nil || weighed > MaxNodes {
			continue
		}
		root, err := html.ParseWithOptions(strings.NewReader(body), html.ParseOptionEnableScripting(false))
		if err != nil {
			continue
		}
		if n := count(root); n > weighed {
			t.Fatalf("%q: it has %d nodes and attributes, and was taken for %d", body, n, weighed)
		}
	}
}

// What the bounds are for: a page of two megabytes takes little memory, or is refused.
func TestMemoryIsLimited(t *testing.T) {
	for name, body := range hostile(2 << 20) {
		if !strings.Contains(name, "attributes") && !strings.Contains(name, "hidden") {
			continue
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		p, err := Parse(t.Context(), []byte(body), "text/html", at(t, "http://a.example/"))
		runtime.GC()
		runtime.ReadMemStats(&after)
		if took := int64(after.HeapAlloc) - int64(before.HeapAlloc); took > 100<<20 {
			t.Errorf("%s: it takes %d MB", name, took>>20)
		}
		if err != nil && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: error %v", name, err)
		}
		runtime.KeepAlive(p)
	}
}

// FuzzWeigh: what a page becomes is never more than it was taken for.
func FuzzWeigh(f *testing.F) {
	for _, body := range hostile(600) {
		f.Add(body)
	}
	f.Add("<!doctype html PUBLIC 'a' 'b'>")
	f.Add("<p><b><i></p><p>x<table><td><b></table><svg><style><b></style></svg>")
	f.Fuzz(func(t *testing.T, body string) {
		weighed, err := weigh([]byte(body))
		if err != nil || weighed > MaxNodes {
			return
		}
		root, err := html.ParseWithOptions(strings.NewReader(body), html.ParseOptionEnableScripting(false))
		if err != nil {
			return
		}
		if n := count(root); n > weighed {
			t.Errorf("%q: it has %d nodes and attributes, and was taken for %d", body, n, weighed)
		}
	})
}

// FuzzPage: whatever a page holds, what is taken out of it is JSON and within its limits, or refused.
func FuzzPage(f *testing.F) {
	for _, body := range hostile(600) {
		f.Add([]byte(body), "text/html")
	}
	f.Add([]byte("<title>a\x00\xff&#xd800;&#0;</title><a href='\x01%zz:'>"), "text/html; charset=gb18030")
	f.Add([]byte("\xfe\xff\x00<\x00p"), "")
	f.Add([]byte("<plaintext><p>x"), "application/xhtml+xml")
	wants := []Want{{Name: "t", Select: css(f, "title")}, {Name: "b", Select: css(f, "body"), HTML: true}, {Name: "h", Select: css(f, "*"), All: true, HTML: true},
		{Name: "a", Select: css(f, "[href]"), Attr: "href", All: true, Absolute: true}, {Name: "o", Select: css(f, "div"), All: true, Inner: []Want{{Name: "x"}, {Name: "y", Select: css(f, "p + b"), All: true}}}}
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		p, err := Parse(t.Context(), body, contentType, at(t, "http://a.example/"))
		if err == nil {
			var out []byte
			if out, err = p.Extract(t.Context(), wants, Limits{Bytes: 1 << 16, Items: 1000}); err == nil && (!json.Valid(out) || !utf8.Valid(out)) {
				t.Errorf("no JSON: %q", out)
			}
		}
		if err != nil && !errors.Is(err, ErrType) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("error %v", err)
		}
	})
}

// Pages as people write them are nowhere near the bounds.
func TestUsualPages(t *testing.T) {
	var b strings.Builder
	b.WriteString("<!doctype html><html><head><title>t</title><style>a{}</style><script>x = '<b>'</script></head><body>")
	for i := range 2500 {
		fmt.Fprintf(&b, `<svg><path d="M0"/><style>p{}</style></svg><li class="x"><a href="p%d.html"><code>f%d</code></a> (<em>in <b>m</b></em>)<ul><li>x<li>y</ul></li><p>open<font color=red>`, i, i)
		if i%2 == 0 {
			b.WriteString("</font>")
		}
	}
	if n, err := weigh([]byte(b.String())); n > MaxNodes || err != nil {
		t.Errorf("a list of 2,500 entries with loose ends weighs %d, %v", n, err)
	}
}

func TestTimeIsLimited(t *testing.T) {
	c := &clock{ctx: t.Context(), end: time.Now().Add(-time.Second)}
	if _, err := io.ReadAll(&clockedReader{[]byte("x"), c}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("reading behind the end of the time: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Parse(ended, []byte("<p>"), "text/html", at(t, "http://a.example/")); !errors.Is(err, context.Canceled) {
		t.Errorf("under an ended ctx: %v", err)
	}
	c = &clock{ctx: ended, end: time.Now().Add(time.Hour)}
	s, n := css(t, "p"), 0
	s.each(parsed(t, strings.Repeat("<p>", 1000), "text/html").root, c, func(*html.Node) bool { n++; return true })
	if n > 64 || !errors.Is(c.err, context.Canceled) {
		t.Errorf("%d elements after the end, %v", n, c.err)
	}
}

// BenchmarkHostile takes each hostile page of two megabytes apart: its time, and the memory that is
// made. A page that is refused early is one of the bounds at work.
func BenchmarkHostile(b *testing.B) {
	wants := []Want{{Name: "t", Select: css(b, "title")}, {Name: "l", Select: css(b, "a[href]"), Attr: "href", All: true, Absolute: true}, {Name: "d", Select: css(b, "div div div p > b")},
		{Name: "n", Select: css(b, "i:nth-child(7n+6) ~ b")}}
	for name, body := range hostile(2 << 20) {
		b.Run(name, func(b *testing.B) { takeApart(b, []byte(body), wants) })
	}
	if doc, err := os.ReadFile("/usr/share/doc/python3.11/html/genindex-all.html"); err == nil {
		b.Run("genindex-all", func(b *testing.B) { takeApart(b, doc, wants) })
	}
}

func takeApart(b *testing.B, body []byte, wants []Want) {
	b.ReportAllocs()
	verdict := ""
	for b.Loop() {
		p, err := Parse(b.Context(), body, "text/html", at(b, "http://a.example/"))
		if err == nil {
			_, err = p.Extract(b.Context(), wants, Limits{Bytes: 2 << 20, Items: 10_000})
		}
		verdict = fmt.Sprint(err)
		runtime.KeepAlive(p)
	}
	b.Log(verdict)
}
