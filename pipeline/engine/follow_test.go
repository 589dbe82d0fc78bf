package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// following is the source memory, whose batches hear of each record.
type following struct {
	memory
	panics bool

	lock  sync.Mutex
	given map[int64]int     // how often a sink was to be given a record, by its offset
	ended map[int64][]error // how a record has ended, each time that was told
}

func follow(records int) *following {
	f := &following{given: map[int64]int{}, ended: map[int64][]error{}}
	f.lanes, f.records, f.wrap = 1, records, func(b *pipeline.Batch) {
		freed, free := false, b.Free
		b.Sending = func(pos pipeline.Position) {
			f.lock.Lock()
			defer f.lock.Unlock()
			f.given[pos.Offset]++
		}
		b.Ended = func(pos pipeline.Position, err error) {
			f.lock.Lock()
			defer f.lock.Unlock()
			if f.panics {
				panic("no")
			}
			if freed {
				err = errors.New("its batch is freed")
			}
			f.ended[pos.Offset] = append(f.ended[pos.Offset], err)
		}
		b.Free = func() {
			f.lock.Lock()
			defer f.lock.Unlock()
			freed = true
			free()
		}
	}
	return f
}

// wants says whether a record was told of once, as one that has ended so.
func (f *following) wants(n int64, filtered, rejected bool) bool {
	got := f.ended[n]
	if len(got) != 1 {
		return false
	}
	_, permanent := pipeline.IsPermanent(got[0])
	return errors.Is(got[0], pipeline.Filtered) == filtered && (permanent && !filtered) == rejected && (got[0] == nil) == (!filtered && !rejected)
}

// TestBatchHearsOfEachRecord has records that are delivered, filtered and rejected, as a whole, in parts, and
// in one of two sinks: of each its batch hears once how it ended.
func TestBatchHearsOfEachRecord(t *testing.T) {
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			src := follow(60)
			one, two, dead := &collect{}, &collect{}, &collect{}
			two.write = func(_ context.Context, recs []*pipeline.Record) error {
				var e pipeline.WriteError
				for i, r := range recs {
					if r.Offset%12 == 5 {
						e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: pipeline.Permanent(errors.New("writing: no"))})
					}
				}
				if len(e.Failed) > 0 {
					return &e
				}
				return nil
			}
			_, err := run(t, Options{
				Source: src, Sinks: []Output{{Name: "one", Sink: one}, {Name: "two", Sink: two}}, DeadLetter: DeadLetter{Sink: dead},
				Steps: []Step{
					{Name: "drop", Stage: does(func(_ context.Context, r *pipeline.Record) error {
						switch r.Offset % 12 {
						case 1:
							return pipeline.Filtered
						case 2:
							return pipeline.Permanent(errors.New("dropping: no"))
						}
						return nil
					})},
					{Name: "split", Splitter: fan(func(r *pipeline.Record) int { return int(r.Offset % 12 % 6) })}, // none of 0 and 6
					{Name: "check", Wait: waitIf(waits), Stage: does(func(_ context.Context, r *pipeline.Record) error {
						switch k := r.Offset % 12; {
						case k == 3 && r.Part == 2:
							return pipeline.Permanent(errors.New("checking: no"))
						case k == 4 && r.Part < 4, k == 8:
							return pipeline.Filtered
						}
						return nil
					})},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			for n := range int64(60) {
				filtered, rejected := slices.Contains([]int64{0, 1, 6, 8}, n%12), slices.Contains([]int64{2, 3, 5}, n%12)
				if !src.wants(n, filtered, rejected) {
					t.Errorf("record %d ended as %v", n, src.ended[n])
				}
				if given := src.given[n] > 0; given == filtered {
					t.Errorf("record %d was given to a sink: %v", n, given)
				}
			}
			if len(dead.all()) != 15 {
				t.Errorf("%d dead letters", len(dead.all()))
			}
		})
	}
}

// TestBatchHearsWhatNoMarkSays has a record that hangs in a step. What is delivered behind it is told of at once. Of what a sink stores
// after the pipeline was given up, wholly or in part, its batch hears too; not of what it does not store.
func TestBatchHearsWhatNoMarkSays(t *testing.T) {
	for _, partly := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			src := follow(40)
			out, late := &collect{}, 0
			out.write = func(ctx context.Context, recs []*pipeline.Record) error {
				if recs[0].Offset < 20 {
					return nil
				}
				<-ctx.Done() // and then it has them all the same
				if late = len(recs); partly {
					late--
					return &pipeline.WriteError{Failed: []pipeline.Failure{{Index: 1, Err: ctx.Err()}}}
				}
				return nil
			}
			ctx, cancel := context.WithCancel(t.Context())
			_, done := start(t, ctx, Options{
				Source: src, Order: OrderNone, Drain: 10 * time.Second,
				Sinks: []Output{{Name: "out", Sink: out, MaxRecords: 3, Linger: 100 * time.Millisecond, Timeout: time.Hour}},
				Steps: []Step{{Name: "ask", Wait: &Wait{Timeout: time.Hour, Deadline: time.Hour}, Workers: 8, Stage: does(func(ctx context.Context, r *pipeline.Record) error {
					pause(ctx, time.Duration(r.Offset)*time.Millisecond)
					if r.Offset == 2 {
						<-ctx.Done()
					}
					return ctx.Err()
				})}},
			})
			time.Sleep(time.Second)
			synctest.Wait()
			for n := range int64(20) {
				if got := len(src.ended[n]); got != 1 && n != 2 || n == 2 && got > 0 {
					t.Errorf("while record 2 hangs, %d was told of %d times", n, got)
				}
			}
			before := len(src.ended)
			cancel()
			var abandoned *AbandonedError
			if err := <-done; !errors.As(err, &abandoned) {
				t.Fatal(err)
			}
			var got []int64
			for _, s := range out.all() {
				got = append(got, s.Offset)
			}
			var told []int64
			for n := range src.ended {
				if told = append(told, n); !src.wants(n, false, false) {
					t.Errorf("record %d ended as %v", n, src.ended[n])
				}
			}
			slices.Sort(got)
			slices.Sort(told)
			if !slices.Equal(got, told) || late < 2 || len(told) != before+late || slices.Contains(told, 2) || src.mark(0) > 2 {
				t.Errorf("stored are %v, told of %v, mark %d", got, told, src.mark(0))
			}
		})
	}
}

// TestBatchThatPanicsAboutItsRecords stops the pipeline.
func TestBatchThatPanicsAboutItsRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := follow(10)
		src.panics = true
		_, err := run(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}})
		var p *pipeline.PanicError
		if !errors.As(err, &p) || fmt.Sprint(p.Value) != "no" {
			t.Errorf("it ended with %v", err)
		}
	})
}

// TestNobodyFollowsTransactions: what a sink has taken is not durable before a transaction is committed.
func TestNobodyFollowsTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := follow(100)
		book := &ledger{t: t, next: map[string]int64{}}
		_, err := run(t, Options{Source: src, Transactor: book, Sinks: []Output{{Name: "out", Sink: &collect{}}}})
		if err != nil || len(src.ended)+len(src.given) > 0 {
			t.Errorf("%v; told of %d ends, and %d that are sent", err, len(src.ended), len(src.given))
		}
	})
}
