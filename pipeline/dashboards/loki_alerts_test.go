//go:build unix && loki

package dashboards_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/dashboards"
	"github.com/penstockio/penstock/pipeline/dashboards/internal/picture"
	"github.com/penstockio/penstock/pipeline/event"
)

// TestLokiAlertsOfQuietPipelines: a pipeline that filters all that it reads has not stalled, one that pauses for long
// goes on saying so, and two copies that leave the same host alone leave one alone.
func TestLokiAlertsOfQuietPipelines(t *testing.T) {
	l, log, now := startLoki(t), &bytes.Buffer{}, time.Now()
	for i, instance := range []string{"a-1", "b-1"} {
		e := event.New(log, event.Options{Instance: instance, Now: func() time.Time { return now.Add(time.Duration(i-2) * time.Second) }})
		for name, filtered := range map[string]int64{"filters": 10, "stalls": 0} {
			p := e.Pipeline(name)
			p.Emit(event.PipelineStats{State: "running", RecordsIn: 10, Filtered: filtered, Inflight: 5}, "")
			p.Emit(event.SourcePartitionStats{Topic: "t", Lag: 5}, "")
			p.Emit(event.StepStats{Step: "ask", StepKind: "http", CircuitsOpen: 1}, "")
		}
		e.Pipeline("pauses").Emit(event.PipelineStats{State: "paused"}, "")
	}
	l.push(log.Bytes())
	for _, g := range dashboards.LokiRules() {
		for _, alert := range g.Alerts {
			said := map[string]string{}
			for _, series := range l.get(alert.Expr, picture.Span{To: now}, 0).Data.Result {
				said[series.Metric["pipeline"]] = fmt.Sprint(series.Value[1])
			}
			switch alert.Name {
			case "PenstockStalled":
				if said["filters"] != "" || said["stalls"] == "" {
					t.Errorf("%s is about %v", alert.Name, said)
				}
			case "PenstockPaused":
				if said["pauses"] == "" || len(said) != 1 {
					t.Errorf("%s is about %v", alert.Name, said)
				}
			case "PenstockBreakerOpen":
				if said["filters"] != "1" {
					t.Errorf("%s counts %v", alert.Name, said)
				}
			}
		}
	}
}
