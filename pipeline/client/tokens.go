package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline/secretfiles"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	// tokenLimit is how long a server of tokens may take, whatever the calls that wait have.
	tokenLimit = 10 * time.Second
	// renewPause is how long after a token that was got because of a 401 the next one is: a server
	// that refuses every token is not asked for one with each call.
	renewPause = 10 * time.Second
)

// tokens get a token and renew it: one request at a time, whoever waits for it, and before the
// token ends, so that no call waits but the first. They make the request apart from the calls: a
// server of tokens that hangs costs a call the time that the call has, and no more.
type tokens struct {
	settings *OAuth2Auth
	secret   *secretfiles.Secret
	client   *http.Client
	what     string // for messages
	stop     context.CancelFunc
	stopped  context.Context

	mu        sync.Mutex
	config    *clientcredentials.Config // remembers how the server wants the secret
	token     *oauth2.Token             // nil: none, or refused
	renewFrom time.Time                 // of token; zero: never
	renewed   time.Time                 // because of a 401
	failed    time.Time                 // the last request, when it did
	flight    *tokenFlight              // nil: none under way
}

// A tokenFlight is one request for a token.
type tokenFlight struct {
	done  chan struct{} // closed when the rest is set
	value string
	err   error
}

// openTokens reads the file of the secret. The tokens come through a client with the TLS settings
// and the proxy of h.
func openTokens(a *OAuth2Auth, h *HTTP) (*tokens, error) {
	s, err := secretfiles.Open(secretfiles.Options{
		Literal: a.ClientSecret, File: a.ClientSecretFile, What: "the secret of auth.oauth2.client_secret_file",
		Every: checkFilesEvery, Warn: h.options.Warn,
	})
	if err != nil {
		return nil, err
	}
	o := HTTPOptions{Slots: 2, TLS: h.options.TLS, TLSFiles: h.options.TLSFiles, Proxy: h.options.Proxy, Agent: h.options.Agent,
		Resolver: h.options.Resolver, otherServer: true}
	own, err := NewHTTP(o)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(a.TokenURL)
	if err != nil {
		return nil, err
	}
	return newTokens(a, s, tokenTransport{own}, "getting a token from "+target(u)), nil
}

func newTokens(a *OAuth2Auth, s *secretfiles.Secret, transport http.RoundTripper, what string) *tokens {
	t := &tokens{settings: a, secret: s, what: what}
	t.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // the secret is for this server
	}}
	t.stopped, t.stop = context.WithCancel(context.Background())
	return t
}

// A tokenTransport makes the requests of the library for tokens through a client of ours, whose
// files of TLS may be renewed.
type tokenTransport struct{ *HTTP }

func (t tokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", t.header.Get("User-Agent"))
	return t.current().RoundTrip(req)
}

func (t tokenTransport) CloseIdleConnections() { t.Close() }

func (t *tokens) name() string { return "Authorization" }

func (t *tokens) secrets() []string {
	all := []string{t.secret.Text()}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != nil {
		all = append(all, t.token.AccessToken)
	}
	return all
}

func (t *tokens) close() {
	t.stop()
	t.client.CloseIdleConnections()
}

// value gives the token. While there is a good one it does not wait; without one it waits for the
// request under way, until ctx ends. The error is an *Error.
func (t *tokens) value(ctx context.Context) (string, error) {
	t.mu.Lock()
	now := time.Now()
	good := t.token != nil && (t.token.Expiry.IsZero() || now.Before(t.token.Expiry))
	due := good && !t.renewFrom.IsZero() && !now.Before(t.renewFrom) && now.Sub(t.failed) >= time.Second
	if t.flight == nil && (!good || due) {
		t.flight = &tokenFlight{done: make(chan struct{})}
		go t.get(t.flight)
	}
	flight, token := t.flight, t.token
	t.mu.Unlock()
	if good {
		return "Bearer " + token.AccessToken, nil
	}
	limit := timeLeft(ctx)
	select {
	case <-flight.done:
		return flight.value, flight.err
	case <-ctx.Done():
		return "", transportError(ctx, t.what, limit, ctx.Err())
	}
}

// refused lets go of a token that a server has refused, so that the next call waits for another.
func (t *tokens) refused(used string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == nil || "Bearer "+t.token.AccessToken != used {
		return true
	}
	if now := time.Now(); t.renewed.IsZero() || now.Sub(t.renewed) >= renewPause {
		t.token, t.renewed = nil, now
		return true
	}
	return false
}

// get makes one request.
func (t *tokens) get(flight *tokenFlight) {
	ctx, cancel := context.WithTimeout(context.WithValue(t.stopped, oauth2.HTTPClient, t.client), tokenLimit)
	defer cancel()
	began := time.Now()
	token, err := t.currentConfig().Token(ctx)
	if err == nil && checkValue(token.AccessToken) != nil {
		err = errors.New("a token that is no value of a header")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed, flight.err = time.Now(), t.error(ctx, err)
	} else {
		t.token, t.renewFrom = token, renewFrom(began, token.Expiry)
		flight.value = "Bearer " + token.AccessToken
	}
	t.flight = nil
	close(flight.done)
}

// renewFrom gives when a token that was asked for at began is to be renewed: when a fifth of its
// life is left, but at most a minute. Zero: never.
func renewFrom(began, end time.Time) time.Time {
	if end.IsZero() {
		return end
	}
	return end.Add(-min(end.Sub(began)/5, time.Minute))
}

// currentConfig gives the library's settings with the secret as it is now.
func (t *tokens) currentConfig() *clientcredentials.Config {
	secret := t.secret.Text()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.config == nil || t.config.ClientSecret != secret {
		t.config = &clientcredentials.Config{ClientID: t.settings.ClientID, ClientSecret: secret, TokenURL: t.settings.TokenURL, Scopes: t.settings.Scopes}
		if t.settings.Audience != "" {
			t.config.EndpointParams = url.Values{"audience": {t.settings.Audience}}
		}
	}
	return t.config
}

// error says why there is no token, with nothing of the answer but its status and the code of
// OAuth, for an answer may hold what it was asked with. It is transient: no record is to blame.
func (t *tokens) error(ctx context.Context, err error) error {
	var answered *oauth2.RetrieveError
	var failed *url.Error
	switch {
	case errors.As(err, &answered):
		text := ": answered status " + strconv.Itoa(answered.Response.StatusCode)
		if code := answered.ErrorCode; code != "" && len(code) <= 40 && strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") == "" {
			text += " (" + code + ")"
		}
		return &Error{Type: TypeAuth, Status: answered.Response.StatusCode, text: t.what + text}
	case t.stopped.Err() != nil:
		return NewError(TypeCanceled, t.what+": the client is closed", context.Canceled)
	case errors.As(err, &failed), ctx.Err() != nil:
		return transportError(ctx, t.what, tokenLimit, err)
	}
	return NewError(TypeAuth, t.what+": the answer holds no token", nil)
}
