// SPDX-License-Identifier: Apache-2.0

// Package listen takes apart the text that says where the endpoint of a process listens.
package listen

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// An Address is where a process listens: at a host and a port, or at a socket.
type Address struct {
	Socket     string // its path; "": none
	Host, Port string // of an address without a socket; Host "": every address of the machine
}

// An Error says what is wrong with a text, to be read behind what that text is: "listen names no socket".
type Error struct {
	Text       string
	Suggestion string // what to write
	Form       bool   // the text is no address at all: who shows it says ", not TEXT" behind
}

func (e *Error) Error() string { return e.Text + ": " + e.Suggestion }

// Parse reads host:port, or unix: and the path of a socket. The error is an *Error. It resolves no name, and looks at no file.
func Parse(text string) (Address, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		switch {
		case path == "":
			return Address{}, &Error{Text: "names no socket", Suggestion: "write unix:/run/penstock/admin.sock"}
		case path[0] == '@':
			// It has no mode: whoever is on the machine may connect.
			return Address{}, &Error{
				Text:       "names an abstract socket, to which every user of the machine may connect",
				Suggestion: "write a path, as unix:/run/penstock/admin.sock; a file of that name is unix:./" + path,
			}
		}
		return Address{Socket: path}, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || port == "" || strings.ContainsAny(host, "/@ ") {
		return Address{}, &Error{Text: "takes host:port or unix:/path", Suggestion: "write 127.0.0.1:9600", Form: true}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return Address{}, &Error{
			Text:       fmt.Sprintf("has the port %q, which is none", port),
			Suggestion: "a port is a number from 1 to 65535, or 0 for one that the system chooses",
		}
	}
	return Address{Host: host, Port: port}, nil
}

// IsName says whether a text can be one of the names that requests are addressed to: a host alone, without a scheme and a port.
func IsName(host string) bool { return host != "" && !strings.ContainsAny(host, ":/ @") }

// Local says whether only this machine can reach the address. Of names it trusts localhost alone: what
// another one resolves to may change.
func (a Address) Local() bool {
	addr, err := netip.ParseAddr(a.Host)
	return a.Socket != "" || a.Host == "localhost" || err == nil && addr.IsLoopback()
}
