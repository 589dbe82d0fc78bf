// SPDX-License-Identifier: Apache-2.0

// Package httpstage calls an HTTP server for each record and puts the answer into its fields.
package httpstage

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings are the settings of the http stage.
//
// Reason for its size: it is a table, with a line for each setting.
type Settings struct {
	URL           expr.Template              `yaml:"url" required:"true" raw:"true" doc:"address to call; what a part gives is percent-encoded, but for the slashes of {raw(path)} in its path. Where hosts says who may be called, a part may give the host too, or the whole address"`
	Hosts         client.Hosts               `yaml:"hosts" commas:"true" doc:"hosts that may be called where the host comes from the record, or a redirect leads to any_host: api.example, '*.example.org', api.example:8080"`
	Allow         []client.Allow             `yaml:"allow" commas:"true" doc:"networks and names that may be called although they are not of the public internet: 10.0.0.0/8, internal.example. Where hosts is given, loopback, private, link-local and the like are refused otherwise, whatever name leads there"`
	Method        string                     `yaml:"method" enum:"GET|HEAD|POST|PUT|PATCH|DELETE" doc:"method of the request. Any may be repeated after an outcome that is not known; those but GET and HEAD carry an Idempotency-Key, made of the position of the record, unless cache or share says that they only read"`
	Body          *expr.Template             `yaml:"body" doc:"JSON document to send; what a part gives is put in as JSON, and the braces of the document itself are doubled"`
	JSON          *expr.Expr                 `yaml:"json" doc:"expression whose value is sent as JSON: $env is the record's own"`
	Form          map[string]expr.Expr       `yaml:"form" min:"1" doc:"fields of a form to send, as of a web page; nil leaves one out, an array sends it once for each element"`
	Text          *expr.Template             `yaml:"text" doc:"text to send"`
	Headers       map[string]expr.Template   `yaml:"headers" doc:"request headers; a log-in that the record holds stands here, as in Authorization: 'Bearer {token}'"`
	SecretHeaders map[string]settings.Secret `yaml:"secret_headers" doc:"request headers whose values never show, like Authorization; they are sent as they stand, braces too"`
	Auth          *client.Auth               `yaml:"auth" doc:"log-in that goes with each request"`
	Into          settings.FieldPath         `yaml:"into" doc:"field that takes the answer, null when it is empty; without it the answer's body is not read"`
	Answer        string                     `yaml:"answer" enum:"auto|json|text|base64" doc:"what the answer is put in as. auto: JSON when its type says so, else text; json: JSON whatever its type; text: a string; base64: the bytes, as a string. Whatever charset it states, what is not UTF-8 rejects the record, but with base64"`
	StatusInto    settings.FieldPath         `yaml:"status_into" doc:"field that takes the status of the answer, a number"`
	HeadersInto   settings.FieldPath         `yaml:"headers_into" doc:"field that takes the headers of keep_headers that the answer has, an object"`
	KeepHeaders   []string                   `yaml:"keep_headers" commas:"true" doc:"names of headers of the answer, as headers_into is to have them"`
	OnMiss        client.OnMiss              `yaml:"on_miss" doc:"what a status of miss_status does to the record: reject, filter, or null as the answer" enum:"reject|filter|null"`
	MissStatus    client.Statuses            `yaml:"miss_status" doc:"statuses that say there is no such thing; they win over the default of retry_status"`
	OKStatus      client.Statuses            `yaml:"ok_status" doc:"statuses whose answers are answers, errors like 409 too; they win over the defaults of miss_status and retry_status. Default: 2xx. What is in none of the three lists rejects the record"`
	RetryStatus   client.Statuses            `yaml:"retry_status" doc:"statuses that another attempt may cure; Retry-After is honoured up to five minutes"`
	MaxBytes      settings.Size              `yaml:"max_bytes" doc:"largest answer, decoded; a larger one rejects the record"`
	Gzip          bool                       `yaml:"gzip" doc:"ask for compressed answers"`
	HTTP2         client.HTTP2               `yaml:"http2" enum:"auto|always|never" doc:"auto: HTTP/2 where a server of https offers it; always: HTTP/2 alone, to http too; never: HTTP/1.1"`
	Redirects     string                     `yaml:"redirects" doc:"follow up to five redirects: to the same_host, or to any_host of hosts, else of the public internet, which is not sent the headers" enum:"same_host|any_host"`
	TLS           client.TLS                 `yaml:"tls" doc:"how the server is checked, and who this side is"`
	Proxy         settings.Secret            `yaml:"proxy" doc:"address of a proxy, which never shows because it may hold a password; variables of the environment are ignored"`
}

