package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// An HTTP2 says when calls go over HTTP/2. "" is HTTP2Auto.
type HTTP2 string

// When calls go over HTTP/2.
const (
	HTTP2Auto HTTP2 = "auto"   // where a server of https has it
	HTTP2On   HTTP2 = "always" // always: a server of http gets it without being asked (h2c)
	HTTP2Off  HTTP2 = "never"  // never
)

// Validate refuses any other word.
func (m HTTP2) Validate() error {
	switch m {
	case "", HTTP2Auto, HTTP2On, HTTP2Off:
		return nil
	}
	return fmt.Errorf("%q is none: write auto, always or never", string(m))
}

// checkFilesEvery is how long a file is taken for unchanged: a look at it reads it.
const checkFilesEvery = 5 * time.Second

// A transport makes calls over connections that it keeps.
type transport struct {
	*http.Transport
	streams *streams // nil: net/http keeps the connections
}

// RoundTrip makes a call.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.streams != nil {
		return t.streams.RoundTrip(req)
	}
	return t.Transport.RoundTrip(req)
}

// CloseIdleConnections closes the connections that are not in use.
func (t *transport) CloseIdleConnections() {
	if t.streams != nil {
		t.streams.close()
	}
	t.Transport.CloseIdleConnections()
}

// current gives the transport for a call.
func (h *HTTP) current() *transport {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.options.TLSFiles == nil || time.Since(h.filesChecked) < checkFilesEvery {
		return h.transport
	}
	h.filesChecked = time.Now()
	if now := h.options.TLSFiles.Config(); now != h.tls {
		h.tls = now
		h.transport.CloseIdleConnections()
		h.transport = h.newTransport()
	}
	return h.transport
}

// connectLimit is how long a connection may take, and the handshake of TLS once more.
const connectLimit = 10 * time.Second

func (h *HTTP) newTransport() *transport {
	t := &http.Transport{
		DialContext: h.dial,
		// The default of two idle connections a host opens and closes one for nearly
		// every call of a pool of 64.
		MaxIdleConns:           4 * h.slots,
		MaxIdleConnsPerHost:    h.slots,
		MaxConnsPerHost:        h.slots,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    connectLimit,
		MaxResponseHeaderBytes: readHead,
		DisableCompression:     true, // decoded here, within MaxBytes
		Protocols:              new(http.Protocols),
		// Over HTTP/2 all calls may be on one connection: that it is dead has to come out before
		// each of them has run into its time.
		HTTP2:           &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: connectLimit},
		TLSClientConfig: tlsConfig(h.tls),
	}
	t.Protocols.SetHTTP1(h.options.HTTP2 != HTTP2On)
	t.Protocols.SetHTTP2(h.options.HTTP2 != HTTP2Off)
	t.Protocols.SetUnencryptedHTTP2(h.options.HTTP2 == HTTP2On)
	if h.options.otherServer {
		t.TLSClientConfig.ServerName = ""
	}
	if h.options.Proxy != nil {
		t.Proxy = http.ProxyURL(h.options.Proxy)
	}
	if h.options.HTTP2 == HTTP2On {
		t.MaxResponseHeaderBytes = readHeadOfH2
		return &transport{t, newStreams(t, h.slots)}
	}
	return &transport{Transport: t}
}

// maxHead is the most bytes of an answer's headers. More of them are read to find that out: over
// HTTP/2 what is above the limit of net/http ends the connection, with the calls of all others on it.
// Over HTTP/1.1, which auto may be too, it takes several times as much memory.
const (
	maxHead      = 64 << 10
	readHead     = 256 << 10
	readHeadOfH2 = 1 << 20
)

// errHead is the error of an answer with more than maxHead.
var errHead = errors.New("the answer's headers are too large")

// checkHead refuses an answer with more than maxHead, and ends it alone.
func checkHead(resp *http.Response) error {
	n := 0
	for name, lines := range resp.Header {
		for _, line := range lines {
			n += len(name) + len(line) + len(": \r\n")
		}
	}
	if n <= maxHead {
		return nil
	}
	return errors.Join(errHead, resp.Body.Close())
}

// dial connects to a server, or to the proxy: that one the file names, and no record chooses it.
func (h *HTTP) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if h.options.Dial != nil {
		return h.options.Dial(ctx, network, address)
	}
	d := &net.Dialer{Timeout: connectLimit, KeepAlive: 30 * time.Second, Resolver: h.options.Resolver}
	if h.options.Egress == nil || h.options.Proxy != nil {
		return d.DialContext(ctx, network, address)
	}
	return h.options.Egress.dial(ctx, d, network, address)
}

func tlsConfig(c *tls.Config) *tls.Config {
	if c == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c = c.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	return c
}
