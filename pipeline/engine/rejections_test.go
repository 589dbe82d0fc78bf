package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"
	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// An outage is a server that fails from one record on, until it is mended.
type outage struct {
	from   int64
	mended atomic.Bool
	asked  atomic.Int64
}

func (o *outage) stage(slow time.Duration) pipeline.Stage {
	return does(func(ctx context.Context, r *pipeline.Record) error {
		o.asked.Add(1)
		if slow > 0 {
			pause(ctx, slow)
		}
		if r.Offset >= o.from && !o.mended.Load() {
			return errors.New("asking: the server is down")
		}
		return nil
	})
}

// outageSteps are the steps that meet an outage: one that computes, and ones that wait.
func outageSteps(o *outage) map[string][]Step {
	return map[string][]Step{
		"computes":    {{Name: "ask", Kind: "test", Stage: o.stage(0), Workers: 4}},
		"one attempt": {{Name: "ask", Kind: "test", Stage: o.stage(time.Millisecond), Workers: 8, Wait: &Wait{Retry: Retry{Attempts: 1}}}},
		"retries":     {{Name: "ask", Kind: "test", Stage: o.stage(time.Millisecond), Workers: 8, Wait: &Wait{Retry: Retry{Attempts: 5, Backoff: 10 * time.Millisecond}}}},
		"admitter":    {{Name: "ask", Kind: "test", Workers: 8, Wait: &Wait{Retry: Retry{Attempts: 3, Backoff: 10 * time.Millisecond}}, Stage: admitting{o.stage(time.Millisecond)}}},
		"two steps": {{Name: "edit", Kind: "test", Stage: edits("a", "1").Stage}, {Name: "first", Kind: "test", Stage: does(func(context.Context, *pipeline.Record) error { return nil }), Workers: 2, Wait: &Wait{}},
			{Name: "ask", Kind: "test", Stage: o.stage(time.Millisecond), Workers: 8, Wait: &Wait{Window: 64, Retry: Retry{Attempts: 2}}}},
	}
}

// admitting makes an Admitter of a stage: every call is let in at once.
type admitting struct{ pipeline.Stage }

func (a admitting) Admit(*pipeline.Record, int) (pipeline.Call, error) { return letIn(a), nil }

type letIn struct{ pipeline.Stage }

func (letIn) Gate() any                                          { return nil }
func (letIn) Enter(func()) (time.Duration, bool)                 { return 0, true }
func (letIn) Waits() string                                      { return "" }
func (c letIn) Do(ctx context.Context, r *pipeline.Record) error { return c.Process(ctx, r) }
func (letIn) Leave(pipeline.CallResult) bool                     { return true }

// allOnce checks that each of n records is stored by one of the sinks, and not by both.
func allOnce(t *testing.T, n int, out, dead *collect) {
	t.Helper()
	got := slices.Concat(out.offsets(0), dead.offsets(0))
	slices.Sort(got)
	ascending(t, "delivered or rejected", got, n)
}

// A budget that stops bounds what an outage rejects, to the record: the pipeline ends with an error that says so, and
// goes on at the record when it is started again.
func TestABudgetStops(t *testing.T) {
	const n, budget = 1000, 100
	for name := range outageSteps(&outage{}) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &outage{from: 200}
				src, out, dead := &memory{lanes: 1, records: n, batch: 50}, &collect{}, &collect{}
				run1 := Options{
					Source: src, Sinks: []Output{{Name: "out", Kind: "test", Sink: out}}, Steps: outageSteps(o)[name],
					DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: budget}},
				}
				p, err := run(t, run1)
				if err == nil || !strings.Contains(err.Error(), "the budget of dead letters is spent: 100 of the last") || !strings.Contains(err.Error(), "ask: t/0@") || !strings.Contains(err.Error(), "the server is down") {
					t.Fatalf("it ended with %v", err)
				}
				letters, delivered, mark := len(dead.all()), len(out.all()), src.mark(0)
				t.Logf("%d letters, %d delivered, mark %d, %d asked", letters, delivered, mark, o.asked.Load())
				if letters > budget || delivered != 200 || mark > 200+budget || p.Snapshot().State != "failed" {
					t.Errorf("%d letters, %d delivered, mark %d, state %s", letters, delivered, mark, p.Snapshot().State)
				}
				// What has an outcome and is behind the mark is read again: keep what is before.
				before := func(c *collect) { c.got = slices.DeleteFunc(c.got, func(s stored) bool { return s.Offset >= mark }) }
				before(out)
				before(dead)
				o.mended.Store(true)
				again := &memory{lanes: 1, records: n, batch: 50, from: map[string]int64{"t/0": mark}}
				run1.Source, run1.Steps = again, outageSteps(o)[name]
				if _, err := run(t, run1); err != nil {
					t.Fatal(err)
				}
				allOnce(t, n, out, dead)
			})
		})
	}
}

