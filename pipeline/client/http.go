package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/tlsfiles"
	"github.com/penstockio/penstock/pipeline/tracing"
)

// HTTPOptions are the settings of an HTTP client. Zero stands for the default.
//
// Reason for its size: it has all that can be said of a client, a field for each.
type HTTPOptions struct {
	// Slots is how many calls run at once, and so the most connections to a host;
	// all of them are kept open between calls. To several hosts together four times as
	// many are, at most. 0: 64
	Slots int
	// MaxBytes is the most bytes of an answer, decoded. 0: 1 MiB
	MaxBytes int64
	// Header goes with every request, unless the request sets a field itself. It is
	// left out when a redirect leads to another host.
	Header http.Header
	// AnyHost lets a redirect of a request without a body lead to another host. False:
	// only to the same one.
	AnyHost bool
	// Stay has a redirect be an answer like any other, for those who follow it themselves.
	Stay bool
	// Gzip asks for compressed answers. One that comes unasked is decoded too.
	Gzip bool
	TLS  *tls.Config // nil: the system's authorities, TLS 1.2 or later
	// TLSFiles take the place of TLS. They are looked at every five seconds at most;
	// connections that were made before they changed are closed when they are idle.
	TLSFiles *tlsfiles.Files
	// Proxy is used when it is set; variables of the environment never are.
	Proxy *url.URL
	// Egress is for addresses that come from records or from pages: it says where calls may go.
	// nil: anywhere, for the address stands in the file.
	Egress *Egress
	// Auth is how this side logs in. nil: not at all. Its files are read by NewHTTP, and again
	// when they change.
	Auth  *Auth
	HTTP2 HTTP2
	// Secrets are values of Header that nobody else may see, and Conceal takes what else is secret
	// out of a text; it may be nil. What a server quotes of them, or of Auth and Proxy, is left out of
	// errors.
	Secrets []string
	Conceal func(text string) string
	// Warn is called, from any goroutine, when a file of Auth has become unreadable or wrong, once
	// until it is good again: what was read last stays in use. nil: nobody is told.
	Warn func(error)
	// Resolver looks names up. nil: that of the system. A test gives one of its own; what it
	// answers is judged like any other answer.
	Resolver *net.Resolver
	// Dial makes connections in place of the network: for a test whose servers are in its memory.
	// Egress does not judge what it connects to, but for Hosts.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds a call whose ctx has no deadline. 0: 5 minutes
	Timeout time.Duration
	Agent   string // User-Agent. "": penstock

	otherServer bool // TLS is of a server other than those that are called
}

// An HTTP is a client with connections of its own. It is safe for concurrent use.
type HTTP struct {
	options HTTPOptions
	header  http.Header // of every request; never changed
	gunzip  sync.Pool   // of *gzip.Reader
	auth    credentials // nil: none
	// shown is header with the credentials in it, for requests that have no header of their own.
	shown atomic.Pointer[shownHeader]

	mu           sync.Mutex
	slots        int // HTTPOptions.Slots, or what Resize has made of it
	transport    *transport
	tls          *tls.Config // of transport, when it stands in files
	filesChecked time.Time   // at the files
}

const maxRedirects = 5

// NewHTTP makes a client. It connects when it is first used. The caller closes it. A file of Auth
// that cannot be used is an EnvironmentError.
func NewHTTP(o HTTPOptions) (*HTTP, error) {
	o.Slots = max(orElse(o.Slots, 64), 1)
	o.MaxBytes = orElse(o.MaxBytes, 1<<20)
	o.Timeout = orElse(o.Timeout, 5*time.Minute)
	if err := o.HTTP2.Validate(); err != nil {
		return nil, fmt.Errorf("setting up HTTP/2: %w", err)
	}
	header := http.Header{"User-Agent": {orElse(o.Agent, "penstock")}}
	for name, values := range o.Header {
		for _, v := range values {
			if err := CheckHeader(name, v); err != nil {
				return nil, err
			}
		}
		header[headerKey(name)] = values
	}
	if o.Gzip {
		header.Set("Accept-Encoding", "gzip")
	}
	h := &HTTP{options: o, header: header, tls: o.TLS, slots: o.Slots, filesChecked: time.Now()}
	if o.TLSFiles != nil {
		h.tls = o.TLSFiles.Config()
	}
	h.transport = h.newTransport()
	if o.Auth != nil {
		var err error
		if h.auth, err = o.Auth.open(h); err != nil {
			return nil, err
		}
		if _, twice := header[headerKey(h.auth.name())]; twice {
			h.auth.close()
			return nil, fmt.Errorf("setting up the log-in: the header %s is set elsewhere too", h.auth.name())
		}
	}
	return h, nil
}

// Resize changes how many calls run at once, and so the most connections to a host. Calls under way keep their connections, and
// close them when they end: until then there may be as many more.
func (h *HTTP) Resize(slots int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if slots = max(slots, 1); slots == h.slots {
		return
	}
	h.slots = slots
	h.transport.CloseIdleConnections()
	h.transport = h.newTransport() // net/http reads its bounds without a lock: they cannot change
}

// Close closes the idle connections. Calls under way go on and close theirs; one that waits for a
// token of Auth ends.
func (h *HTTP) Close() {
	if h.auth != nil {
		h.auth.close()
	}
	h.current().CloseIdleConnections()
}

