package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline"
)

// testLane gives a lane of a pipeline that does not run.
func testLane(t testing.TB, order Order) *lane {
	p := mustNew(t, Options{Source: &memory{}, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Order: order})
	p.budget.join(&p.use)
	l, _, err := p.lane(context.Background(), "t/0", 0)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// handOver makes records of the lane from a batch, as the filler does, without sending
// them anywhere.
func handOver(t testing.TB, l *lane, b *pipeline.Batch) []item {
	t.Helper()
	return appendItems(t, nil, l, b)
}

// appendItems does the same behind items.
func appendItems(t testing.TB, items []item, l *lane, b *pipeline.Batch) []item {
	t.Helper()
	b.Lane = l
	if err := owner(l).fill.accept(b); err != nil {
		t.Fatal(err)
	}
	for f := owner(l).fill; l.more(); {
		f.take(l)
		for _, c := range f.ready {
			items = append(items, c.take()...)
			l.p.pool.drop(c)
		}
		f.ready = f.ready[:0]
	}
	return items
}

// A model of the ring of marks: whatever is finished in whatever order, the mark is the highest
// offset before which every record has an outcome (I5).
func TestMarkModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		order := Order(rapid.IntRange(0, 2).Draw(rt, "order"))
		l := testLane(t, order)
		next := int64(0)
		var flight []item
		open := map[int64]bool{} // offsets without an outcome, or abandoned
		starts := map[int64]bool{}
		freed, given := 0, 0
		admit := func() {
			n := rapid.IntRange(0, 600).Draw(rt, "n")
			gaps := rapid.Bool().Draw(rt, "gaps")
			recs := make([]pipeline.Record, n)
			for i := range recs {
				if gaps && i%3 == 2 {
					next += int64(i % 5)
				}
				recs[i].Init(pipeline.Position{Topic: "t", Partition: 0, Offset: next}, nil, []byte("x"), nil, 0)
				open[next] = true
				next++
			}
			next += int64(rapid.IntRange(0, 3).Draw(rt, "tail"))
			got := handOver(t, l, &pipeline.Batch{Fill: pipeline.Records(recs), Next: next, Free: func() { freed++ }})
			if len(got) != n {
				rt.Fatalf("%d records of %d were made", len(got), n)
			}
			given++
			starts[next] = true
			flight = append(flight, got...)
		}
		finish := func() {
			if len(flight) == 0 {
				return
			}
			n := rapid.IntRange(1, min(len(flight), 300)).Draw(rt, "done")
			from := rapid.IntRange(0, len(flight)-n).Draw(rt, "from")
			o := []outcome{delivered, filtered, delivered, abandoned}[rapid.IntRange(0, 3).Draw(rt, "outcome")]
			part := append([]item(nil), flight[from:from+n]...)
			if order != OrderPartition {
				part = rapid.Permutation(part).Draw(rt, "mixed")
			}
			for _, r := range part {
				if o != abandoned {
					delete(open, r.rec.Offset)
				}
			}
			flight = append(flight[:from:from], flight[from+n:]...)
			l.finish(part, o)
		}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			if rapid.Bool().Draw(rt, "admit") {
				admit()
			} else {
				finish()
			}
			m, _ := l.unsaved()
			first := next
			for o := range open {
				first = min(first, o)
			}
			if m.Next > first {
				rt.Fatalf("mark %d, but %d has no outcome (I5)", m.Next, first)
			}
			// It may stay behind only where the next record stands after a gap.
			for o := m.Next; o < first; o++ {
				if starts[o] && o > m.Next {
					rt.Fatalf("mark %d, but everything before %d is done", m.Next, o)
				}
			}
			if int(l.inFlight) != len(flight) {
				rt.Fatalf("%d in flight, want %d", l.inFlight, len(flight))
			}
		}
		if len(flight) == 0 && freed != given {
			rt.Fatalf("%d batches freed of %d", freed, given)
		}
	})
}

