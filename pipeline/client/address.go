package client

import (
	"fmt"
	"net/netip"
	"strings"
)

// metadata is the class of the addresses at which clouds hand out keys to whoever asks from
// within.
const metadata = "an address of a cloud's metadata"

// notPublic are the networks that are not of the public internet, by IANA's registries of special
// addresses. The first that holds an address counts. Those of IPv6 are completed by a rule: what
// is outside of 2000::/3 is not public either.
var notPublic = []struct {
	network netip.Prefix
	class   string
}{
	{netip.MustParsePrefix("169.254.169.254/32"), metadata}, // most clouds
	{netip.MustParsePrefix("169.254.170.2/32"), metadata},   // of containers
	{netip.MustParsePrefix("169.254.170.23/32"), metadata},  // of pods
	{netip.MustParsePrefix("100.100.100.200/32"), metadata}, // within the shared space
	{netip.MustParsePrefix("192.0.0.192/32"), metadata},
	{netip.MustParsePrefix("168.63.129.16/32"), metadata}, // it looks public, and is of the host
	{netip.MustParsePrefix("fd00:ec2::254/128"), metadata},
	{netip.MustParsePrefix("fd00:ec2::23/128"), metadata},
	{netip.MustParsePrefix("fd20:ce::254/128"), metadata},
	{netip.MustParsePrefix("0.0.0.0/32"), "the unspecified address"},
	{netip.MustParsePrefix("0.0.0.0/8"), "an address of this network"},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address"},
	{netip.MustParsePrefix("100.64.0.0/10"), "a shared address of carriers"},
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address"},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address"},
	{netip.MustParsePrefix("192.0.0.0/24"), "an address of protocols"},
	{netip.MustParsePrefix("192.0.2.0/24"), "an address of documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "an address of relays"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address"},
	{netip.MustParsePrefix("198.18.0.0/15"), "an address of benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "an address of documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "an address of documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address"},

	{netip.MustParsePrefix("::/128"), "the unspecified address"},
	{netip.MustParsePrefix("::1/128"), "a loopback address"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an address of a local translation"},
	{netip.MustParsePrefix("2001:2::/48"), "an address of benchmarks"},
	{netip.MustParsePrefix("2001:10::/28"), "an address that is no place"},
	{netip.MustParsePrefix("2001:20::/28"), "an address that is no place"},
	{netip.MustParsePrefix("2001:db8::/32"), "an address of documentation"},
	{netip.MustParsePrefix("3fff::/20"), "an address of documentation"},
	{netip.MustParsePrefix("fc00::/7"), "a private address"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("fec0::/10"), "a private address"}, // of a site, as it once was
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
}

// Networks whose addresses hold IPv4 ones, to which somebody on the way takes the call.
var (
	unicast   = netip.MustParsePrefix("2000::/3")
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
	teredo    = netip.MustParsePrefix("2001::/32")
)

// classify gives the class of an address that is not public, or the IPv4 addresses within it that
// decide. Neither: it is public.
func classify(a netip.Addr) (class string, inner []netip.Addr) {
	for _, n := range notPublic {
		if n.network.Contains(a) {
			return n.class, nil
		}
	}
	if a.Is4() {
		return "", nil
	}
	b := a.As16()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	switch {
	case nat64.Contains(a):
		return "", []netip.Addr{at(12)}
	case sixToFour.Contains(a):
		return "", []netip.Addr{at(2)}
	case teredo.Contains(a):
		for i := 12; i < 16; i++ {
			b[i] ^= 0xff // the client's is written inverted
		}
		return "", []netip.Addr{at(4), at(12)}
	case !unicast.Contains(a):
		return "an address that is not public", nil
	case b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP
		return "", []netip.Addr{at(12)}
	}
	return "", nil
}

// PlainQuery encodes what may not stand in a request line: addresses in records are often written
// for people, and the query is sent as it is.
func PlainQuery(query string) string {
	odd := func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>", r) }
	if !strings.ContainsFunc(query, odd) {
		return query
	}
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; odd(rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
