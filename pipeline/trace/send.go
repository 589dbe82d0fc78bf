package trace

import (
	"context"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/tracing"
)

// A send is the span of a Write, and what its messages and calls are told of it.
type send struct {
	t    *tracer
	span otel.Span
	of   []engine.Trace
}

// Send implements engine.Tracer. A Write with one traced record has its span within that of the record. One with several is
// a trace of its own, which names them, and which they name: it is no part of one of them more than of the others.
func (t *tracer) Send(ctx context.Context, sink, kind string, of []engine.Trace, began time.Time) (context.Context, engine.Span) {
	var links []otel.Link
	var only *record
	n := 0
	for _, tr := range of {
		r, ok := tr.(*record)
		if !ok {
			continue
		}
		n++
		only = r
		if len(links) < maxLinks {
			links = append(links, otel.Link{SpanContext: r.span.SpanContext()})
		}
	}
	attrs := []attribute.KeyValue{attribute.String("penstock.pipeline", t.pipeline), attribute.String("penstock.sink", sink),
		attribute.String("penstock.sink.kind", kind), attribute.Int("messaging.batch.message_count", len(of)), attribute.Int("penstock.traced", n)}
	if kind == "kafka" {
		attrs = append(attrs, attribute.String("messaging.system", "kafka"), attribute.String("messaging.operation.type", "send"),
			attribute.String("messaging.operation.name", "send"))
	}
	name := "send " + sink
	if n == 1 {
		_, span := only.start(only.ctx, name, otel.SpanKindProducer, began, attrs...)
		if span == nil { // there are enough of them: a Write that fails is tried again without end
			ctx, _ = t.within(ctx, only.span, of)
			return ctx, nil
		}
		return t.within(ctx, span, of)
	}
	_, span := t.otel.Start(context.Background(), name, otel.WithTimestamp(began), otel.WithSpanKind(otel.SpanKindProducer), otel.WithAttributes(attrs...),
		otel.WithLinks(links...))
	back := otel.Link{SpanContext: span.SpanContext()}
	for _, tr := range of {
		if r, ok := tr.(*record); ok && r.writes.Add(1) <= maxWriteLinks {
			r.span.AddLink(back)
		}
	}
	return t.within(ctx, span, of)
}

// within gives the context of a Write that is within a span.
func (t *tracer) within(ctx context.Context, span otel.Span, of []engine.Trace) (context.Context, engine.Span) {
	s := &send{t: t, span: span, of: of}
	return tracing.With(otel.ContextWithSpan(ctx, span), s), s
}

// End implements engine.Span.
func (s *send) End(r engine.Result, at time.Time) { end(s.span, r, at) }

// Call implements tracing.Context.
func (s *send) Call() []pipeline.Header { return headersOf(s.span.SpanContext()) }

// Tells implements tracing.Context.
func (s *send) Tells(server *url.URL, fixed bool) bool { return s.t.options.tells(server, fixed) }

// Message implements tracing.Context.
func (s *send) Message(i int) []pipeline.Header {
	if i < 0 || i >= len(s.of) {
		return nil
	}
	if r, ok := s.of[i].(*record); ok {
		return r.message()
	}
	return nil
}
