// SPDX-License-Identifier: Apache-2.0

// Package httpsink sends records to a webhook.
package httpsink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/sinks/lines"
)

// Settings are the settings of an HTTP sink.
type Settings struct {
	URL           expr.Template              `yaml:"url" required:"true" doc:"address to send to; its host must stand in the file, what a part gives is percent-encoded"`
	Method        string                     `yaml:"method" enum:"POST|PUT|PATCH" doc:"method of the requests"`
	Format        string                     `yaml:"format" enum:"array|ndjson|single" doc:"array: a JSON array of records; ndjson: one a line; single: one record a request, as it stands"`
	As            string                     `yaml:"as" enum:"value|fixture" doc:"value (default, but for dead letters): the records' values; fixture: whole records with key, headers and position"`
	Headers       map[string]string          `yaml:"headers" doc:"request headers"`
	SecretHeaders map[string]settings.Secret `yaml:"secret_headers" doc:"request headers whose values never show, like Authorization"`
	Auth          *client.Auth               `yaml:"auth" doc:"log-in that goes with each request"`
	MaxRecords    int                        `yaml:"max_records" min:"1" doc:"most records of one request"`
	MaxBytes      settings.Size              `yaml:"max_bytes" min:"1B" doc:"most bytes of one request; a larger record goes alone"`
	OKStatus      client.Statuses            `yaml:"ok_status" doc:"statuses that say that all records are stored"`
	RetryStatus   client.Statuses            `yaml:"retry_status" doc:"statuses that another attempt may cure; Retry-After is honoured up to five minutes"`
	HoldStatus    client.Statuses            `yaml:"hold_status" doc:"statuses that hold the records until somebody mends the log-in, the address or the server; [] holds none. Default: 401, 402, 407 and 421, and where url takes nothing from the record every other that is about the request, like 3xx, 403, 404 and 405; without those of ok_status and retry_status"`
	HTTP2         client.HTTP2               `yaml:"http2" enum:"auto|always|never" doc:"auto: HTTP/2 where a server of https offers it; always: HTTP/2 alone, to http too; never: HTTP/1.1"`
	TLS           client.TLS                 `yaml:"tls" doc:"how the server is checked, and who this side is"`
	Proxy         settings.Secret            `yaml:"proxy" doc:"address of a proxy, which never shows because it may hold a password; variables of the environment are ignored"`
}

// Defaults gives the settings of an HTTP sink before a file is read.
func Defaults() Settings {
	return Settings{
		Method: http.MethodPost, Format: "array", MaxRecords: 1000, MaxBytes: 1 << 20, HTTP2: client.HTTP2Auto,
		// 207 says that some are stored, in a body of which there are many forms.
		OKStatus:    client.Statuses{{From: 200, To: 206}, {From: 208, To: 299}},
		RetryStatus: slices.Clone(client.TransientStatuses),
	}
}

// Validate checks what can be known without calling. It joins several errors.
func (s *Settings) Validate() error {
	var p settings.Problems
	if _, err := client.StaticHost(s.URL.String()); err != nil {
		p.Add("url", "%w", err)
	}
	if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, s.Method) {
		p.Add("method", "%q is none: write POST, PUT or PATCH", s.Method)
	}
	if !slices.Contains([]string{"array", "ndjson", "single"}, s.Format) {
		p.Add("format", "%q is none: write array, ndjson or single", s.Format)
	}
	if s.As != "" && s.As != "value" && s.As != "fixture" {
		p.Add("as", "%q is neither value nor fixture", s.As)
	}
	if s.MaxRecords < 1 {
		p.Add("max_records", "it must be at least 1")
	}
	if s.MaxBytes < 1 {
		p.Add("max_bytes", "it must be at least 1B")
	}
	if h, err := client.Headers(s.Headers, s.SecretHeaders); err != nil {
		p.Add("headers", "%w", err)
	} else if h.Get(idempotencyKey) != "" {
		p.Add("headers", "%s is made by the sink, from the positions of the records", idempotencyKey)
	}
	p.Check("auth", s.Auth.Beside(s.SecretHeaders))
	p.Check("http2", s.HTTP2.Validate())
	for _, other := range []struct {
		name string
		list client.Statuses
	}{{"ok_status", s.OKStatus}, {"retry_status", s.RetryStatus}} {
		if status, both := s.HoldStatus.Common(other.list); both {
			p.Add("hold_status", "%d is in %s too: leave it out of one of the two", status, other.name)
		}
	}
	if len(s.OKStatus) == 0 {
		p.Add("ok_status", "it is empty, and nothing would ever count as stored: write 2xx, or leave it out")
	}
	if status, both := s.OKStatus.Common(s.RetryStatus); both && !slices.Equal(s.RetryStatus, client.TransientStatuses) {
		p.Add("ok_status", "%d is in retry_status too: leave it out of one of the two", status)
	}
	p.Check("tls", s.TLS.Validate())
	if _, err := client.ParseProxy(s.Proxy.Reveal()); err != nil {
		p.Add("proxy", "%w", err)
	}
	return p.Err()
}

