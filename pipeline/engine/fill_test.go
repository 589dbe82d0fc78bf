package engine

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// What a batch gives before it fails is delivered and committed, nothing behind that is,
// and the budget has everything back: after an error, a panic, and a number that cannot be.
func TestABatchThatFails(t *testing.T) {
	for name, fail := range map[string]func() (int, error){
		"error":    func() (int, error) { return 0, errors.New("the batch is damaged") },
		"panic":    func() (int, error) { panic("the batch is damaged") },
		"too many": func() (int, error) { return blockRecords + 1, nil },
	} {
		for _, at := range []int{0, 1, blockRecords - 1, blockRecords, 300} {
			synctest.Test(t, func(t *testing.T) {
				src := &memory{lanes: 1, records: 2000, batch: 500}
				broken := false
				src.wrap = func(b *pipeline.Batch) {
					if broken {
						return
					}
					broken = true
					fill, given := b.Fill, 0
					b.Fill = func(into []pipeline.Record) (int, error) {
						n, err := fill(into[:min(len(into), at-given)])
						given += n
						if given == at {
							m, bad := fail()
							return n + m, bad
						}
						return n, err
					}
				}
				out, budget := &collect{}, NewBudget(0, 0)
				p, err := run(t, Options{Source: src, Budget: budget, Sinks: []Output{{Name: "out", Sink: out}}})
				if err == nil || !strings.Contains(err.Error(), "reading from the source") {
					t.Errorf("%s at %d: %v", name, at, err)
				}
				want := at // with an error the records that come with it count
				if name != "error" {
					want = max(at-1, 0) / blockRecords * blockRecords
				}
				got := out.offsets(0)
				if len(got) != want || want > 0 && !slices.IsSorted(got) || src.mark(0) != int64(want) {
					t.Errorf("%s at %d: %d delivered, mark %d", name, at, len(got), src.mark(0))
				}
				if n, bytes := budget.Use(); n != 0 || bytes != 0 {
					t.Errorf("%s at %d: %d records and %d bytes are still charged", name, at, n, bytes)
				}
				if l := src.lane(0); l.records != 0 {
					t.Errorf("%s at %d: the lane has places for %d records", name, at, l.records)
				}
				balanced(t, p)
			})
		}
	}
}

// A lane that ends just when the filler is done with a batch has nothing left that waits: the
// laneBatch may hold another batch by then.
func TestAnEndBetweenTwoBatches(t *testing.T) {
	l := testLane(t, OrderPartition)
	if err := owner(l).fill.accept(&pipeline.Batch{Lane: l, Fill: pipeline.Records(nil), Next: 10}); err != nil {
		t.Fatal(err)
	}
	l.enter()
	l.filled(l.next(), time.Now())
	l.abandon(true)
	if in := l.next(); in != nil {
		t.Errorf("the filler is given a batch that it has had: %+v", in)
	}
}

// A batch of no lane stops the pipeline, and is given up like every other.
func TestABatchOfNoLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		freed := 0
		src := &memory{lanes: 1, records: 100, batch: 50, charge: true}
		src.wrap = func(b *pipeline.Batch) {
			if b.Next == 100 {
				b.Lane, b.Free = nil, func() { freed++ }
			}
		}
		_, err := run(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}})
		if err == nil || !strings.Contains(err.Error(), "no lane") {
			t.Error(err)
		}
		if src.lane(0).charges != 0 || freed != 1 || src.mark(0) != 50 {
			t.Errorf("%d charges are left, %d times freed, the mark is %d", src.lane(0).charges, freed, src.mark(0))
		}
	})
}

// A batch that turns out to have no records lets the next one of its lane ask for itself:
// that passes, as nothing of the lane is in flight, though its bytes are not free.
func TestABatchBehindAnEmptyOne(t *testing.T) {
	l := sharer(t, NewBudget(8, 16<<10), 1)[0]
	f := owner(l).fill
	var recs [3]pipeline.Record
	for i := range recs {
		recs[i].Init(pipeline.Position{Topic: "t", Partition: 0, Offset: int64(i)}, nil, []byte("x"), nil, 0)
	}
	none := func([]pipeline.Record) (int, error) { return 0, nil }
	for _, b := range []*pipeline.Batch{{Fill: none}, {Fill: pipeline.Records(recs[:]), Next: 3, Opens: 1 << 20}} {
		if b.Lane = l; owner(l).fill.accept(b) != nil {
			t.Fatal("not admitted")
		}
	}
	<-f.wake
	for range 3 { // with nobody who tells of anything
		f.wake <- struct{}{}
		if f.work(); len(f.ready) > 0 {
			return
		}
		select {
		case <-f.wake:
		default:
			t.Fatal("it waits, and nothing is under way that could end")
		}
	}
	t.Fatal("no record was made")
}
