package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/secretfiles"
)

// A Refusal says why a request is not for the handler.
type Refusal struct {
	Status int
	Header http.Header // to answer with; may be nil
	Text   string      // what is wrong and what to do, without what the request holds
}

// Check refuses a request that is addressed to somebody else, comes from a page of another site, or shows no token where one is
// needed, in that order. nil: it may go on.
func (s *Server) Check(r *http.Request) *Refusal {
	switch {
	case !s.Addressed(r):
		return &Refusal{Status: http.StatusMisdirectedRequest,
			Text: "the request is addressed to another host: " + s.options.Prefix + "hosts has the names that it may be addressed to"}
	case !s.FromHere(r):
		return &Refusal{Status: http.StatusForbidden,
			Text: "the request comes from a page of another site: " + s.options.Prefix + "origins has those whose pages may call"}
	case !s.Authorized(r):
		return &Refusal{Status: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {"Bearer"}}, Text: "the token is missing or wrong"}
	}
	return nil
}

// Addressed says whether the Host header is one of this server's: localhost, the host it listens on, a plain address or one of
// Hosts. One that is not there is none of a browser, which always sends the name that
// it has resolved; probes that speak HTTP/1.0 send none.
func (s *Server) Addressed(r *http.Request) bool {
	if s.at.Socket != "" || r.Host == "" {
		return true
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return true
	}
	return host != "" && (host == strings.ToLower(s.at.Host) || slices.ContainsFunc(s.options.Hosts, func(h string) bool {
		return host == strings.ToLower(h)
	}))
}

// FromHere says whether a request comes from no page, from one of this server, or from one of Origins. A browser says of
// each request that a page makes to another site where the page is from, and of each that is no GET or HEAD.
func (s *Server) FromHere(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(s.options.Origins, "*") {
		return true
	}
	if slices.ContainsFunc(s.options.Origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		return true
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	u, err := url.Parse(origin)
	return err == nil && u.Scheme == scheme && r.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// Authorized says whether the request carries the token, if there is one, or that of Options.Higher. How long that takes
// says nothing about it, its length included.
func (s *Server) Authorized(r *http.Request) bool {
	if s.token == nil {
		return true
	}
	token, ok := bearer(r)
	if !ok && s.options.Token != nil {
		token = s.options.Token(r)
		ok = token != ""
	}
	is := same(token, s.token)
	if s.higher != nil {
		is = same(token, s.higher) || is
	}
	return is && ok
}

// Entitled says whether the request has the right to more than to ask: it carries the token of Options.Higher, or that of the settings where
// there is no such token.
func (s *Server) Entitled(r *http.Request) bool {
	if s.higher == nil {
		return s.Authorized(r)
	}
	token, ok := bearer(r)
	return same(token, s.higher) && ok
}

// bearer gives the token of the header.
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimLeft(token, " "), ok && strings.EqualFold(scheme, "Bearer") // RFC 9110, 11.1
}

func same(token string, secret *secretfiles.Secret) bool {
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(secret.Text()))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// From says where a request came from, for a log: host and port, or "uid 1000" of who has connected to a socket; "unix" where the system
// does not say who that is.
func From(r *http.Request) string {
	c, ok := r.Context().Value(placeKey{}).(*place)
	if !ok {
		return r.RemoteAddr
	}
	socket, ok := c.Conn.(*net.UnixConn)
	if !ok {
		return r.RemoteAddr
	}
	uid, err := peerUser(socket)
	if err != nil {
		return "unix"
	}
	return fmt.Sprintf("uid %d", uid)
}
