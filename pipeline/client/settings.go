package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/penstockio/penstock/pipeline/settings"
)

// StaticHost gives scheme and host of an address that may have {…} parts, and
// refuses one whose host a record could choose: calls go where the file says.
func StaticHost(template string) (string, error) {
	if template == "" {
		return "", errors.New("the address is empty: write http://host:port/path")
	}
	scheme, rest, ok := strings.Cut(template, "://")
	if !ok || (scheme != "http" && scheme != "https") {
		return "", errors.New("the address must begin with http:// or https://")
	}
	host := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host = rest[:i]
	}
	switch {
	case strings.ContainsAny(host, "{}"):
		return "", errors.New("the host must stand in the file: a part may come only behind http://host/")
	case strings.Contains(host, "@"):
		return "", errors.New("the address holds a user name or password: put Authorization under secret_headers")
	}
	u, err := url.Parse(scheme + "://" + host)
	if err != nil || u.Hostname() == "" {
		return "", errors.New("the address names no host: write http://host:port/path")
	}
	return target(u), nil
}

// Host gives the host of what StaticHost gives, as whoever holds calls back names it: in lower case,
// with a port only where it is not that of the scheme.
func Host(base string) string {
	scheme, host, _ := strings.Cut(base, "://")
	return strings.ToLower(strings.TrimSuffix(host, ":"+standardPort(scheme)))
}

// Address gives an address for messages: scheme and host as they are, and behind them the
// path as the file writes it, {…} and variables included, never with what a record or a
// variable puts there. The query is left out: keys stand in it. host is what StaticHost
// gave for text.
func Address(host, text, written string) string {
	path := written[:query(written)]
	if _, rest, ok := strings.Cut(path, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			return host + rest[i:]
		}
		return host
	}
	if _, rest, ok := strings.Cut(written, "}"); ok && text == host+rest { // ${BASE}/path
		return host + rest[:query(rest)]
	}
	return host + " (" + path + ")"
}

// query gives where the query of a written address begins: a question mark within {…} is
// of an expression.
func query(written string) int {
	depth := 0
	for i, c := range written {
		switch {
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		case (c == '?' || c == '#') && depth == 0:
			return i
		}
	}
	return len(written)
}

// secretNames are headers that belong under secret_headers.
var secretNames = map[string]bool{
	"Authorization": true, "Proxy-Authorization": true, "Cookie": true, "X-Api-Key": true, "X-Auth-Token": true,
}

// Headers makes the header that goes with every request, and refuses what would
// change a request's structure or show a secret. Values of secrets stay out of
// errors.
func Headers(fixed map[string]string, secret map[string]settings.Secret) (http.Header, error) {
	h := http.Header{}
	var errs []error
	add := func(name, value string) {
		if err := CheckHeader(name, value); err != nil {
			errs = append(errs, err)
			return
		}
		if _, ok := h[http.CanonicalHeaderKey(name)]; ok {
			errs = append(errs, fmt.Errorf("the header %s is given twice", name))
		}
		h.Set(name, value)
	}
	for name, value := range fixed {
		if secretNames[http.CanonicalHeaderKey(name)] {
			errs = append(errs, fmt.Errorf("%s is a secret: put it under secret_headers, where it never shows", name))
		}
		add(name, value)
	}
	for name, value := range secret {
		add(name, value.Reveal())
	}
	return h, errors.Join(errs...)
}

// ParseProxy reads the address of a proxy; "" is none.
func ParseProxy(address string) (*url.URL, error) {
	if address == "" {
		return nil, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5") {
		return nil, errors.New("the address is not valid: write http://host:port")
	}
	return u, nil
}