// With several lanes the budget is one: no more letters are written than it allows, however the failures
// come.
func TestABudgetIsOfAllLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outage{from: 0}
		dead := &collect{}
		_, err := run(t, Options{
			Source: &memory{lanes: 8, records: 500}, Sinks: []Output{{Name: "out", Kind: "test", Sink: &collect{}}}, Steps: outageSteps(o)["retries"],
			DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 20, Of: 100}},
		})
		if err == nil || len(dead.all()) > 20 {
			t.Errorf("%v, %d letters", err, len(dead.all()))
		}
	})
}

// pausing makes the options of a pipeline whose budget pauses, with a log.
func pausing(o *outage, name string, src *memory, out, dead *collect, log *bytes.Buffer) Options {
	return Options{
		Source: src, Sinks: []Output{{Name: "out", Kind: "test", Sink: out}}, Steps: outageSteps(o)[name],
		DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 100, Of: 1000, Pause: time.Minute}},
		Events:     event.New(log, event.Options{}), StalledAfter: 10 * time.Second,
	}
}

// A budget that pauses bounds how fast an outage rejects: in a pause nothing is begun, and what is rejected is
// what was under way. When the server is mended all that is left goes through, in order.
func TestABudgetPauses(t *testing.T) {
	const n = 1000
	for name, most := range map[string]int{
		"computes":    101 + 3, // of four workers each may be at a record that fails
		"one attempt": 101 + 7, // of eight
		"retries":     101 + 7,
		"admitter":    101 + 7,
		"two steps":   101 + 7, //
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				o := &outage{from: 200}
				src, out, dead := &memory{lanes: 1, records: n, batch: 50, endless: true}, &collect{}, &collect{}
				ctx, cancel := context.WithCancel(t.Context())
				p, done := start(t, ctx, pausing(o, name, src, out, dead, &log))
				for at := range 2 { // within the first pause, and the second
					time.Sleep(50 * time.Second)
					asked, letters := o.asked.Load(), len(dead.all())
					if s := p.Snapshot(); s.State != "paused" || letters > (at+1)*most {
						t.Errorf("state %s, %d letters in pause %d", s.State, letters, at)
					}
					all := p.Why()
					if len(all) != 1 || all[0].State != "paused" || all[0].Cause != CauseLimit || !strings.Contains(all[0].String(), "for the end of the pause, as the budget of dead letters is spent, until ") {
						t.Fatalf("Why says %v", all)
					}
					if left := time.Until(all[0].Until); all[0].Since+left != time.Minute || all[0].Since < 40*time.Second {
						t.Errorf("the pause of a minute is on for %s, and for another %s", all[0].Since, left)
					}
					time.Sleep(5 * time.Second)
					if o.asked.Load() != asked || len(dead.all()) != letters {
						t.Errorf("asked %d times, %d letters: something was begun in a pause", o.asked.Load()-asked, len(dead.all()))
					}
				}
				o.mended.Store(true)
				time.Sleep(time.Minute)
				s := p.Snapshot()
				if n := len(dead.all()); n < 202 || n > 2*most {
					t.Errorf("%d letters, want 202 to %d", n, 2*most)
				}
				if s.State != "running" || s.InFlight != 0 || src.mark(0) != n {
					t.Errorf("state %s, %d in flight, mark %d", s.State, s.InFlight, src.mark(0))
				}
				cancel()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				balanced(t, p)
				allOnce(t, n, out, dead)
				for what, got := range map[string][]int64{"delivered": out.offsets(0), "rejected": dead.offsets(0)} {
					if !slices.IsSorted(got) {
						t.Errorf("what is %s is not in order (I1)", what)
					}
				}
				t.Logf("%d letters", len(dead.all()))
				pauses(t, log.String(), 2)
			})
		})
	}
}

