package trace

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/penstockio/penstock/pipeline"
)

// carrier reads the headers of a record, and collects those of a message. Names are compared without regard to case: HTTP has
// none, and whoever bridges from there may write them in its own.
type carrier struct{ headers []pipeline.Header }

var _ propagation.TextMapCarrier = (*carrier)(nil)

// Get implements propagation.TextMapCarrier. Of a traceparent that came twice it gives nothing: nobody can say which one is right.
func (c *carrier) Get(name string) string {
	value := c.value(name)
	switch name {
	case "traceparent":
		return known(value)
	case "tracestate":
		return shortened(value)
	}
	return value
}

// value gives what stands under a name. Several lines of a list are one, parted by commas.
func (c *carrier) value(name string) string {
	var first []byte
	var all strings.Builder
	for n, i := 0, 0; i < len(c.headers); i++ {
		h := &c.headers[i]
		if !strings.EqualFold(h.Name, name) {
			continue
		}
		switch n++; n {
		case 1:
			first = h.Value
			continue
		case 2:
			if name == "traceparent" {
				return ""
			}
			all.Write(first)
		}
		all.WriteByte(',')
		all.Write(h.Value)
	}
	if all.Len() == 0 {
		return string(first)
	}
	return all.String()
}

// known takes out of a traceparent of version 00 the flags that are in no version so far: W3C wants them ignored, and to the library the
// header is broken.
func known(parent string) string {
	const flagsAt, length = 53, 55
	if len(parent) != length || !strings.HasPrefix(parent, "00-") {
		return parent
	}
	digits := parent[flagsAt:]
	flags, err := strconv.ParseUint(digits, 16, 8)
	if err != nil || flags <= 3 || digits != strings.ToLower(digits) {
		return parent
	}
	return fmt.Sprintf("%s%02x", parent[:flagsAt], flags&3) // sampled, and random
}

const (
	// maxState is the most bytes of a tracestate that are taken over, as many as W3C wants passed on: it comes from strangers, and each span
	// that is open, or waits to be sent, holds it.
	maxState = 512
	// maxEntry is the most bytes of an entry that stays in a tracestate that is too long.
	maxEntry = 128
)

// shortened takes whole entries out of a tracestate that is too long, in the order that W3C has: long ones, then the last ones.
func shortened(state string) string {
	if len(state) <= maxState {
		return state
	}
	var entries []string
	length := -1 // there is no comma before the first one
	for entry := range strings.SplitSeq(state, ",") {
		entry = strings.Trim(entry, " \t")
		if entry == "" || len(entry) > maxEntry {
			continue
		}
		if length += 1 + len(entry); length > maxState {
			break
		}
		entries = append(entries, entry)
	}
	return strings.Clone(strings.Join(entries, ",")) // a single entry would keep all of the header
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
