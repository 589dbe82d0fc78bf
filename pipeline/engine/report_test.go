package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A failing record is reported once, by whoever decides its outcome, however many
// attempts and sinks it has seen (I9).
func TestAFailingRecordIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		bad := func(r *pipeline.Record) bool { return r.Offset%5 == 1 }
		refuse := func(_ context.Context, recs []*pipeline.Record) error {
			w := &pipeline.WriteError{}
			for i, r := range recs {
				if r.Offset == 7 {
					w.Failed = append(w.Failed, pipeline.Failure{Index: i, Err: pipeline.Permanent(errors.New("writing: refused"))})
				}
			}
			if len(w.Failed) > 0 {
				return w
			}
			return nil
		}
		_, done := start(t, t.Context(), Options{
			Name: "p", Source: &memory{lanes: 1, records: 10}, Events: log.emitter(t),
			Steps: []Step{{Name: "ask", Kind: "http", Wait: &Wait{Retry: Retry{Attempts: 3, Backoff: time.Millisecond}}, Workers: 2,
				Stage: does(func(_ context.Context, r *pipeline.Record) error {
					if bad(r) {
						return errors.New("asking: down")
					}
					return nil
				})}},
			Sinks: []Output{
				{Name: "one", Sink: &collect{write: refuse}},
				{Name: "two", Sink: &collect{write: refuse}},
			},
			DeadLetter: DeadLetter{Sink: &collect{}},
		})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		times := map[string]int{}
		for _, m := range log.named("record.rejected") {
			times[fmt.Sprint(m["offset"])]++
		}
		// Two of the step after three attempts each; of the one that both sinks refuse, a
		// report for each sink that decides.
		if want := map[string]int{"1": 1, "6": 1, "7": 2}; fmt.Sprint(times) != fmt.Sprint(want) {
			t.Errorf("reports by offset: %v, want %v", times, want)
		}
	})
}

// A twoPartitions source reports those of its two lanes.
type twoPartitions struct{ memory }

func (s *twoPartitions) Report() pipeline.Report {
	return pipeline.Report{Connected: true, Partitions: []pipeline.PartitionReport{
		{Topic: "t", Partition: 0, Committed: -1, Fetched: -1, HighWatermark: -1},
		{Topic: "t", Partition: 1, Committed: -1, Fetched: -1, HighWatermark: -1},
	}}
}

// A partition of which too much waits is paused, and no other is.
func TestAPartitionThatIsHeldBackIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		log := &lines{}
		out := &collect{write: func(_ context.Context, recs []*pipeline.Record) error {
			if recs[0].Partition == 1 {
				<-gate
			}
			return nil
		}}
		p, done := start(t, t.Context(), Options{
			Source: &twoPartitions{memory{lanes: 2, records: 500}}, Events: log.emitter(t),
			Sinks: []Output{{Name: "out", Sink: out, MaxRecords: 10}}, PartitionStatsEvery: time.Second,
		})
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		states := p.Snapshot().Source.Partitions
		if states[0].Paused || !states[1].Paused {
			t.Errorf("paused: %v and %v", states[0].Paused, states[1].Paused)
		}
		close(gate)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		paused := map[string]bool{}
		for _, m := range log.named("source.partition.stats") {
			paused[fmt.Sprint(m["partition"], m["paused"])] = true
		}
		if want := map[string]bool{"0 false": true, "1 true": true, "1 false": true}; fmt.Sprint(paused) != fmt.Sprint(want) {
			t.Errorf("in the log: %v, want %v", paused, want)
		}
	})
}
