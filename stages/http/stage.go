package httpstage

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A Stage calls a server for each record and puts the answer into its fields. It belongs into a
// waiting step, and is a pipeline.Admitter: what holds its calls back is said by calls.Settings.
//
// The engine may repeat a call after an outcome that is not known, so what is called must bear
// that, whatever the method. POST, PUT, PATCH and DELETE carry an Idempotency-Key, made of the
// position of the record, by which a server can tell that a request comes again; but not where the
// settings keep answers or share them, and say so that the call only reads.
//
// A record whose value is no object, or in which something else stands in the way of a field that
// is to be set, is rejected without a call, a tombstone passes without one.
type Stage struct {
	settings Settings
	to       target
	scope    string // of Idempotency-Keys; "": none goes with the requests
	headers  []headerPart
	fixed    http.Header // of every request, but for what the client adds
	fields   []string    // of the form
	verdicts [600]verdict
	sends    bool // requests have a body
	keyed    bool // questions can be equal
	keeps    keeping

	into, statusInto, headersInto jsontext.Path
	deep                          bool // one of them leads below a field, where something may stand in the way

	client *client.HTTP
	calls  *calls.Calls[answer]
	used   func(*pipeline.Record, answer) error // use, made once
	emit   *event.Emitter
}

// A keeping is how long an answer is used again.
type keeping struct {
	byHTTP        bool // HTTP's own rules say it, or, where they say nothing:
	ttl, negative time.Duration
}

// A headerPart is a header that the record has a part in.
type headerPart struct {
	name string
	text *expr.Template
}

// nothing is a record without anything, for what does not depend on one.
var nothing = &pipeline.Record{}

// New makes the stage. scope, the names of pipeline and step, stands in Idempotency-Keys: two
// steps that send the same records to one server do not hide each other's. "": no key goes along. It
// connects with the first call.
func New(s Settings, scope string, env calls.Env) (*Stage, error) {
	return open(s, scope, env, client.HTTPOptions{})
}

// open is New with options of the client that the settings do not have.
func open(s Settings, scope string, env calls.Env, o client.HTTPOptions) (*Stage, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if env.Settings.Share == nil {
		share := safe(s.Method)
		env.Settings.Share = &share
	}
	c := env.Settings
	if err := s.CheckCalls(c); err != nil {
		return nil, err
	}
	h := &Stage{
		settings: s, fields: s.formFields(), verdicts: s.verdicts(),
		sends: s.Sends(), keyed: *c.Share || c.Cache != nil,
	}
	if c.Cache != nil {
		h.keeps = keeping{byHTTP: c.Cache.HTTP, ttl: c.Cache.TTL, negative: cmp.Or(c.Cache.NegativeTTL, c.Cache.TTL)}
	}
	if !safe(s.Method) && !h.keyed && !s.Has(idempotencyKey) {
		h.scope = scope
	}
	h.used = h.use
	if err := h.places(); err != nil {
		return nil, err
	}
	var err error
	if h.calls, err = calls.New[answer](env); err != nil {
		return nil, err
	}
	if err := h.connect(env.Workers, o); err != nil {
		h.calls.Close()
		return nil, err
	}
	return h, nil
}

// places finds out where the calls go and where their answers do.
func (h *Stage) places() (err error) {
	s := &h.settings
	for _, f := range []struct {
		place *jsontext.Path
		field interface{ Place() (jsontext.Path, error) }
		given bool
	}{{&h.into, s.Into, s.Into != ""}, {&h.statusInto, s.StatusInto, s.StatusInto != ""}, {&h.headersInto, s.HeadersInto, s.HeadersInto != ""}} {
		if !f.given {
			continue
		}
		if *f.place, err = f.field.Place(); err != nil {
			return err
		}
		h.deep = h.deep || len(*f.place) > 1
	}
	if h.to.egress, err = s.egress(); err != nil {
		return err
	}
	return h.to.find(s.URL)
}

func (h *Stage) connect(workers int, o client.HTTPOptions) (err error) {
	s := &h.settings
	o.Slots, o.MaxBytes, o.Gzip, o.AnyHost = workers, int64(s.MaxBytes), s.Gzip, s.Redirects == "any_host"
	o.Egress, o.Auth, o.HTTP2, o.Warn = h.to.egress, s.Auth, s.HTTP2, h.warnFiles
	if h.fixed, h.headers, err = s.header(); err != nil {
		return err
	}
	if typ := s.contentType(); typ != "" && !s.Has("Content-Type") {
		h.fixed.Set("Content-Type", typ)
	}
	o.Header, o.Secrets, o.Conceal = h.fixed, client.Secrets(s.SecretHeaders), s.URL.Hide
	if o.TLSFiles, err = s.TLS.Open(h.warnFiles); err != nil {
		return err
	}
	if o.Proxy, err = client.ParseProxy(s.Proxy.Reveal()); err != nil {
		return err
	}
	h.client, err = client.NewHTTP(o)
	return err
}

// Attach implements pipeline.Attacher.
func (h *Stage) Attach(e *event.Emitter) {
	h.emit = e
	h.calls.Attach(e)
}

// warnFiles tells that a file of tls or auth has become unusable, from any goroutine.
func (h *Stage) warnFiles(err error) {
	h.emit.Log().Warn().Err(err).Msg("a file is not used as it is now")
}

// Process implements pipeline.Stage, for those who have no engine: it waits for what holds the call
// back.
func (h *Stage) Process(ctx context.Context, rec *pipeline.Record) error {
	return calls.Process(ctx, h, rec)
}

// Admit implements pipeline.Admitter.
func (h *Stage) Admit(rec *pipeline.Record, attempt int) (pipeline.Call, error) {
	if rec.Tombstone() {
		return calls.None(nil), nil
	}
	q, err := h.question(rec)
	if err != nil {
		return nil, err
	}
	return h.calls.Admit(q, attempt), nil
}

// Account implements pipeline.Accounter: kept answers are charged.
func (h *Stage) Account(add func(bytes int64)) { h.calls.Account(add) }

// Report implements pipeline.Reporter.
func (h *Stage) Report() pipeline.Report { return h.calls.Report() }

// Resize implements engine.Resizer.
func (h *Stage) Resize(workers int) {
	h.client.Resize(workers) // first: what is let in finds its connection
	h.calls.Resize(workers)
}

// Ping implements pipeline.Pinger: it connects to the host and asks for nothing. Where the record
// chooses the host, there is none to connect to.
func (h *Stage) Ping(ctx context.Context) error {
	if h.to.chosen {
		return nil
	}
	return h.client.Ping(ctx, h.to.base)
}

// Close closes the idle connections and lets go of what is kept.
func (h *Stage) Close() error {
	h.calls.Close()
	h.client.Close()
	return nil
}
