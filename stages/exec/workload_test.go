//go:build workload && unix

package execstage

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// What processes do wrong costs the records that they had, and the others at most 5 % of their throughput: that is eight faults in some
// 25 seconds. The processors are full in this test, and a loop has one of them for three attempts of half a second, so each
// loop a second more would be seen here. Runs with and without faults take turns, and who begins changes.
// `go test -tags workload -run TestThroughputBesideFaults -v ./stages/exec`, on a quiet machine: 3 minutes.
func TestThroughputBesideFaults(t *testing.T) {
	const rounds, records = 3, 40_000
	faults := []string{"exit", "kill", "junk", "unknown id", "endless line", "hang", "loop", "memory"}
	run := func(faults []string) float64 {
		s := testSettings(t, "work")
		s.Processes, s.Memory, s.StopTimeout = 8, 256<<20, 100*time.Millisecond
		values := make([]string, records)
		for i := range values {
			do := ""
			if every := records / (len(faults) + 1); len(faults) > 0 && i > 0 && i%every == 0 && i/every <= len(faults) {
				do = faults[i/every-1]
			}
			values[i] = fmt.Sprintf(`{"n":%d,"do":%q}`, i, do)
		}
		began := time.Now()
		out, dead := through(t, s, 500*time.Millisecond, nil, values)
		rate := float64(len(out.Values())) / time.Since(began).Seconds()
		if len(dead.Values()) != len(faults) || len(out.Values()) != records-len(faults) {
			t.Errorf("%d rejected, %d delivered, want %d and %d", len(dead.Values()), len(out.Values()), len(faults), records-len(faults))
		}
		for _, rec := range dead.Records() {
			if do, _ := rec.Text("do"); !slices.Contains(faults, do) || header(rec, "penstock-reason") != "attempts" {
				t.Errorf("%s is rejected for %s", rec.Value(), header(rec, "penstock-reason"))
			}
		}
		return rate
	}
	var with, without []float64
	for i := range rounds {
		if i%2 == 1 {
			with = append(with, run(faults))
		}
		without = append(without, run(nil))
		if i%2 == 0 {
			with = append(with, run(faults))
		}
		t.Logf("round %d: %.0f records a second without faults, %.0f beside them", i, without[i], with[i])
	}
	slices.Sort(with)
	slices.Sort(without)
	ratio := with[rounds/2] / without[rounds/2]
	t.Logf("medians: %.3f of the throughput", ratio)
	if ratio < 0.95 {
		t.Errorf("beside faults the throughput is %.3f of that without, want 0.95", ratio)
	}
}
