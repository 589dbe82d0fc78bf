package engine

import (
	"math/rand/v2"
	"testing"
)

// mix has a run do everything at once: what records pass is replaced while it is steered, tapped and traced.
func (w *world) mix() {
	w.steers = true
	for stream := uint64(7); len(w.changes) == 0; stream++ {
		w.drawChanges(rand.New(rand.NewPCG(w.seed, stream)))
	}
	w.traced = &tracer{t: w.t, every: 1 + w.r.IntN(20)}
	w.o.Tracer = w.traced
}

// TestRandomMix: what TestRandom checks holds when reloads, commands, taps and traces come together. Each of them alone is in TestRandom.
func TestRandomMix(t *testing.T) {
	first, n := uint64(5000), *runsFlag/2
	if *seedFlag != 0 {
		first, n = *seedFlag, 1
	}
	for seed := first; seed < first+uint64(n); seed++ {
		if randomRun(t, seed, (*world).mix); t.Failed() {
			return
		}
	}
}
