package listen

import (
	"strings"
	"testing"
)

// TestIsName: a host alone.
func TestIsName(t *testing.T) {
	for text, want := range map[string]bool{"x": true, "a.example": true, "": false, "a:1": false, "http://a": false, "a/b": false, "u@a": false, "a b": false, "::1": false} {
		if IsName(text) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]struct {
		Address
		local bool
	}{
		"127.0.0.1:9600": {Address{Host: "127.0.0.1", Port: "9600"}, true}, "127.9.9.9:0": {Address{Host: "127.9.9.9", Port: "0"}, true},
		"[::1]:65535": {Address{Host: "::1", Port: "65535"}, true}, "localhost:1": {Address{Host: "localhost", Port: "1"}, true},
		"unix:/x/y": {Address{Socket: "/x/y"}, true}, "unix:x": {Address{Socket: "x"}, true}, "unix:./@x": {Address{Socket: "./@x"}, true},
		":9600": {Address{Port: "9600"}, false}, "0.0.0.0:9600": {Address{Host: "0.0.0.0", Port: "9600"}, false}, "[::]:9600": {Address{Host: "::", Port: "9600"}, false},
		"example.com:9600": {Address{Host: "example.com", Port: "9600"}, false}, "[::ffff:10.0.0.1]:1": {Address{Host: "::ffff:10.0.0.1", Port: "1"}, false},
		"localhost.example.com:1": {Address{Host: "localhost.example.com", Port: "1"}, false},
	} {
		if got, err := Parse(text); err != nil || got != want.Address || got.Local() != want.local {
			t.Errorf("%s: %+v, local %t, %v", text, got, got.Local(), err)
		}
	}
	for text, want := range map[string]string{
		"": "host:port", "9600": "host:port", "127.0.0.1": "host:port", "127.0.0.1:": "host:port", "http://127.0.0.1:9600": "host:port", "user@127.0.0.1:9600": "host:port",
		"unix:": "names no socket", "unix:@x": "abstract socket", "unix:@": "abstract socket",
		"127.0.0.1:99999": `has the port "99999", which is none`, "127.0.0.1:65536": "from 1 to 65535", "127.0.0.1:-1": "which is none", "127.0.0.1:+1": "which is none", "127.0.0.1:http": "which is none",
		"127.0.0.1:09600": "which is none", "127.0.0.1: 9600": "which is none", "127.0.0.1:\n1": "which is none",
	} {
		if got, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}
