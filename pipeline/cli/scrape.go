package cli

import (
	"net/http"

	"github.com/penstockio/penstock/pipeline/metrics"
)

// metrics is what /metrics answers, from the snapshots that /api/v1/stats is made of.
func (p *process) metrics() http.Handler {
	b := buildInfo()
	return metrics.Handler(metrics.Options{
		Snapshots: p.snapshots, Log: p.log.Counts, Traces: p.traceCounts(),
		Version: b.Version, Revision: b.Revision, Go: b.Go,
		Config: p.config.figures,
	})
}
