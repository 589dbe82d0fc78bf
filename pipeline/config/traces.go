package config

import (
	"net/http"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Traces says which records are traced, and where spans go.
type Traces struct {
	Endpoint      string                     `yaml:"endpoint" query:"hidden" required:"true" doc:"where a collector of OpenTelemetry takes spans, by OTLP over HTTP, as http://127.0.0.1:4318; /v1/traces is added when it has no path"`
	Sample        settings.Share             `yaml:"sample" doc:"share of the records without a trace of their own that are traced: 1% or 0.01"`
	Parent        bool                       `yaml:"parent" doc:"whether a record that comes in a trace (header traceparent) is traced is what that says; false: it is one among the others for sample, and goes on in its trace"`
	Baggage       bool                       `yaml:"baggage" doc:"calls over HTTP get the header baggage of their record too, which may hold what the one who is called should not see"`
	Hosts         client.Hosts               `yaml:"hosts" commas:"true" doc:"servers that calls over HTTP tell of the trace (headers traceparent and tracestate): names, *.name, *, with or without a port; one, or several. Without it: those that the file names, and none that a record or a page has chosen"`
	Headers       map[string]string          `yaml:"headers" doc:"headers of the requests to the collector"`
	SecretHeaders map[string]settings.Secret `yaml:"secret_headers" doc:"headers of the requests to the collector whose values never show, like Authorization"`
	Auth          *client.Auth               `yaml:"auth" doc:"log-in that goes with each request to the collector"`
	TLS           client.TLS                 `yaml:"tls" doc:"how the collector is checked, and who this side is"`
	Service       string                     `yaml:"service" doc:"service.name of the spans"`
	Queue         int                        `yaml:"queue" min:"1" max:"1000000" doc:"spans that may wait to be sent; what is more is dropped and counted"`
}

// SetDefaults implements the defaults of settings that stand within others.
func (t *Traces) SetDefaults() {
	*t = Traces{Sample: 0.01, Parent: true, Service: "penstock", Queue: 8192}
}

// Header gives the headers of the requests to the collector.
func (t *Traces) Header() (http.Header, error) { return client.Headers(t.Headers, t.SecretHeaders) }

// traces checks where spans go.
func (d *decoder) traces(p *Pipeline) {
	t := p.Traces
	if t == nil {
		return
	}
	if n := d.places["traces.endpoint"]; n != nil && n.kind == scalarNode && !n.null {
		if _, err := client.StaticHost(t.Endpoint); err != nil {
			d.errorAt(n, n.conceal("traces.endpoint: "+err.Error()), "write http://127.0.0.1:4318")
		}
	}
	if err := t.Auth.Beside(t.SecretHeaders); err != nil && t.Auth.Validate() == nil { // what is wrong with it alone is said already
		d.errorAt(d.places["traces.auth"], d.places["traces.auth"].conceal("traces.auth: "+err.Error()), "")
	}
	n := d.places["traces.headers"]
	if n == nil {
		n = d.places["traces.secret_headers"]
	}
	if n == nil {
		return
	}
	_, err := t.Header()
	if err == nil {
		return
	}
	lines := strings.Split(err.Error(), "\n") // errors that are joined
	slices.Sort(lines)
	for _, line := range lines {
		d.errorAt(n, n.conceal("traces: "+line), "")
	}
}