// A Request is one call. Its Body must not be changed until the client is closed:
// the transport may still be sending it when Do has returned.
type Request struct {
	Method string
	URL    string
	Header http.Header // added to the client's; may be nil
	Body   []byte      // nil: none
	// Address stands in errors in place of the URL, whose path holds values of records.
	// "": scheme and host of the URL.
	Address string
	// Discard leaves the answer's body out: it is read only as far as it takes to
	// use the connection again, and that it cannot be read is no error.
	Discard bool
	// Skip says of an answer, by its header, that its body is left out as with Discard. nil: of none.
	Skip func(http.Header) bool
	// First, when it is not 0, is how many bytes of the answer's body, decoded, are read at most:
	// more of them are no error, whatever MaxBytes is.
	First int64
	// Trail takes note of the way to the answer, for those who keep it. nil: nobody wants that.
	Trail *Trail
	// Reads are statuses beside 2xx whose answers are read like those of success.
	Reads Statuses
}

// An Answer is what the server has answered, whatever the status.
type Answer struct {
	Status    int
	Header    http.Header
	Body      []byte // decoded; the caller's
	beginning string // of a status that is no success: how the body begins
}

// A Trail is the way of a call through redirects to its answer.
type Trail struct {
	// Known is the header of an answer that is known and came from KnownFrom: the server is asked
	// whether it still holds (Condition) when the call comes to that address, and no other is.
	Known     http.Header
	KnownFrom string

	From        string     // the address from which the answer came
	NotModified bool       // the known answer still holds
	Redirects   []Exchange // that led there, in their order, with what decides of their headers
}

// leave takes note of a redirect.
func (t *Trail) leave(resp *http.Response, sent time.Time) {
	if t == nil {
		return
	}
	t.Redirects = append(t.Redirects, Exchange{Method: resp.Request.Method, Request: resp.Request.Header, Status: resp.StatusCode,
		Answer: Deciding(resp.Header), Sent: sent, Received: time.Now()})
}

// condition asks for a known answer where that came from. The header of req may be shared.
func (t *Trail) condition(req *http.Request) (asks bool) {
	if t == nil || t.Known == nil || req.URL.String() != t.KnownFrom {
		return false
	}
	req.Header = req.Header.Clone()
	Condition(req.Header, t.Known)
	return true
}

// arrive takes note of the answer.
func (t *Trail) arrive(resp *http.Response, asked bool) {
	if t == nil {
		return
	}
	t.From, t.NotModified = resp.Request.URL.String(), asked && resp.StatusCode == http.StatusNotModified
}

// Do makes one call. It ends when ctx does. An error is an *Error, marked for the
// engine: transient, but for an answer above the limit, an answer that cannot be
// decoded, a redirect that is not followed, a request that cannot be made, and a call that
// [Egress] refuses.
func (h *HTTP) Do(ctx context.Context, r Request) (*Answer, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.options.Timeout)
		defer cancel()
	}
	x := attempt{ctx: ctx, address: r.Address, limit: timeLeft(ctx)}
	if t := tracing.Of(ctx); t != nil {
		r.Header = h.traced(r, t)
	}
	var err error
	if x.req, err = h.request(ctx, r); err != nil {
		return nil, err
	}
	resp, err := h.send(x.req, len(r.Header) > 0, r.Trail)
	if err != nil {
		return nil, transportError(ctx, x.what(), x.limit, err)
	}
	defer resp.Body.Close()
	a := &Answer{Status: resp.StatusCode, Header: resp.Header}
	if (a.Status < 200 || a.Status > 299) && !r.Reads.Has(a.Status) {
		a.beginning = h.beginning(resp)
		drain(resp.Body)
		return a, nil
	}
	if r.Discard || r.Method == http.MethodHead || r.Skip != nil && r.Skip(a.Header) {
		drain(resp.Body)
		return a, nil
	}
	if a.Body, err = h.read(&x, resp, r.First); err != nil {
		return nil, err
	}
	return a, nil
}

// An attempt is a call under way, for errors.
type attempt struct {
	ctx     context.Context
	req     *http.Request
	address string        // "": scheme and host of the request
	limit   time.Duration // how long it may take
}

// what says what was being done.
func (x *attempt) what() string {
	address := x.address
	if address == "" {
		address = target(x.req.URL)
	}
	return "calling " + x.req.Method + " " + address
}

// timeLeft gives how long ctx goes on, in whole milliseconds where that is exact enough for a
// message; 0: without end.
func timeLeft(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	d := time.Until(end)
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d
}

func (h *HTTP) request(ctx context.Context, r Request) (*http.Request, error) {
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		return nil, pipeline.Reject(TypeRequest, NewError(TypeRequest, "making the request: its URL is not valid", nil))
	}
	if (req.URL.Scheme != "http" && req.URL.Scheme != "https") || req.URL.Host == "" {
		return nil, pipeline.Reject(TypeRequest, NewError(TypeRequest, "making the request: its URL is no http or https address", nil))
	}
	if e := h.options.Egress; e != nil {
		if err := e.Check(req.URL); err != nil {
			return nil, err
		}
		req.Host = req.URL.Host
	}
	req.Header = h.header
	if len(r.Header) > 0 {
		req.Header = h.header.Clone()
	}
	for name, values := range r.Header {
		for _, v := range values {
			if err := CheckHeader(name, v); err != nil {
				return nil, pipeline.Reject(TypeRequest, NewError(TypeRequest, "making the request: "+err.Error(), nil))
			}
		}
		req.Header[headerKey(name)] = values
	}
	if host := value(req.Header, "Host"); host != "" {
		req.Host = host
	}
	return req, nil
}
