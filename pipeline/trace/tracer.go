package trace

import (
	"context"
	"math"
	"math/rand/v2"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/tracing"
)

const (
	// maxLinks is how many records the span of a Write names.
	maxLinks = 128
	// maxWriteLinks is how many Writes with others the span of a record names: one that fails is tried again without end.
	maxWriteLinks = 16
	// maxSpans is how many spans there are within that of one record: one that is split into thousands of parts has
	// as many steps, and its trace could not be looked at.
	maxSpans = 256
	// maxOpen is how many records of a pipeline are in traces at once. What a trace holds is beside the budget of records, and a stranger
	// who sends records has them traced.
	maxOpen = 10_000
)

// A tracer is an engine.Tracer of one pipeline.
type tracer struct {
	options  *Options
	otel     otel.Tracer
	kafka    bool // records come from Kafka
	pipeline string
	attrs    []attribute.KeyValue // of each record's span
	noRoom   func()               // counts the span of a record for which there was none

	open atomic.Int64 // traces that have not ended
}

// Skip implements engine.Tracer: how many fail before one succeeds, when each does with the probability Sample.
func (t *tracer) Skip() int {
	s := t.options.Sample
	switch {
	case s >= 1:
		return 0
	case s <= 0:
		return math.MaxInt
	}
	n := math.Log(1-rand.Float64()) / math.Log1p(-s)
	return int(min(n, math.MaxInt32))
}

// Begin implements engine.Tracer.
func (t *tracer) Begin(rec *pipeline.Record, made time.Time, chosen bool) engine.Trace {
	came := contextOf(rec.Headers())
	if came.IsValid() && t.options.Parent {
		chosen = came.IsSampled()
	}
	if !chosen {
		return nil
	}
	if t.open.Add(1) > maxOpen {
		t.open.Add(-1)
		t.noRoom()
		return nil
	}
	ctx := context.Background()
	if came.IsValid() {
		ctx = otel.ContextWithRemoteSpanContext(ctx, came)
	}
	attrs := make([]attribute.KeyValue, 0, len(t.attrs)+8)
	attrs = append(attrs, t.attrs...)
	if t.kafka {
		attrs = append(attrs, attribute.String("messaging.destination.name", rec.Topic),
			attribute.String("messaging.destination.partition.id", strconv.Itoa(int(rec.Partition))), attribute.Int64("messaging.kafka.offset", rec.Offset))
	} else {
		attrs = append(attrs, attribute.String("penstock.position", rec.Position.String()))
	}
	r := &record{t: t}
	if t.options.Baggage {
		r.baggage = baggageOf(rec.Headers())
	}
	r.ctx, r.span = t.otel.Start(ctx, "process "+rec.Topic, otel.WithTimestamp(made), otel.WithSpanKind(otel.SpanKindConsumer), otel.WithAttributes(attrs...))
	r.id = r.span.SpanContext().TraceID().String()
	return r
}

// A record is an engine.Trace: the span of a record, and those within it.
type record struct {
	t       *tracer
	ctx     context.Context // with its span
	span    otel.Span
	id      string
	baggage string
	spans   atomic.Int64 // within it, those that were left out included
	writes  atomic.Int64 // with other traced records

	once    sync.Once
	headers []pipeline.Header // for messages that are sent of it
}

// ID implements engine.Trace.
func (r *record) ID() string { return r.id }

// start begins a span within that of the record. nil: there are enough of them.
func (r *record) start(ctx context.Context, name string, kind otel.SpanKind, at time.Time, attrs ...attribute.KeyValue) (context.Context, otel.Span) {
	if r.spans.Add(1) > maxSpans {
		return ctx, nil
	}
	return r.t.otel.Start(ctx, name, otel.WithTimestamp(at), otel.WithSpanKind(kind), otel.WithAttributes(attrs...))
}

func stepAttrs(name, kind string, part int32) []attribute.KeyValue {
	attrs := []attribute.KeyValue{attribute.String("penstock.step", name), attribute.String("penstock.step.kind", kind)}
	if part > 0 {
		attrs = append(attrs, attribute.Int("penstock.part", int(part)))
	}
	return attrs
}

// Computed implements engine.Trace.
func (r *record) Computed(c engine.Computed) {
	attrs := append(stepAttrs(c.Step, c.Kind, c.Part), attribute.Int("penstock.chunk.records", c.Records))
	if _, span := r.start(r.ctx, c.Step, otel.SpanKindInternal, c.Began, attrs...); span != nil {
		end(span, c.Ended, c.At)
	}
}

// Step implements engine.Trace.
func (r *record) Step(name, kind string, part int32, began time.Time) engine.StepTrace {
	ctx, span := r.start(r.ctx, name, otel.SpanKindInternal, began, stepAttrs(name, kind, part)...)
	if span == nil {
		return nil
	}
	return &step{record: r, ctx: ctx, span: span, name: name}
}