// pauses checks that the log tells of so many pauses, one after the other, and of nothing that stalls.
func pauses(t *testing.T, log string, n int) {
	t.Helper()
	var names []string
	for line := range strings.Lines(log) {
		switch name := gjson.Get(line, "event_name").String(); name {
		case "pipeline.paused", "pipeline.resumed":
			names = append(names, name)
			if gjson.Get(line, "reason").String() != "dead_letter_budget" || gjson.Get(line, "rejected").Int() < 1 || gjson.Get(line, "of").Int() > 1000 {
				t.Errorf("%s", line)
			}
		case "step.stalled", "sink.stalled":
			t.Errorf("%s", line)
		}
	}
	want := slices.Repeat([]string{"pipeline.paused", "pipeline.resumed"}, n)
	if !slices.Equal(names, want) {
		t.Errorf("events %v, want %v", names, want)
	}
	if err := event.ValidateAll([]byte(log)); err != nil {
		t.Error(err)
	}
}

// One record in a thousand that fails is no outage: no budget of a hundred is ever spent, in whatever mode.
func TestOnePoisonRecordInAThousand(t *testing.T) {
	for _, b := range []RejectionBudget{{Rejected: 100}, {Rejected: 1}, {Rejected: 1, Pause: time.Hour}} {
		t.Run(fmt.Sprint(b), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				dead, out := &collect{}, &collect{}
				_, err := run(t, Options{
					Source: &memory{lanes: 1, records: 20_000, batch: 100}, Sinks: []Output{{Name: "out", Kind: "test", Sink: out}},
					DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: b}, Events: event.New(&log, event.Options{}),
					Steps: []Step{{Name: "check", Stage: does(func(_ context.Context, r *pipeline.Record) error {
						if r.Offset%1000 == 999 {
							return errors.New("checking: bad")
						}
						return nil
					})}, {Name: "ask", Kind: "test", Workers: 8, Wait: &Wait{}, Stage: does(func(ctx context.Context, r *pipeline.Record) error { pause(ctx, time.Millisecond); return nil })}},
				})
				// Records are rejected ahead of the outcomes of those before them, at most by what is in flight.
				if b.Rejected == 100 && (err != nil || len(dead.all()) != 20 || strings.Contains(log.String(), "pipeline.paused")) {
					t.Errorf("%v, %d letters", err, len(dead.all()))
				}
				if err == nil {
					allOnce(t, 20_000, out, dead)
				}
			})
		})
	}
}

// A stop in a pause ends it at once, and nothing more is rejected: what has not begun is handed back, what has is
// abandoned, and the process does not wait for the pause.
func TestAStopEndsAPause(t *testing.T) {
	long := time.Hour
	if testing.Short() {
		long = 5 * time.Minute // of the 24 hours of the pause
	}
	for name := range outageSteps(&outage{}) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				o := &outage{from: 0}
				src, out, dead := &memory{lanes: 2, records: 1000, endless: true}, &collect{}, &collect{}
				ctx, cancel := context.WithCancel(t.Context())
				opts := pausing(o, name, src, out, dead, &log)
				opts.DeadLetter.Budget.Pause = 24 * time.Hour
				p, done := start(t, ctx, opts)
				time.Sleep(long)
				if s := p.Snapshot(); s.State != "paused" {
					t.Fatalf("state %s", s.State)
				}
				began, letters, asked := time.Now(), len(dead.all()), o.asked.Load()
				cancel()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("the stop took %s", took)
				}
				if n := len(dead.all()); n != letters {
					t.Errorf("the stop rejected %d records", n-letters)
				}
				if n := o.asked.Load(); name != "computes" && n != asked {
					t.Errorf("the stop asked %d times", n-asked)
				}
				if c := p.Snapshot().Counts; c.Abandoned == 0 || c.InFlight != 0 || int(c.Rejected) != letters {
					t.Errorf("%d letters, %+v", letters, c)
				}
				balanced(t, p)
				for lane := range int32(2) {
					ended := slices.Concat(dead.offsets(lane), out.offsets(lane))
					for at := range src.mark(int(lane)) {
						if !slices.Contains(ended, at) {
							t.Fatalf("%d has no outcome, and the mark %d has passed it (I5)", at, src.mark(int(lane)))
						}
					}
				}
				pauses(t, log.String(), 1)
			})
		})
	}
}

