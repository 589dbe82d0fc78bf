package admin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/internal/listen"
	"github.com/penstockio/penstock/pipeline/settings"
)

const (
	clientPatience = 10 * time.Second // of one request, its answer included
	largestAnswer  = 64 << 20         // bytes: some 200,000 records in flight
)

// ClientOptions say which endpoint a Client asks.
type ClientOptions struct {
	// Address is host:port, http:// or https:// and that, or unix: and the path of a socket. TLS is used with
	// https, and when TLS is set.
	Address string
	// Token comes with every request. It is not sent to another machine without TLS.
	Token settings.Secret
	TLS   *tls.Config // whom to trust; nil: the authorities of the system
}

// A Client asks the endpoint of a running process. It is safe for concurrent use, and keeps no
// connection between two requests.
type Client struct {
	address, base string
	token         settings.Secret
	http          *http.Client
}

// NewClient checks the options, and connects to nothing yet.
func NewClient(o ClientOptions) (*Client, error) {
	c := &Client{address: o.Address, token: o.Token}
	transport := &http.Transport{ // no proxy: the token is for the endpoint alone
		DialContext:       (&net.Dialer{Timeout: clientPatience}).DialContext,
		DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10, TLSHandshakeTimeout: clientPatience, ForceAttemptHTTP2: false,
	}
	c.http = &http.Client{
		Transport:     transport, // Get bounds its time, and who gives a command his own
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	hostport, secure := o.Address, false
	if !strings.HasPrefix(hostport, "unix:") {
		hostport, secure = strings.CutPrefix(strings.TrimPrefix(hostport, "http://"), "https://")
		hostport = strings.TrimSuffix(hostport, "/")
	}
	at, err := listen.Parse(hostport)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reaching the admin endpoint: the address %w (it is host:port, https://host:port or unix:/path, and not %q)", err, o.Address)
	case at.Socket != "":
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: clientPatience}).DialContext(ctx, "unix", at.Socket)
		}
		c.base = "http://localhost"
		return c, nil
	case at.Host == "":
		return nil, fmt.Errorf("reaching the admin endpoint: the address %q names no host: write 127.0.0.1:%s", o.Address, at.Port)
	}
	scheme := "http://"
	if secure || o.TLS != nil {
		scheme = "https://"
		config := &tls.Config{}
		if o.TLS != nil {
			config = o.TLS.Clone()
		}
		config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
		transport.TLSClientConfig = config
	} else if o.Token != "" && !at.Local() {
		return nil, fmt.Errorf("reaching the admin endpoint: the token would go to %s in the clear: write https://%s", hostport, hostport)
	}
	c.base = scheme + net.JoinHostPort(at.Host, at.Port)
	return c, nil
}

// An AnswerError is what an endpoint has answered in place of what was asked for.
type AnswerError struct {
	Address, Path string
	Status        int    // of HTTP
	Why           string // what the endpoint says about it, or what to do
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("asking the admin endpoint at %s for %s: %d %s: %s", e.Address, e.Path, e.Status, http.StatusText(e.Status), e.Why)
}

// Get asks for a path, with its query if it has one, and reads the JSON of the answer into into. It blocks until the
// answer is there, 10 seconds at most. An answer above 64 MiB is an error. The error is a *pipeline.EnvironmentError
// when the endpoint cannot be reached, or when what listens there is not penstock, and an *AnswerError when it refuses. /livez and
// /readyz answer with 503 and their reason when they fail: that is read into into too, and the error is an AnswerError as well.
func (c *Client) Get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, clientPatience, errNoAnswer)
	defer cancel()
	req, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return c.send(req, path, into)
}

// Steer has a command done, and says what it has changed. It blocks until that is so, or ctx ends: a reload may take as long as the
// drain budget of the pipelines. The error is as that of Get.
func (c *Client) Steer(ctx context.Context, what Command) (Done, error) {
	path := what.Path()
	body, err := json.Marshal(what.Body())
	if err != nil {
		return Done{}, fmt.Errorf("asking the admin endpoint at %s for %s: %w", c.address, path, err)
	}
	req, err := c.request(ctx, http.MethodPost, path, body)
	if err != nil {
		return Done{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if what.By != "" {
		req.Header.Set(headerBy, what.By)
	}
	var said obeyed
	if err := c.send(req, path, &said); err != nil {
		return Done{}, err
	}
	if said.Command != what.Verb {
		return Done{}, c.foreign(path, errors.New("the answer is none of penstock's"))
	}
	return said.Done, nil
}

func (c *Client) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("asking the admin endpoint at %s for %s: %w", c.address, path, err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	return req, nil
}

// send sends a request and reads its answer into into.
func (c *Client) send(req *http.Request, path string, into any) error {
	ctx := req.Context()
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, largestAnswer+1))
	switch {
	case err != nil:
		return c.unreachable(ctx, path, err)
	case len(body) > largestAnswer:
		return fmt.Errorf("asking the admin endpoint at %s for %s: the answer is larger than %d MiB", c.address, path, largestAnswer>>20)
	case resp.StatusCode != http.StatusOK:
		return c.refused(path, resp.StatusCode, body, into)
	}
	if !isOurs(path, body) {
		return c.foreign(path, errors.New("the answer is none of penstock's"))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return c.foreign(path, err)
	}
	return nil
}

