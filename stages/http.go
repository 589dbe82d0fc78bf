package stages

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// HTTPSettings are the settings of the http stage.
type HTTPSettings struct {
	URL           expr.Template              `yaml:"url" doc:"address to call; its host must stand in the file, what a part gives is percent-encoded" required:"true"`
	Into          settings.FieldPath         `yaml:"into" doc:"field that takes the answer: JSON when its type says so, else a string, null when it is empty" required:"true"`
	Method        string                     `yaml:"method" doc:"GET or POST; a POST may be repeated, so the server must allow that" enum:"GET|POST"`
	Body          *expr.Template             `yaml:"body" doc:"JSON document that a POST sends; what a part gives is put in as JSON, and the braces of the document itself are doubled"`
	Headers       map[string]expr.Template   `yaml:"headers" doc:"request headers"`
	SecretHeaders map[string]settings.Secret `yaml:"secret_headers" doc:"request headers whose values never show, like Authorization"`
	OnMiss        OnMiss                     `yaml:"on_miss" doc:"what a status of miss_status does to the record: reject, filter, or null as the answer" enum:"reject|filter|null"`
	MissStatus    client.Statuses            `yaml:"miss_status" doc:"statuses that say there is no such thing; they win over the default of retry_status"`
	RetryStatus   client.Statuses            `yaml:"retry_status" doc:"statuses that another attempt may cure; Retry-After is honoured up to five minutes"`
	MaxBytes      settings.Size              `yaml:"max_bytes" doc:"largest answer, decoded; a larger one rejects the record"`
	Gzip          bool                       `yaml:"gzip" doc:"ask for compressed answers"`
	Redirects     string                     `yaml:"redirects" doc:"follow up to five redirects: to the same_host, or to any_host, which is not sent the headers" enum:"same_host|any_host"`
	TLS           client.TLS                 `yaml:"tls" doc:"how the server is checked, and who this side is"`
	Proxy         settings.Secret            `yaml:"proxy" doc:"address of a proxy, which never shows because it may hold a password; variables of the environment are ignored"`
}

// DefaultHTTP gives the settings of an http stage before a file is read.
func DefaultHTTP() HTTPSettings {
	return HTTPSettings{
		Method: http.MethodGet, OnMiss: MissReject, MissStatus: client.Statuses{{From: 404, To: 404}},
		RetryStatus: slices.Clone(client.TransientStatuses), MaxBytes: 1 << 20, Redirects: "same_host",
	}
}

// Validate checks what can be known without calling. It joins several errors.
func (s *HTTPSettings) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &settings.FieldError{Field: field, Err: fmt.Errorf(format, args...)})
	}
	if _, err := client.StaticHost(s.URL.String()); err != nil {
		bad("url", "%w", err)
	}
	if s.Into == "" {
		bad("into", "name the field that takes the answer")
	} else if _, err := s.Into.Place(); err != nil {
		bad("into", "%w", err)
	}
	switch {
	case s.Method != http.MethodGet && s.Method != http.MethodPost:
		bad("method", "%q is none: write GET or POST", s.Method)
	case s.Method == http.MethodGet && s.Body != nil:
		bad("body", "a GET has none: set method: POST")
	case s.Body != nil && s.Body.CheckJSON() != nil:
		bad("body", "%w", s.Body.CheckJSON())
	}
	if s.Redirects != "same_host" && s.Redirects != "any_host" {
		bad("redirects", "%q is none: write same_host or any_host", s.Redirects)
	}
	if s.MaxBytes <= 0 || s.MaxBytes > 1<<30 {
		bad("max_bytes", "%v is out of range: write a size from 1B to 1GiB", s.MaxBytes)
	}
	if err := s.OnMiss.Validate(); err != nil {
		bad("on_miss", "%w", err)
	}
	if _, _, err := s.header(); err != nil {
		bad("headers", "%w", err)
	}
	if status, both := s.MissStatus.Common(s.RetryStatus); both && !slices.Equal(s.RetryStatus, client.TransientStatuses) {
		bad("miss_status", "%d is in retry_status too: leave it out of one of the two", status)
	}
	if err := s.TLS.Validate(); err != nil {
		bad("tls", "%w", err)
	}
	if _, err := client.ParseProxy(s.Proxy.Reveal()); err != nil {
		bad("proxy", "%w", err)
	}
	return errors.Join(errs...)
}

