package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// endOf ends a lane of a running pipeline and says what came of it.
func endOf(t *testing.T, src *memory, lane int, within time.Duration) pipeline.EndReport {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	r, err := src.lane(lane).End(ctx)
	if err != nil {
		t.Errorf("End: %v", err)
	}
	return r
}

func TestEndDrainsAndCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 2, records: 20_000, charge: true}
		out := &collect{}
		ctx, cancel := context.WithCancel(t.Context())
		_, done := start(t, ctx, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}}, CommitEvery: time.Hour,
			Steps: []Step{{Name: "ask", Stage: slowly(50 * time.Millisecond), Wait: &Wait{}, Workers: 8}},
		})
		time.Sleep(2 * time.Second)
		r := endOf(t, src, 0, 10*time.Second)
		if r.Drained == 0 || r.Drained > 8 || r.Returned == 0 || r.Drained+r.Returned != r.InFlight || r.Abandoned != 0 {
			t.Errorf("%+v", r)
		}
		n := len(out.offsets(0))
		ascending(t, "lane 0", out.offsets(0), n)
		if m := src.mark(0); m != int64(n) {
			t.Errorf("mark %d, %d delivered", m, n)
		}
		if !over(src.lane(0)) || over(src.lane(1)) {
			t.Error("the wrong lane is over")
		}
		if _, err := src.lane(0).Take(t.Context(), 1); err == nil {
			t.Error("Take of an ended lane succeeds")
		}
		if src.lane(0).Room() != 0 {
			t.Error("an ended lane has room")
		}
		time.Sleep(time.Second)
		if len(out.offsets(0)) != n {
			t.Error("the ended lane goes on")
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestEndOfALostPartitionCommitsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 2, records: 5000}
		out := &collect{}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}}, CommitEvery: time.Hour,
			Steps: []Step{{Name: "ask", Stage: does(func(ctx context.Context, r *pipeline.Record) error {
				if r.Offset%100 == 50 {
					return errors.New("asking: not now")
				}
				pause(ctx, 10*time.Millisecond)
				return ctx.Err()
			}), Wait: &Wait{Retry: Retry{Attempts: 1000, Backoff: time.Minute}, Deadline: time.Hour}, Workers: 8}},
		})
		time.Sleep(time.Second)
		gone, stop := context.WithCancel(t.Context())
		stop()
		began := time.Now()
		r, err := src.lane(0).End(gone)
		if err != nil || r.Abandoned != r.InFlight || r.InFlight == 0 || time.Since(began) != 0 {
			t.Errorf("%+v, %v, after %s", r, err, time.Since(began))
		}
		if src.mark(0) != 0 {
			t.Errorf("mark %d of a lost partition (I8)", src.mark(0))
		}
		time.Sleep(10 * time.Second)
		balanced(t, p)
		n := len(out.offsets(0))
		time.Sleep(10 * time.Minute)
		if len(out.offsets(0)) != n {
			t.Error("its retries go on")
		}
		cancel()
		var abandoned *AbandonedError // what always fails
		if err := <-done; !errors.As(err, &abandoned) {
			t.Fatal(err)
		}
		if src.mark(0) != 0 || src.mark(1) == 0 {
			t.Errorf("marks %d and %d", src.mark(0), src.mark(1))
		}
	})
}

// A lane whose records get stuck must not keep others from flowing.
func TestAStuckLaneBlocksNoOther(t *testing.T) {
	records := 30_000
	if testing.Short() {
		records = 15_000 // more than may be in flight, still
	}
	for _, where := range []string{"sink", "step"} {
		synctest.Test(t, func(t *testing.T) {
			src := &memory{lanes: 3, records: records, charge: true, batch: 1000}
			out := &collect{}
			stage := does(func(ctx context.Context, r *pipeline.Record) error {
				if where == "step" && r.Partition == 0 && r.Offset == 100 {
					pause(ctx, time.Hour)
				}
				return ctx.Err()
			})
			out.write = func(ctx context.Context, recs []*pipeline.Record) error {
				if where == "sink" && recs[0].Partition == 0 {
					return errors.New("writing: this partition is down")
				}
				pause(ctx, time.Millisecond)
				return nil
			}
			ctx, cancel := context.WithCancel(t.Context())
			p, done := start(t, ctx, Options{
				Source: src, Sinks: []Output{{Name: "out", Sink: out}}, Drain: time.Second,
				Steps: []Step{
					{Name: "cheap", Stage: does(func(context.Context, *pipeline.Record) error { return nil })},
					{Name: "ask", Stage: stage, Wait: &Wait{Window: 64, Timeout: 2 * time.Hour, Deadline: 3 * time.Hour, Retry: Retry{Attempts: 1}}, Workers: 8},
				},
			})
			time.Sleep(10 * time.Minute)
			for lane := range int32(2) {
				ascending(t, where, out.offsets(lane+1), records)
			}
			if s := p.Snapshot(); s.InFlight > 12_000 {
				t.Errorf("%s: %d in flight", where, s.InFlight)
			}
			cancel()
			var abandoned *AbandonedError
			if err := <-done; !errors.As(err, &abandoned) {
				t.Fatal(err)
			}
		})
	}
}

func TestBatchesOfAnEndedLaneAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 100, gap: time.Second}
		out := &collect{}
		p, done := start(t, t.Context(), Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}})
		time.Sleep(2500 * time.Millisecond)
		l := src.lane(0)
		endOf(t, src, 0, time.Second)
		freed := false
		b := src.make(0, l, 10)
		b.Free = func() { freed = true }
		if err := p.fill.accept(b); err != nil || !freed || l.more() {
			t.Errorf("admitted: %v, freed %v", err, freed)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		balanced(t, p)
		if c := p.Snapshot().Counts; c.Abandoned != 0 { // they were never read
			t.Errorf("%+v", c)
		}
	})
}