// A revocation ends a pause, too, and has its lane drained; the pipeline may pause again afterwards.
func TestARevocationEndsAPause(t *testing.T) {
	long := time.Hour
	if testing.Short() {
		long = 5 * time.Minute // of the 24 hours of the pause
	}
	for name := range outageSteps(&outage{}) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				o := &outage{from: 0}
				src, out, dead := &memory{lanes: 2, records: 2000, endless: true}, &collect{}, &collect{}
				ctx, cancel := context.WithCancel(t.Context())
				opts := pausing(o, name, src, out, dead, &log)
				opts.DeadLetter.Budget.Pause = 24 * time.Hour
				p, done := start(t, ctx, opts)
				time.Sleep(long)
				if s := p.Snapshot(); s.State != "paused" {
					t.Fatalf("state %s", s.State)
				}
				began := time.Now()
				within, stop := context.WithTimeout(ctx, 20*time.Second)
				report, err := src.lane(0).End(within)
				stop()
				if took := time.Since(began); err != nil || report.Abandoned > 0 || took > 15*time.Second {
					t.Errorf("%v, %+v after %s", err, report, took)
				}
				time.Sleep(long)
				want := 2
				if s := p.Snapshot(); s.InFlight == 0 { // a step that takes no time has done all while the lane was drained
					want = 1
				} else if s.State != "paused" {
					t.Errorf("state %s: the other lane is rejected still", s.State)
				}
				cancel()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				balanced(t, p)
				pauses(t, log.String(), want)
			})
		})
	}
}

// What the deadline of a record counts stands still in a pause.
func TestADeadlineStandsStillInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		dead, out := &collect{}, &collect{}
		var tries atomic.Int64
		_, err := run(t, Options{
			Source: &memory{lanes: 1, records: 3}, Sinks: []Output{{Name: "out", Kind: "test", Sink: out}}, Events: event.New(&log, event.Options{}),
			DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 1, Of: 10, Pause: time.Hour}},
			Steps: []Step{{Name: "ask", Kind: "test", Workers: 3, Wait: &Wait{Deadline: 10 * time.Second, Retry: Retry{Attempts: 3, Backoff: time.Second}}, Stage: does(func(_ context.Context, r *pipeline.Record) error {
				switch {
				case r.Offset < 2:
					return pipeline.Permanent(errors.New("asking: no"))
				case tries.Add(1) < 3:
					return errors.New("asking: not now")
				}
				return nil
			})}},
		})
		if err != nil || len(dead.all()) != 2 || len(out.all()) != 1 || tries.Load() != 3 {
			t.Errorf("%v: %d letters, %d delivered after %d attempts", err, len(dead.all()), len(out.all()), tries.Load())
		}
		pauses(t, log.String(), 1)
	})
}

// Sinks that refuse records spend the budget as steps do: a record counts once, whichever and however many of them
// refuse it, and in a pause none of them writes.
func TestSinksSpendTheBudget(t *testing.T) {
	refuse := func(_ context.Context, recs []*pipeline.Record) error {
		e := &pipeline.WriteError{}
		for i := range recs {
			e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: pipeline.Permanent(errors.New("storing: no"))})
		}
		return e
	}
	t.Run("stop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dead := &collect{}
			_, err := run(t, Options{
				Source: &memory{lanes: 1, records: 1000}, Sinks: []Output{{Name: "a", Sink: &collect{write: refuse}}, {Name: "b", Sink: &collect{}}},
				DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 100}},
			})
			if err == nil || !strings.Contains(err.Error(), "is spent") || len(dead.all()) != 100 {
				t.Errorf("%v, %d letters", err, len(dead.all()))
			}
		})
	})
	t.Run("pause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var writes atomic.Int64
			dead := &collect{}
			count := func(ctx context.Context, recs []*pipeline.Record) error {
				writes.Add(1)
				return refuse(ctx, recs)
			}
			ctx, cancel := context.WithCancel(t.Context())
			p, done := start(t, ctx, Options{
				Source: &memory{lanes: 1, records: 1000, endless: true}, Sinks: []Output{{Name: "a", Sink: &collect{write: count}, MaxRecords: 10}, {Name: "b", Sink: &collect{write: refuse}, MaxRecords: 10}},
				DeadLetter: DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 100, Pause: time.Hour}},
			})
			time.Sleep(30 * time.Minute)
			if n := len(dead.all()); p.Snapshot().State != "paused" || n < 101 || n > 120 || writes.Load() > 12 {
				t.Errorf("state %s, %d letters, %d writes", p.Snapshot().State, n, writes.Load())
			}
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			balanced(t, p)
		})
	})
}

