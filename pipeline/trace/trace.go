// SPDX-License-Identifier: Apache-2.0

// Package trace makes spans of OpenTelemetry of what the engine does with records, and sends them to a
// collector by OTLP over HTTP. It alone knows the library: the engine has a small interface for it.
package trace

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/engine"
)

// DefaultQueue is how many spans may wait to be sent.
const DefaultQueue = 8192

// Options say what is traced, and where spans go.
type Options struct {
	Endpoint string       // http://host:4318; /v1/traces is added when it has no path
	Header   http.Header  // goes with every request
	Secrets  []string     // values in Header that nobody may see
	Auth     *client.Auth // goes with every request; its files are read again when they change. nil: none
	TLS      client.TLS   // how the collector is checked, and who this side is

	Sample  float64 // the share of the records without a trace of their own that are traced, from 0 to 1
	Parent  bool    // of a record that comes in a trace that one decides; else it is one among the others
	Baggage bool    // calls over HTTP get the baggage of their record
	// Hosts are the servers that are told of the trace of a call over HTTP, whoever has chosen them. None: those that the file names.
	Hosts client.Hosts
	Queue int // spans that may wait to be sent; what is more is dropped. 0: DefaultQueue

	Service, Instance, Version string // of the program, as collectors show them

	// Warn is called, from any goroutine, when the collector does not take spans, once until it does again, and
	// Note when it does. nil: nobody is told.
	Warn func(err error, dropped int64)
	Note func(text string)
	// Full is called, from any goroutine, when spans have found no room though the collector takes some: once, and each minute in which more have
	// found none. dropped are all so far. nil: nobody is told.
	Full func(dropped int64)
	// Refused is called, from any goroutine, when the collector has taken a request but not all its spans: once, and once a minute at
	// most when it does so again. dropped are all so far. nil: nobody is told.
	Refused func(dropped int64)

	// WarnFile is called, from any goroutine, when a file of TLS or Auth cannot be used any more, once until it can. nil: nobody is told.
	WarnFile func(error)

	linger time.Duration // how long the first span of a request waits for others; 0: a second
}

// Traces makes and sends the spans of a process. It is safe for concurrent use.
type Traces struct {
	options  Options
	provider *sdk.TracerProvider
	queue    *queue
	http     *client.HTTP
}

// New starts sending: spans go out as they come, some together. Nothing is connected before the first one. The caller closes it. A file of TLS or Auth
// that cannot be used is a pipeline.EnvironmentError.
func New(o Options) (*Traces, error) {
	if o.Queue <= 0 {
		o.Queue = DefaultQueue
	}
	if o.linger == 0 {
		o.linger = time.Second
	}
	address, err := Address(o.Endpoint)
	if err != nil {
		return nil, err
	}
	files, err := o.TLS.Open(o.WarnFile)
	if err != nil {
		return nil, err
	}
	h, err := client.NewHTTP(client.HTTPOptions{Slots: 1, Header: o.Header, Secrets: o.Secrets, Auth: o.Auth, TLSFiles: files, Warn: o.WarnFile, Timeout: sendTimeout})
	if err != nil {
		return nil, err
	}
	t := &Traces{options: o, http: h}
	t.queue = newQueue(o, otlptrace.NewUnstarted(&upload{http: h, url: address, patience: time.Second}))
	limits := sdk.SpanLimits{ // not those of the environment: a process does what its file says
		AttributeValueLengthLimit: 1 << 10, AttributeCountLimit: 64, EventCountLimit: 128, LinkCountLimit: 2 * maxLinks,
		AttributePerEventCountLimit: 16, AttributePerLinkCountLimit: 16,
	}
	t.provider = sdk.NewTracerProvider(sdk.WithSpanProcessor(t.queue), sdk.WithSampler(sdk.AlwaysSample()), sdk.WithRawSpanLimits(limits),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", o.Service), attribute.String("service.instance.id", o.Instance), attribute.String("service.version", o.Version))))
	go t.queue.run()
	return t, nil
}

// Address gives where spans are posted to.
func Address(endpoint string) (string, error) {
	host, err := client.StaticHost(endpoint)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	if strings.Trim(u.Path, "/") != "" {
		return endpoint, nil
	}
	if u.RawQuery != "" {
		return host + "/v1/traces?" + u.RawQuery, nil
	}
	return host + "/v1/traces", nil
}

// A Pipeline is what spans say of the pipeline that a record is in.
type Pipeline struct {
	Name   string
	Source string // the kind of its source: kafka
	Group  string // its consumer group; "": it has none
}

// Pipeline gives what traces the records of one pipeline.
func (t *Traces) Pipeline(p Pipeline) engine.Tracer {
	attrs := []attribute.KeyValue{attribute.String("penstock.pipeline", p.Name)}
	if p.Source == "kafka" {
		attrs = append(attrs, attribute.String("messaging.system", "kafka"), attribute.String("messaging.operation.name", "process"),
			attribute.String("messaging.operation.type", "process"))
		if p.Group != "" {
			attrs = append(attrs, attribute.String("messaging.consumer.group.name", p.Group))
		}
	}
	return &tracer{options: &t.options, otel: t.provider.Tracer("penstock"), kafka: p.Source == "kafka", pipeline: p.Name, attrs: attrs,
		noRoom: t.queue.noRoom}
}

// Close sends what waits, as long as ctx goes on, and ends. What comes later is dropped.
func (t *Traces) Close(ctx context.Context) {
	t.queue.close(ctx)
	t.http.Close()
}

// Counts say how many spans were sent, and dropped, and how many wait.
func (t *Traces) Counts() (sent, dropped, waiting int64) {
	return t.queue.sent.Load(), t.queue.dropped.Load(), int64(len(t.queue.ch))
}

// sendTimeout is how long one request to the collector may take.
const sendTimeout = 10 * time.Second
