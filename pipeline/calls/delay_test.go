package calls

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The delay that a host asks for is one of the process, whichever steps call it, and of several that
// are said the longest holds. A step that has said nothing is not held up.
func TestACrawlDelayIsOfTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(nil)
		one, two, other := mustGates(t, Env{Shared: shared, Workers: 10}), mustGates(t, Env{Shared: shared, Workers: 10}), mustGates(t, Env{Shared: shared, Workers: 10})
		ask := func(n int, all ...*gates) (times []time.Time) {
			var mu sync.Mutex
			var wg sync.WaitGroup
			for _, g := range all {
				wg.Go(func() {
					for range n {
						at, err := begin(t.Context(), g, "a", new(atomic.Int64))
						if err != nil {
							t.Error(err)
						}
						mu.Lock()
						times = append(times, at)
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			slices.SortFunc(times, time.Time.Compare)
			return times
		}
		apart := func(want time.Duration, times []time.Time) {
			t.Helper()
			for i := range times[1:] {
				if d := times[i+1].Sub(times[i]); d < want || d > want+time.Millisecond {
					t.Fatalf("two calls begin %v apart, want %v", d, want)
				}
			}
		}
		one.delay("a", "http://a", 2*time.Second)
		two.delay("a", "http://a", 2*time.Second)
		apart(2*time.Second, ask(5, one, two))
		two.delay("a", "https://a", 7*time.Second)
		two.delay("a", "http://a", 0) // what was said last is not what holds
		apart(7*time.Second, ask(5, one, two))
		began := time.Now()
		if times := ask(5, other); !times[4].Equal(began) {
			t.Errorf("a step that has said nothing is held up for %v", times[4].Sub(began))
		}
		two.close() // and takes back with it what it has said
		apart(2*time.Second, ask(5, one))
		one.delay("a", "http://a", 0)
		began = time.Now()
		if times := ask(5, one); !times[4].Equal(began) {
			t.Error("calls wait for a delay that was taken back")
		}
	})
}
