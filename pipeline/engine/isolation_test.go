package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// TestAFailedPipelineGivesItsBudgetBack: what it held, also for a write that still hangs, is free
// for the others, and is not given back a second time when the write returns.
func TestAFailedPipelineGivesItsBudgetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 400
		b := NewBudget(most, 1<<20)
		gate, full := make(chan struct{}), make(chan struct{})
		fails := &collect{write: func(_ context.Context, recs []*pipeline.Record) error {
			if recs[0].Partition == 1 && recs[0].Offset >= 100 {
				return pipeline.Fatal(errors.New("the disk is gone"))
			}
			if recs[0].Partition == 0 {
				<-gate // without a look at ctx
			}
			return nil
		}}
		waits := &collect{write: func(ctx context.Context, _ []*pipeline.Record) error {
			select {
			case <-full:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		first, failed := start(t, t.Context(), Options{Source: &memory{lanes: 2, records: 10_000, charge: true, gap: time.Millisecond},
			Sinks: []Output{{Name: "out", Sink: fails}}, Budget: b})
		second, done := start(t, t.Context(), Options{Source: &memory{lanes: 4, records: 1000, charge: true},
			Sinks: []Output{{Name: "out", Sink: waits, Timeout: time.Hour}}, Budget: b})
		if err := <-failed; err == nil || !strings.Contains(err.Error(), "the disk is gone") {
			t.Fatal(err)
		}
		if s := first.Snapshot(); s.State != "failed" || s.Err == nil || s.InFlightBytes != 0 {
			t.Errorf("the failed one: %s, %v, %d bytes", s.State, s.Err, s.InFlightBytes)
		}
		synctest.Wait()
		s := second.Snapshot()
		if records, bytes := b.Use(); s.InFlight < most || int64(records) != s.InFlight || bytes != s.InFlightBytes || s.State != "running" {
			t.Errorf("the other: %s, %d in flight, budget in use: %d records, %d bytes", s.State, s.InFlight, records, bytes)
		}
		close(gate) // what hung comes back late
		synctest.Wait()
		if records, _ := b.Use(); int64(records) != s.InFlight {
			t.Errorf("%d records in use, %d in flight", records, s.InFlight)
		}
		close(full)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if records, bytes := b.Use(); records != 0 || bytes != 0 {
			t.Errorf("at the end %d records and %d bytes are in use", records, bytes)
		}
	})
}

// A shaky component panics where no record is to blame.
type shaky struct {
	memory
	where string
}

func (s *shaky) Report() pipeline.Report {
	if s.where == "report" {
		panic("no figures")
	}
	return pipeline.Report{}
}

func (s *shaky) Attach(*event.Emitter) {
	if s.where == "attach" {
		panic("no log")
	}
}

// A shakyStep is a piece of the engine that panics.
type shakyStep struct {
	stepper
	where string
}

func (s *shakyStep) start() {
	if s.where == "start" {
		panic("no start")
	}
	s.stepper.start()
}

func (s *shakyStep) holdup(now time.Time) holdup {
	if s.where == "watch" {
		panic("no look")
	}
	return s.stepper.holdup(now)
}

// TestAPanicBesideRecordsIsOfOnePipeline: it is the error of its pipeline, and the process
// and the other pipelines go on.
func TestAPanicBesideRecordsIsOfOnePipeline(t *testing.T) {
	for where, want := range map[string]string{
		"report": "asking *engine.shaky for its figures: panic: no figures",
		"attach": "panic: no log",
		"start":  "running the engine: panic: no start",
		"watch":  "running the engine: panic: no look",
	} {
		synctest.Test(t, func(t *testing.T) {
			log := &lines{}
			b := NewBudget(1000, 0)
			src := &shaky{memory: memory{lanes: 1, records: 1 << 30, endless: true, gap: time.Millisecond}, where: where}
			p := mustNew(t, Options{Source: src, Budget: b, Events: log.emitter(t), Drain: time.Second,
				Steps: []Step{{Name: "s", Stage: does(func(context.Context, *pipeline.Record) error { return nil })}},
				Sinks: []Output{{Name: "out", Sink: &collect{write: func(ctx context.Context, _ []*pipeline.Record) error {
					pause(ctx, 10*time.Millisecond)
					return nil
				}}}}})
			p.chain().steps[0] = &shakyStep{p.chain().steps[0], where}
			other, done := start(t, t.Context(), Options{Source: &memory{lanes: 1, records: 1000, charge: true, gap: time.Second},
				Sinks: []Output{{Name: "out", Sink: &collect{}}}, Budget: b})
			err := p.Run(t.Context())
			var panicked *pipeline.PanicError
			if err == nil || err.Error() != want || !errors.As(err, &panicked) {
				t.Errorf("%s: %v", where, err)
			}
			if s := p.Snapshot(); s.State != "failed" || !errors.Is(s.Err, err) {
				t.Errorf("%s: %s, %v", where, s.State, s.Err)
			}
			committed := src.commits
			if err := <-done; err != nil || other.Snapshot().Out != 1000 {
				t.Errorf("%s: the other ended with %v, %d out", where, err, other.Snapshot().Out)
			}
			if src.commits != committed {
				t.Errorf("%s: it commits after its end", where)
			}
			if records, bytes := b.Use(); records != 0 || bytes != 0 {
				t.Errorf("%s: %d records and %d bytes are in use", where, records, bytes)
			}
		})
	}
}