var (
	// requestStatuses speak of the request and not of the records in it: of its address,
	// its method, its form, or who sends it.
	requestStatuses = client.Statuses{
		{From: 300, To: 399}, {From: 401, To: 407}, {From: 410, To: 412}, {From: 414, To: 417},
		{From: 421, To: 421}, {From: 426, To: 426}, {From: 428, To: 428}, {From: 431, To: 431}, {From: 451, To: 451},
	}
	// senderStatuses are those of them that a path which comes from the record cannot cause:
	// they are about the log-in, the account or the host, which stand in the file.
	senderStatuses = client.Statuses{{From: 401, To: 402}, {From: 407, To: 407}, {From: 421, To: 421}}
)

// Fill puts in what the settings leave out and others of them decide: HoldStatus, when it
// is nil. Where the address is the same for every record, a status that is about the
// request would reject them all, one after another.
func (s *Settings) Fill() {
	if s.HoldStatus != nil {
		return
	}
	from := senderStatuses
	if s.URL.Static() {
		from = requestStatuses
	}
	s.HoldStatus = client.Statuses{}
	for status := 300; status < 500; status++ {
		if !from.Has(status) || s.OKStatus.Has(status) || s.RetryStatus.Has(status) {
			continue
		}
		if last := len(s.HoldStatus) - 1; last >= 0 && s.HoldStatus[last].To == status-1 {
			s.HoldStatus[last].To = status
		} else {
			s.HoldStatus = append(s.HoldStatus, client.StatusRange{From: status, To: status})
		}
	}
}

// A Sink sends records to a webhook, several in a request, one request of a lane after
// another.
//
// Records are stored when the server has said so with a status of ok_status. Every
// request carries an Idempotency-Key made of the positions of its records, the same
// when the same records are sent again. A server that was frozen carries out, when it goes on,
// requests that timed out long before; if it remembers keys, it stores their records once. When
// the outcome of a request is not known, the next attempt sends exactly the same records under
// the same key.
//
// A request that is too large (413) or that the server refuses for what it holds (400,
// 409, 422 and the like) is split until the record is found: that one is rejected, with
// too_large or the class of the status. A status of hold_status is transient, however
// often it comes: it is about the request and not its records (a log-in that ran out, an
// address that does not exist any more), and would reject one record after the other. A status
// about the request that is not in hold_status, because the address comes from the record,
// rejects all records of the request. A 409 to a request that is sent again says that the
// first one is still being worked on, and is transient; where it says that the records
// are there already, it belongs into ok_status.
//
// A value that is no JSON is rejected with invalid_json, but in the format single,
// which sends any bytes. A tombstone is null.
type Sink struct {
	settings Settings
	form     lines.Form
	client   *client.HTTP
	limiter  *calls.Limiter
	base     string // scheme and host, for Ping
	host     string // as what holds calls back names it
	address  string // for errors
	scope    string // what makes keys of one sink differ from those of another
	emit     *event.Emitter

	mu      sync.Mutex
	unknown map[laneID]request // by partition, the request that must be sent again as it was
}

var _ pipeline.Hosted = (*Sink)(nil)

// Host implements pipeline.Hosted.
func (h *Sink) Host() string { return h.host }

// Attach implements pipeline.Attacher.
func (h *Sink) Attach(e *event.Emitter) {
	h.emit = e
	h.limiter.Attach(e)
}

// warnFiles tells that files of tls or auth have become unusable, from any goroutine.
func (h *Sink) warnFiles(err error) {
	h.emit.Log().Warn().Err(err).Msg("a file is not used as it is now")
}

// New makes an HTTP sink for as many lanes at once as env has workers; its requests keep to what env
// holds calls back by. scope, the names of pipeline and sink, stands in the keys: two sinks that send
// the same records to one server do not hide each other's. It connects with the first Write.
func New(s Settings, scope string, env calls.Env) (*Sink, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	s.Fill()
	form, err := lines.New(s.As, "")
	if err != nil {
		return nil, err
	}
	h := &Sink{settings: s, form: form, scope: scope, unknown: map[laneID]request{}}
	if h.base, err = client.StaticHost(s.URL.String()); err != nil {
		return nil, err
	}
	o := client.HTTPOptions{Slots: env.Workers, Auth: s.Auth, HTTP2: s.HTTP2, Warn: h.warnFiles, Secrets: client.Secrets(s.SecretHeaders), Conceal: h.settings.URL.Hide}
	if o.Header, err = client.Headers(s.Headers, s.SecretHeaders); err != nil {
		return nil, err
	}
	if o.Header.Get("Content-Type") == "" {
		o.Header.Set("Content-Type", map[string]string{"ndjson": "application/x-ndjson"}[s.Format])
		if s.Format != "ndjson" {
			o.Header.Set("Content-Type", "application/json")
		}
	}
	if o.TLSFiles, err = s.TLS.Open(h.warnFiles); err != nil {
		return nil, err
	}
	if o.Proxy, err = client.ParseProxy(s.Proxy.Reveal()); err != nil {
		return nil, err
	}
	h.address = client.Address(h.base, s.URL.String(), s.URL.Written())
	h.host = client.Host(h.base)
	if h.client, err = client.NewHTTP(o); err != nil {
		return nil, err
	}
	if h.limiter, err = calls.NewLimiter(env); err != nil {
		h.client.Close()
		return nil, err
	}
	return h, nil
}

