package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// start runs a pipeline beside the test.
func start(t *testing.T, ctx context.Context, o Options) (*Pipeline, <-chan error) {
	t.Helper()
	p := mustNew(t, o)
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return p, done
}

func slowly(d time.Duration) pipeline.Stage {
	return does(func(ctx context.Context, _ *pipeline.Record) error {
		pause(ctx, d)
		return ctx.Err()
	})
}

func TestDrainFinishesWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 2, records: 100_000, charge: true, batch: 100}
		out := &collect{}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}},
			Steps: []Step{{Name: "ask", Stage: slowly(100 * time.Millisecond), Wait: &Wait{}, Workers: 50}},
		})
		time.Sleep(10*time.Second + 50*time.Millisecond) // between two answers
		cancel()
		synctest.Wait()
		if s := p.Snapshot(); s.State != "draining" || s.InFlight == 0 {
			t.Errorf("after the signal: %s, %d in flight", s.State, s.InFlight)
		}
		began := time.Now()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("the drain took %s: more was begun", took)
		}
		balanced(t, p)
		c := p.Snapshot().Counts
		if c.InFlight != 0 || c.Abandoned == 0 || c.In != c.Out+c.Abandoned {
			t.Errorf("%+v", c)
		}
		for lane := range 2 {
			ascending(t, "lane", out.offsets(int32(lane)), int(src.mark(lane)))
		}
		if src.closed != 1 || out.closed != 1 {
			t.Errorf("closed: source %d, sink %d times", src.closed, out.closed)
		}
	})
}

func TestDrainBudgetSpentWhileASinkHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 2, records: 100_000, charge: true}
		out, other := &collect{}, &collect{}
		out.write = func(_ context.Context, recs []*pipeline.Record) error {
			if recs[0].Partition == 0 && recs[0].Offset >= 500 {
				time.Sleep(time.Hour) // deaf
			}
			time.Sleep(time.Millisecond)
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{
			Source: src, Drain: 20 * time.Second,
			Sinks: []Output{{Name: "out", Sink: out}, {Name: "other", Sink: other}},
		})
		time.Sleep(5 * time.Second)
		cancel()
		began := time.Now()
		err := <-done
		if took := time.Since(began); took > 20*time.Second || took < 15*time.Second {
			t.Errorf("Run returned after %s of a budget of 20s", took)
		}
		var abandoned *AbandonedError
		if !errors.As(err, &abandoned) || abandoned.Abandoned == 0 || abandoned.Running != 1 || abandoned.Forced {
			t.Fatalf("error %#v", err)
		}
		balanced(t, p)
		if m, n := src.mark(0), len(out.offsets(0)); m != int64(n) {
			t.Errorf("mark %d, %d delivered: all that is earned is committed, and nothing else (I5, I7)", m, n)
		}
		if m, n := src.mark(1), len(out.offsets(1)); m != int64(n) || n < 1000 {
			t.Errorf("the other lane: mark %d, %d delivered", m, n)
		}
		if out.closed != 0 || other.closed != 1 || src.closed != 1 {
			t.Errorf("closed: hung sink %d, other %d, source %d times", out.closed, other.closed, src.closed)
		}
		before := len(out.all())
		time.Sleep(2 * time.Hour)
		if p.Snapshot().Out+p.Snapshot().Abandoned != p.Snapshot().In || src.mark(0) > int64(before) {
			t.Errorf("a late result counted (I8)")
		}
		balanced(t, p)
	})
}

func TestAbortEndsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 100_000}
		out := &collect{write: func(ctx context.Context, _ []*pipeline.Record) error { return errors.New("writing: no") }}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}})
		time.Sleep(time.Second)
		cancel()
		time.Sleep(time.Second)
		p.Abort()
		p.Abort()
		began := time.Now()
		err := <-done
		var abandoned *AbandonedError
		if !errors.As(err, &abandoned) || !abandoned.Forced {
			t.Fatalf("error %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %s", took)
		}
		balanced(t, p)
		if out.closed != 1 {
			t.Error("the sink, which obeys its ctx, was not closed")
		}
	})
}

func TestSlowSinkKeepsLittleInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 4, records: 1_000_000, charge: true, batch: 500}
		out := &collect{write: func(ctx context.Context, _ []*pipeline.Record) error { pause(ctx, time.Second); return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		p, done := start(t, ctx, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out, MaxRecords: 100}}})
		most := int64(0)
		for range 50 {
			time.Sleep(100 * time.Millisecond)
			most = max(most, p.Snapshot().InFlight)
		}
		if most > 4*2000 {
			t.Errorf("%d records in flight before a slow sink", most)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestIdlePipelineArmsNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 10, endless: true}
		ctx, cancel := context.WithCancel(t.Context())
		woken := atomic.Int32{}
		src.commit = func([]pipeline.Mark) error { woken.Add(1); return nil }
		_, done := start(t, ctx, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}},
			Steps: []Step{{Name: "ask", Stage: slowly(time.Millisecond), Wait: &Wait{}}},
		})
		time.Sleep(time.Hour)
		if n := woken.Load(); n != 1 {
			t.Errorf("%d commits of ten records in an hour", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// A lateSource looks for its next lane until long after a stop.
type lateSource struct{ memory }

func (s *lateSource) Read(ctx context.Context) (*pipeline.Batch, error) {
	<-ctx.Done()
	for {
		l, _, err := s.engine.Lane(context.Background(), "t/9", 0)
		if err != nil {
			return nil, fmt.Errorf("beginning to read t/9: %w", err)
		}
		time.Sleep(time.Millisecond)
		if _, err := l.End(ctx); err != nil {
			return nil, err
		}
	}
}

// A source that opens a lane when none is opened any more has no trouble of its own: the run ends as stopped too late.
func TestALaneAfterTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, done := start(t, ctx, Options{
			Source: &lateSource{memory{lanes: 1}}, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Drain: 20 * time.Second,
		})
		time.Sleep(time.Second)
		cancel()
		var late *AbandonedError
		if err := <-done; err != nil && !errors.As(err, &late) {
			t.Errorf("it ended with %v", err)
		}
	})
}
