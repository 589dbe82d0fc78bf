package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// whatHolds runs a pipeline for some seconds, and gives what Why says then, one line for each lane.
func whatHolds(t *testing.T, o Options, after time.Duration) (lines []string, all []Hold) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p, done := start(t, ctx, o)
	time.Sleep(after)
	synctest.Wait()
	all = p.Why()
	for _, h := range all {
		lines = append(lines, h.String())
		for _, f := range p.InFlight() { // which says the same of it
			if f.Position == h.Root && f.Where == h.Where && f.State == h.State && f.Attempt != h.Attempt {
				t.Errorf("%s: attempt %d, in what is in flight %d", h, h.Attempt, f.Attempt)
			}
		}
	}
	cancel()
	p.Abort()
	<-done
	return lines, all
}

// hangsOn is a stage that hangs on one record, until it is given up.
func hangsOn(partition int32, offset int64) pipeline.Stage {
	return does(func(ctx context.Context, r *pipeline.Record) error {
		if r.Partition == partition && r.Offset == offset {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
}

// storesNot is a sink that hangs.
func storesNot() *collect {
	return &collect{write: func(ctx context.Context, _ []*pipeline.Record) error { <-ctx.Done(); return ctx.Err() }}
}

// passes is a step that lets all pass.
func passes(name string) Step { return Step{Name: name, Stage: hangsOn(-1, -1), Workers: 1} }

// patiently is of a step whose records have time.
func patiently(window int) *Wait {
	return &Wait{Window: window, Timeout: time.Hour, Deadline: time.Hour}
}

func TestWhyNamesWhereverRecordsStand(t *testing.T) {
	two := func() *memory { return &memory{lanes: 2, records: 20, batch: 20, endless: true} }
	one := func() *memory { return &memory{lanes: 1, records: 20, batch: 20, endless: true} }
	for name, tt := range map[string]struct {
		options Options
		want    []string
		cause   Cause // of the last one
	}{
		"at work, and in front of a step that computes": {
			Options{Source: two(), Steps: []Step{{Name: "parse", Stage: hangsOn(0, 5), Workers: 1}}},
			[]string{
				"t/0@0 (in flight for 5.0 s) waits for t/0@5: parse: is at work; its worker took it with 19 others 5.0 s ago; 19 records behind it",
				"t/1@0: parse: has waited 5.0 s for parse, which took t/0@5 with 19 others 5.0 s ago; 19 records behind it",
			}, CauseQueue,
		},
		"in a chunk that waits for its turn": {
			Options{Source: two(), Steps: []Step{{Name: "parse", Stage: hangsOn(0, 0), Workers: 2}}},
			[]string{
				"t/0@0: parse: has been worked on for 5.0 s; 19 records behind it",
				"t/1@0 waits for t/0@0: parse: has been worked on for 5.0 s; 19 records behind it",
			}, CauseCall,
		},
		"in front of a step whose slots are taken": {
			Options{Source: two(), Steps: []Step{passes("before"), {Name: "ask", Stage: hangsOn(0, 0), Workers: 1, Wait: patiently(64)}}},
			[]string{
				"t/0@0: ask: attempt 1 of 5 has been under way for 5.0 s; 19 records behind it",
				"t/1@0: ask: has waited 5.0 s for the one worker, which has had t/0@0 for 5.0 s; 19 records behind it",
			}, CauseSlot,
		},
		"in front of a step whose window is full": {
			Options{Source: two(), Steps: []Step{{Name: "ask", Stage: hangsOn(0, 0), Workers: 2, Wait: patiently(1)}}},
			[]string{
				"t/0@0: ask: attempt 1 of 5 has been under way for 5.0 s; 19 records behind it",
				"t/1@0: ask: has waited 5.0 s for the one place of the window, in which t/0@0 has been for longest; 19 records behind it",
			}, CauseQueue,
		},
		"the part of a split": {
			Options{Source: one(), Steps: []Step{
				{Name: "split", Workers: 1, Splitter: splits(func(_ context.Context, r *pipeline.Record, emit func(*pipeline.Record)) error {
					for range 3 {
						emit(r.Clone())
					}
					return nil
				})},
				{Name: "ask", Workers: 64, Wait: patiently(64), Stage: does(func(ctx context.Context, r *pipeline.Record) error {
					if r.Offset == 2 && r.Part == 2 {
						<-ctx.Done()
					}
					return ctx.Err()
				})},
			}},
			[]string{"t/0@2: ask: attempt 1 of 5 has been under way for 5.0 s; 17 records behind it"}, CauseCall,
		},
		"in one of two sinks": {
			Options{Source: one(), Sinks: []Output{{Name: "quick", Sink: &collect{}}, {Name: "slow", Sink: storesNot()}}},
			[]string{"t/0@0: slow: a write has been under way for 5.0 s; 19 records behind it"}, CauseSink,
		},
		"behind others in the queue of a sink": {
			Options{
				Source: &memory{lanes: 1, records: 3, batch: 3, endless: true, key: func(_, n int) string { return fmt.Sprint(n) }}, Order: OrderKey,
				Steps: []Step{{Name: "ask", Workers: 4, Wait: patiently(64), Stage: does(func(ctx context.Context, r *pipeline.Record) error {
					pause(ctx, []time.Duration{time.Second, 0, time.Second / 2}[r.Offset]) // the second comes first
					return nil
				})}},
				Sinks: []Output{{Name: "slow", Sink: storesNot()}},
			},
			[]string{"t/0@0 waits for t/0@1: slow: a write has been under way for 5.0 s; 2 records behind it"}, CauseSink,
		},
		"in front of a write that waits to fill": {
			Options{Source: one(), Sinks: []Output{{Name: "slow", Sink: &collect{}, Linger: time.Minute}}},
			[]string{"t/0@0: slow: has waited 5.0 s for more records for its write; 19 records behind it"}, CauseQueue,
		},
		"a dead letter": {
			Options{
				Source: one(), Steps: []Step{{Name: "check", Workers: 1, Stage: does(func(_ context.Context, r *pipeline.Record) error {
					if r.Offset == 3 {
						return pipeline.Permanent(errors.New("of no use"))
					}
					return nil
				})}},
				DeadLetter: DeadLetter{Sink: storesNot()},
			},
			[]string{"t/0@3: dead_letter: the write of its dead letter has been under way for 5.0 s; 16 records behind it"}, CauseDeadLetter,
		},
		"a commit that is refused": {
			Options{Source: &memory{lanes: 1, records: 20, batch: 20, endless: true, commit: func([]pipeline.Mark) error { return errors.New("not now") }}},
			[]string{"t/0@0: commit: is done and has waited 5.0 s for the commit; attempt 5 fails with _other (not now); 19 records behind it"}, CauseCommit,
		},
		"a transaction that is not committed": {
			Options{Source: one(), Transactor: &hung{ledger{t: t, next: map[string]int64{}}}},
			[]string{"t/0@0: commit: is done and has waited 5.0 s for the transaction; 19 records behind it"}, CauseTransaction,
		},
		"nothing":          {Options{Source: &memory{lanes: 1, endless: true}}, nil, ""},
		"all is committed": {Options{Source: one()}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.options.Sinks == nil {
					tt.options.Sinks = []Output{{Name: "out", Sink: &collect{}}}
				}
				got, all := whatHolds(t, tt.options, 5*time.Second+time.Millisecond)
				if !slices.Equal(got, tt.want) {
					t.Errorf("Why says\n%q, want\n%q", got, tt.want)
				}
				if len(all) > 0 && all[len(all)-1].Cause != tt.cause {
					t.Errorf("the cause is %s, want %s", all[len(all)-1].Cause, tt.cause)
				}
			})
		})
	}
}