// header gives the headers that are the same for every record, and the templates of the others.
func (s *HTTPSettings) header() (http.Header, map[string]*expr.Template, error) {
	fixed, parts := map[string]string{}, map[string]*expr.Template{}
	for name, t := range s.Headers {
		if !t.Static() {
			parts[name] = &t
			fixed[name] = "" // for its name to be checked
			continue
		}
		text, err := t.Text(&pipeline.Record{})
		if err != nil {
			return nil, nil, err
		}
		fixed[name] = text
	}
	h, err := client.Headers(fixed, s.SecretHeaders)
	for name := range parts {
		h.Del(name)
	}
	return h, parts, err
}

// HTTP calls a server for each record and puts the answer into a field. It belongs
// into a waiting step. The engine may repeat a call after an outcome that is not
// known, so what is called must bear that: a POST is for look-ups.
//
// A record whose value is no object, or in which something else stands in the way of the field that
// takes the answer, is rejected without a call, a tombstone passes without one.
type HTTP struct {
	settings HTTPSettings
	into     jsontext.Path
	client   *client.HTTP
	host     string                    // scheme and host, for Ping
	address  string                    // for errors
	headers  map[string]*expr.Template // those with parts
	emit     *event.Emitter
}

// Attach implements pipeline.Attacher.
func (h *HTTP) Attach(e *event.Emitter) { h.emit = e }

// warnFiles tells that files of tls have become unusable, from any goroutine.
func (h *HTTP) warnFiles(err error) {
	h.emit.Log().Warn().Err(err).Msg("a file is not used as it is now")
}

// NewHTTP makes the stage for as many calls at once as there are workers. It
// connects with the first call.
func NewHTTP(s HTTPSettings, workers int) (*HTTP, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	o := client.HTTPOptions{Slots: workers, MaxBytes: int64(s.MaxBytes), Gzip: s.Gzip, AnyHost: s.Redirects == "any_host"}
	h := &HTTP{settings: s}
	var err error
	if h.into, err = s.Into.Place(); err != nil {
		return nil, err
	}
	if o.Header, h.headers, err = s.header(); err != nil {
		return nil, err
	}
	if s.Method == http.MethodPost && o.Header.Get("Content-Type") == "" {
		o.Header.Set("Content-Type", "application/json")
	}
	if o.TLSFiles, err = s.TLS.Open(h.warnFiles); err != nil {
		return nil, err
	}
	if o.Proxy, err = client.ParseProxy(s.Proxy.Reveal()); err != nil {
		return nil, err
	}
	if h.host, err = client.StaticHost(s.URL.String()); err != nil {
		return nil, err
	}
	h.address = client.Address(h.host, s.URL.String(), s.URL.Written())
	h.client, err = client.NewHTTP(o)
	return h, err
}

// Process implements pipeline.Stage.
func (h *HTTP) Process(ctx context.Context, rec *pipeline.Record) error {
	if rec.Tombstone() {
		return nil
	}
	req, bad := h.request(rec)
	// Before the call: a value that can take no field is rejected without one.
	if err := rec.SetRawAt(h.into, nil); err != nil {
		return err
	}
	if bad != nil {
		return bad
	}
	a, err := h.client.Do(ctx, req)
	if err != nil {
		return err
	}
	// What the file says of a status comes before what it means by itself: with 204 a server may
	// say that there is no such thing, and with 202 that it is not there yet.
	switch {
	case h.settings.MissStatus.Has(a.Status):
		return h.miss(a)
	case a.Status > 299 || h.settings.RetryStatus.Has(a.Status):
		return client.StatusError(h.what(), a, h.settings.RetryStatus)
	}
	text, err := h.answer(a)
	if err != nil {
		return err
	}
	return rec.SetRawAt(h.into, text)
}

