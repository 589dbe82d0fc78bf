//go:build unix

package dashboards_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// crashes is a log of what may look like a crash loop.
func crashes(end time.Time) []byte {
	var log bytes.Buffer
	say := func(instance string, ago time.Duration, ev any) {
		var line bytes.Buffer
		e := event.New(&line, event.Options{Instance: instance, Now: func() time.Time { return end.Add(-ago) }})
		e.Emit(ev, "")
		log.Write(line.Bytes())
	}
	stats := func(instance string, ago time.Duration) {
		var line bytes.Buffer
		e := event.New(&line, event.Options{Instance: instance, Now: func() time.Time { return end.Add(-ago) }})
		e.Pipeline("orders").Emit(event.PipelineStats{IntervalMs: 15000, State: "running", Backpressure: "ok"}, "")
		log.Write(line.Bytes())
	}
	none := math.NaN()
	stopped := func(code int64, reason string) event.ProcessStopped {
		return event.ProcessStopped{ExitCode: code, Reason: reason, E2EP50Ms: none, E2EP95Ms: none, E2EP99Ms: none, E2EMaxMs: none}
	}
	for i := range 6 {
		n := time.Duration(i) * 20 * time.Second
		of := func(what string) string { return fmt.Sprintf("%s-%d", what, i) }
		// A roll-out: the old copies end well, the new ones run.
		say(of("old"), 12*time.Minute-n, stopped(0, "signal"))
		say(of("new"), 12*time.Minute-n, event.ProcessStarted{ConfigPath: "rolled-out.yaml"})
		stats(of("new"), time.Minute-n/10)
		// Copies that have just been started, and have no figures yet.
		say(of("fresh"), 10*time.Second, event.ProcessStarted{ConfigPath: "fresh.yaml"})
		// A job that runs every minute, and whose last end was a moment ago.
		say(of("job"), 8*time.Minute-4*n, event.ProcessStarted{ConfigPath: "job.yaml"})
		say(of("job"), 8*time.Minute-4*n-time.Second, stopped(0, "completed"))
		// A pod that is killed again and again, and one that fails on a host. The last of each still runs.
		say("pod", 10*time.Minute-5*n, event.ProcessStarted{ConfigPath: "killed.yaml"})
		say(of("host"), 10*time.Minute-5*n, event.ProcessStarted{ConfigPath: "failing.yaml"})
		if i < 5 {
			say(of("host"), 10*time.Minute-5*n-time.Second, stopped(1, "failed"))
		}
	}
	stats("pod", 30*time.Second)
	return log.Bytes()
}

// TestLokiCountsCrashes: of what may look like a crash loop only starts that ended badly, or without a word, count: in a pod,
// where the process keeps its id, and on a host, where each start has another.
func TestLokiCountsCrashes(t *testing.T) {
	expr, got := lokiAlert(t, "PenstockCrashLoop").Expr, map[string]string{}
	all, err := logOf(t, crashes(beginning)).Answer(expr, beginning)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		got[s.Labels["config_path"]] = fmt.Sprint(s.Value)
	}
	want := map[string]string{"killed.yaml": "5", "failing.yaml": "5"}
	if !maps.Equal(got, want) {
		t.Errorf("crash loops of %v: %v, want %v\n%s", slices.Sorted(maps.Keys(got)), got, want, expr)
	}
}
