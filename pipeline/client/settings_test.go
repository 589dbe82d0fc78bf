package client

import (
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/settings"
)

func TestStaticHost(t *testing.T) {
	for in, want := range map[string]string{
		"http://h/{a}":                    "http://h",
		"https://h:8080/x?y={a}":          "https://h:8080",
		"http://h":                        "http://h",
		"http://[::1]:80/{a}":             "http://[::1]:80",
		"http://h?x={a}":                  "http://h",
		"http://{host}/":                  "",
		"http://h{a}/":                    "",
		"http://h:{port}/":                "",
		"http://{{h/":                     "",
		"http://user:pw@h/":               "",
		"http://h@{a}/":                   "",
		"{scheme}://h/":                   "",
		"ftp://h/":                        "",
		"h/":                              "",
		"http:///x":                       "",
		"http://h:x/":                     "",
		"":                                "",
		"http://a\\{b}/":                  "",
		"http://127.0.0.1:8080/w/{a}/{b}": "http://127.0.0.1:8080",
	} {
		got, err := StaticHost(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
	}
}

func TestHostIsWrittenOneWay(t *testing.T) {
	for in, want := range map[string]string{
		"http://API.example": "api.example", "http://api.example:80": "api.example", "https://api.example:443": "api.example",
		"https://api.example:80": "api.example:80", "http://[2001:db8::1]:80": "[2001:db8::1]", "http://api.example:8080": "api.example:8080",
	} {
		if got := Host(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestHeadersKeepSecrets(t *testing.T) {
	h, err := Headers(map[string]string{"X-A": "a"}, map[string]settings.Secret{"authorization": "Bearer x"})
	if err != nil || h.Get("X-A") != "a" || h.Get("Authorization") != "Bearer x" {
		t.Fatalf("%v %v", h, err)
	}
	for name, in := range map[string]struct {
		fixed  map[string]string
		secret map[string]settings.Secret
	}{
		"secret in the open": {fixed: map[string]string{"authorization": "canary"}},
		"line break":         {secret: map[string]settings.Secret{"X-K": "canary\r\n"}},
		"twice":              {map[string]string{"X-K": "canary"}, map[string]settings.Secret{"x-k": "canary"}},
	} {
		_, err := Headers(in.fixed, in.secret)
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseProxy(t *testing.T) {
	if u, err := ParseProxy("http://127.0.0.1:3128"); err != nil || u.Host != "127.0.0.1:3128" {
		t.Error(u, err)
	}
	if u, err := ParseProxy(""); u != nil || err != nil {
		t.Error(u, err)
	}
	for _, in := range []string{"127.0.0.1:3128", "ftp://h", "http://", "http://h:x"} {
		if _, err := ParseProxy(in); err == nil {
			t.Errorf("%s was taken", in)
		}
	}
}