// errNoAnswer ends a request that has waited long enough.
var errNoAnswer = fmt.Errorf("no answer within %v", clientPatience)

// answerKeys are what the answers of some paths always have. Any other service may answer with an object too, which would
// be read as a process without pipelines.
var answerKeys = map[string]string{
	"/livez": "status", "/readyz": "status", "/version": "config_hash",
	"/api/v1/stats": "pipelines", "/api/v1/why": "pipelines", "/api/v1/inflight": "pipelines",
	"/api/v1/partitions": "pipelines", "/api/v1/errors": "pipelines",
}

// isOurs says whether body may be the answer for path of an endpoint.
func isOurs(path string, body []byte) bool {
	path, _, _ = strings.Cut(path, "?")
	key, known := answerKeys[path]
	if !known {
		return true
	}
	var all map[string]json.RawMessage
	return json.Unmarshal(body, &all) == nil && all[key] != nil
}

// foreign makes the error of an answer that is not one of an endpoint of penstock.
func (c *Client) foreign(path string, err error) error {
	return &pipeline.EnvironmentError{Err: fmt.Errorf(
		"asking the admin endpoint at %s for %s: %w: what listens there is not penstock, or not of this version: give the address of the process's admin.listen",
		c.address, path, err)}
}

// unreachable makes the error of a request that had no answer. It says what to do.
func (c *Client) unreachable(ctx context.Context, path string, err error) error {
	hint := ""
	var (
		unknown x509.UnknownAuthorityError
		named   x509.HostnameError
	)
	switch {
	case context.Cause(ctx) == errNoAnswer:
		err = errNoAnswer
		hint = ": either the process hangs, or what listens there does not speak HTTP, as a broker of Kafka does not: see which port admin.listen has"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), strings.Contains(err.Error(), "malformed HTTP response"):
		hint = "; what listens there does not speak HTTP: see which port admin.listen has"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		hint = "; nothing listens there: the process has to run, with the section admin: {listen: " +
			strings.TrimPrefix(c.address, "https://") + "} in its file"
	case errors.Is(err, syscall.EACCES):
		hint = "; only the user of the process, and root, may connect to its socket"
	case errors.As(err, &unknown):
		hint = "; give the authority that has signed its certificate"
	case errors.As(err, &named):
		hint = "; its certificate is for another name: " + otherName(named.Certificate)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op
	}
	return &pipeline.EnvironmentError{Err: fmt.Errorf("asking the admin endpoint at %s for %s: %w%s", c.address, path, err, hint)}
}

// otherName says which address a certificate can be asked by.
func otherName(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "it has none; give it subjectAltName=IP:127.0.0.1, say"
	}
	return "ask by one that it has (" + strings.Join(names, ", ") + "), or give it this one as a subjectAltName"
}

// refused makes the error of an answer with a status of its own.
func (c *Client) refused(path string, status int, body []byte, into any) error {
	e := &AnswerError{Address: c.address, Path: path, Status: status}
	var said struct{ Error, Reason string }
	if json.Unmarshal(body, &said) == nil {
		e.Why = said.Error + said.Reason
	}
	switch {
	case status == http.StatusUnauthorized:
		e.Why = "it wants the token of its file, admin.token or what stands in admin.token_file, for commands that of admin.command_token or " +
			"admin.command_token_file where there is one, and got another or none"
	case status == http.StatusServiceUnavailable:
		_ = json.Unmarshal(body, into) // what it cannot hold it leaves out
		e.Why = cmp.Or(e.Why, "it gives no reason")
	case strings.Contains(string(body), "HTTP request to an HTTPS server"):
		e.Why = "it speaks TLS: write https:// in front of its address"
	case e.Why == "":
		return c.foreign(path, fmt.Errorf("%d %s", status, http.StatusText(status)))
	}
	return e
}
