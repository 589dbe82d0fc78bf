package robotstxt

import (
	"strings"
	"testing"
	"time"
)

// A verdict is what a file says to a crawler about some paths.
type verdict struct {
	agent         string
	allowed, shut []string
}

func paths(s string) []string { return strings.Fields(s) }

// verdicts are the cases of RFC 9309 and of the public tests of Google's parser, which is the
// reference that the RFC was written after, under their names there. Where the two differ, the RFC
// counts: %62 is b.
var verdicts = []struct {
	name, file string
	want       []verdict
}{
	{"no file", "", []verdict{{"FooBot", paths("/ /x"), nil}}},
	{"no agent", "user-agent: FooBot\ndisallow: /\n", []verdict{{"", []string{""}, nil}, {"FooBot", nil, []string{""}}}},

	{"ID_LineSyntax_Line", "user-agent: FooBot\ndisallow: /\n", []verdict{{"FooBot", nil, paths("/x/y")}}},
	{"ID_LineSyntax_Line: other names", "foo: FooBot\nbar: /\n", []verdict{{"FooBot", paths("/x/y"), nil}}},
	{"ID_LineSyntax_Line: no colon", "user-agent FooBot\ndisallow /\n", []verdict{{"FooBot", nil, paths("/x/y")}}},
	{"no colon, in doubt", "user-agent: FooBot\ndisallow / x\n", []verdict{{"FooBot", paths("/x/y"), nil}}},

	{"ID_LineSyntax_Groups", "allow: /foo/bar/\n\nuser-agent: FooBot\ndisallow: /\nallow: /x/\nuser-agent: BarBot\ndisallow: /\nallow: /y/\n\n\n" +
		"allow: /w/\nuser-agent: BazBot\n\nuser-agent: FooBot\nallow: /z/\ndisallow: /\n", []verdict{
		{"FooBot", paths("/x/b /z/d"), paths("/y/c /foo/bar/")},
		{"BarBot", paths("/y/c /w/a"), paths("/z/d /foo/bar/")},
		{"BazBot", paths("/z/d"), paths("/foo/bar/")},
	}},
	{"ID_LineSyntax_Groups_OtherRules: Sitemap", "User-agent: BarBot\nSitemap: https://foo.bar/sitemap\nUser-agent: *\nDisallow: /\n", []verdict{
		{"FooBot", nil, paths("/")}, {"BarBot", nil, paths("/")}}},
	{"ID_LineSyntax_Groups_OtherRules: unknown", "User-agent: FooBot\nInvalid-Unknown-Line: unknown\nUser-agent: *\nDisallow: /\n", []verdict{
		{"FooBot", nil, paths("/")}, {"BarBot", nil, paths("/")}}},

	{"ID_REPLineNamesCaseInsensitive: upper", "USER-AGENT: FooBot\nALLOW: /x/\nDISALLOW: /\n", []verdict{{"FooBot", paths("/x/y"), paths("/a/b")}}},
	{"ID_REPLineNamesCaseInsensitive: camel", "uSeR-aGeNt: FooBot\nAlLoW: /x/\ndIsAlLoW: /\n", []verdict{{"FooBot", paths("/x/y"), paths("/a/b")}}},
	{"ID_UserAgentValueCaseInsensitive: upper", "User-Agent: FOO BAR\nAllow: /x/\nDisallow: /\n", []verdict{
		{"Foo", paths("/x/y"), paths("/a/b")}, {"foo", paths("/x/y"), paths("/a/b")}}},
	{"ID_UserAgentValueCaseInsensitive: camel", "User-Agent: FoO bAr\nAllow: /x/\nDisallow: /\n", []verdict{
		{"Foo", paths("/x/y"), paths("/a/b")}, {"foo", paths("/x/y"), paths("/a/b")}}},
	{"GoogleOnly_AcceptUserAgentUpToFirstSpace", "User-Agent: *\nDisallow: /\nUser-Agent: Foo Bar\nAllow: /x/\nDisallow: /\n", []verdict{
		{"Foo", paths("/x/y"), nil}, {"Foo Bar", nil, paths("/x/y")}}},
	{"a version behind the token", "User-Agent: FooBot/2.1\nDisallow: /x\n", []verdict{{"FooBot", paths("/a"), paths("/x")}}},
	{"no part of a token", "User-Agent: Foo\nDisallow: /\nUser-agent: FooBotNews\nDisallow: /\n", []verdict{{"FooBot", paths("/x"), nil}}},

	{"ID_GlobalGroups_Secondary: own first", "user-agent: *\nallow: /\nuser-agent: FooBot\ndisallow: /\n", []verdict{
		{"FooBot", nil, paths("/x/y")}, {"BarBot", paths("/x/y"), nil}}},
	{"ID_GlobalGroups_Secondary: none", "user-agent: FooBot\nallow: /\nuser-agent: BarBot\ndisallow: /\nuser-agent: BazBot\ndisallow: /\n", []verdict{
		{"QuxBot", paths("/x/y"), nil}}},
	{"ID_AllowDisallow_Value_CaseSensitive: lower", "user-agent: FooBot\ndisallow: /x/\n", []verdict{{"FooBot", nil, paths("/x/y")}}},
	{"ID_AllowDisallow_Value_CaseSensitive: upper", "user-agent: FooBot\ndisallow: /X/\n", []verdict{{"FooBot", paths("/x/y"), nil}}},

	{"ID_LongestMatch 1", "user-agent: FooBot\ndisallow: /x/page.html\nallow: /x/\n", []verdict{{"FooBot", paths("/x/"), paths("/x/page.html")}}},
	{"ID_LongestMatch 2", "user-agent: FooBot\nallow: /x/page.html\ndisallow: /x/\n", []verdict{{"FooBot", paths("/x/page.html"), paths("/x/")}}},
	{"ID_LongestMatch: empty", "user-agent: FooBot\ndisallow: \nallow: \n", []verdict{{"FooBot", paths("/x/page.html"), nil}}},
	{"ID_LongestMatch: equal", "user-agent: FooBot\ndisallow: /\nallow: /\n", []verdict{{"FooBot", paths("/x/page.html"), nil}}},
	{"ID_LongestMatch 3", "user-agent: FooBot\ndisallow: /x\nallow: /x/\n", []verdict{{"FooBot", paths("/x/"), paths("/x")}}},
	{"ID_LongestMatch: equal pages", "user-agent: FooBot\ndisallow: /x/page.html\nallow: /x/page.html\n", []verdict{{"FooBot", paths("/x/page.html"), nil}}},
	{"ID_LongestMatch 4", "user-agent: FooBot\nallow: /page\ndisallow: /*.html\n", []verdict{{"FooBot", paths("/page"), paths("/page.html")}}},
	{"ID_LongestMatch 5", "user-agent: FooBot\nallow: /x/page.\ndisallow: /*.html\n", []verdict{{"FooBot", paths("/x/page.html"), paths("/x/y.html")}}},
	{"ID_LongestMatch: most specific group", "User-agent: *\nDisallow: /x/\nUser-agent: FooBot\nDisallow: /y/\n", []verdict{
		{"FooBot", paths("/x/page"), paths("/y/page")}}},

	{"ID_Encoding: query", "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar?qux=taz&baz=http://foo.bar?tar&par\n", []verdict{
		{"FooBot", paths("/foo/bar?qux=taz&baz=http://foo.bar?tar&par"), paths("/foo/bar")}}},
	{"ID_Encoding: UTF-8", "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/ツ\n", []verdict{{"FooBot", paths("/foo/bar/%E3%83%84 /foo/bar/ツ"), paths("/foo/bar/x")}}},
	{"ID_Encoding: percent", "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/%E3%83%84\n", []verdict{{"FooBot", paths("/foo/bar/%E3%83%84 /foo/bar/%e3%83%84 /foo/bar/ツ"), nil}}},
	{"ID_Encoding: unreserved, by the RFC", "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/%62%61%7A\n", []verdict{
		{"FooBot", paths("/foo/bar/%62%61%7A /foo/bar/baz /foo/b%61r/baz"), paths("/foo/bar/b")}}},
	{"RFC 2.2.2: reserved octets stay as they are", "User-agent: FooBot\nDisallow: /a%2Fb\nDisallow: /q%3Fx\n", []verdict{
		{"FooBot", paths("/a/b /q?x"), paths("/a%2fb /a%2Fb/c /q%3fx")}}},
	{"RFC 2.2.3: the signs themselves", "User-agent: FooBot\nDisallow: /a-%2A.html\nDisallow: /b-%24\n", []verdict{
		{"FooBot", paths("/a-x.html /b-"), paths("/a-*.html /a-%2a.html /b-$ /b-%24x")}}},
	{"a dollar sign that is not last", "User-agent: FooBot\nDisallow: /a$b\n", []verdict{{"FooBot", paths("/a /ab"), paths("/a$b /a%24bc")}}},

	{"ID_SpecialCharacters: *", "User-agent: FooBot\nDisallow: /foo/bar/quz\nAllow: /foo/*/qux\n", []verdict{
		{"FooBot", paths("/foo/quz /foo//quz /foo/bax/quz"), paths("/foo/bar/quz")}}},
	{"ID_SpecialCharacters: $", "User-agent: FooBot\nDisallow: /foo/bar$\nAllow: /foo/bar/qux\n", []verdict{
		{"FooBot", paths("/foo/bar/qux /foo/bar/ /foo/bar/baz"), paths("/foo/bar")}}},
	{"ID_SpecialCharacters: #", "User-agent: FooBot\n# Disallow: /\nDisallow: /foo/quz#qux\nAllow: /\n", []verdict{
		{"FooBot", paths("/foo/bar"), paths("/foo/quz")}}},
	{"asterisks that meet", "User-agent: FooBot\nDisallow: /**a***b*$\n", []verdict{{"FooBot", paths("/b /ba"), paths("/ab /xaybz")}}},
	{"the end comes behind all parts", "User-agent: FooBot\nDisallow: /a*aba$\n", []verdict{{"FooBot", paths("/aba /a /ab"), paths("/aaba /ababa")}}},
	{"nothing but an asterisk", "User-agent: FooBot\nDisallow: *\n", []verdict{{"FooBot", nil, paths("/ /x")}}},
	{"no slash in front: no rule", "User-agent: FooBot\nDisallow: x\n", []verdict{{"FooBot", paths("/ /x"), nil}}},

	{"GoogleOnly_DocumentationChecks /fish", "user-agent: FooBot\ndisallow: /\nallow: /fish\n", []verdict{
		{"FooBot", paths("/fish /fish.html /fish/salmon.html /fishheads /fishheads/yummy.html /fish.html?id=anything"), paths("/Fish.asp /catfish /?id=fish /bar")}}},
	{"GoogleOnly_DocumentationChecks /fish*", "user-agent: FooBot\ndisallow: /\nallow: /fish*\n", []verdict{
		{"FooBot", paths("/fish /fish.html /fish/salmon.html /fishheads /fishheads/yummy.html /fish.html?id=anything"), paths("/Fish.bar /catfish /?id=fish /bar")}}},
	{"GoogleOnly_DocumentationChecks /fish/", "user-agent: FooBot\ndisallow: /\nallow: /fish/\n", []verdict{
		{"FooBot", paths("/fish/ /fish/salmon /fish/?salmon /fish/salmon.html /fish/?id=anything"), paths("/fish /fish.html /bar /Fish/Salmon.html")}}},
	{"GoogleOnly_DocumentationChecks /*.php", "user-agent: FooBot\ndisallow: /\nallow: /*.php\n", []verdict{
		{"FooBot", paths("/filename.php /folder/filename.php /folder/filename.php?parameters //folder/any.php.file.html /filename.php/ /index?f=filename.php/"),
			paths("/php/ /index?php /windows.PHP /bar")}}},
	{"GoogleOnly_DocumentationChecks /*.php$", "user-agent: FooBot\ndisallow: /\nallow: /*.php$\n", []verdict{
		{"FooBot", paths("/filename.php /folder/filename.php"), paths("/filename.php?parameters /filename.php/ /filename.php5 /php/ /filename?php /aaaphpaaa //windows.PHP /bar")}}},
	{"GoogleOnly_DocumentationChecks /fish*.php", "user-agent: FooBot\ndisallow: /\nallow: /fish*.php\n", []verdict{
		{"FooBot", paths("/fish.php /fishheads/catfish.php?parameters"), paths("/Fish.PHP /bar")}}},
	{"GoogleOnly_DocumentationChecks: order 1", "user-agent: FooBot\nallow: /p\ndisallow: /\n", []verdict{{"FooBot", paths("/page"), paths("/x")}}},
	{"GoogleOnly_DocumentationChecks: order 2", "user-agent: FooBot\nallow: /folder\ndisallow: /folder\n", []verdict{{"FooBot", paths("/folder/page"), nil}}},
	{"GoogleOnly_DocumentationChecks: order 3", "user-agent: FooBot\nallow: /page\ndisallow: /*.htm\n", []verdict{{"FooBot", nil, paths("/page.htm")}}},
	{"GoogleOnly_DocumentationChecks: order 4", "user-agent: FooBot\nallow: /$\ndisallow: /\n", []verdict{{"FooBot", paths("/"), paths("/page.html")}}},

	{"ID_LinesNumbersAreCountedCorrectly: CRLF", "User-Agent: foo\r\nAllow: /x\r\nDisallow: /\r\n", []verdict{{"foo", paths("/x"), paths("/y")}}},
	{"ID_LinesNumbersAreCountedCorrectly: CR", "User-Agent: foo\rAllow: /x\r\r\rDisallow: /\r", []verdict{{"foo", paths("/x"), paths("/y")}}},
	{"ID_LinesNumbersAreCountedCorrectly: no end", "User-Agent: foo\nAllow: /x\r\nDisallow: /", []verdict{{"foo", paths("/x"), paths("/y")}}},
	{"ID_UTF8ByteOrderMarkIsSkipped", "\xEF\xBB\xBFUser-Agent: foo\nDisallow: /x\n", []verdict{{"foo", nil, paths("/x")}}},
	{"ID_UTF8ByteOrderMarkIsSkipped: two bytes", "\xEF\xBBUser-Agent: foo\nDisallow: /x\n", []verdict{{"foo", nil, paths("/x")}}},
	{"ID_UTF8ByteOrderMarkIsSkipped: one byte", "\xEFUser-Agent: foo\nDisallow: /x\n", []verdict{{"foo", nil, paths("/x")}}},
	{"ID_UTF8ByteOrderMarkIsSkipped: broken", "\xEF\x11\xBFUser-Agent: foo\nDisallow: /x\n", []verdict{{"foo", paths("/x"), nil}}},
	{"ID_UTF8ByteOrderMarkIsSkipped: in the middle", "User-Agent: foo\n\xEF\xBB\xBFDisallow: /x\n", []verdict{{"foo", paths("/x"), nil}}},
	{"ID_NonStandardLineExample_Sitemap", "Sitemap: http://foo.bar/sitemap.xml\nUser-Agent: foo\nDisallow: /x\nSitemap: /y\n", []verdict{{"foo", paths("/y"), paths("/x")}}},

	{"RFC 2.2.1: merged groups", "user-agent: ExampleBot\ndisallow: /foo\ndisallow: /bar\n\nuser-agent: Other\ndisallow: /\n\nuser-agent: ExampleBot\ndisallow: /baz\n", []verdict{
		{"ExampleBot", paths("/x"), paths("/foo /bar /baz")}}},
	{"RFC 2.2.2: empty Disallow", "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\nUser-Agent: bazbot\nDisallow: /example/page.html\n" +
		"User-Agent: *\nDisallow:\n", []verdict{
		{"foobot", paths("/example/page/x"), paths("/example/page/disallowed.gif")}, {"other", paths("/example/page.html"), nil}}},
	{"RFC 5.1", "User-Agent: *\nDisallow: *.gif$\nDisallow: /example/\nAllow: /publications/\n\nUser-Agent: foobot\nDisallow:/\nAllow:/example/page.html\n" +
		"Allow:/example/allowed.gif\n\nUser-Agent: barbot\nUser-Agent: bazbot\nDisallow: /example/page.html\n\nUser-Agent: quxbot\n", []verdict{
		{"foobot", paths("/example/page.html /example/allowed.gif"), paths("/example/ /x.gif /publications/")},
		{"barbot", paths("/example/ /x.gif"), paths("/example/page.html")},
		{"bazbot", paths("/example/ /x.gif"), paths("/example/page.html")},
		{"quxbot", paths("/example/ /x.gif"), nil},
		{"other", paths("/publications/ /x.gif?y"), paths("/example/page.html /x.gif")},
	}},
	{"RFC 5.2", "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n", []verdict{
		{"foobot", paths("/example/page/ /example/page/allowed.gif"), paths("/example/page/disallowed.gif")}}},
	{"RFC 2.2.2: itself", "User-Agent: *\nDisallow: /\n", []verdict{{"foobot", paths("/robots.txt"), paths("/robots.txt.bak /robots.txt?x")}}},
	{"one group for both", "User-agent: foobot\nUser-agent: *\nDisallow: /x\n", []verdict{{"foobot", nil, paths("/x")}, {"other", nil, paths("/x")}}},
	{"a delay is no rule", "User-agent: foobot\nCrawl-delay: 5\nUser-agent: *\nDisallow: /x\n", []verdict{{"foobot", nil, paths("/x")}}},
	{"a delay that is no number", "User-agent: foobot\nCrawl-delay: soon\nDisallow: /x\n", []verdict{{"foobot", paths("/y"), paths("/x")}}},
	{"typos", "Useragent: foobot\nDissallow: /x\nDisalow: /y\nDiasllow: /z\n", []verdict{{"foobot", paths("/a"), paths("/x /y /z")}}},
	{"control characters", "User-agent: foobot\x00\nDisallow: /x\x01\n", []verdict{{"foobot", paths("/x"), paths("/x%01")}}},
}

