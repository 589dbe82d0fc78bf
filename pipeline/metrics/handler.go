package metrics

import (
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Handler answers what Prometheus scrapes: the metrics of a Collector, and those of the Go runtime
// and of the process. Text and protobuf are negotiated; native histograms are in protobuf alone. Where
// records are traced OpenMetrics is too, which has the exemplars; else it is not, since it writes the bounds of buckets another way.
// Scrapes that come at the same time get one answer.
func Handler(o Options) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(New(o), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	options := promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, CoalesceGather: true}
	other := promhttp.HandlerFor(r, options)
	if o.Traces == nil {
		return other
	}
	options.EnableOpenMetrics = true
	open := promhttp.HandlerFor(unique{r}, options)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...).FormatType() == expfmt.TypeOpenMetrics {
			open.ServeHTTP(w, r)
			return
		}
		other.ServeHTTP(w, r)
	})
}

// unique leaves out a counter whose name without _total is that of another metric, as go_memstats_alloc_bytes_total: OpenMetrics has no _total in
// names, and a strict reader would take nothing of the answer.
type unique struct{ prometheus.Gatherer }

// Gather implements prometheus.Gatherer.
func (u unique) Gather() ([]*dto.MetricFamily, error) {
	all, err := u.Gatherer.Gather()
	names := map[string]bool{}
	for _, f := range all {
		names[f.GetName()] = true
	}
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool {
		short, ok := strings.CutSuffix(f.GetName(), "_total")
		return ok && names[short]
	}), err
}
