package trace

import (
	"context"
	"fmt"
	"net/http"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
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
	a, err := u.http.Do(ctx, client.Request{
		Method: http.MethodPost, URL: u.url, Body: body, Header: http.Header{"Content-Type": {"application/x-protobuf"}},
		// What follows is of no use but to keep the connection, and other spans wait behind it.
		Skip: func(http.Header) bool { time.AfterFunc(u.patience, cancel); return true },
	})
	switch {
	case err != nil:
		return err
	case a.Status/100 == 2:
		return nil
	}
	err = fmt.Errorf("the collector answers with status %d", a.Status)
	switch a.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return pipeline.RetryAfter(retryAfter(a.Header), err)
	}
	return pipeline.Permanent(err)
}

// retryAfter reads how long a server asks to wait, in seconds.
func retryAfter(h http.Header) time.Duration {
	var seconds int
	if _, err := fmt.Sscanf(h.Get("Retry-After"), "%d", &seconds); err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
