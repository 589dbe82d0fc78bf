package trace

import (
	"context"
	"fmt"
	"net/http"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
)

// An upload posts spans to a collector, as protobuf. It is an otlptrace.Client.
//
// Not chosen. The client of the library: it brings gRPC into the program, which is most of its weight, and has settings
// of its own for TLS, proxies and log-ins. TracesData and the request of OTLP are the same on the wire.
type upload struct {
	http     *client.HTTP
	url      string
	patience time.Duration // with the rest of an answer whose head says that the spans are taken
}

// Start implements otlptrace.Client.
func (u *upload) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (u *upload) Stop(context.Context) error { return nil }

// UploadTraces implements otlptrace.Client.
func (u *upload) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return pipeline.Permanent(fmt.Errorf("encoding spans: %w", err))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	taken := false
	a, err := u.http.Do(ctx, client.Request{
		Method: http.MethodPost, URL: u.url, Body: body, Header: http.Header{"Content-Type": {"application/x-protobuf"}}, First: mostAnswer,
		Skip: func(http.Header) bool {
			taken = true // by the status; other spans wait behind the rest of the answer
			time.AfterFunc(u.patience, cancel)
			return false
		},
	})
	switch {
	case err != nil && taken:
		return nil
	case err != nil:
		return err
	case a.Status/100 == 2:
		if n := refused(a.Body, count(spans)); n > 0 {
			return pipeline.Permanent(&refusedError{n})
		}
		return nil
	}
	err = fmt.Errorf("the collector answers with status %d", a.Status)
	switch a.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return pipeline.RetryAfter(a.RetryAfter(), err)
	}
	return pipeline.Permanent(err)
}

// mostAnswer is the most bytes of an answer that are read. What it says of refused spans stands in a few.
const mostAnswer = 64 << 10

// A refusedError says that a collector has taken a request, but not some of its spans.
type refusedError struct{ spans int64 }

// Error leaves out what the collector says of them: it may quote a span.
func (e *refusedError) Error() string { return fmt.Sprintf("the collector refuses %d spans", e.spans) }

func count(all []*tracepb.ResourceSpans) (n int64) {
	for _, of := range all {
		for _, scope := range of.ScopeSpans {
			n += int64(len(scope.Spans))
		}
	}
	return n
}

// refused gives how many spans a collector has refused, at most so many, by the body of its answer: an ExportTraceServiceResponse of OTLP, whose package
// brings gRPC with it. partial_success is its field 1, of which rejected_spans is field 1. 0 of a body that is none.
func refused(body []byte, most int64) (n int64) {
	_ = fields(body, func(of protowire.Number, kind protowire.Type, value []byte) {
		if of != 1 || kind != protowire.BytesType {
			return
		}
		part, _ := protowire.ConsumeBytes(value)
		found := int64(0)
		whole := fields(part, func(of protowire.Number, kind protowire.Type, value []byte) {
			if of == 1 && kind == protowire.VarintType {
				v, _ := protowire.ConsumeVarint(value)
				found = int64(v)
			}
		})
		if whole {
			n = min(max(found, 0), most)
		}
	})
	return n
}

// fields calls f with each field of a message. It gives false when that is broken.
func fields(message []byte, f func(number protowire.Number, kind protowire.Type, value []byte)) bool {
	for len(message) > 0 {
		number, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return false
		}
		size := protowire.ConsumeFieldValue(number, kind, message[tag:])
		if size < 0 {
			return false
		}
		f(number, kind, message[tag:tag+size])
		message = message[tag+size:]
	}
	return true
}