// TestWhySaysBothTimes: the lanes come by how long their records have been there, and a line whose attempt has just begun says that
// time too, so that the order is that of what the lines say.
func TestWhySaysBothTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stage := does(func(ctx context.Context, r *pipeline.Record) error {
			if r.Partition == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			pause(ctx, 4*time.Second)
			return errors.New("not now")
		})
		wait := patiently(64)
		wait.Retry.Backoff = time.Millisecond
		lines, _ := whatHolds(t, Options{
			Source: &memory{lanes: 2, records: 1, batch: 1, endless: true}, Steps: []Step{{Name: "ask", Workers: 4, Stage: stage, Wait: wait}},
			Sinks: []Output{{Name: "out", Sink: &collect{}}},
		}, 6*time.Second)
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "t/0@0 (in flight for 6.0 s): ask: attempt 2 of 5 has been under way for 1.9 s; the one before failed with _other (not now)") ||
			lines[1] != "t/1@0: ask: attempt 1 of 5 has been under way for 6.0 s" {
			t.Errorf("%q", lines)
		}
	})
}

// TestWhyNamesLanesWithoutRecords: when a step is stuck no records are made of most lanes; each of them has a hold all the same, with
// the least budget of records too, of which every lane gets one.
func TestWhyNamesLanesWithoutRecords(t *testing.T) {
	const lanes = 40
	for name, budget := range map[string]*Budget{"enough": NewBudget(0, 0), "the least": NewBudget(1, 0)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, all := whatHolds(t, Options{
					Source: &memory{lanes: lanes, records: 20, batch: 20, endless: true}, Budget: budget,
					Steps: []Step{{Name: "parse", Stage: hangsOn(0, 0), Workers: 1}}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
				}, 5*time.Second+time.Millisecond)
				held := map[string]bool{}
				for _, h := range all {
					held[h.Lane] = true
					if h.Lane == "t/0" {
						continue
					}
					if want := "parse: has waited 5.0 s for parse, which has had t/0@0 for 5.0 s"; h.Why() != want || h.Cause != CauseQueue || h.Root != h.Position || h.Offset != 0 {
						t.Errorf("%s: %+v", h, h)
					}
				}
				if len(held) != lanes || len(all) != lanes {
					t.Errorf("%d of %d lanes have a hold, %d in all", len(held), lanes, len(all))
				}
			})
		})
	}
}