// Write implements pipeline.Sink. A record that is rejected holds nothing back; what is
// behind one that may be stored later waits for it.
func (h *Sink) Write(ctx context.Context, recs []*pipeline.Record) error {
	var failed []pipeline.Failure
	for done := 0; done < len(recs); {
		req, err := h.next(recs[done:])
		if err != nil {
			failed = append(failed, pipeline.Failure{Index: done, Err: err})
			done++
			continue
		}
		end := done + req.count
		n, err := h.send(ctx, recs[done:end], req, func(i int, err error) {
			failed = append(failed, pipeline.Failure{Index: done + i, Err: err})
		})
		if done += n; err == nil {
			continue
		}
		for i := done; i < len(recs); i++ {
			if i == end {
				err = client.ErrHeldBack
			}
			failed = append(failed, pipeline.Failure{Index: i, Err: err})
		}
		break
	}
	if len(failed) == 0 {
		return nil
	}
	return &pipeline.WriteError{Failed: failed}
}

// send sends recs as one request, or in parts when the server does not take them as
// one. Of the first n records each is stored or was given to reject; err, transient, is
// what kept the next from being stored.
func (h *Sink) send(ctx context.Context, recs []*pipeline.Record, req request, reject func(i int, err error)) (n int, err error) {
	sent, err := h.call(ctx, req, h.isUnknown(req))
	if !sent {
		return 0, err
	}
	_, permanent := pipeline.IsPermanent(err)
	h.remember(req, err != nil && !permanent)
	if err == nil {
		return len(recs), nil
	}
	if !permanent {
		return 0, err
	}
	var status *client.Error
	if !errors.As(err, &status) || status.Status < 400 || status.Status > 499 || requestStatuses.Has(status.Status) {
		for i := range recs {
			reject(i, err)
		}
		return len(recs), nil
	}
	if len(recs) == 1 {
		if status.Status == http.StatusRequestEntityTooLarge {
			err = pipeline.Reject(pipeline.ReasonTooLarge, status)
		}
		reject(0, err)
		return 1, nil
	}
	half := len(recs) / 2
	for _, part := range [][]*pipeline.Record{recs[:half], recs[half:]} {
		req, err := h.exactly(part)
		if err != nil {
			return n, err
		}
		before := n
		sent, err := h.send(ctx, part, req, func(i int, err error) { reject(before+i, err) })
		if n += sent; err != nil {
			return n, err
		}
	}
	return n, nil
}

// call makes one request, once the rates of the sink allow it and its host wants it. The time of the
// write stands still until then. What is not sent, because the write ended before, can have no outcome
// that is unknown.
func (h *Sink) call(ctx context.Context, req request, repeated bool) (sent bool, err error) {
	err = h.limiter.Do(ctx, h.host, func(ctx context.Context) error {
		sent = true
		return h.request(ctx, req, repeated)
	})
	return sent, err
}

// request makes one request.
func (h *Sink) request(ctx context.Context, req request, repeated bool) error {
	what := "sending " + h.settings.Method + " " + h.address
	a, err := h.client.Do(ctx, client.Request{
		Method: h.settings.Method, URL: req.url, Address: h.address, Body: req.body, Discard: true,
		Header: http.Header{idempotencyKey: {req.key}},
	})
	var redirect *client.Error
	switch {
	case errors.As(err, &redirect) && redirect.Type == client.TypeRedirect && h.settings.HoldStatus.Has(redirect.Status):
		return holdError(redirect)
	case err != nil:
		return err
	case h.settings.OKStatus.Has(a.Status):
		return nil
	case a.Status == http.StatusConflict && repeated:
		return client.StatusError(what, a, client.Statuses{{From: 409, To: 409}})
	case h.settings.HoldStatus.Has(a.Status):
		return holdError(client.StatusError(what, a, h.settings.HoldStatus))
	case a.Status < 300:
		return pipeline.Reject(client.TypeBadAnswer, client.NewError(client.TypeBadAnswer, fmt.Sprintf(
			"%s: answered status %d, which ok_status does not hold; of a 207 the parts are not read: write format: single",
			what, a.Status), nil))
	}
	return client.StatusError(what, a, h.settings.RetryStatus)
}

// holdError adds to the error of a status of hold_status why the records wait, and what to do.
func holdError(err error) error {
	return fmt.Errorf("%w; the records wait, because it is about the request and not about them: mend the log-in, the address or the server", err)
}

// Ping implements pipeline.Pinger: it connects to the host and sends nothing.
func (h *Sink) Ping(ctx context.Context) error { return h.client.Ping(ctx, h.base) }

// Close implements pipeline.Sink.
func (h *Sink) Close(context.Context) error {
	h.client.Close()
	h.limiter.Close()
	return nil
}
