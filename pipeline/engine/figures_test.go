package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// The figures of a step's queue have one unit and agree: no more places are taken than there
// are, and the fullest state of an interval is at least as full as its last one.
func TestFiguresOfAQueueAgree(t *testing.T) {
	records := 4000
	if testing.Short() {
		records = 1000
	}
	for _, waits := range []bool{true, false} {
		t.Run(fmt.Sprint("waits=", waits), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &lines{}
				_, done := start(t, t.Context(), Options{
					Name: "p", Source: &memory{lanes: 8, records: records}, Events: log.emitter(t), StatsEvery: time.Second,
					Steps: []Step{{Name: "slow", Kind: "http", Wait: waitIf(waits), Workers: 4, Stage: does(func(_ context.Context, r *pipeline.Record) error {
						time.Sleep(20 * time.Millisecond)
						return nil
					})}},
					Sinks: []Output{{Name: "out", Sink: &collect{}}},
				})
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				taken := 0
				for _, m := range log.named("step.stats") {
					n, places, fullest := m["queue_len"].(float64), m["queue_cap"].(float64), m["queue_fill_max_ratio"].(float64)
					if n > places || fullest > 1 || fullest+0.001 < n/places {
						t.Fatalf("queue_len %v of queue_cap %v, fullest %v", n, places, fullest)
					}
					if n > 0 {
						taken++
					}
					if _, has := m["window_cap"]; has != waits {
						t.Fatalf("window_cap in the line of a step that waits=%v: %v", waits, has)
					}
				}
				if taken < 10 {
					t.Errorf("the queue was never taken: %d lines", taken)
				}
			})
		})
	}
}

// An interval in which nothing was measured has no percentiles: 0 ms would read as a very good
// one.
func TestAnIdleIntervalHasNoPercentiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p, done := start(t, ctx, Options{
			Name: "p", Source: &memory{lanes: 1, records: 10, endless: true}, Events: log.emitter(t), StatsEvery: time.Second,
			Steps: []Step{{Name: "ask", Kind: "http", Wait: &Wait{}, Stage: does(func(_ context.Context, r *pipeline.Record) error {
				time.Sleep(time.Millisecond)
				return nil
			})}},
			Sinks: []Output{{Name: "out", Sink: &collect{}}},
		})
		time.Sleep(5500 * time.Millisecond)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for name, keys := range map[string][]string{
			"pipeline.stats": {"e2e_p50_ms", "e2e_p95_ms", "e2e_p99_ms", "e2e_max_ms"},
			"step.stats":     {"lat_p50_ms", "lat_p95_ms", "lat_p99_ms", "lat_max_ms"},
			"sink.stats":     {"write_p50_ms", "write_p99_ms", "batch_records_p50", "batch_records_max"},
		} {
			all := log.named(name)
			if len(all) < 5 {
				t.Fatalf("%d lines of %s", len(all), name)
			}
			for i, m := range all {
				for _, key := range keys {
					if _, has := m[key]; has != (i == 0) {
						t.Errorf("line %d of %s: %s is there: %v", i, name, key, has)
					}
				}
				if _, has := m["lag_sum"]; has {
					t.Errorf("%s has a lag_sum, and the source knows of no lag", name)
				}
			}
		}
		// What the intervals no longer say, the run still does.
		if f := p.Latency().Figures(); f.Count != 10 || f.P50 < 1 {
			t.Errorf("the whole run: %+v", f)
		}
		if s := p.Snapshot(); s.Latency.Count != 0 {
			t.Errorf("the last interval: %+v", s.Latency)
		}
	})
}

// The figures of a whole run are those of all its intervals and of all its pipelines.
func TestLatencyOfARunIsThatOfAllIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sum RunLatency
		for _, pause := range []time.Duration{10 * time.Millisecond, 300 * time.Millisecond} {
			p, done := start(t, t.Context(), Options{
				Name: "p", Source: &memory{lanes: 1, records: 50}, StatsEvery: time.Second, Events: (&lines{}).emitter(t),
				Sinks: []Output{{Name: "out", MaxRecords: 1, Sink: &collect{write: func(context.Context, []*pipeline.Record) error {
					time.Sleep(pause)
					return nil
				}}}},
			})
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if f := p.Latency().Figures(); f.Count != 50 || f.Max < float64(pause/time.Millisecond) {
				t.Errorf("after 50 writes of %v: %+v", pause, f)
			}
			sum.Add(p.Latency())
		}
		if f := sum.Figures(); f.Count != 100 || f.Max < 300 || f.P50 >= f.Max {
			t.Errorf("of both: %+v", f)
		}
	})
}

