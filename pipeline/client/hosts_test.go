package client

import (
	"net/netip"
	"net/url"
	"testing"
)

func TestHostPatterns(t *testing.T) {
	for text, want := range map[string]string{ // "": refused
		"api.example": "api.example", "API.Example.": "api.example", "api.example:8080": "api.example:8080", "api.example:080": "api.example:80",
		"*.example.org": "*.example.org", "*.Example.org:8080": "*.example.org:8080", "*": "*", "*:8080": "*:8080", "localhost": "localhost",
		"bücher.example": "xn--bcher-kva.example", "BÜCHER。example": "xn--bcher-kva.example", "192.0.2.1": "192.0.2.1", "::1": "::1", "[::1]": "::1", "[::1]:80": "[::1]:80",
		"::ffff:192.0.2.1": "192.0.2.1", "[2001:DB8::0:1]:8080": "[2001:db8::1]:8080", "a_b.example": "a_b.example", "１９２.0.2.1": "192.0.2.1",
		"": "", "http://api.example": "", "api.example/x": "", "*api.example": "", "a.*.example": "", "*.": "", ".example": "", "a..b": "", "api.example:": "api.example", "api.example:0": "", "api.example:x": "",
		"api.example:65536": "", "user@api.example": "", "127.1": "", "0x7f.1": "", "2130706433": "", "*.192.0.2.1": "", "a b": "", "fe80::1%eth0": "", "a%2eb": "", `a\b`: "", "[::1": "", "**": "", "*.*.org": "", "a\x00": "", "xn--": "xn--",
	} {
		var p HostPattern
		err := p.UnmarshalText([]byte(text))
		if (err != nil) != (want == "") || err == nil && p.String() != want {
			t.Errorf("%q: %v %v, want %s", text, p, err, want)
		}
		if err == nil {
			var again HostPattern
			if err := again.UnmarshalText([]byte(p.String())); err != nil || again != p {
				t.Errorf("%q is printed %s: %v", text, p, err)
			}
		}
	}
}

func TestHostsMatch(t *testing.T) {
	h := hosts(t, "api.example", "*.example.org", "port.example:8080", "port.example:8443", "192.0.2.1", "[2001:db8::1]:8080", "bücher.example")
	for address, want := range map[string]bool{
		"http://api.example": true, "https://api.example/x?y": true, "http://API.EXAMPLE.:80": true, "http://api.example:443": true, "http://api.example:0080": true,
		"http://api.example:8080": false, "http://x.api.example": false, "http://api.example.evil": false, "http://xapi.example": false, "http://api.example@evil": false, "http://evil@api.example": false,
		"http://a.example.org": true, "http://a.b.example.org": true, "http://example.org": false, "http://aexample.org": false, "http://.example.org": false, "http://a.example.org.evil": false,
		"http://port.example": false, "http://port.example:8080": true, "https://port.example:8443": true, "http://port.example:80": false,
		"http://192.0.2.1": true, "http://[::ffff:192.0.2.1]": true, "http://[2001:db8:0::1]:8080": true, "http://[2001:db8::1]": false,
		"http://BÜCHER.example": true, "http://xn--bcher-kva.example": true, "http://b%C3%BCcher.example": true,
		"ftp://api.example": false, "api.example": false, "//api.example": false, "http:api.example": false, "": false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
		} else if got := h.Match(u); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	if h.Any() || !hosts(t, "a.example", "*:8080").Any() {
		t.Error("which list has every host is not told apart")
	}
}

// Of two addresses of one server, Check leaves one host.
func TestCheckWritesTheHost(t *testing.T) {
	for address, want := range map[string]string{
		"http://API.example.:80/A": "http://api.example/A", "https://api.example:443": "https://api.example", "http://api.example:443": "http://api.example:443",
		"http://b%C3%BCcher.example": "http://xn--bcher-kva.example", "http://[2a00:1450:0::1]:80/": "http://[2a00:1450::1]/", "http://8.8.8.8:/": "http://8.8.8.8/",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if err := (&Egress{}).Check(u); err != nil || u.String() != want {
			t.Errorf("%s: %s %v, want %s", address, u, err, want)
		}
	}
}

func TestAllow(t *testing.T) {
	for text, want := range map[string]string{ // "": refused
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3", "10.1.2.3/32": "10.1.2.3", "::1": "::1", "fd00::/8": "fd00::/8", "::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:10.0.0.1": "10.0.0.1",
		"internal.example": "internal.example", "*.Internal.example": "*.internal.example", "0.0.0.0/0": "0.0.0.0/0", "localhost": "localhost",
		"10.0.0.1/8": "", "::ffff:0.0.0.0/90": "", "*": "", "internal.example:80": "", "10/8": "", "": "", "10.0.0.0/33": "", "http://internal.example": "", "127.1": "",
	} {
		var a Allow
		err := a.UnmarshalText([]byte(text))
		if (err != nil) != (want == "") || err == nil && a.String() != want {
			t.Errorf("%q: %v %v, want %s", text, a, err, want)
		}
	}
	// What is open, and what a network around an address of metadata leaves closed.
	e := &Egress{Allow: allow(t, "10.0.0.0/8", "169.254.0.0/16", "0.0.0.0/0", "fd00::/8", "meta.example", "100.100.100.200")}
	for address, want := range map[string]bool{
		"10.1.2.3": true, "127.0.0.1": true, "169.254.1.1": true, "64:ff9b::10.1.2.3": true, "::ffff:10.1.2.3": true, "fd00::1": true, "100.100.100.200": true,
		"169.254.169.254": false, "64:ff9b::169.254.169.254": false, "fd00:ec2::254": false, "fc00::1": false, "::1": false, "168.63.129.16": false,
	} {
		if r := e.judge("h.example", netip.MustParseAddr(address)); (r == nil) != want {
			t.Errorf("%s: %v", address, r)
		}
	}
	if r := e.judge("meta.example", netip.MustParseAddr("169.254.169.254")); r != nil {
		t.Error(r)
	}
}

// The public internet is open, at the edges of what is not too, and by the ways of translation.
func TestPublicAddresses(t *testing.T) {
	for _, address := range []string{
		"1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
		"192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8",
		"2001:0:808:808::f7f7:f7f7", // inverted 8.8.8.8
	} {
		if r := (&Egress{}).judge("h.example", netip.MustParseAddr(address)); r != nil {
			t.Errorf("%s: %v", address, r)
		}
	}
}

func FuzzCanonicalHost(f *testing.F) {
	for _, s := range corpus {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		host, err := canonicalHost(text)
		if err != nil {
			return
		}
		if again, err := canonicalHost(host); err != nil || again != host {
			t.Errorf("%q is %q, and that is %q: %v", text, host, again, err)
		}
	})
}
