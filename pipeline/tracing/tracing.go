// SPDX-License-Identifier: Apache-2.0

// Package tracing tells components which headers their calls and messages carry, so that others know of the
// trace that a record is in: traceparent and tracestate of W3C Trace Context, and baggage. It knows no library.
package tracing

import (
	"context"
	"net/url"

	"github.com/penstockio/penstock/pipeline"
)

// A Context is what a component is told of a trace. Its methods may be called from several goroutines, and the slices that
// they give must not be changed. Names are in lower case.
type Context interface {
	// Call gives the headers for calls that are made with this context.
	Call() []pipeline.Header
	// Tells says whether the server of an address may be told of the trace. fixed says that the file names that server, and no record
	// or page has chosen it.
	Tells(server *url.URL, fixed bool) bool
	// Message gives the headers for a message that is sent of record i of a Write. nil: the record is in no trace, and
	// goes on with the headers that it has.
	Message(i int) []pipeline.Header
}

type key struct{}

// With gives a context whose calls belong to a trace.
func With(ctx context.Context, c Context) context.Context { return context.WithValue(ctx, key{}, c) }

// Of gives the trace that calls with ctx belong to: that of the record which Process was called with in a step that waits,
// or of a Write in which some record is traced. nil: there is none, as nearly always.
//
// A stage or a sink that calls others by itself puts Call into the header of its calls, where Tells lets it. A sink that sends messages
// puts Message(i) into that of record i, in place of the headers of the same names. The HTTP client of the daemon does that by itself, as
// the Kafka sink does.
func Of(ctx context.Context) Context {
	c, _ := ctx.Value(key{}).(Context)
	return c
}