// A line for people says who rejected what, and why.
func TestARejectionIsToldInItsMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		_, done := start(t, t.Context(), Options{
			Name: "p", Source: &memory{lanes: 1, records: 1}, Events: log.emitter(t),
			Steps: []Step{{Name: "airport", Kind: "lookup", Stage: does(func(_ context.Context, r *pipeline.Record) error {
				return pipeline.Reject("no_match", errors.New("looking up: nothing"))
			})}},
			Sinks: []Output{{Name: "out", Sink: &collect{}}}, DeadLetter: DeadLetter{Name: "dead", Sink: &collect{}},
		})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		all := log.named("record.rejected")
		if len(all) != 1 {
			t.Fatalf("%d events record.rejected", len(all))
		}
		m := all[0]
		said := m["message"].(string)
		at := fmt.Sprintf("%v/%v@%v", m["topic"], m["partition"], m["offset"])
		for _, part := range []string{"airport", "no_match", at} {
			if !strings.Contains(said, part) {
				t.Errorf("the message %q does not say %s", said, part)
			}
		}
	})
}

func TestLagOfASource(t *testing.T) {
	known, unknown := pipeline.PartitionReport{Committed: 5, Fetched: 9, HighWatermark: 12}, pipeline.PartitionReport{Committed: -1, Fetched: -1, HighWatermark: -1}
	for i, c := range []struct {
		report       pipeline.Report
		sum, largest int64
	}{
		{pipeline.Report{}, -1, -1},
		{pipeline.Report{Connected: true}, 0, 0}, // it has none to be behind in
		{pipeline.Report{Connected: true, Partitions: []pipeline.PartitionReport{unknown}}, -1, -1},
		{pipeline.Report{Partitions: []pipeline.PartitionReport{unknown, known, known}}, 14, 7},
		{pipeline.Report{Partitions: []pipeline.PartitionReport{{Committed: 12, HighWatermark: 12}}}, 0, 0},
	} {
		if sum, largest := c.report.Lag(); sum != c.sum || largest != c.largest {
			t.Errorf("row %d: %d, %d", i, sum, largest)
		}
	}
}

// A stage that hangs is busy, and one that cannot hand over is blocked, before they
// have come to an end with it.
func TestSharesOfWorkInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		ctx, cancel := context.WithCancel(t.Context())
		hang := does(func(context.Context, *pipeline.Record) error { <-ctx.Done(); return nil })
		_, done := start(t, ctx, Options{
			Name: "p", Source: &memory{lanes: 1, records: 10_000, batch: 1}, Events: log.emitter(t), StatsEvery: time.Second,
			Steps: []Step{
				{Name: "waits", Kind: "map", Workers: 1, Stage: does(func(context.Context, *pipeline.Record) error { return nil })},
				{Name: "hangs", Kind: "map", Workers: 2, Stage: does(func(ctx context.Context, r *pipeline.Record) error {
					if r.Offset == 0 {
						return hang(ctx, r)
					}
					return nil
				})},
			},
			Sinks: []Output{{Name: "out", Sink: &collect{}}},
		})
		time.Sleep(3*time.Second + time.Millisecond)
		cancel()
		<-done
		for i, l := range log.named("step.stats")[:6] {
			want := "busy 0.500"
			if l["step"] == "waits" {
				want = "blocked 1.000"
			}
			got := fmt.Sprintf("busy %.3f blocked %.3f", l["busy_ratio"], l["blocked_ratio"])
			if !strings.Contains(got, want) {
				t.Errorf("line %d, %v: %s", i, l["step"], got)
			}
		}
	})
}

// A snapshot may be taken before the run begins, as a scrape does while the source connects: no time is booked
// before the steps have started.
func TestASnapshotBeforeTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ok := does(func(context.Context, *pipeline.Record) error { return nil })
		p := mustNew(t, Options{
			Source: &memory{lanes: 1, records: 100, batch: 10, endless: true},
			Steps:  []Step{{Name: "computes", Stage: ok, Workers: 2}, {Name: "waits", Stage: ok, Workers: 3, Wait: &Wait{}}},
			Sinks:  []Output{{Name: "out", Sink: &collect{}}},
		})
		idle := func(want time.Duration) {
			t.Helper()
			for i, s := range p.Snapshot().Steps {
				if workers := time.Duration(2 + i); s.Idle != workers*want || s.Busy != 0 || s.Blocked != 0 {
					t.Errorf("%s: busy %s, idle %s, blocked %s; want %s idle", s.Name, s.Busy, s.Idle, s.Blocked, workers*want)
				}
			}
		}
		idle(0)
		time.Sleep(time.Hour)
		idle(0)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(time.Minute)
		idle(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
