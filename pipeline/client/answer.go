package client

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline"
)

// gzip gives a reader from the pool, or a new one. A body that does not begin like gzip gives
// gzip.ErrHeader even when it is shorter than gzip's header: gzip.NewReader would give
// io.ErrUnexpectedEOF, and that would count as a broken connection.
func (h *HTTP) gzip(body io.Reader) (*gzip.Reader, error) {
	var head [2]byte
	n, err := io.ReadFull(body, head[:])
	if err != nil && n == 0 {
		return nil, err
	}
	if magic := [2]byte{0x1f, 0x8b}; !bytes.Equal(head[:n], magic[:n]) {
		return nil, gzip.ErrHeader
	}
	body = io.MultiReader(bytes.NewReader(head[:n]), body)
	if zr, ok := h.gunzip.Get().(*gzip.Reader); ok {
		if err := zr.Reset(body); err != nil {
			h.gunzip.Put(zr)
			return nil, err
		}
		return zr, nil
	}
	return gzip.NewReader(body)
}

// answerError classifies an error of reading a body: broken compression is permanent, a
// broken connection transient.
func answerError(x *attempt, err error) error {
	what := x.what()
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		return pipeline.Reject(TypeBadAnswer, NewError(TypeBadAnswer, what+": the answer is not the gzip that it says it is", nil))
	}
	if errors.As(err, &corrupt) {
		return pipeline.Reject(TypeBadAnswer, NewError(TypeBadAnswer, what+": the answer's compression is corrupt", nil))
	}
	return transportError(x.ctx, what+": reading the answer", x.limit, err)
}

// beginningBytes is how much of the answer to a call that failed goes into a dead letter, and
// concealedBytes how much more is looked through for secrets: they become shorter, and what is shown reaches
// further than it would.
const (
	beginningBytes = 200
	concealedBytes = 16 << 10
)

// beginning gives the beginning of an answer's body as text: it often says why the server has
// refused. It is "" when there is none, or when it cannot be read.
func (h *HTTP) beginning(resp *http.Response) string {
	var src io.Reader = resp.Body
	switch enc := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding"))); enc {
	case "", "identity":
	case "gzip", "x-gzip":
		zr, err := h.gzip(io.LimitReader(resp.Body, 64<<10))
		if err != nil {
			return ""
		}
		defer h.gunzip.Put(zr)
		src = zr
	default:
		return "(in an encoding that was not asked for)"
	}
	b := make([]byte, beginningBytes+concealedBytes)
	n, err := io.ReadFull(src, b)
	if n == 0 || err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return ""
	}
	shown := h.conceal(resp.Request, b[:n])
	if n-len(shown) > concealedBytes/2 { // one that is cut through at the end could be shown
		return "(left out: it is mostly the log-in)"
	}
	return plainText(shown)
}

// plainText gives at most beginningBytes of b, ended at a whole character, or says that it
// is no text.
func plainText(b []byte) string {
	truncated := len(b) > beginningBytes
	if truncated {
		b = b[:beginningBytes]
		for i := 1; i < utf8.UTFMax && i < len(b); i++ { // a character that was cut through
			if utf8.RuneStart(b[len(b)-i]) {
				if !utf8.FullRune(b[len(b)-i:]) {
					b = b[:len(b)-i]
				}
				break
			}
		}
	}
	if !utf8.Valid(b) || bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' }) {
		return "(no text)"
	}
	if truncated {
		return string(b) + "…"
	}
	return string(b)
}

// A shownHeader is the header of requests with the credentials that were good a moment ago.
type shownHeader struct {
	value  string
	header http.Header // never changed
}

