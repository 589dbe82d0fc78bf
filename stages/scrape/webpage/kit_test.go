package webpage

import (
	"net/url"
	"testing"
)

func parsed(t testing.TB, body, contentType string) *Page {
	t.Helper()
	p, err := Parse(t.Context(), []byte(body), contentType, at(t, "http://a.example/dir/page?q=1#top"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func at(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func css(t testing.TB, text string) (s Selector) {
	t.Helper()
	if err := s.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return s
}

var roomy = Limits{Bytes: 1 << 20, Items: 1000}

func extracted(t testing.TB, p *Page, wants ...Want) string {
	t.Helper()
	out, err := p.Extract(t.Context(), wants, roomy)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