func (h *HTTP) what() string { return "calling " + h.settings.Method + " " + h.address }

func (h *HTTP) miss(a *client.Answer) error {
	switch h.settings.OnMiss {
	case MissNull:
		return nil
	case MissFilter:
		return pipeline.Filtered
	}
	return pipeline.Reject(ReasonNoMatch, client.StatusError(h.what(), a, nil))
}

func (h *HTTP) request(rec *pipeline.Record) (client.Request, error) {
	r := client.Request{Method: h.settings.Method, Address: h.address}
	var err error
	if r.URL, err = h.settings.URL.URL(rec); err != nil {
		return r, err
	}
	if h.settings.Body != nil {
		if r.Body, err = h.settings.Body.JSON(rec); err != nil {
			return r, err
		}
	}
	for name, t := range h.headers {
		if r.Header == nil {
			r.Header = make(http.Header, len(h.headers))
		}
		v, err := t.Text(rec)
		if err != nil {
			return r, err
		}
		r.Header.Set(name, v)
	}
	return r, nil
}

var byteOrderMark = []byte("\ufeff")

// answer gives the JSON text of an answer; nil is null.
func (h *HTTP) answer(a *client.Answer) ([]byte, error) {
	body := bytes.TrimPrefix(a.Body, byteOrderMark)
	if len(body) == 0 {
		return nil, nil
	}
	typ := a.Header.Get("Content-Type")
	refuse := func(why string) error {
		return pipeline.Reject(client.TypeBadAnswer, client.NewError(client.TypeBadAnswer, h.what()+": the answer "+why, nil))
	}
	if isUTF16(typ, body) {
		return nil, refuse("comes in UTF-16: the server must send UTF-8")
	}
	if !utf8.Valid(body) {
		return nil, refuse("is not valid UTF-8: the server must send UTF-8")
	}
	if !isJSON(typ) {
		return jsontext.AppendString(nil, string(body)), nil
	}
	if body = bytes.TrimSpace(body); len(body) == 0 {
		return nil, nil
	}
	if deeperThan(body, maxDepth) {
		return nil, refuse(fmt.Sprintf("is nested deeper than %d", maxDepth))
	}
	if !gjson.ValidBytes(body) {
		return nil, refuse("is not the JSON that its type says")
	}
	if bytes.ContainsAny(body, "\r\n") { // a record stays one line
		var line bytes.Buffer
		if err := json.Compact(&line, body); err != nil {
			return nil, refuse("is not the JSON that its type says")
		}
		body = line.Bytes()
	}
	return body, nil
}

// isJSON goes by the media type alone, which is in front of the first semicolon. Servers get the
// parameters behind it wrong in many ways, and none of them tells what the answer is.
func isJSON(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	t, _, _ = strings.Cut(t, ",") // of a header that came twice, the first
	t = strings.ToLower(strings.TrimSpace(t))
	return t == "application/json" || t == "text/json" || strings.HasSuffix(t, "+json")
}

// isUTF16 goes by the body: many servers say UTF-16 and send UTF-8. Without a byte order mark a
// zero byte tells: most text in UTF-16 is valid UTF-8 too, with a zero behind every letter.
func isUTF16(contentType string, body []byte) bool {
	if bytes.HasPrefix(body, []byte("\xff\xfe")) || bytes.HasPrefix(body, []byte("\xfe\xff")) {
		return true
	}
	return bytes.IndexByte(body, 0) >= 0 && strings.Contains(strings.ToLower(contentType), "utf-16")
}

const maxDepth = 512

// deeperThan says whether arrays and objects nest deeper than limit, which a recursive
// parser pays for with its stack.
func deeperThan(text []byte, limit int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// Ping implements pipeline.Pinger: it connects to the host and asks for nothing.
func (h *HTTP) Ping(ctx context.Context) error { return h.client.Ping(ctx, h.host) }

// Close closes the idle connections.
func (h *HTTP) Close() error {
	h.client.Close()
	return nil
}