// Defaults gives the settings of an http stage before a file is read.
func Defaults() Settings {
	return Settings{
		Method: http.MethodGet, Answer: "auto", OnMiss: client.MissReject, MissStatus: slices.Clone(missStatuses),
		RetryStatus: slices.Clone(client.TransientStatuses), MaxBytes: 1 << 20, HTTP2: client.HTTP2Auto, Redirects: "same_host",
	}
}

// missStatuses say that there is no such thing, when the file does not say which do.
var missStatuses = client.Statuses{{From: 404, To: 404}}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// safe says whether a method only reads, by its definition.
func safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// Validate checks what can be known without calling. It joins several errors.
func (s *Settings) Validate() error {
	p := new(settings.Problems)
	s.checkAddress(p)
	s.checkBody(p)
	s.checkAnswer(p)
	s.checkStatuses(p)
	_, _, err := s.header()
	p.Check("headers", err)
	s.checkLogin(p)
	p.Check("tls", s.TLS.Validate())
	_, err = client.ParseProxy(s.Proxy.Reveal())
	p.Check("proxy", err)
	if s.MaxBytes <= 0 || s.MaxBytes > 1<<30 {
		p.Add("max_bytes", "%v is out of range: write a size from 1B to 1GiB", s.MaxBytes)
	}
	p.Check("http2", s.HTTP2.Validate())
	return p.Err()
}

func (s *Settings) checkBody(p *settings.Problems) {
	if !slices.Contains(methods, s.Method) {
		p.Add("method", "%q is none: write GET, HEAD, POST, PUT, PATCH or DELETE", s.Method)
	}
	given := s.bodies()
	switch {
	case len(given) > 1:
		p.Add(given[1], "a request has one body: leave out %s, or this", given[0])
	case len(given) == 1 && safe(s.Method):
		p.Add(given[0], "a %s has none: set method: POST", s.Method)
	}
	if s.Body != nil {
		p.Check("body", s.Body.CheckJSON())
	}
	if _, unnamed := s.Form[""]; unnamed {
		p.Add("form", "a field has no name")
	}
}

// bodies gives the settings that say what to send, of which one may be given.
func (s *Settings) bodies() []string {
	var given []string
	for _, b := range []struct {
		name string
		is   bool
	}{{"body", s.Body != nil}, {"json", s.JSON != nil}, {"form", len(s.Form) > 0}, {"text", s.Text != nil}} {
		if b.is {
			given = append(given, b.name)
		}
	}
	return given
}

func (s *Settings) checkAnswer(p *settings.Problems) {
	places := map[string]jsontext.Path{}
	for _, f := range []struct {
		name string
		path settings.FieldPath
	}{{"into", s.Into}, {"status_into", s.StatusInto}, {"headers_into", s.HeadersInto}} {
		if f.path == "" {
			continue
		}
		place, err := f.path.Place()
		p.Check(f.name, err)
		for other, path := range places {
			if err == nil && overlap(place, path) {
				p.Add(f.name, "it leads to the field of %s, or into it: name another", other)
			}
		}
		places[f.name] = place
	}
	switch {
	case s.Into == "" && s.StatusInto == "" && s.HeadersInto == "" && (s.Method == http.MethodGet || s.Method == http.MethodPost):
		p.Add("into", "name the field that takes the answer, or where the status alone is wanted one for that: status_into")
	case s.Into != "" && s.Method == http.MethodHead:
		p.Add("into", "a HEAD has no answer but its status and headers: name status_into, or set method: GET")
	case s.Into == "" && s.Answer != "auto" && s.Answer != "":
		p.Add("answer", "the answer goes nowhere: name the field that takes it, into")
	}
	if !slices.Contains([]string{"auto", "json", "text", "base64"}, s.Answer) {
		p.Add("answer", "%q is none: write auto, json, text or base64", s.Answer)
	}
	switch {
	case s.HeadersInto != "" && len(s.KeepHeaders) == 0:
		p.Add("headers_into", "name the headers that are wanted: keep_headers: [etag, content-type]")
	case s.HeadersInto == "" && len(s.KeepHeaders) > 0:
		p.Add("keep_headers", "the headers go nowhere: name the field that takes them, headers_into")
	}
	seen := map[string]bool{}
	for _, name := range s.KeepHeaders {
		known := http.CanonicalHeaderKey(name)
		if strings.TrimSpace(name) == "" || strings.ContainsAny(name, " :") {
			p.Add("keep_headers", "%q is no name of a header", name)
		} else if seen[known] {
			p.Add("keep_headers", "%s is named twice", name)
		}
		seen[known] = true
	}
	p.Check("on_miss", s.OnMiss.Validate())
}

// overlap says whether one place is within the other, or both are one.
func overlap(a, b jsontext.Path) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}

