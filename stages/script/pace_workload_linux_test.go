//go:build workload

package script

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

var (
	paceRounds  = flag.Int("script.rounds", 7, "rounds of TestOthersKeepTheirPace")
	paceRecords = flag.Int("script.records", 200_000, "good records of a round")
)

// TestOthersKeepTheirPace runs the same good records without and with records at which the script loops or asks for a gigabyte, in turn. All
// of the bad ones are rejected, and all of it takes at most 5 % more of the processors, which bound the pace here. It is their time that is
// compared, as others use the machine too. One in 100,000 is bad, which at the pace of a full processor is
// about one a second: a loop costs what its steps cost, and a script that always loops is slow for that reason alone.
func TestOthersKeepTheirPace(t *testing.T) {
	lanes := func(bad bool) [][]string {
		all := make([][]string, 4)
		for n := range *paceRecords {
			l := n % len(all)
			all[l] = append(all[l], fmt.Sprintf(`{"n":%d,"text":"0123456789"}`, n))
			if bad && n%100_000 == 50_000 {
				all[l] = append(all[l], fmt.Sprintf(`{"do":%q}`, []string{"loop", "gigabyte"}[n/100_000%2]))
			}
		}
		return all
	}
	good, mixed := lanes(false), lanes(true)
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	round := func(in [][]string, bad int) time.Duration {
		runtime.GC()
		s := stage(t, wild)
		p, out, dead := run(t, engine.Options{Source: pipelinetest.NewLanes(in...)}, s, engine.Wait{Retry: engine.Retry{Attempts: 1}})
		began := used()
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		took := used() - began
		if n, m := len(out.Records()), len(dead.Records()); n != *paceRecords || m != bad {
			t.Fatalf("%d records came out and %d letters, not %d and %d", n, m, *paceRecords, bad)
		}
		return took
	}
	bad := *paceRecords / 100_000
	var ratios, control []float64
	for range *paceRounds {
		first, with, last := round(good, 0), round(mixed, bad), round(good, 0)
		ratios = append(ratios, 2*with.Seconds()/(first+last).Seconds())
		control = append(control, last.Seconds()/first.Seconds())
		t.Logf("without %v and %v, with %d bad records %v: %.3f", first, last, bad, with, ratios[len(ratios)-1])
	}
	slices.Sort(ratios)
	slices.Sort(control)
	t.Logf("medians: %.3f with bad records, %.3f of two rounds without", ratios[len(ratios)/2], control[len(control)/2])
	if m := ratios[len(ratios)/2]; m > 1.05 {
		t.Errorf("the good records take %.3f times as long", m)
	}
}
