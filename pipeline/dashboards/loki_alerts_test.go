//go:build unix

package dashboards_test

import (
	"bytes"
	"maps"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// quiet is a log of two copies, with pipelines in which little happens.
func quiet(now time.Time) []byte {
	log := &bytes.Buffer{}
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
	return log.Bytes()
}

// TestLokiAlertsOfQuietPipelines: a pipeline that filters all that it reads has not stalled, one that pauses for long
// goes on saying so, and two copies that leave the same host alone leave one alone.
func TestLokiAlertsOfQuietPipelines(t *testing.T) {
	log := logOf(t, quiet(beginning))
	if got, want := said(t, log, beginning), map[string]string{"PenstockStalled": "stalls", "PenstockPaused": "pauses", "PenstockBreakerOpen": "filters stalls"}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	all, err := log.Answer(lokiAlert(t, "PenstockBreakerOpen").Expr, beginning)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Value != 1 {
			t.Errorf("%v hosts are left alone of %v", s.Value, s.Labels)
		}
	}
}
