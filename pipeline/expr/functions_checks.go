package expr

import (
	"encoding/json"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkFunctions say whether a text is of some form.
var checkFunctions = map[string]function{
	"isNumeric": testOf("isNumeric", "whether a text is a number as JSON writes it, with zeros before it and a + allowed", `isNumeric("-1.5e3")`, `isNumeric("1,5")`, isNumeric),
	"isInteger": testOf("isInteger", "whether a text is a sign or none and decimal digits", `isInteger("-007")`, `isInteger("1.0")`, isInteger),
	"isAlpha": testOf("isAlpha", "whether a text is one or more letters, of any script", `isAlpha("Zürich")`, `isAlpha("A4")`, every(func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsMark(r)
	})),
	"isAlphanumeric": testOf("isAlphanumeric", "whether a text is one or more letters and digits, of any script", `isAlphanumeric("A4")`, `isAlphanumeric("A 4")`, every(func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
	})),
	"isBlank": testOf("isBlank", "whether a text is empty or white space", `isBlank(" \t")`, `isBlank(" a ")`, func(s []byte) bool { return len(trimSpaceLeft(s)) == 0 }),
	"isUpper": testOf("isUpper", "whether a text has letters, and no small ones", `isUpper("ID 7")`, `isUpper("Id")`, func(s []byte) bool { return oneCase(s, unicode.IsUpper, unicode.IsLower) }),
	"isLower": testOf("isLower", "whether a text has letters, and no capitals", `isLower("id 7")`, `isLower("Id")`, func(s []byte) bool { return oneCase(s, unicode.IsLower, unicode.IsUpper) }),
	"isASCII": testOf("isASCII", "whether all bytes of a text are ASCII", `isASCII("abc")`, `isASCII("ü")`, func(s []byte) bool {
		for _, c := range s {
			if c >= utf8.RuneSelf {
				return false
			}
		}
		return true
	}),
	"isUTF8": testOf("isUTF8", "whether a text is valid UTF-8", `isUTF8("ü")`, `isUTF8(fromHex("ff"))`, utf8.Valid),
	"isJSON": testOf("isJSON", "whether a text is JSON", `isJSON("[1, 2]")`, `isJSON("[1,")`, json.Valid),
	"isUUID": testOf("isUUID", "whether a text is a UUID of any version, with its hyphens", `isUUID("0190163d-8694-739b-aea5-966c26f8ad91")`, `isUUID("0190163d")`, isUUID),
	"isIP":   testOf("isIP", "whether a text is an IPv4 or an IPv6 address", `isIP("::1")`, `isIP("1.2.3")`, func(s []byte) bool { _, ok := address(s); return ok }),
	"isIPv4": testOf("isIPv4", "whether a text is an IPv4 address", `isIPv4("10.0.0.1")`, `isIPv4("::1")`, func(s []byte) bool { a, ok := address(s); return ok && a.Is4() }),
	"isIPv6": testOf("isIPv6", "whether a text is an IPv6 address", `isIPv6("2001:db8::1")`, `isIPv6("10.0.0.1")`, func(s []byte) bool { a, ok := address(s); return ok && a.Is6() }),
	"inCIDR": {params: []mask{mString}, least: 2, most: 2, kinds: mBool, call: inCIDR, manual: manual{
		usage: "inCIDR(address, network)", says: "whether an IP address is in a network; an IPv4 address or network that is written as an IPv6 one counts as itself", fails: "the first is no address, or the second no network",
		examples: []Example{{`inCIDR("10.1.2.3", "10.0.0.0/8")`, `true`}, {`inCIDR("2001:db8::1", "2001:db9::/32")`, `false`}, {`inCIDR("10.1.2", "10.0.0.0/8")`, `error: no IP address`}},
	}},
}

// testOf makes a function that says whether a text is of a form, which takes linear time.
func testOf(name, says, yes, no string, f func([]byte) bool) function {
	return function{params: []mask{mString}, least: 1, most: 1, kinds: mBool, manual: manual{
		usage: name + "(text)", says: says, examples: []Example{{yes, "true"}, {no, "false"}},
	}, call: func(m *machine, args []value) (value, error) {
		s, err := m.text(args[0])
		if err != nil {
			return vNil, err
		}
		return vBool(f(s)), m.step(len(s) / 8)
	}}
}

// every makes a test of all characters, of which there is one at least.
func every(f func(r rune) bool) func([]byte) bool {
	return func(s []byte) bool {
		for i := 0; i < len(s); {
			r, n := utf8.DecodeRune(s[i:])
			if !f(r) {
				return false
			}
			i += n
		}
		return len(s) > 0
	}
}

func oneCase(s []byte, want, other func(r rune) bool) bool {
	found := false
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRune(s[i:])
		if other(r) {
			return false
		}
		found = found || want(r)
		i += n
	}
	return found
}

// digitsIn gives how many decimal digits s begins with.
func digitsIn(s []byte) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

func withoutSign(s []byte) []byte {
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		return s[1:]
	}
	return s
}

func isInteger(s []byte) bool {
	s = withoutSign(s)
	return len(s) > 0 && digitsIn(s) == len(s)
}

func isNumeric(s []byte) bool {
	s = withoutSign(s)
	n := digitsIn(s)
	if s = s[n:]; n == 0 {
		return false
	}
	if len(s) > 0 && s[0] == '.' {
		if n = digitsIn(s[1:]); n == 0 {
			return false
		}
		s = s[1+n:]
	}
	if len(s) > 0 && s[0]|0x20 == 'e' {
		return isInteger(s[1:])
	}
	return len(s) == 0
}

func isUUID(s []byte) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range s {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return false
			}
		}
	}
	return true
}

// maxAddress is more than any IP address has, with its zone or the bits of its network.
const maxAddress = 100

func address(s []byte) (netip.Addr, bool) {
	if len(s) > maxAddress {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(string(s))
	return a, err == nil
}

func inCIDR(m *machine, args []value) (value, error) {
	s, network, err := texts(m, args[0], args[1])
	if err != nil {
		return vNil, err
	}
	a, ok := address(s)
	if !ok {
		return vNil, fault("the text is no IP address")
	}
	n, err := netip.ParsePrefix(string(network[:min(len(network), maxAddress)]))
	if err != nil || strings.Contains(string(s), "%") {
		return vNil, fault("the text is no network like 10.0.0.0/8, or the address has a zone")
	}
	if n.Addr().Is4In6() && n.Bits() >= 96 {
		n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
	}
	return vBool(n.Contains(a.Unmap())), m.step(4)
}
