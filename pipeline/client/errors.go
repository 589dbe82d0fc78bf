package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Types of an [Error]: the closed set that appears as error_type in events.
const (
	TypeTimeout   = "timeout"    // the attempt's time ran out
	TypeCanceled  = "canceled"   // the pipeline gave the call up
	TypeNetwork   = "network"    // no connection, or it broke
	TypeTLS       = "tls"        // the server's certificate or protocol was refused
	TypeRedirect  = "redirect"   // a server answered with a redirect that is not followed
	TypeTooLarge  = "too_large"  // the answer, or the request, is larger than allowed
	TypeBadAnswer = "bad_answer" // the answer is not what its headers say
	TypeEgress    = "egress"     // a record, a page or a redirect names a server that may not be called
	TypeAuth      = "auth"       // no token could be got for the call
	TypeRequest   = "request"    // the request cannot be made from this record
	TypeSQL       = "sql"        // the database refused the statement or its values
	TypeRedis     = "redis"      // the Redis server refused the command: the key holds another type, say
	Type3xx       = "http_3xx"   // a server answered with a status below 400 that is no success
	Type4xx       = "http_4xx"   // a server answered with a status from 400 to 499 that is not tried again
	Type429       = "http_429"   // a server answered 429, and retry_status leaves that out
	Type5xx       = "http_5xx"   // a server answered with a status from 500, and retry_status leaves that out
)

// An Error is a call that did not succeed. Its text names the server and never a
// value of a record.
type Error struct {
	Type      string // one of the Type constants
	Status    int    // of an HTTP answer, that of a redirect included, else 0
	text      string
	answered  bool   // of TypeEgress: a redirect led there
	beginning string // of the answer's body, or all of the answer
	cause     error
}

func (e *Error) Error() string { return e.text }
func (e *Error) Unwrap() error { return e.cause }

// Detail gives how the answer begins, for a dead letter: it may quote the record.
func (e *Error) Detail() string { return e.beginning }

// WithDetail gives e with what Detail gives: what may quote the record.
func (e *Error) WithDetail(text string) *Error {
	e.beginning = text
	return e
}

// ErrorType gives Type, for events and counters.
func (e *Error) ErrorType() string { return e.Type }

// NotAsked says that the call was not made, for what the record says: it tells nothing of the server.
func (e *Error) NotAsked() bool {
	return e.Type == TypeRequest || e.Type == TypeEgress && !e.answered
}

// AsksToWait says that the server was asked too much: its answer was 429. That it wants to be left
// alone is taken from a time that it gives, or from several such answers in a row (package calls).
// One of the server that gives tokens is not of the server that is called.
func (e *Error) AsksToWait() bool {
	return e.Status == http.StatusTooManyRequests && e.Type != TypeAuth
}

// OutOfService says that nobody serves there now, whoever asks: there is no connection, or who
// answers in its place says so. It is no record's fault (package calls).
func (e *Error) OutOfService() bool {
	switch e.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return e.Type == TypeNetwork
}

// NewError makes an Error of type typ. cause may be nil; its text is not repeated.
func NewError(typ, text string, cause error) *Error {
	return &Error{Type: typ, text: text, cause: cause}
}

// ErrHeldBack is the error of a record that a sink has not sent because one before it was not
// stored.
var ErrHeldBack = NewError("held_back", "sending: held back, because a record before it was not stored", nil)

// target gives the part of a URL that an error may show: what follows the host may come from
// records.
func target(u *url.URL) string { return u.Scheme + "://" + u.Host }

// transportError classifies what net/http returned. All of it is transient but a
// redirect that is not followed.
func transportError(ctx context.Context, what string, limit time.Duration, err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // its text quotes the whole URL
	}
	var own *Error
	if errors.As(err, &own) { // of the log-in
		return err
	}
	var denied *refusal
	if errors.As(err, &denied) {
		return denied.error(what)
	}
	var refused *redirectError
	if errors.As(err, &refused) {
		return pipeline.Reject(TypeRedirect, &Error{Type: TypeRedirect, Status: refused.status, text: what + ": " + refused.why})
	}
	typ := TypeNetwork
	var (
		timeout   net.Error
		unknown   x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		op        *net.OpError
		cancelled = errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled)
	)
	switch {
	case cancelled:
		typ = TypeCanceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout(), ctx.Err() != nil:
		typ = TypeTimeout
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify),
		errors.As(err, &record), errors.As(err, &alert), errors.As(err, &op) && op.Op == "remote error": // crypto/tls: an alert
		typ = TypeTLS
	}
	text := shorten(err.Error())
	if errors.Is(err, errHead) || strings.Contains(text, "server response headers exceeded") || strings.Contains(text, "response header list larger than advertised limit") {
		return pipeline.Reject(TypeTooLarge, NewError(TypeTooLarge, what+": the answer's headers are larger than "+settings.Size(maxHead).String(), nil))
	}
	if typ == TypeTimeout && ctx.Err() != nil && limit > 0 {
		text = "no answer within " + limit.String()
	} else if typ == TypeTimeout && ctx.Err() == nil {
		text = ownLimit(err, text)
	}
	return NewError(typ, what+": "+text, err)
}

