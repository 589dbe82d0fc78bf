// SPDX-License-Identifier: Apache-2.0

// Package tracetest is a collector of traces for tests: it takes spans by OTLP over HTTP on loopback, and
// gives them as they came.
package tracetest

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A Span is one that a collector has taken.
type Span struct {
	Name, Kind          string
	Trace, ID, Parent   string // in hexadecimal digits; Parent is "" of a root
	Attrs, Resource     map[string]string
	Links               []Link
	Events              []Event
	Error               bool
	Start, End          time.Time
	State               string // tracestate
	StatusText          string
	EventsOut, LinksOut uint32 // that were left out
}

// A Link is the trace and the span that a span names.
type Link struct{ Trace, ID string }

// An Event is one within a span.
type Event struct {
	Name  string
	Attrs map[string]string
	At    time.Time
}

// A Collector takes spans.
type Collector struct {
	URL string

	t  testing.TB
	mu sync.Mutex
	// answer gives the status of an answer; nil: 200.
	answer  func(r *http.Request) int
	spans   []Span
	headers []http.Header
}

// Start starts a collector, which ends with the test.
func Start(t testing.TB) *Collector {
	c := &Collector{t: t}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	c.URL = s.URL
	return c
}

// Answer has a function say the status of each answer. It may wait for the end of the request's context: that its caller has gone
// is noticed, as the request has been read.
func (c *Collector) Answer(f func(r *http.Request) int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = f
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	answer := c.answer
	c.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if answer != nil {
		if status := answer(r); status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
	}
	var data tracepb.TracesData
	if err == nil {
		err = proto.Unmarshal(body, &data)
	}
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.t.Errorf("%s %s %v: %v", r.Method, r.URL, r.Header, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header)
	for _, of := range data.ResourceSpans {
		resource := attrsOf(of.Resource.GetAttributes())
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, spanOf(s, resource))
			}
		}
	}
}

func spanOf(s *tracepb.Span, resource map[string]string) Span {
	out := Span{
		Name: s.Name, Kind: strings.ToLower(strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_")), State: s.TraceState,
		Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
		Attrs: attrsOf(s.Attributes), Resource: resource, Error: s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR, StatusText: s.Status.GetMessage(),
		Start: time.Unix(0, int64(s.StartTimeUnixNano)), End: time.Unix(0, int64(s.EndTimeUnixNano)), EventsOut: s.DroppedEventsCount, LinksOut: s.DroppedLinksCount,
	}
	for _, l := range s.Links {
		out.Links = append(out.Links, Link{hex.EncodeToString(l.TraceId), hex.EncodeToString(l.SpanId)})
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, Event{e.Name, attrsOf(e.Attributes), time.Unix(0, int64(e.TimeUnixNano))})
	}
	return out
}

func attrsOf(list []*commonpb.KeyValue) map[string]string {
	all := map[string]string{}
	for _, kv := range list {
		switch v := kv.Value.GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			all[kv.Key] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			all[kv.Key] = fmt.Sprint(v.IntValue)
		case *commonpb.AnyValue_BoolValue:
			all[kv.Key] = fmt.Sprint(v.BoolValue)
		default:
			all[kv.Key] = kv.Value.String()
		}
	}
	return all
}

// Spans gives the spans that have come, in their order.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Headers gives the headers of the requests that were taken.
func (c *Collector) Headers() []http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]http.Header(nil), c.headers...)
}

// Named gives the spans of a name.
func (c *Collector) Named(name string) []Span {
	return c.Where(func(s Span) bool { return s.Name == name })
}

// One gives the one span of a name.
func (c *Collector) One(name string) Span {
	c.t.Helper()
	all := c.Named(name)
	if len(all) != 1 {
		c.t.Fatalf("%d spans of the name %s; there are:\n%s", len(all), name, c)
	}
	return all[0]
}

// Within gives the spans whose parent is a span.
func (c *Collector) Within(s Span) []Span {
	return c.Where(func(o Span) bool { return o.Parent == s.ID && o.Trace == s.Trace })
}

// Where gives the spans of which f holds.
func (c *Collector) Where(f func(Span) bool) (all []Span) {
	for _, s := range c.Spans() {
		if f(s) {
			all = append(all, s)
		}
	}
	return all
}

// String shows all spans.
func (c *Collector) String() string {
	var b strings.Builder
	for _, s := range c.Spans() {
		fmt.Fprintf(&b, "%s %s (%s) in %q, %s, error %v, %v, links %v\n", s.Trace[:8], s.Name, s.ID, s.Parent, s.Kind, s.Error, s.Attrs, s.Links)
		for _, e := range s.Events {
			fmt.Fprintf(&b, "    %s %v\n", e.Name, e.Attrs)
		}
	}
	return b.String()
}