// A sink that lags leaves records without an outcome. That is no outage: a few bad records among many that have passed the
// steps spend no budget, however many lanes wait for the sink.
func TestASinkThatLagsSpendsNoBudget(t *testing.T) {
	n := 4000
	if testing.Short() {
		n = 2000
	}
	for _, every := range []int64{50, 500} {
		t.Run(fmt.Sprint(every), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const lanes = 64
				began := time.Now()
				dead, out := &collect{}, &collect{write: func(context.Context, []*pipeline.Record) error {
					if d := time.Minute - time.Since(began); d > 0 {
						return pipeline.RetryAfter(d, errors.New("storing: not now"))
					}
					return nil
				}}
				ctx, cancel := context.WithCancel(t.Context())
				p, done := start(t, ctx, Options{
					Source: &memory{lanes: lanes, records: n, batch: 500, endless: true}, Sinks: []Output{{Name: "out", Sink: out}},
					DeadLetter: DeadLetter{Sink: dead, Budget: RejectionBudget{Rejected: 100, Of: 1000}},
					Steps: []Step{{Name: "check", Workers: 2, Stage: does(func(_ context.Context, r *pipeline.Record) error {
						if r.Offset%every == every-1 {
							return errors.New("checking: bad")
						}
						return nil
					})}},
				})
				time.Sleep(30 * time.Second)
				if s := p.Snapshot(); s.State != "running" || s.Counts.Out != 0 || s.Counts.Rejected < 101 {
					t.Errorf("while the sink stands: %s, %+v", s.State, s.Counts)
				}
				time.Sleep(time.Hour)
				cancel()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if want := lanes * n / int(every); len(dead.all()) != want || len(out.all()) != lanes*n-want {
					t.Errorf("%d letters, %d delivered", len(dead.all()), len(out.all()))
				}
			})
		})
	}
}

// A quick step that rejects the few bad ones among many is far ahead of a slow one, which lets them through only later. That is
// no outage. What it rejects counts among the records that it has seen, whatever it is, and in whatever order they come.
func TestAQuickStepAheadOfASlowOneSpendsNoBudget(t *testing.T) {
	bad := does(func(_ context.Context, r *pipeline.Record) error {
		if r.Offset%100 == 99 {
			return pipeline.Permanent(errors.New("checking: bad"))
		}
		return nil
	})
	drops := does(func(_ context.Context, r *pipeline.Record) error {
		if r.Offset%100 != 99 {
			return pipeline.Filtered
		}
		return errors.New("checking: bad")
	})
	slow := Step{Name: "ask", Kind: "test", Workers: 4, Wait: &Wait{Window: 4096}, Stage: does(func(ctx context.Context, r *pipeline.Record) error { pause(ctx, 10*time.Millisecond); return nil })}
	lags := func(ctx context.Context, _ []*pipeline.Record) error { pause(ctx, time.Minute); return nil }
	key := func(r *pipeline.Record) ([]byte, error) {
		if r.Offset%100 == 99 {
			return nil, errors.New("evaluating: no")
		}
		return []byte("k"), nil
	}
	for name, o := range map[string]Options{
		"computes":   {Steps: []Step{{Name: "check", Kind: "test", Stage: bad, Workers: 4}, slow}},
		"filters":    {Steps: []Step{{Name: "check", Kind: "test", Stage: drops, Workers: 4}, slow}},
		"waits":      {Steps: []Step{{Name: "check", Kind: "test", Stage: bad, Workers: 8, Wait: &Wait{}}, slow}},
		"keys":       {Order: OrderKey, Key: key, Steps: []Step{slow}},
		"conditions": {Sinks: []Output{{Name: "out", Kind: "test", Sink: &collect{write: lags}, When: func(r *pipeline.Record) (bool, error) { _, err := key(r); return true, err }}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 10_000
				dead := &collect{}
				o.Source, o.DeadLetter = &memory{lanes: 1, records: n, batch: 500}, DeadLetter{Sink: dead, Kind: "test", Budget: RejectionBudget{Rejected: 20, Of: 1000}}
				if o.Sinks == nil {
					o.Sinks = []Output{{Name: "out", Kind: "test", Sink: &collect{}}}
				}
				if _, err := run(t, o); err != nil || len(dead.all()) != n/100 {
					t.Errorf("%v, %d letters", err, len(dead.all()))
				}
			})
		})
	}
}

