package calls

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

func wakeNobody() {}

// What a call pays for being let in where nothing holds it back.
func BenchmarkEnterAndLeave(b *testing.B) {
	rates := map[string]RateSettings{"api": perSecond(1e9, 1e6, perHost), "all": perSecond(1e9, 1e6, "process")}
	for _, c := range []struct {
		name string
		s    func(*Settings)
	}{
		{"defaults", func(*Settings) {}},
		{"adaptive", func(s *Settings) { s.Adaptive = true }},
		{"rate", func(s *Settings) { s.Limit = []string{"api"} }},
		{"two rates", func(s *Settings) { s.Limit = []string{"api", "all"} }},
	} {
		for _, hosts := range []int{1, 1000} {
			b.Run(fmt.Sprintf("%s/%d", c.name, hosts), func(b *testing.B) {
				s := Defaults()
				c.s(&s)
				g := mustGates(b, Env{Shared: NewShared(rates), Settings: s, Workers: 64})
				names := make([]string, hosts)
				for i := range names {
					names[i] = fmt.Sprint("api", i, ".example")
				}
				b.ReportAllocs()
				var call struct{ passage passage }
				for i := 0; b.Loop(); i++ {
					call.passage = g.of(names[i%hosts])
					if _, ok := call.passage.enter(1, wakeNobody); !ok {
						b.Fatal(call.passage.waits())
					}
					call.passage.leave(pipeline.CallResult{Begun: true, Took: time.Millisecond, Released: int64(i)})
				}
			})
		}
	}
}

func TestACallThatNothingHoldsBackAllocatesNothing(t *testing.T) {
	shared := NewShared(map[string]RateSettings{"api": perSecond(1e9, 1e6, perHost)})
	s := limitedTo("api")
	s.Adaptive = true
	g := mustGates(t, Env{Shared: shared, Settings: s, Workers: 64})
	var call struct{ passage passage }
	if n := testing.AllocsPerRun(100, func() {
		call.passage = g.of("api.example")
		if _, ok := call.passage.enter(1, wakeNobody); !ok {
			t.Fatal(call.passage.waits())
		}
		_ = call.passage.identity(1)
		call.passage.leave(pipeline.CallResult{Begun: true})
	}); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

// What a breaker alone costs, with its lock and its clock: docs/decisions/0047 compares it.
func BenchmarkBreaker(b *testing.B) {
	var mu sync.Mutex
	began, c := time.Now(), breaker{set: DefaultBreaker(), state: closed}
	b.ReportAllocs()
	for b.Loop() {
		mu.Lock()
		if _, ok := c.wait(time.Since(began)); ok {
			c.begin(false)
		}
		mu.Unlock()
		mu.Lock()
		at := time.Since(began)
		c.answered(c.period, false, at, at)
		mu.Unlock()
	}
}
