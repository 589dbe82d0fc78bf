package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync/atomic"
	"syscall"

	"github.com/penstockio/penstock/pipeline"
)

// An Egress says where calls may go whose addresses come from records or from pages. The zero value
// lets them go to every server of the public internet, at the ports 80 and 443. It is not changed
// while it is in use.
//
// Names are judged by the address that they lead to, when the connection is made: a name that leads
// elsewhere than it did a moment ago is judged anew, and so is that of every redirect. With a proxy
// the names are the proxy's to look up: Hosts holds, and addresses that stand in the URL are judged.
type Egress struct {
	Hosts Hosts   // the servers that may be called; none: every one, at 80 and 443
	Allow []Allow // what is open although it is not public
}

// An Allow opens servers that are not of the public internet: those of a network (10.0.0.0/8), one
// address, or whatever a name leads to (a name alone or with *. before it). An address at which
// clouds hand out keys is opened by itself alone or by a name, never by a network around it.
type Allow struct {
	network netip.Prefix
	name    HostPattern // where there is no network
}

// UnmarshalText reads a network, an address or a name.
func (a *Allow) UnmarshalText(text []byte) error {
	s := string(text)
	if p, err := netip.ParsePrefix(s); err == nil {
		if p != p.Masked() {
			return fmt.Errorf("%q is no network: write %s", s, p.Masked())
		}
		if p.Addr().Is4In6() {
			if p.Bits() < 96 {
				return fmt.Errorf("%q holds more than the IPv4 addresses: write ::/0 and 0.0.0.0/0 for everything", s)
			}
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		*a = Allow{network: p}
		return nil
	}
	var name HostPattern
	if err := name.UnmarshalText(text); err != nil {
		return fmt.Errorf("%q is neither a network, an address nor a host: write 10.0.0.0/8, 10.1.2.3 or internal.example", s)
	}
	switch addr, err := netip.ParseAddr(name.name); {
	case name.port != "":
		return fmt.Errorf("%q has a port: which ports may be called is said under hosts", s)
	case name.Any():
		return fmt.Errorf("%q is every host: write 0.0.0.0/0 and ::/0 if that is meant", s)
	case err == nil:
		*a = Allow{network: netip.PrefixFrom(addr, addr.BitLen())}
	default:
		*a = Allow{name: name}
	}
	return nil
}

// String is the reverse of UnmarshalText.
func (a Allow) String() string {
	switch {
	case !a.network.IsValid():
		return a.name.String()
	case a.network.IsSingleIP():
		return a.network.Addr().String()
	}
	return a.network.String()
}

// MarshalText is the reverse of UnmarshalText.
func (a Allow) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// A refusal is a call that may not be made.
type refusal struct {
	text     string
	answered bool // a redirect led to it: the server that was called is there
}

func (r *refusal) Error() string { return r.text }

// error makes what the engine gets of it: the next attempt would be refused too.
func (r *refusal) error(what string) error {
	return pipeline.Reject(TypeEgress, &Error{Type: TypeEgress, text: what + ": " + r.text, answered: r.answered})
}

// Check refuses the address of a call that may not be made, as far as can be known without looking
// its host up, and writes the host of u in its one form: of two addresses that lead to the same
// server both have the same Host then. The error is permanent, of TypeEgress. Do checks by itself.
func (e *Egress) Check(u *url.URL) error {
	if r := e.check(u); r != nil {
		return r.error("making the request")
	}
	return nil
}

func (e *Egress) check(u *url.URL) *refusal {
	host, port, err := server(u)
	if err != nil {
		return &refusal{text: err.Error()}
	}
	if err := e.Hosts.match(host, port); err != nil {
		return &refusal{text: "the host " + host + " may not be called: " + err.Error()}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if r := e.judge(host, addr); r != nil {
			return r
		}
	}
	u.Host = host
	if port != standardPort(u.Scheme) {
		u.Host = net.JoinHostPort(host, port)
	} else if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
		u.Host = "[" + host + "]"
	}
	return nil
}

// judge refuses an address to which the host leads.
func (e *Egress) judge(host string, addr netip.Addr) *refusal {
	addr = addr.Unmap().WithZone("")
	class, inner := classify(addr)
	if class == "" && len(inner) == 0 || e.allows(host, addr, class) {
		return nil
	}
	if class != "" {
		hint := "put it or its network under allow"
		if class == metadata {
			hint = "put it or that one address under allow"
		}
		return &refusal{text: "the host " + host + " leads to " + class + ", where no call goes whose address comes from a record: to open it, " + hint}
	}
	for _, a := range inner {
		if r := e.judge(host, a); r != nil {
			return r
		}
	}
	return nil
}

func (e *Egress) allows(host string, addr netip.Addr, class string) bool {
	for _, a := range e.Allow {
		switch {
		case !a.network.IsValid():
			if a.name.names(host) {
				return true
			}
		case a.network.Contains(addr) && (class != metadata || a.network.IsSingleIP()):
			return true
		}
	}
	return false
}

// dial connects with d, which is its own, to an address that may be called. The check is on
// the address of the socket, just before it connects: there is no moment left in which a name could
// come to lead elsewhere.
func (e *Egress) dial(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var tried atomic.Bool // an address that may be called
	d.ControlContext = func(_ context.Context, network, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || network != "tcp4" && network != "tcp6" {
			return &refusal{text: "the host " + host + " leads to something that is no address of the internet"}
		}
		if r := e.judge(host, to.Addr()); r != nil {
			return r
		}
		tried.Store(true)
		return nil
	}
	conn, err := d.DialContext(ctx, network, address)
	var refused *refusal
	if errors.As(err, &refused) && tried.Load() {
		// One of several addresses may be called and does not answer: it may, later.
		return nil, errors.New("no connection to those addresses of the host that may be called")
	}
	return conn, err
}