func TestMarkPassesGapsAndEmptyBatches(t *testing.T) {
	l := testLane(t, OrderPartition)
	put := func(next int64, offsets ...int64) []item {
		recs := make([]pipeline.Record, len(offsets))
		for i, o := range offsets {
			recs[i].Init(pipeline.Position{Topic: "t", Partition: 0, Offset: o}, nil, []byte("x"), nil, 0)
		}
		return handOver(t, l, &pipeline.Batch{Fill: pipeline.Records(recs), Next: next})
	}
	want := func(next int64) {
		t.Helper()
		if m, _ := l.unsaved(); m.Next != next {
			t.Errorf("mark %d, want %d", m.Next, next)
		}
	}
	a := put(100, 3, 7, 50)
	put(120) // control records only
	b := put(130, 125)
	l.finish(b, delivered)
	want(0)
	l.finish(a[:1], delivered)
	want(7)
	l.finish(a[1:2], filtered)
	want(50)
	l.finish(a[2:], delivered)
	want(130)
	put(140)
	want(140)
	c := put(150, 140, 141, 142)
	l.finish(c[1:], delivered)
	want(140)
	l.finish(c[:1], abandoned)
	want(140)
}

// A lane that was given up has no mark to commit, and late outcomes count for nothing (I8).
func TestAFencedLaneHasNoMark(t *testing.T) {
	l := testLane(t, OrderPartition)
	recs := make([]pipeline.Record, 10)
	for i := range recs {
		recs[i].Init(pipeline.Position{Topic: "t", Partition: 0, Offset: int64(i)}, nil, []byte("x"), nil, 0)
	}
	freed := false
	refs := handOver(t, l, &pipeline.Batch{Fill: pipeline.Records(recs), Next: 10, Free: func() { freed = true }})
	l.finish(refs[:4], delivered)
	if n := l.abandon(false); n != 6 {
		t.Errorf("%d given up", n)
	}
	l.finish(refs[4:6], delivered)
	l.finish(refs[6:], abandoned)
	if m, ok := l.unsaved(); !ok || m.Next != 4 {
		t.Errorf("mark %d: what was earned before counts, nothing after", m.Next)
	}
	if c := l.p.meter.read(); c.Out != 4 || c.Abandoned != 6 || c.InFlight != 0 {
		t.Errorf("%+v", c)
	}
	l.abandon(true)
	if m, ok := l.unsaved(); ok {
		t.Errorf("mark %d of a fenced lane", m.Next)
	}
	if !freed {
		t.Error("the batch is not freed")
	}
}

// Records of a fixture carry offsets from elsewhere: no mark is taken from them.
func TestMarksOfForeignOffsets(t *testing.T) {
	l := testLane(t, OrderPartition)
	recs := make([]pipeline.Record, 3)
	for i, o := range []int64{900, 901, 902} {
		recs[i].Init(pipeline.Position{Topic: "flights", Partition: 3, Offset: o}, nil, []byte("x"), nil, 0)
	}
	refs := handOver(t, l, &pipeline.Batch{Fill: pipeline.Records(recs), Next: 4})
	l.finish(refs[:2], delivered)
	if m, ok := l.unsaved(); ok {
		t.Errorf("mark %d within a batch of foreign offsets", m.Next)
	}
	l.finish(refs[2:], delivered)
	if m, _ := l.unsaved(); m.Next != 4 {
		t.Errorf("mark %d", m.Next)
	}
}

func TestCommitsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 3500, gap: 10 * time.Millisecond}
		fails := 0
		src.commit = func([]pipeline.Mark) error {
			if fails++; fails < 4 {
				return errors.New("committing: the coordinator is away")
			}
			return nil
		}
		log := &lines{}
		_, err := run(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: &collect{}}}, Events: log.emitter(t)})
		if err != nil {
			t.Fatal(err)
		}
		if m := src.mark(0); m != 3500 {
			t.Errorf("mark %d", m)
		}
		got := log.named("commit.failed")
		if len(got) != 3 || got[2]["attempt"] != 3.0 || got[0]["topic"] != "t" || got[0]["error_type"] != "_other" {
			t.Errorf("commit.failed: %v", got)
		}
	})
}

// A commit that takes long holds up nothing.
func TestSlowCommitsHoldUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 1000, gap: 10 * time.Millisecond}
		src.commit = func([]pipeline.Mark) error { time.Sleep(time.Minute); return nil }
		out := &collect{}
		began := time.Now()
		var last time.Duration
		out.write = func(context.Context, []*pipeline.Record) error { last = time.Since(began); return nil }
		if _, err := run(t, Options{Source: src, Sinks: []Output{{Name: "out", Sink: out}}, Drain: 10 * time.Minute}); err != nil {
			t.Fatal(err)
		}
		if last > 2*time.Second {
			t.Errorf("the last record came after %s", last)
		}
		if m := src.mark(0); m != 1000 {
			t.Errorf("mark %d", m)
		}
	})
}