// TestAChunkIsNotWhereItWas: who looks at a chunk before it is sent for the first time sees nothing of its use before.
func TestAChunkIsNotWhereItWas(t *testing.T) {
	var pl pool
	pl.init(nil)
	c := pl.make(&lane{}, 2, stateTurn)
	pl.drop(c)
	if again := pl.make(&lane{}, 1, stateQueued); again != c || again.whereabouts.Load() != 1<<8 {
		t.Errorf("it is used again: %t, at %#x", again == c, again.whereabouts.Load())
	}
}

// hung is a Transactor that does not commit.
type hung struct{ ledger }

func (*hung) Commit(ctx context.Context, _ []pipeline.Mark) error { <-ctx.Done(); return ctx.Err() }

// holds checks what Why says in the midst of anything: of each lane with records in flight, that one of them, which is
// not committed, holds the mark, and where it is.
func (w *world) holds(p *Pipeline) {
	synctest.Wait()
	open := map[string]bool{}
	for _, l := range p.lanes.all() {
		l.mu.Lock()
		open[l.name] = l.inFlight > 0 && !l.frozen
		l.mu.Unlock()
	}
	for _, h := range p.Why() {
		at := w.src.mark(int(h.Partition))
		switch {
		case h.Lane != fmt.Sprint("t/", h.Partition) || h.Topic != "t":
			w.t.Errorf("lane %s is held by %s", h.Lane, h.Position)
		case h.Offset < at:
			w.t.Errorf("%s holds a mark that stands at %d", h.Position, at)
		case h.Cause == "" || h.State == "" || h.Where == "" || h.Root.Topic == "":
			w.t.Errorf("too little is known: %+v", h)
		case h.Where == sinksName && h.State != statePaused && h.For != endOfChange && !p.phase.stopsEarly.Load() && !p.rejects().pausing(): // the router stands in a pause
			w.t.Errorf("all stands still, and the record is found nowhere: %+v", h)
		}
		delete(open, h.Lane)
	}
	for lane, has := range open {
		if has {
			w.t.Errorf("lane %s has records in flight, and nothing holds its mark", lane)
		}
	}
}
