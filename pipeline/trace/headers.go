package trace

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/penstockio/penstock/pipeline"
)

// carrier reads the headers of a record, and collects those of a message. Names are compared without regard to case: HTTP has
// none, and whoever bridges from there may write them in its own.
type carrier struct{ headers []pipeline.Header }

var _ propagation.TextMapCarrier = (*carrier)(nil)

// Get implements propagation.TextMapCarrier. Of a header that came twice it gives nothing: nobody can say which one is right.
func (c *carrier) Get(name string) (value string) {
	found := false
	for _, h := range c.headers {
		if !strings.EqualFold(h.Name, name) {
			continue
		}
		if found && name == "traceparent" {
			return ""
		}
		if found {
			value += "," // several lines of tracestate are one list
		}
		found = true
		value += string(h.Value)
	}
	return value
}

// Set implements propagation.TextMapCarrier.
func (c *carrier) Set(name, value string) {
	c.headers = append(c.headers, pipeline.Header{Name: name, Value: []byte(value)})
}

// Keys implements propagation.TextMapCarrier.
func (c *carrier) Keys() (names []string) {
	for _, h := range c.headers {
		names = append(names, h.Name)
	}
	return names
}

var w3c propagation.TraceContext

// contextOf gives the trace that a record came in. It is not valid when the record came in none, or its headers are broken.
func contextOf(headers []pipeline.Header) otel.SpanContext {
	if len(headers) == 0 {
		return otel.SpanContext{}
	}
	return otel.SpanContextFromContext(w3c.Extract(context.Background(), &carrier{headers}))
}

// headersOf gives the headers that tell of a span.
func headersOf(s otel.SpanContext) []pipeline.Header {
	var c carrier
	w3c.Inject(otel.ContextWithSpanContext(context.Background(), s), &c)
	return c.headers
}

// maxBaggage is the most bytes of baggage that are passed on.
const maxBaggage = 8 << 10

// baggageOf gives the baggage of a record as it came; "": there is none, or none that may stand in a header of HTTP.
func baggageOf(headers []pipeline.Header) string {
	value := (&carrier{headers}).Get("baggage")
	if len(value) > maxBaggage || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
		return ""
	}
	return value
}