// send makes the call, logged in where that is asked for. After a 401 it is made once more, when
// there are other credentials by then. own says that the header of first is its own.
func (h *HTTP) send(first *http.Request, own bool, t *Trail) (*http.Response, error) {
	if h.auth == nil {
		return h.follow(first, t)
	}
	if !own {
		first.Header = nil
	}
	for again := false; ; again = true {
		used, err := h.auth.value(first.Context())
		if err != nil {
			return nil, err
		}
		h.show(first, used)
		resp, err := h.follow(first, t)
		if err != nil || resp.StatusCode != http.StatusUnauthorized || again ||
			resp.Request.Header.Get(h.auth.name()) != used || !h.auth.refused(used) {
			return resp, err
		}
		drain(resp.Body)
		if err := resp.Body.Close(); err != nil {
			return nil, err
		}
		header := first.Header
		first = first.WithContext(first.Context()) // a request is sent once
		if first.Header = nil; own {
			first.Header = header
		}
		if first.GetBody != nil {
			if first.Body, err = first.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// show puts the credentials into the header of a request; one without a header gets that which
// requests share.
func (h *HTTP) show(req *http.Request, value string) {
	if req.Header != nil {
		header := req.Header.Clone()
		header.Set(h.auth.name(), value)
		req.Header = header
		return
	}
	s := h.shown.Load()
	if s == nil || s.value != value {
		s = &shownHeader{value, h.header.Clone()}
		s.header.Set(h.auth.name(), value)
		h.shown.Store(s)
	}
	req.Header = s.header
}

// A redirectError ends a call whose redirect is not followed.
type redirectError struct {
	status int
	why    string
}

func (e *redirectError) Error() string { return e.why }

// follow makes the call and follows redirects. net/http's own client would do that too, but
// copies all headers of every call.
func (h *HTTP) follow(first *http.Request, t *Trail) (*http.Response, error) {
	req, left := first, false
	if t != nil {
		t.Redirects = nil
	}
	for hops := 0; ; hops++ {
		asks := false
		var sent time.Time
		if t != nil {
			sent = time.Now()
			if t.Known != nil {
				req = req.WithContext(req.Context()) // first keeps its header
				asks = t.condition(req)
			}
		}
		resp, err := h.current().RoundTrip(req)
		var denied *refusal
		if hops > 0 && errors.As(err, &denied) {
			return nil, &refusal{text: denied.text, answered: true} // a copy: others may have the same
		}
		if err != nil {
			return nil, err
		}
		if err := checkHead(resp); err != nil {
			return nil, err
		}
		location := value(resp.Header, "Location")
		if location == "" || h.options.Stay || !redirects(first.Method, resp.StatusCode) {
			t.arrive(resp, asks)
			return resp, nil
		}
		t.leave(resp, sent)
		drain(resp.Body)
		if err := resp.Body.Close(); err != nil {
			return nil, err
		}
		next, err := h.hop(first, req.URL, location, hops, left)
		var refused *redirectError
		if errors.As(err, &refused) {
			refused.status = resp.StatusCode
		}
		if err != nil {
			return nil, err
		}
		left = left || !sameHost(next.URL, first.URL)
		req = next
	}
}

// IsRedirect says whether a status leads elsewhere.
func IsRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirects says whether a status asks for the same request elsewhere. One that would
// turn the method into another is not followed: it is the answer then.
func redirects(method string, status int) bool {
	switch status {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return IsRedirect(status) && (method == http.MethodGet || method == http.MethodHead)
}

// hop makes the next request. left says that a redirect has led to another host before. The error is
// a *redirectError or a *refusal.
func (h *HTTP) hop(first *http.Request, from *url.URL, location string, hops int, left bool) (*http.Request, error) {
	refuse := func(why string) (*http.Request, error) { return nil, &redirectError{why: why} }
	to, err := from.Parse(location)
	switch {
	case err != nil:
		return refuse("a redirect leads to an address that is not valid")
	case hops >= maxRedirects:
		return refuse(fmt.Sprintf("stopped after %d redirects", maxRedirects))
	case to.Scheme != first.URL.Scheme && to.Scheme != "https", to.Host == "":
		return refuse("a redirect leads from " + first.URL.Scheme + " to " + shorten(to.Scheme))
	}
	to.User = nil
	if e := h.options.Egress; e != nil {
		if r := e.check(to); r != nil {
			return nil, &refusal{text: "a redirect is not followed: " + r.text, answered: true}
		}
	}
	same := sameHost(to, first.URL)
	if !same && (!h.options.AnyHost || first.GetBody != nil) {
		return refuse("a redirect leads to another host, " + shorten(to.Host))
	}
	var body io.Reader
	if first.GetBody != nil {
		if body, err = first.GetBody(); err != nil {
			return refuse("a redirect asks for a body that cannot be read again")
		}
	}
	req, err := http.NewRequestWithContext(first.Context(), first.Method, to.String(), body)
	if err != nil {
		return refuse("a redirect leads to an address that is not valid")
	}
	if same && !left {
		req.Header, req.ContentLength, req.GetBody = first.Header, first.ContentLength, first.GetBody
		return req, nil
	}
	// None of the other headers goes to another host: any of them may hold a key. Nor to an address of
	// the first that another host has chosen.
	req.Header.Set("User-Agent", h.header.Get("User-Agent"))
	return req, nil
}

// sameHost says whether two addresses are of one server: the same host and port, or from http to
// https on their standard ports.
func sameHost(a, b *url.URL) bool {
	if !strings.EqualFold(a.Hostname(), b.Hostname()) {
		return false
	}
	return a.Port() == b.Port() && a.Scheme == b.Scheme || port(a) == port(b) || port(a) == "443" && port(b) == "80"
}

// port gives the port of an address, that of its scheme where it names none.
func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return standardPort(u.Scheme)
}

func standardPort(scheme string) string {
	switch scheme {
	case "https":
		return "443"
	case "socks5":
		return "1080"
	}
	return "80"
}

// Ping connects to the host of address, with a TLS handshake where the scheme asks
// for one, and sends nothing. With a proxy it connects to that: the host may be out of
// reach without. The error is an EnvironmentError.
func (h *HTTP) Ping(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return &pipeline.EnvironmentError{Err: errors.New("connecting: the address names no host")}
	}
	what := "connecting to " + target(u)
	if h.options.Proxy != nil {
		u, what = h.options.Proxy, "connecting to the proxy"
	}
	t, limit := h.current(), timeLeft(ctx)
	conn, err := t.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port(u)))
	if err == nil && u.Scheme == "https" {
		conn, err = handshake(ctx, conn, t.TLSClientConfig, u.Hostname())
	}
	if err != nil {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("%w; is the server up, and is the address right?", transportError(ctx, what, limit, err))}
	}
	return conn.Close()
}
