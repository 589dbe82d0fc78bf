package client

import (
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

	"github.com/penstockio/penstock/pipeline"
)

// gzip gives a reader of its own making or one that has been put back.
func (h *HTTP) gzip(body io.Reader) (*gzip.Reader, error) {
	if zr, ok := h.gunzip.Get().(*gzip.Reader); ok {
		if err := zr.Reset(body); err != nil {
			h.gunzip.Put(zr)
			return nil, err
		}
		return zr, nil
	}
	return gzip.NewReader(body)
}

// answerError classifies trouble while reading a body: broken compression is
// permanent, a broken connection transient.
func answerError(ctx context.Context, what string, err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		return pipeline.Reject(TypeBadAnswer, NewError(TypeBadAnswer, what+": the answer is not the gzip that it says it is", nil))
	}
	if errors.As(err, &corrupt) {
		return pipeline.Reject(TypeBadAnswer, NewError(TypeBadAnswer, what+": the answer's compression is corrupt", nil))
	}
	return transportError(ctx, what+": reading the answer", err)
}

// A redirectError ends a call whose redirect is not followed.
type redirectError struct{ why string }

func (e *redirectError) Error() string { return e.why }

// redirect decides about one hop. A redirect that would turn the method into
// another is not followed: the 3xx itself is then the answer.
func (h *HTTP) redirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	if req.Method != first.Method {
		return http.ErrUseLastResponse
	}
	if len(via) > maxRedirects {
		return &redirectError{fmt.Sprintf("stopped after %d redirects", maxRedirects)}
	}
	if req.URL.Scheme != first.URL.Scheme && req.URL.Scheme != "https" {
		return &redirectError{"a redirect leads from https to " + shorten(req.URL.Scheme)}
	}
	if sameHost(req.URL, first.URL) {
		return nil
	}
	if !h.options.AnyHost || (first.Body != nil && first.Body != http.NoBody) {
		return &redirectError{"a redirect leads to another host, " + shorten(req.URL.Host)}
	}
	// net/http takes off Authorization and Cookie; a key may stand in any field.
	agent := req.Header.Get("User-Agent")
	clear(req.Header)
	req.Header.Set("User-Agent", agent)
	return nil
}

// sameHost allows http to https on the standard ports beside plain equality.
func sameHost(a, b *url.URL) bool {
	if !strings.EqualFold(a.Hostname(), b.Hostname()) {
		return false
	}
	return a.Port() == b.Port() && a.Scheme == b.Scheme || port(a) == port(b) || port(a) == "443" && port(b) == "80"
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// Ping connects to the host of address, with a TLS handshake where the scheme asks
// for one, and sends nothing. The error is an EnvironmentError.
func (h *HTTP) Ping(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return &pipeline.EnvironmentError{Err: errors.New("connecting: the address names no host")}
	}
	what := "connecting to " + target(u)
	conn, err := h.transport.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port(u)))
	if err == nil && u.Scheme == "https" {
		conn, err = handshake(ctx, conn, h.transport.TLSClientConfig, u.Hostname())
	}
	if err != nil {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("%w; is the server up, and is the address right?", transportError(ctx, what, err))}
	}
	return conn.Close()
}
