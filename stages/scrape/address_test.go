package scrape

import (
	"net/url"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
)

// What robots.txt forbids is not to be had by another form of its address, and one page is asked for
// in one form.
func TestFormsOfAddresses(t *testing.T) {
	w := newWeb(t)
	w.put("a.test/robots.txt", 200, "User-agent: *\nDisallow: /private/\nDisallow: /q?x=a%20b\n")
	for _, page := range []string{"/private/x", "/open", "//private/x", "/a%2Fb", "//open//x", "/a/", "/q?x=a%20c%22"} {
		w.put("a.test"+page, 200, "x")
	}
	s := w.stage(t, nil)
	base := strings.TrimSuffix(w.at("a.test/"), "/")
	if _, err := process(t.Context(), s, `{"u":"`+base+`/open"}`); err != nil {
		t.Fatal(err)
	}
	w.requests()
	for path, want := range map[string]string{ // what is asked for; "": forbidden
		"/private/x": "", "/a/../private/x": "", "/a/%2e%2e/private/x": "", "/a/.%2E/private/x": "", "/./private/x": "", "/%2e/private/x": "", "/../private/x": "",
		"/a/b/../../private/x": "", "//private/x": "", "//.//private/x": "", "/open/..//private/x": "", "/%70rivate/x": "", "/q?x=a b": "",
		"/private/../open": "a.test/open", "/a%2Fb": "a.test/a%2Fb", "/a/./b/..": "a.test/a/", "/a/%2e": "a.test/a/", "//open//x": "a.test//open//x", `/q?x=a c\"`: "a.test/q?x=a%20c%22",
	} {
		_, err := process(t.Context(), s, `{"u":"`+base+path+`"}`)
		if asked := w.requests(); asked != want || want == "" && reason(err) != ReasonRobots || want != "" && err != nil {
			t.Errorf("%s: asked for %q, %v", path, asked, err)
		}
	}
	// A redirect leads there neither.
	w.put("a.test/moved", 302, "/open/%2e%2e/private/x")
	if _, err := w.scraped(t, s, "a.test/moved"); reason(err) != ReasonRobots {
		t.Errorf("behind a redirect: %v", err)
	}
}

// The file of a host that is asked over https does not come over http.
func TestRobotsStayWithTLS(t *testing.T) {
	w := newWeb(t)
	s := w.stage(t, nil)
	v := visit{stage: s, attempt: 1}
	if err := v.goTo(mustParse(t, "https://a.test/page")); err != nil {
		t.Fatal(err)
	}
	q := v.robotsQuestion(&url.URL{Scheme: "https", Host: "a.test", Path: "/robots.txt"}, 0)
	err := q.Use(new(pipeline.Record), answer{kind: redirects, status: 301, to: mustParse(t, "http://a.test/robots.txt")})
	if reason(err) != client.TypeRedirect {
		t.Errorf("%v", err)
	}
}