// Sinks that refuse records and steps that do spend one budget: it bounds both together, and what has passed the steps
// does not hide what a sink refuses.
func TestStepsAndSinksSpendOneBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &collect{}
		refuse := func(_ context.Context, recs []*pipeline.Record) error {
			return pipeline.Permanent(errors.New("storing: no"))
		}
		_, err := run(t, Options{
			Source: &memory{lanes: 1, records: 1000, batch: 100}, Sinks: []Output{{Name: "out", Sink: &collect{write: refuse}}},
			DeadLetter: DeadLetter{Sink: dead, Budget: RejectionBudget{Rejected: 900, Of: 1000}},
			Steps: []Step{{Name: "check", Stage: does(func(_ context.Context, r *pipeline.Record) error {
				if r.Offset%4 == 0 {
					return errors.New("checking: bad")
				}
				return nil
			})}},
		})
		if err == nil || !strings.Contains(err.Error(), "is spent: 900 of the last records were rejected (") || !strings.Contains(err.Error(), " records at step check, ") || !strings.Contains(err.Error(), " records at sink out), and") || len(dead.all()) > 900 {
			t.Errorf("%v, %d letters", err, len(dead.all()))
		}
	})
}

// A record that two sinks refuse at the same moment counts once: with a budget of one it is rejected, and nothing stops.
func TestTwoSinksThatRefuseAtOnceSpendOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var both sync.WaitGroup // each sink's writer is about to count before one of them does
		both.Add(2)
		refuse := func(context.Context, []*pipeline.Record) error { return pipeline.Permanent(errors.New("storing: no")) }
		dead := &collect{}
		p, err := run(t, Options{
			Source: &memory{lanes: 1, records: 1}, Sinks: []Output{{Name: "a", Sink: &collect{write: refuse}}, {Name: "b", Sink: &collect{write: refuse}}},
			DeadLetter: DeadLetter{Sink: dead, Budget: RejectionBudget{Rejected: 1, Of: 10}},
			DeadLetterTime: func(*pipeline.Record) time.Time {
				both.Done()
				both.Wait()
				return time.Now()
			},
		})
		if err != nil || len(dead.all()) != 1 || p.Snapshot().Counts.Rejected != 1 {
			t.Fatalf("%v, %d letters, %+v", err, len(dead.all()), p.Snapshot().Counts)
		}
	})
}

// A hesitant stage takes its time to hear that records come to nothing.
type hesitant struct {
	pipeline.Stage
	until chan struct{}
}

func (h hesitant) Undone(pipeline.Position, int32) { <-h.until }

// A pipeline that stops in a pause says so, also before the pause has ended: what is handed back ends first.
func TestAStopIsShownInAPause(t *testing.T) {
	for name, c := range map[string]struct {
		stop func(*Pipeline, context.CancelFunc)
		last string
	}{
		"told to": {func(_ *Pipeline, cancel context.CancelFunc) { cancel() }, "stopped"},
		"a fault": {func(p *Pipeline, _ context.CancelFunc) { p.stop(errors.New("asking: no")) }, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				o := &outage{from: 0}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				opts := pausing(o, "one attempt", &memory{lanes: 1, records: 1000, endless: true}, &collect{}, &collect{}, &log)
				until := make(chan struct{})
				opts.Steps = append([]Step{{Name: "remembers", Kind: "test", Stage: hesitant{edits("a", "1").Stage, until}}}, opts.Steps...)
				opts.DeadLetter.Budget.Pause = 24 * time.Hour
				p, done := start(t, ctx, opts)
				time.Sleep(time.Hour)
				if s := p.Snapshot(); s.State != "paused" {
					t.Fatalf("state %s", s.State)
				}
				go c.stop(p, cancel)
				time.Sleep(time.Second)
				if s := p.Snapshot(); s.State != "draining" || !p.rejects().pausing() {
					t.Errorf("state %s; a pause is on: %t", s.State, p.rejects().pausing())
				}
				close(until)
				<-done
				if s := p.Snapshot(); s.State != c.last {
					t.Errorf("state %s at the end", s.State)
				}
			})
		})
	}
}

