package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// partitioned is a memory that reports its lane 0 as a partition does.
type partitioned struct {
	*memory
	nothing bool // was committed before
}

func (p partitioned) Report() pipeline.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	committed := p.marks["t/0"]
	if committed == 0 && p.nothing {
		committed = -1
	}
	return pipeline.Report{Connected: true, Partitions: []pipeline.PartitionReport{{
		Topic: "t", Committed: committed, Fetched: int64(p.next[0]), HighWatermark: int64(p.records),
	}}}
}

// lag_age_ms is the age of the first record that is not committed: of one that a step holds
// up, and of one that is done while commits fail. It is 0 when all are committed, and left
// out when the records have no time.
func TestLagAge(t *testing.T) {
	for _, c := range []struct {
		name        string
		timed       bool
		holds       int64 // the record that the step keeps, -1: none
		failing     bool  // commits fail
		nothing     bool  // has ever been committed: then the lag counts what is not read yet
		first, then float64
	}{
		{"a record is held up", true, 15, false, false, 94_500, 0}, // its piece begins at 10
		{"the first is held up", true, 0, false, false, 104_500, 0},
		{"commits fail", true, -1, true, false, 104_500, 0},
		{"records without a time", false, 15, false, false, -1, 0},
		{"the very first is held up", true, 0, false, true, 104_500, 0},
		{"all is committed", true, -1, false, false, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, begun, mend := &lines{}, time.Now(), make(chan struct{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				src := &memory{lanes: 1, records: 30, endless: true}
				src.wrap = func(b *pipeline.Batch) {
					fill := b.Fill
					b.Fill = func(into []pipeline.Record) (int, error) {
						n, err := fill(into)
						for i := range into[:n] {
							into[i].Time = pipeline.NoTime
							if c.timed { // from 100 s ago on, one a second
								into[i].Time = begun.Add(time.Duration(into[i].Offset-100) * time.Second).UnixMilli()
							}
						}
						return n, err
					}
				}
				src.commit = func([]pipeline.Mark) error {
					select {
					case <-mend:
					default:
						if c.failing {
							return errors.New("not now")
						}
					}
					return nil
				}
				_, done := start(t, ctx, Options{
					Name: "p", Source: partitioned{src, c.nothing}, Events: log.emitter(t), PartitionStatsEvery: 4500 * time.Millisecond,
					Steps: []Step{{Name: "holds", Kind: "http", Wait: &Wait{}, Stage: does(func(_ context.Context, r *pipeline.Record) error {
						if r.Offset == c.holds {
							<-mend
						}
						return nil
					})}},
					Sinks: []Output{{Name: "out", Sink: &collect{}}},
				})
				time.Sleep(5 * time.Second)
				close(mend)
				time.Sleep(5 * time.Second)
				cancel()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				for i, want := range []float64{c.first, c.then} {
					age, has := log.named("source.partition.stats")[i]["lag_age_ms"]
					if !has {
						age = -1.0
					}
					if age != want {
						t.Errorf("line %d: %v, want %v", i, age, want)
					}
				}
			})
		})
	}
}
