package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler answers what Prometheus scrapes: the metrics of a Collector, and those of the Go runtime
// and of the process. Text and protobuf are negotiated; native histograms are in protobuf alone. Where
// records are traced OpenMetrics is too, which has the exemplars; else it is not, since it writes the bounds of buckets another way.
// Scrapes that come at the same time get one answer.
func Handler(o Options) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(New(o), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, CoalesceGather: true, EnableOpenMetrics: o.Traces != nil})
}