func (s *Settings) checkStatuses(p *settings.Problems) {
	miss, retry := s.given()
	for _, pair := range []struct {
		field, other string
		a, b         client.Statuses
	}{{"miss_status", "retry_status", s.MissStatus, retry}, {"ok_status", "retry_status", s.OKStatus, retry}, {"ok_status", "miss_status", s.OKStatus, miss}} {
		if status, both := pair.a.Common(pair.b); both {
			p.Add(pair.field, "%d is in %s too: leave it out of one of the two", status, pair.other)
		}
	}
	if s.OKStatus != nil && len(s.OKStatus) == 0 {
		p.Add("ok_status", "it is empty, and nothing would ever be an answer: write 2xx, or leave it out")
	}
}

// given gives those of miss_status and retry_status that differ from what a file has that does not
// say: what it does say wins over that.
func (s *Settings) given() (miss, retry client.Statuses) {
	if !slices.Equal(s.MissStatus, missStatuses) {
		miss = s.MissStatus
	}
	if !slices.Equal(s.RetryStatus, client.TransientStatuses) {
		retry = s.RetryStatus
	}
	return miss, retry
}

// header gives the headers that are the same for every record, and the templates of the others.
func (s *Settings) header() (http.Header, []headerPart, error) {
	fixed := map[string]string{}
	var parts []headerPart
	for name, t := range s.Headers {
		if !t.Static() {
			parts = append(parts, headerPart{http.CanonicalHeaderKey(name), &t})
			continue
		}
		text, err := t.Text(nothing)
		if err != nil {
			return nil, nil, err
		}
		fixed[name] = text
	}
	slices.SortFunc(parts, func(a, b headerPart) int { return strings.Compare(a.name, b.name) })
	h, err := client.Headers(fixed, s.SecretHeaders)
	for i, part := range parts { // a log-in too: it is the record's, and no secret of the file
		_, twice := h[part.name]
		if twice || i > 0 && parts[i-1].name == part.name {
			err = errors.Join(err, fmt.Errorf("the header %s is given twice", part.name))
		}
		err = errors.Join(err, client.CheckHeader(part.name, ""))
	}
	return h, parts, err
}

// checkLogin checks that what logs in stands in one place, and goes to hosts that the file names.
func (s *Settings) checkLogin(p *settings.Problems) {
	p.Check("auth", s.Auth.Beside(s.SecretHeaders))
	for name := range s.Headers {
		if s.Auth != nil && strings.EqualFold(name, s.Auth.Shows()) {
			p.Add("auth", "%s stands under headers too: leave it out there", name)
		}
	}
	if chosen, _ := s.URL.GivesHost(); !chosen || !s.Hosts.Any() {
		return
	}
	refuse := func(field, what string) {
		p.Add(field, "with hosts: ['*'] a record chooses who is called, and would be %s: name the hosts", what)
	}
	if s.Auth != nil {
		refuse("auth", "sent the log-in")
	}
	if len(s.SecretHeaders) > 0 {
		refuse("secret_headers", "sent them")
	}
	if s.URL.HoldsFile() {
		refuse("url", "sent what ${file:…} holds")
	}
	for name, t := range s.Headers {
		if t.HoldsFile() {
			refuse("headers."+name, "sent what ${file:…} holds")
		}
	}
	if s.TLS.Cert != "" {
		refuse("tls.cert", "shown who this side is")
	}
}

// Sends says whether the requests have a body.
func (s *Settings) Sends() bool { return len(s.bodies()) > 0 }

// Has says whether the settings give a request header of that name.
func (s *Settings) Has(name string) bool {
	same := func(other string) bool { return strings.EqualFold(name, other) }
	return slices.ContainsFunc(slices.Collect(maps.Keys(s.Headers)), same) || slices.ContainsFunc(slices.Collect(maps.Keys(s.SecretHeaders)), same)
}

// CheckCalls checks what stands beside the stage against its method. The error is a
// *settings.FieldError.
func (s *Settings) CheckCalls(c calls.Settings) error {
	reads := safe(s.Method) || s.Method == http.MethodPost
	why := ""
	switch {
	case c.Cache != nil && !reads:
		why = "cache has no meaning beside a %s, which is to change something: leave it out"
	case c.Cache != nil && c.Cache.HTTP && s.Method == http.MethodPost:
		why = "cache.http has no meaning beside a %s, whose answers HTTP's own rules do not keep: leave http out, and ttl decides"
	case c.Share != nil && *c.Share && !reads:
		why = "share has no meaning beside a %s, which is to change something: leave it out"
	default:
		return nil
	}
	return &settings.FieldError{Field: "method", Err: fmt.Errorf(why, s.Method)}
}

// secrets says whether something goes with the requests that nobody else may see.
func (s *Settings) secrets() bool {
	if s.Auth != nil || len(s.SecretHeaders) > 0 || s.URL.HoldsFile() {
		return true
	}
	for _, t := range s.Headers {
		if t.HoldsFile() {
			return true
		}
	}
	return false
}