// A pause that is ended as it begins is told of before its end is.
func TestAPauseIsToldOfBeforeItsEnd(t *testing.T) {
	const n = 20_000
	log := &lines{}
	var r *rejections
	p := &shared{events: log.emitter(t)}
	p.hooks.resumed = func() {}
	r = rejectionsAt(p, RejectionBudget{Rejected: 0, Of: 10, Pause: time.Hour}, &plan{steps: make([]Step, 1)})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for range n {
				_ = r.spend(atStep(0))
				r.tell()
			}
		})
		all.Go(func() {
			for range n {
				r.resume()
			}
		})
	}
	all.Wait()
	r.resume()
	paused := false
	for _, l := range log.all() {
		if begins := l["event_name"] == "pipeline.paused"; begins == paused {
			t.Fatalf("%v, and before that the same", l["event_name"])
		}
		paused = !paused
	}
	if paused || len(log.all()) == 0 {
		t.Errorf("%d lines; paused at the end: %t", len(log.all()), paused)
	}
}

// A run that ends while somebody else ends its pause has the end told before it is over itself.
func TestTheEndOfAPauseIsToldBeforeTheRunIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		p := &shared{events: log.emitter(t)}
		waking := make(chan struct{})
		p.hooks.resumed = func() { <-waking }
		r := rejectionsAt(p, RejectionBudget{Rejected: 0, Of: 10, Pause: time.Hour}, &plan{steps: make([]Step, 1)})
		if err := r.spend(atStep(0)); err != nil {
			t.Fatal(err)
		}
		r.tell()
		go r.resume()
		synctest.Wait()
		r.end()
		if all := log.all(); len(all) != 2 || all[1]["event_name"] != "pipeline.resumed" {
			t.Errorf("%v", all)
		}
		close(waking)
	})
}

// Records whose key cannot be computed, and those on which the condition of a sink fails, spend it, too.
func TestKeysAndConditionsSpendTheBudget(t *testing.T) {
	fails := errors.New("evaluating: no")
	for name, o := range map[string]Options{
		"key":       {Order: OrderKey, Key: func(*pipeline.Record) ([]byte, error) { return nil, fails }, Sinks: []Output{{Name: "out", Kind: "test", Sink: &collect{}}}},
		"condition": {Sinks: []Output{{Name: "out", Kind: "test", Sink: &collect{}, When: func(*pipeline.Record) (bool, error) { return false, fails }}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, b := range []RejectionBudget{{Rejected: 100}, {Rejected: 100, Pause: time.Hour}} {
					dead := &collect{}
					o.Source, o.DeadLetter = &memory{lanes: 1, records: 1000, endless: true}, DeadLetter{Sink: dead, Kind: "test", Budget: b}
					ctx, cancel := context.WithCancel(t.Context())
					_, done := start(t, ctx, o)
					time.Sleep(30 * time.Minute)
					if n := len(dead.all()); b.Pause > 0 && n > 100+chunkRecords || b.Pause == 0 && n > 100 {
						t.Errorf("%+v: %d letters", b, n)
					}
					cancel()
					if err := <-done; (err == nil) != (b.Pause > 0) {
						t.Error(err)
					}
				}
			})
		})
	}
}

// The last outcomes are counted as a list of them would be.
func TestOutcomeRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := rapid.IntRange(1, 20).Draw(t, "of")
		var o outcomeRuns
		var list []bool
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			n, bad := rapid.IntRange(1, of).Draw(t, "n"), rapid.Bool().Draw(t, "rejected")
			drops := len(list) >= of && list[0]
			if o.drops(of) != drops {
				t.Fatalf("drops: %t, want %t", !drops, drops)
			}
			o.add(n, bad, of)
			list = append(list, slices.Repeat([]bool{bad}, n)...)
			list = list[max(0, len(list)-of):]
			rejected := 0
			for _, bad := range list {
				if bad {
					rejected++
				}
			}
			if o.total != len(list) || o.rejected != rejected {
				t.Fatalf("%d of %d, want %d of %d", o.rejected, o.total, rejected, len(list))
			}
		}
	})
}

// TestAPauseThatEndsHoldsNothing: who has seen a pause, and comes to ask about it when it is over, is told nothing of it.
func TestAPauseThatEndsHoldsNothing(t *testing.T) {
	r := rejectionsAt(&shared{}, RejectionBudget{Rejected: 1, Of: 10, Pause: time.Minute}, &plan{steps: make([]Step, 1)})
	r.on.Store(true) // as it was seen to be, before the lock was free
	all := []Hold{{State: stateNames[stateQueued], Cause: CauseQueue}}
	if r.holds(all); all[0].State != stateNames[stateQueued] || all[0].Cause != CauseQueue {
		t.Errorf("it is held by %s: %s", all[0].Cause, all[0].For)
	}
}
