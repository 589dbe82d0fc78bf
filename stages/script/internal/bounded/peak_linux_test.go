package bounded

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.starlark.net/starlark"
)

const (
	peakWorkers = 3
	peakMemory  = 16 << 20
	peakChild   = "PEAK_CHILD"
)

// TestPeakOfAttacks runs all attacks in a process of their own, each several times at once. The process is set up as the daemon is, with
// a budget of nothing. It grows by what the runs may have, and little more.
func TestPeakOfAttacks(t *testing.T) {
	if os.Getenv(peakChild) != "" {
		attackAll(t)
		return
	}
	if testing.Short() {
		t.Skip("it measures memory, which the race detector takes many times over")
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPeakOfAttacks$", "-test.v")
	c.Env = append(os.Environ(), peakChild+"=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var peak int64
	if i := bytes.Index(out, []byte("peak ")); i < 0 {
		t.Fatalf("no peak in\n%s", out)
	} else if _, err := fmt.Sscanf(string(out[i:]), "peak %d kB", &peak); err != nil {
		t.Fatal(err)
	}
	const most = (peakWorkers*peakMemory + 64<<20) >> 10
	t.Logf("%d attacks, each %d times at once: the peak is %d MiB, the bound %d MiB", len(attacks), peakWorkers, peak>>10, most>>10)
	if peak > most {
		t.Errorf("the peak is %d kB, and may be %d kB", peak, most)
	}
}

func attackAll(t *testing.T) {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(48 << 20)
	for _, name := range slices.Sorted(maps.Keys(attacks)) {
		var workers sync.WaitGroup
		for range peakWorkers {
			workers.Go(func() {
				r, f := attack(t, attacks[name], Limits{Steps: 200_000, Memory: peakMemory})
				r.Begin(context.Background())
				if _, err := r.Call(f, starlark.String(strings.Repeat("a", 1000))); err == nil {
					t.Errorf("%s: no error", name)
				}
				r.End()
			})
		}
		workers.Wait()
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmHWM:") {
			fmt.Println("peak", strings.TrimSpace(strings.TrimPrefix(line, "VmHWM:")))
		}
	}
}
