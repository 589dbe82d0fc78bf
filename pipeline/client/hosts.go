package client

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Hosts are the servers that a record may choose.
type Hosts []HostPattern

// A HostPattern names servers: one by its name or address, those below a name by *.name, every one
// by *. With a :port behind it, it is those at that port, else at 80 and at 443.
type HostPattern struct {
	name  string // canonical; of a pattern what follows the star, "" for every host
	below bool   // a star stands before it
	port  string // "": 80 and 443
}

// UnmarshalText reads a pattern: api.example, *.example.org, api.example:8080, 192.0.2.1,
// [2001:db8::1]:8080 or *.
func (p *HostPattern) UnmarshalText(text []byte) error {
	s := string(text)
	if strings.Contains(s, "/") {
		return fmt.Errorf("%q is no host: write its name without http:// and path, like api.example or *.example.org:8080", s)
	}
	host, port := splitPort(s)
	var out HostPattern
	if port != "" {
		n, ok := portNumber(port)
		if !ok {
			return fmt.Errorf("the port of %q is none: write a number from 1 to 65535", s)
		}
		out.port = n
	}
	switch rest, star := strings.CutPrefix(host, "*"); {
	case star && rest == "":
		out.below = true
		*p = out
		return nil
	case star && strings.HasPrefix(rest, "."):
		host, out.below = rest[1:], true
	case star:
		return fmt.Errorf("%q is no pattern: write *.name for the hosts below a name, or * for every host", s)
	}
	name, err := canonicalHost(host)
	if err != nil {
		return fmt.Errorf("%q is no host: %w; write a name like api.example or *.example.org", s, err)
	}
	if _, err := netip.ParseAddr(name); err == nil && out.below {
		return fmt.Errorf("%q is no pattern: nothing is below an address", s)
	}
	out.name = name
	*p = out
	return nil
}

// splitPort takes host and port apart; an IPv6 address is in brackets then. It checks neither.
func splitPort(s string) (host, port string) {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		inner, after, closed := strings.Cut(rest, "]")
		if p, ok := strings.CutPrefix(after, ":"); closed && (ok || after == "") {
			return inner, p
		}
		return s, ""
	}
	if strings.Count(s, ":") == 1 {
		host, port, _ = strings.Cut(s, ":")
		return host, port
	}
	return s, "" // an IPv6 address without brackets, or nonsense
}

// portNumber gives a port without zeros before it.
func portNumber(s string) (string, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return strconv.FormatUint(n, 10), err == nil && n > 0
}

// String is the reverse of UnmarshalText.
func (p HostPattern) String() string {
	s := p.name
	switch {
	case p.below && s == "":
		s = "*"
	case p.below:
		s = "*." + s
	case strings.Contains(s, ":") && p.port != "":
		s = "[" + s + "]"
	}
	if p.port != "" {
		s += ":" + p.port
	}
	return s
}

// MarshalText is the reverse of UnmarshalText.
func (p HostPattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// names says whether the pattern is about a host in its canonical form, at whatever port.
func (p HostPattern) names(host string) bool {
	switch {
	case !p.below:
		return host == p.name
	case p.name == "":
		return true
	}
	return strings.HasSuffix(host, "."+p.name)
}

// Any says whether the pattern is every host.
func (p HostPattern) Any() bool { return p.below && p.name == "" }

// Any says whether a pattern of the list is every host: a record may choose whom it calls then, so
// nothing secret goes with the call.
func (h Hosts) Any() bool { return slices.ContainsFunc(h, HostPattern.Any) }

// Match says whether a pattern of the list is about the server of an http or https address. What is
// no such address matches none.
func (h Hosts) Match(u *url.URL) bool {
	host, port, err := server(u)
	return err == nil && h.match(host, port) == nil
}

// match gives nil, or says why none of the patterns fits.
func (h Hosts) match(host, port string) error {
	standard := port == "80" || port == "443"
	named := false
	for _, p := range h {
		if !p.names(host) {
			continue
		}
		if named = true; p.port == port || p.port == "" && standard {
			return nil
		}
	}
	switch {
	case named:
		return fmt.Errorf("hosts names it, but not its port %s: to call it, put %s under hosts", port, HostPattern{name: host, port: port})
	case len(h) == 0 && standard:
		return nil
	case len(h) == 0:
		return fmt.Errorf("its port %s is neither 80 nor 443: to call it, put %s under hosts", port, HostPattern{name: host, port: port})
	}
	return errors.New("no pattern of hosts fits it: to call it, put it under hosts")
}

// server gives host and port of an http or https address, both in the one form in which they are
// compared and dialled. The error says why there is none, without quoting.
func server(u *url.URL) (host, port string, err error) {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", "", errors.New("its URL is no http or https address")
	case u.User != nil:
		return "", "", errors.New("its URL holds a user name or a password")
	case u.Opaque != "" || u.Host == "":
		return "", "", errors.New("its URL names no host")
	}
	if host, err = canonicalHost(u.Hostname()); err != nil {
		return "", "", fmt.Errorf("the host of its URL %w", err)
	}
	if p := u.Port(); p != "" {
		var ok bool
		if port, ok = portNumber(p); !ok {
			return "", "", errors.New("the port of its URL is none")
		}
		return host, port, nil
	}
	return host, standardPort(u.Scheme), nil
}

// canonicalHost gives the one form of a host: a name in lower case and ASCII without a dot at its
// end, an address as it is printed, an IPv4 one as that alone. Refused is what some programs read as
// an address and others as a name (0177.0.0.1, 127.1, 2130706433, 0x7f.1): who judges and who dials
// have to mean the same server.
func canonicalHost(host string) (string, error) {
	if strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }) {
		ascii, err := idna.Lookup.ToASCII(host)
		if err != nil {
			return "", errors.New("is no name of the internet")
		}
		host = ascii
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" {
		return "", errors.New("is empty")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return "", errors.New("is an address of one network card")
		}
		return a.Unmap().String(), nil
	}
	if len(host) > 253 {
		return "", errors.New("is longer than 253 bytes")
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", errors.New("is neither a name nor an address")
		}
	}
	if last := labels[len(labels)-1]; isNumber(last) {
		return "", errors.New("ends in a number and is no address of four: 127.0.0.1 is how one is written")
	}
	return host, nil
}

// isNumber says whether a label is one that inet_aton would take for a part of an address.
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