// ownLimit gives the text of a time-out that was not the attempt's own: that of a connection or of
// its handshake.
func ownLimit(err error, text string) string {
	var lookup *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &lookup):
		return text // who did not answer is in it
	case errors.As(err, &op) && op.Op == "dial":
		return "no connection within " + connectLimit.String()
	case strings.Contains(text, "TLS handshake timeout"):
		return "no TLS handshake within " + connectLimit.String()
	}
	return text
}

// shorten bounds text that others wrote.
func shorten(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

// MaxRetryAfter is the longest wait that a server may ask for.
const MaxRetryAfter = 5 * time.Minute

// RetryAfter says how long the answer asks to wait before another call, at most MaxRetryAfter. 0: it does not ask.
func (a *Answer) RetryAfter() time.Duration {
	return retryAfter(a.Header.Get("Retry-After"), time.Now())
}

// retryAfter reads the header: seconds, or an HTTP date. It is at most MaxRetryAfter; what is
// negative or no time at all gives 0.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if s, err := strconv.ParseFloat(value, 64); err == nil {
		switch {
		case !(s > 0):
			return 0
		case s >= MaxRetryAfter.Seconds():
			return MaxRetryAfter
		}
		return time.Duration(s * float64(time.Second))
	}
	if strings.Trim(value, "0123456789") == "" {
		return MaxRetryAfter
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}

// Statuses is a list of HTTP status codes.
type Statuses []StatusRange

// A StatusRange is one status or a run of them, written 404, 5xx or 500-503.
type StatusRange struct{ From, To int }

// UnmarshalText reads one status or a run of them.
func (r *StatusRange) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	if c, ok := strings.CutSuffix(strings.ToLower(s), "xx"); ok && len(c) == 1 && c[0] >= '2' && c[0] <= '5' {
		from := int(c[0]-'0') * 100
		*r = StatusRange{from, from + 99}
		return nil
	}
	a, b, run := strings.Cut(s, "-")
	if !run {
		b = a
	}
	from, err1 := strconv.Atoi(strings.TrimSpace(a))
	to, err2 := strconv.Atoi(strings.TrimSpace(b))
	if err1 != nil || err2 != nil || from < 200 || to > 599 || from > to { // 1xx is never the answer
		return fmt.Errorf("%q is no HTTP status of an answer, 200 to 599: write 404, 5xx or 500-503", s)
	}
	*r = StatusRange{from, to}
	return nil
}

// String is the reverse of UnmarshalText.
func (r StatusRange) String() string {
	switch {
	case r.From == r.To:
		return strconv.Itoa(r.From)
	case r.From%100 == 0 && r.To == r.From+99:
		return strconv.Itoa(r.From/100) + "xx"
	}
	return strconv.Itoa(r.From) + "-" + strconv.Itoa(r.To)
}

// MarshalText is the reverse of UnmarshalText.
func (r StatusRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Has says whether status is in the list.
func (s Statuses) Has(status int) bool {
	for _, r := range s {
		if r.From <= status && status <= r.To {
			return true
		}
	}
	return false
}

// Common gives a status that both lists have.
func (s Statuses) Common(other Statuses) (status int, ok bool) {
	for _, r := range s {
		for status := r.From; status <= r.To; status++ {
			if other.Has(status) {
				return status, true
			}
		}
	}
	return 0, false
}

// TransientStatuses are those that another attempt may cure.
var TransientStatuses = Statuses{{408, 408}, {425, 425}, {429, 429}, {500, 599}}

// StatusError is the error of an answer that is no success: transient, with what
// Retry-After asks for, when retry has its status, else permanent, with the error's
// type as reason. what says what was being done.
func StatusError(what string, a *Answer, retry Statuses) error {
	err := &Error{Type: statusType(a.Status), Status: a.Status, beginning: a.beginning,
		text: what + ": answered status " + strconv.Itoa(a.Status)}
	if IsRedirect(a.Status) {
		err.text += ", a redirect that is not followed: put the final address into url"
	}
	if !retry.Has(a.Status) {
		return pipeline.Reject(err.Type, err)
	}
	if d := a.RetryAfter(); d > 0 {
		return pipeline.RetryAfter(d, err)
	}
	return err
}

func statusType(status int) string {
	switch {
	case status == 429:
		return Type429
	case status >= 500:
		return Type5xx
	case status >= 400:
		return Type4xx
	}
	return Type3xx
}