func TestVerdicts(t *testing.T) {
	for _, c := range verdicts {
		for _, v := range c.want {
			r := Parse([]byte(c.file), v.agent)
			for _, p := range v.allowed {
				if !r.Allowed(p) {
					t.Errorf("%s: %s is kept from %s", c.name, v.agent, p)
				}
			}
			for _, p := range v.shut {
				if r.Allowed(p) {
					t.Errorf("%s: %s may fetch %s", c.name, v.agent, p)
				}
			}
		}
	}
}

func TestProduct(t *testing.T) {
	for agent, want := range map[string]string{
		"acme-docs/1.0 (+https://acme.example)": "acme-docs", "Foobot": "Foobot", "Foo_Bar": "Foo_Bar", "Foobot*": "Foobot", "Foobot Bar": "Foobot",
		"": "", "ツ": "", " Foobot": "", "1bot": "",
	} {
		if got := Product(agent); got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
}

func TestDelay(t *testing.T) {
	for file, want := range map[string]time.Duration{
		"user-agent: foo\ncrawl-delay: 1.5\n":                                              1500 * time.Millisecond,
		"user-agent: *\ncrawl-delay: 3\n":                                                  3 * time.Second,
		"user-agent: *\ncrawl-delay: 3\nuser-agent: foo\ndisallow: /x\n":                   0,
		"user-agent: *\ndisallow: /y\ncrawl-delay: 3\nuser-agent: foo\ndisallow: /x\n":     0,
		"user-agent: foo\ncrawl-delay: 1\ndisallow: /x\nuser-agent: foo\ncrawl-delay: 2\n": 2 * time.Second,
		"user-agent: foo\ncrawl-delay: -1\n":                                               0,
		"user-agent: foo\ncrawl-delay: NaN\n":                                              0,
		"user-agent: foo\ncrawl-delay: 1e300\n":                                            maxDelay,
		"crawl-delay: 7\n":                                                                 0,
		"user-agent: bar\ncrawl-delay: 7\n":                                                0,
	} {
		if got := Parse([]byte(file), "foo").Delay(); got != want {
			t.Errorf("%q: %v, want %v", file, got, want)
		}
	}
}

// What stands within the first 500 KiB counts, and a line that is cut through there does not: half
// a pattern would keep the crawler from more than the owner meant.
func TestLongFile(t *testing.T) {
	const rule = "Disallow: /shut/\n"
	head := "User-agent: *\n"
	fill := strings.Repeat("#23456789012345\n", (MaxBytes-len(head)-len(rule))/16)
	fill += strings.Repeat("#", MaxBytes-len(head)-len(fill)-len(rule)-1) + "\n"
	whole := head + fill + rule
	if len(whole) != MaxBytes {
		t.Fatalf("%d bytes", len(whole))
	}
	if Parse([]byte(whole), "foo").Allowed("/shut/x") {
		t.Error("the last line within the limit does not count")
	}
	over := head + "#" + fill + rule
	if r := Parse([]byte(over+"Disallow: /\n"), "foo"); !r.Allowed("/shut/x") || !r.Allowed("/s") {
		t.Error("a line beyond the limit counts")
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range verdicts {
		f.Add([]byte(c.file), "/foo/bar%2", "FooBot")
	}
	f.Add([]byte("user-agent:*\ndisallow:/*a*a*a*a*$"), "/aaaaaaaaaaaaaaab", "x")
	f.Fuzz(func(t *testing.T, file []byte, path, agent string) {
		r := Parse(file, agent)
		_ = r.Allowed(path)
		if n := normal(path); normal(n) != n || len(n) > 3*len(path) {
			t.Errorf("%q becomes %q", path, n)
		}
		if !r.Allowed("/robots.txt") {
			t.Error("the file keeps crawlers from itself")
		}
		if r.Delay() < 0 || r.Delay() > maxDelay {
			t.Errorf("delay %v", r.Delay())
		}
		// Whoever allows everything beyond doubt, allows it.
		more := append(append([]byte("user-agent: "+Product(agent)+"\nallow: /\nallow: /"+strings.Repeat("*", 3*len(file)+3)+"\n"), file...), '\n')
		if p := Product(agent); p != "" && len(more) < MaxBytes && !Parse(more, p).Allowed(path) {
			t.Errorf("%q: the longest rule does not decide", more)
		}
	})
}

// BenchmarkAllowed asks the worst file that counts: as many rules as it can hold, none of which fits.
func BenchmarkAllowed(b *testing.B) {
	r := Parse([]byte("user-agent: *\n"+strings.Repeat("allow:/*a*b\n", MaxBytes/12)), "foo")
	path := "/" + strings.Repeat("a", 2000)
	for b.Loop() {
		r.Allowed(path)
	}
}
