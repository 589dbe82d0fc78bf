package calls

import (
	"math/rand"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A chain is what an engine does with the records of one step, without order: slots, attempts,
// backoff, and behind each gate a queue of which only the first asks.
type chain struct {
	*schedule
	gates    *gates
	slots    int
	attempts int
	random   *rand.Rand
	ask      func() (took time.Duration, err error)

	queues   map[any]*line
	lines    []*line // the same, in the order of their coming
	running  int
	requests int
	asks     int
	answered int
	rejected int
}

type line struct {
	waiting []*job
	asking  *passage // of the first
	timer   int      // which of its timers holds
}

type job struct{ failed int }

func (c *chain) admit(j *job) {
	probe := c.gates.of("api.example")
	key := probe.identity(j.failed + 1)
	probe.leave(pipeline.CallResult{})
	q := c.queues[key]
	if q == nil {
		q = &line{}
		c.queues[key] = q
		c.lines = append(c.lines, q)
	}
	q.waiting = append(q.waiting, j)
	c.pump(q)
}

func (c *chain) pump(q *line) {
	for len(q.waiting) > 0 && c.running < c.slots {
		j := q.waiting[0]
		if q.asking == nil {
			g := c.gates.of("api.example")
			q.asking = &g
		}
		q.timer++
		timer := q.timer
		again := func() {
			if timer == q.timer {
				c.pump(q)
			}
		}
		c.asks++
		wait, ok := q.asking.enter(j.failed+1, func() { c.after(0, again) })
		if !ok {
			if wait > 0 {
				c.after(wait, again)
			}
			return
		}
		g := q.asking
		q.waiting, q.asking = q.waiting[1:], nil
		c.running++
		c.requests++
		took, err := c.ask()
		c.after(took, func() { c.back(j, g, took, err) })
	}
}

func (c *chain) back(j *job, g *passage, took time.Duration, err error) {
	c.running--
	counts := g.leave(pipeline.CallResult{Begun: true, Err: err, Took: took, Released: int64(c.answered)})
	switch {
	case err == nil:
		c.answered++
	case !counts:
		c.admit(j)
	case j.failed+1 == c.attempts:
		c.rejected++
	default:
		j.failed++
		most := min(100*time.Millisecond<<j.failed, 5*time.Second)
		c.after(time.Duration(c.random.Int63n(int64(most))), func() { c.admit(j) })
	}
	for _, q := range slices.Backward(c.lines) { // repeated calls go first
		c.pump(q)
	}
}

// A host is away for a while, in the middle of the work, and refuses at once or does not answer at all. It is
// asked a bounded number of times meanwhile, and every record has its answer in the end.
func TestAnOutageCostsFewRequestsAndNoRecord(t *testing.T) {
	oneGoroutine(t)
	for name, c := range map[string]struct {
		outage time.Duration
		took   time.Duration // of a call that fails
		most   int
	}{
		"refused for 60 s":    {60 * time.Second, time.Millisecond, 256},
		"silent for 60 s":     {60 * time.Second, 10 * time.Second, 2*64 + 10},
		"refused for 5 min":   {5 * time.Minute, time.Millisecond, 256},
		"silent for 5 min":    {5 * time.Minute, 10 * time.Second, 2*64 + 20},
		"refused for 100 ms":  {100 * time.Millisecond, time.Millisecond, 256},
		"away from the start": {60 * time.Second, time.Millisecond, 64 + 20 + 10},
	} {
		for seed := range int64(4) {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					random := rand.New(rand.NewSource(seed))
					away := 500 * time.Millisecond
					if name == "away from the start" {
						away = 0
					}
					g := mustGates(t, Env{Settings: Defaults(), Workers: 64})
					var begun time.Time
					meanwhile, back := 0, time.Time{}
					chain := &chain{schedule: newSchedule(), gates: g, slots: 64, attempts: 5, random: random, queues: map[any]*line{}}
					begun = chain.began.Add(away)
					back = begun.Add(c.outage)
					chain.ask = func() (time.Duration, error) {
						if now := time.Now(); !now.Before(begun) && now.Before(back) {
							meanwhile++
							return c.took, errBroken
						}
						return time.Duration((0.5 + random.Float64()) * 20e6), nil
					}
					const records = 4096
					for range records {
						chain.admit(&job{})
					}
					chain.run(t, func() bool { return chain.answered+chain.rejected == records })
					t.Logf("%d requests while the host is away, %d in all, %d asks, done after %v", meanwhile, chain.requests, chain.asks, chain.at())
					if chain.rejected > 0 {
						t.Errorf("%d records were rejected", chain.rejected)
					}
					if meanwhile > c.most {
						t.Errorf("%d requests while the host is away, want at most %d", meanwhile, c.most)
					}
					if g.openCircuits() != 0 {
						t.Error("the circuit is still open")
					}
					if late := time.Since(back); late > 35*time.Second {
						t.Errorf("done %v after the host is back", late)
					}
				})
			})
		}
	}
}

// A host that fails every tenth call is no reason to leave it alone.
func TestAHostThatFailsNowAndThenIsCalledOn(t *testing.T) {
	oneGoroutine(t)
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewSource(1))
		g := mustGates(t, Env{Settings: Defaults(), Workers: 64})
		chain := &chain{schedule: newSchedule(), gates: g, slots: 64, attempts: 10, random: random, queues: map[any]*line{}}
		opened := false
		chain.ask = func() (time.Duration, error) {
			opened = opened || g.openCircuits() > 0
			if random.Intn(10) == 0 {
				return 20 * time.Millisecond, errBroken
			}
			return 20 * time.Millisecond, nil
		}
		const records = 60000
		for range records {
			chain.admit(&job{})
		}
		chain.run(t, func() bool { return chain.answered+chain.rejected == records })
		ideal := time.Duration(records) * 20 * time.Millisecond / 64 * 10 / 9
		t.Logf("%d requests, done after %v, ideal %v", chain.requests, chain.at(), ideal)
		if opened || chain.rejected > 0 || chain.at() > ideal+5*time.Second { // the backoff of the last
			t.Errorf("opened: %v, %d rejected, done after %v, ideal %v", opened, chain.rejected, chain.at(), ideal)
		}
	})
}
