package engine

import (
	"context"
	"errors"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

var handings = map[string]handing{
	"a slow step": {
		steps: func(c *calls) []Step {
			return []Step{{Wait: &Wait{}, Workers: 2, Stage: c.ask(takes(100*time.Millisecond), nil)}}
		},
		within: 100 * time.Millisecond,
	},
	"behind other steps": {
		steps: func(c *calls) []Step {
			idle := does(func(context.Context, *pipeline.Record) error { return nil })
			return []Step{{Stage: idle, Workers: 3}, {Stage: idle}, {Wait: &Wait{}, Workers: 2, Stage: c.ask(uneven, nil)}, {Stage: idle}}
		},
		lanes: 2, within: 100 * time.Millisecond,
	},
	"behind a step that takes its time": {
		steps: func(c *calls) []Step {
			return []Step{{Stage: slowly(time.Millisecond)}, {Wait: &Wait{}, Workers: 2, Stage: c.ask(uneven, nil)}}
		},
		within: 400 * time.Millisecond, // a chunk of that step
	},
	"fast before slow": {
		steps: func(c *calls) []Step {
			return []Step{
				{Wait: &Wait{Window: 50}, Workers: 4, Stage: c.ask(takes(5*time.Millisecond), nil)},
				{Wait: &Wait{Window: 200}, Workers: 20, Stage: slowly(50 * time.Millisecond)},
			}
		},
		lanes: 2, records: 2000, within: 3 * time.Second, // a window and what waits in front of it
	},
	"fast before slow, with several lanes that are held back": {
		steps: func(c *calls) []Step {
			return []Step{
				{Wait: &Wait{Window: 50}, Workers: 20, Stage: c.ask(takes(time.Millisecond), nil)},
				{Wait: &Wait{Window: 40}, Workers: 20, Stage: slowly(50 * time.Millisecond)},
			}
		},
		lanes: 2, records: 2000, within: 1500 * time.Millisecond, // both windows and what waits of each lane
	},
	"order of keys": {
		order: OrderKey, steps: func(c *calls) []Step { return []Step{{Wait: &Wait{}, Workers: 7, Stage: c.ask(uneven, nil)}} },
		lanes: 2, within: 100 * time.Millisecond,
	},
	"no order": {
		order: OrderNone, steps: func(c *calls) []Step { return []Step{{Wait: &Wait{}, Workers: 7, Stage: c.ask(uneven, nil)}} },
		lanes: 2, within: 100 * time.Millisecond,
	},
	"a hot key in series": {
		steps: func(c *calls) []Step {
			return []Step{{Wait: &Wait{Serial: SerialKey, Window: 64}, Workers: 8, Stage: c.ask(takes(10*time.Millisecond), nil)}}
		},
		lanes: 2, late: 64, within: 64 * 10 * time.Millisecond,
	},
	"a hot key in series and in order": {
		order: OrderKey, steps: func(c *calls) []Step {
			return []Step{{Wait: &Wait{Serial: SerialKey, Window: 64}, Workers: 8, Stage: c.ask(uneven, nil)}}
		},
		late: 64, within: 64 * 100 * time.Millisecond,
	},
	"lanes in series": {
		order: OrderNone, steps: func(c *calls) []Step {
			return []Step{{Wait: &Wait{Serial: SerialPartition, Window: 64}, Workers: 8, Stage: c.ask(takes(10*time.Millisecond), nil)}}
		},
		lanes: 3, within: 10 * time.Millisecond,
	},
	"rejected and filtered before": {
		steps: func(c *calls) []Step {
			return []Step{{Workers: 2, Stage: does(func(_ context.Context, r *pipeline.Record) error { return ofOffset(r, 0) })}, {Wait: &Wait{}, Workers: 3, Stage: c.ask(uneven, nil)}}
		},
		lanes: 2, letter: rejects, parts: goesOn, within: 100 * time.Millisecond,
	},
	"most are rejected before": { // those in front of the next call have left the window
		order: OrderNone,
		steps: func(c *calls) []Step {
			return []Step{{Stage: does(func(_ context.Context, r *pipeline.Record) error {
				if r.Offset%50 != 7 {
					return errBad
				}
				return nil
			})}, {Wait: &Wait{}, Workers: 2, Stage: c.ask(takes(100*time.Millisecond), nil)}}
		},
		records: 3000, letter: func(n int64) bool { return n%50 != 7 }, within: 100 * time.Millisecond,
		parts: func(n int64) int {
			if n%50 != 7 {
				return 0
			}
			return 1
		},
	},
	"rejected and filtered by the step": {
		order: OrderKey,
		steps: func(c *calls) []Step { return []Step{{Wait: &Wait{}, Workers: 3, Stage: c.ask(uneven, ofOffset)}} },
		lanes: 2, letter: rejects, parts: goesOn, within: 100 * time.Millisecond,
	},
	"split before": {
		steps: func(c *calls) []Step {
			return []Step{{Splitter: fan(many)}, {Wait: &Wait{}, Workers: 3, Stage: c.ask(takes(5*time.Millisecond), nil)}}
		},
		records: 70, lanes: 2, parts: manyOf, letter: halfWay, late: 2 * 600, within: 5 * time.Second,
	},
	"split before, no order": {
		order: OrderNone,
		steps: func(c *calls) []Step {
			return []Step{{Splitter: fan(many)}, {Wait: &Wait{}, Workers: 3, Stage: c.ask(takes(5*time.Millisecond), nil)}}
		},
		records: 70, lanes: 2, parts: manyOf, letter: halfWay, late: 2 * 600, within: 5 * time.Second,
	},
	"split in the step": {
		steps: func(c *calls) []Step {
			ask := c.ask(uneven, nil)
			return []Step{{Wait: &Wait{}, Workers: 3, Splitter: splits(func(ctx context.Context, r *pipeline.Record, emit func(*pipeline.Record)) error {
				if err := ask.Process(ctx, r); err != nil {
					return err
				}
				return fan(upTo3).Split(ctx, r, emit)
			})}}
		},
		lanes: 2, parts: fewOf, letter: halfWay, within: 5 * time.Second, // one is tried again
	},
	"split behind": {
		steps: func(c *calls) []Step {
			return []Step{{Wait: &Wait{}, Workers: 3, Stage: c.ask(uneven, nil)}, {Splitter: fan(upTo3)}, {Wait: &Wait{}, Workers: 10, Stage: slowly(time.Millisecond)}}
		},
		lanes: 2, parts: fewOf, letter: halfWay, within: 200 * time.Millisecond,
	},
	"what remembers before": {
		steps: func(c *calls) []Step {
			return []Step{{Stage: c.memory}, {Splitter: fan(upTo3)}, {Wait: &Wait{}, Workers: 3, Stage: c.ask(uneven, nil)}}
		},
		lanes: 2, parts: fewOf, letter: halfWay, late: 4, within: 200 * time.Millisecond,
	},
	"what remembers parts": {
		steps: func(c *calls) []Step {
			return []Step{{Splitter: fan(upTo3)}, {Stage: c.memory}, {Wait: &Wait{}, Workers: 3, Stage: c.ask(uneven, nil)}}
		},
		lanes: 2, parts: fewOf, letter: halfWay, late: 4, within: 200 * time.Millisecond,
	},
	"it remembers itself": {
		steps: func(c *calls) []Step {
			ask := c.ask(uneven, nil)
			return []Step{{Wait: &Wait{}, Workers: 3, Stage: &waitingMemory{c.memory, ask}}}
		},
		lanes: 2, within: 200 * time.Millisecond,
	},
	"several sinks": {
		sinks: 3, steps: func(c *calls) []Step { return []Step{{Wait: &Wait{}, Workers: 3, Stage: c.ask(uneven, ofOffset)}} },
		lanes: 2, parts: goesOn, letter: rejects, within: 200 * time.Millisecond,
		write: func(ctx context.Context, _ []*pipeline.Record) error {
			pause(ctx, 7*time.Millisecond)
			return ctx.Err()
		},
	},
	"other attempts": {
		steps: func(c *calls) []Step {
			return []Step{{Wait: &Wait{Retry: Retry{Attempts: 5, Backoff: 100 * time.Millisecond}}, Workers: 3, Stage: c.ask(uneven, func(r *pipeline.Record, attempt int) error {
				if attempt < 3 {
					return errors.New("asking: not now")
				}
				return nil
			})}}
		},
		lanes: 2, records: 300, within: 2 * time.Minute, // what was begun waits for its attempts
	},
	"transactions": {
		transactor: true, sinks: 2,
		steps: func(c *calls) []Step { return []Step{{Wait: &Wait{}, Workers: 3, Stage: c.ask(uneven, ofOffset)}} },
		lanes: 2, parts: goesOn, letter: rejects, within: time.Second,
	},
	"transactions, split before": {
		transactor: true,
		steps: func(c *calls) []Step {
			return []Step{{Stage: c.memory}, {Splitter: fan(upTo3)}, {Wait: &Wait{}, Workers: 3, Stage: c.ask(uneven, nil)}}
		},
		lanes: 2, parts: fewOf, letter: halfWay, late: 4, within: time.Second,
	},
}

// ofOffset rejects one of ten records, and filters another.
func ofOffset(r *pipeline.Record, _ int) error {
	switch r.Offset % 10 {
	case 3:
		return errBad
	case 7:
		return pipeline.Filtered
	}
	return nil
}

func rejects(n int64) bool { return n%10 == 3 }

func goesOn(n int64) int {
	if n%10 == 3 || n%10 == 7 {
		return 0
	}
	return 1
}

// halfWay fails on record 13.
func halfWay(n int64) bool { return n == 13 }

func upTo3(r *pipeline.Record) int { return int(r.Offset % 4) }

func fewOf(n int64) int {
	if halfWay(n) {
		return 0
	}
	return int(n % 4)
}

// many are parts for several chunks now and then.
func many(r *pipeline.Record) int {
	if r.Offset%8 == 0 {
		return 600
	}
	return int(r.Offset % 3)
}

func manyOf(n int64) int {
	if halfWay(n) {
		return 0
	}
	return many(&pipeline.Record{Position: pipeline.Position{Offset: n}})
}