// Rejected implements engine.Trace.
func (r *record) Rejected(by, reason, errorType string, attempts int) {
	r.span.SetAttributes(attribute.String("penstock.rejected.by", by), attribute.String("penstock.rejected.reason", reason),
		attribute.String("error.type", errorType), attribute.Int("penstock.attempts", attempts))
	r.span.SetStatus(codes.Error, reason)
}

// End implements engine.Trace.
func (r *record) End(outcome string, at time.Time) {
	r.span.SetAttributes(attribute.String("penstock.outcome", outcome))
	if over := r.spans.Load() - maxSpans; over > 0 {
		r.span.SetAttributes(attribute.Int64("penstock.spans_left_out", over))
	}
	r.span.End(otel.WithTimestamp(at))
	r.t.open.Add(-1)
}

// message gives the headers for messages that are sent of the record.
func (r *record) message() []pipeline.Header {
	r.once.Do(func() { r.headers = headersOf(r.span.SpanContext()) })
	return r.headers
}

// spanOf gives the span that a call was told of, as far as that was of this package.
func spanOf(told any) (s otel.SpanContext, ok bool) {
	a, ok := told.(*attempt)
	if !ok {
		return otel.SpanContext{}, false
	}
	return a.span.SpanContext(), true
}

// end ends a span with what has come of it.
func end(span otel.Span, r engine.Result, at time.Time) {
	if r.Outcome != "" {
		span.SetAttributes(attribute.String("penstock.outcome", r.Outcome))
	}
	if r.Answered != "" {
		span.SetAttributes(attribute.String("penstock.answered.from", r.Answered))
		if of, ok := spanOf(r.Of); ok {
			span.AddLink(otel.Link{SpanContext: of})
		}
	}
	if r.ErrorType != "" {
		span.SetAttributes(attribute.String("error.type", r.ErrorType))
		span.SetStatus(codes.Error, "")
	}
	span.End(otel.WithTimestamp(at))
}

// A step is an engine.StepTrace.
type step struct {
	record *record
	ctx    context.Context // with its span
	span   otel.Span
	name   string
}

// Attempt implements engine.StepTrace.
func (s *step) Attempt(ctx context.Context, number int, began time.Time) (context.Context, engine.Span) {
	own, span := s.record.start(s.ctx, s.name+" attempt", otel.SpanKindClient, began, attribute.Int("penstock.attempt", number))
	if span == nil {
		own, span = s.ctx, s.span
	}
	a := &attempt{record: s.record, span: span}
	// The engine's context bounds the call; the span is put into it for libraries that look for it there.
	ctx = tracing.With(otel.ContextWithSpan(ctx, otel.SpanFromContext(own)), a)
	if span == s.span {
		return ctx, nil
	}
	return ctx, a
}

// Held implements engine.StepTrace.
func (s *step) Held(by engine.Cause, took time.Duration, at time.Time) {
	s.span.AddEvent("held back", otel.WithTimestamp(at), otel.WithAttributes(
		attribute.String("penstock.held.by", string(by)), attribute.Int64("penstock.held.ms", took.Milliseconds())))
}

// Retry implements engine.StepTrace.
func (s *step) Retry(number int, errorType string, wait time.Duration, at time.Time) {
	s.span.AddEvent("retry", otel.WithTimestamp(at), otel.WithAttributes(
		attribute.Int("penstock.attempt", number), attribute.String("error.type", errorType), attribute.Int64("penstock.wait.ms", wait.Milliseconds())))
}

// End implements engine.StepTrace.
func (s *step) End(r engine.Result, at time.Time) { end(s.span, r, at) }

// An attempt is an engine.Span, and what its calls are told of it.
type attempt struct {
	record *record
	span   otel.Span
}

// End implements engine.Span.
func (a *attempt) End(r engine.Result, at time.Time) { end(a.span, r, at) }

// Call implements tracing.Context.
func (a *attempt) Call() []pipeline.Header {
	h := headersOf(a.span.SpanContext())
	if a.record.baggage != "" {
		h = append(h, pipeline.Header{Name: "baggage", Value: []byte(a.record.baggage)})
	}
	return h
}

// Tells implements tracing.Context.
func (a *attempt) Tells(server *url.URL, fixed bool) bool {
	return a.record.t.options.tells(server, fixed)
}

// tells says whether a server is told of traces. One that a record chose is not, unless the file says so: a trace shows a stranger
// which calls belong together, and what else may be in its state.
func (o *Options) tells(server *url.URL, fixed bool) bool {
	if len(o.Hosts) == 0 {
		return fixed
	}
	return o.Hosts.Match(server)
}

// Message implements tracing.Context.
func (a *attempt) Message(int) []pipeline.Header { return a.record.message() }
