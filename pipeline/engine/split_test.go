package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

// fan emits n parts, with values of their own.
func fan(n func(r *pipeline.Record) int) pipeline.Splitter {
	return splits(func(_ context.Context, r *pipeline.Record, emit func(*pipeline.Record)) error {
		part := *r
		for i := range n(r) {
			part.SetValue(fmt.Appendf(nil, `{"of":%d,"i":%d}`, r.Offset, i))
			emit(&part)
		}
		if r.Offset == 13 {
			return errors.New("splitting: half way")
		}
		return nil
	})
}

func TestSplit(t *testing.T) {
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			src := &memory{lanes: 2, records: 200, batch: 100}
			out, dead := &collect{}, &collect{}
			p, err := run(t, Options{
				Source: src, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
				Steps: []Step{{Name: "split", Wait: waitIf(waits), Workers: 3, Splitter: fan(func(r *pipeline.Record) int { return int(r.Offset % 4) })}},
			})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for n := range 200 {
				if n == 13 {
					continue
				}
				for i := range n % 4 {
					want = append(want, fmt.Sprintf(`%d#%d {"of":%d,"i":%d}`, n, i+1, n, i))
				}
			}
			for lane := range int32(2) {
				var got []string
				for _, s := range out.all() {
					if s.Partition == lane {
						got = append(got, fmt.Sprintf("%d#%d %s", s.Offset, s.part, s.value))
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("lane %d: %d parts, want %d in order", lane, len(got), len(want))
				}
				if src.mark(int(lane)) != 200 {
					t.Errorf("mark %d", src.mark(int(lane)))
				}
			}
			if len(dead.all()) != 2 || dead.all()[0].Offset != 13 || dead.all()[0].value != `{"lane":0,"n":13}` && dead.all()[0].value != `{"lane":1,"n":13}` {
				t.Errorf("dead letters: %v", dead.all())
			}
			step, all := p.Snapshot().Steps[0].Counts, p.Snapshot().Counts
			if step.In != 400 || step.Filtered != 100 || step.Rejected != 2 || step.Out != int64(2*len(want)) {
				t.Errorf("step: %+v", step)
			}
			if all.In != 400 || all.Filtered != 100 || all.Rejected != 2 || all.Out != int64(2*len(want)) {
				t.Errorf("pipeline: %+v", all)
			}
		})
	}
}

// Parts finish together: one dead letter a source record, with the first failing part
// and how many failed.
func TestFailedParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 20}
		out, dead := &collect{}, &collect{}
		out.write = func(_ context.Context, recs []*pipeline.Record) error {
			var e pipeline.WriteError
			for i, r := range recs {
				if r.Offset == 5 && r.Part == 4 {
					e.Failed = append(e.Failed, pipeline.Failure{Index: i, Err: pipeline.Permanent(errors.New("writing: part 4"))})
				}
			}
			if len(e.Failed) > 0 {
				return &e
			}
			return nil
		}
		p, err := run(t, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}}, DeadLetter: DeadLetter{Sink: dead},
			Steps: []Step{
				{Name: "split", Splitter: fan(func(*pipeline.Record) int { return 5 })},
				{Name: "check", Wait: &Wait{}, Stage: does(func(_ context.Context, r *pipeline.Record) error {
					if r.Offset == 5 && (r.Part == 3 || r.Part == 2) {
						return pipeline.Reject("too_old", fmt.Errorf("checking: part %d", r.Part))
					}
					if r.Offset == 6 {
						return pipeline.Filtered
					}
					return nil
				})},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		d := dead.all()
		if len(d) != 2 {
			t.Fatalf("%d dead letters", len(d)) // 5, and 13 in the split
		}
		for _, one := range d {
			h := one.headers
			switch one.Offset {
			case 5:
				if one.value != `{"lane":0,"n":5}` || h[deadletter.Failures] != "3" || h[deadletter.Error] != "checking: part 2" || h[deadletter.Step] != "check" || h[deadletter.Reason] != "too_old" {
					t.Errorf("%+v", one)
				}
			case 13:
				if _, ok := h[deadletter.Failures]; ok {
					t.Errorf("%+v", one)
				}
			default:
				t.Errorf("%+v", one)
			}
		}
		c := p.Snapshot().Counts
		if c.In != 20 || c.Created != 19*4 || c.Filtered != 5 || c.Rejected != 4 || c.Out != 17*5+2 {
			t.Errorf("%+v", c)
		}
		if src.mark(0) != 20 {
			t.Errorf("mark %d", src.mark(0))
		}
	})
}

// Parts of parts belong to the record of the source, and have numbers of their own.
func TestSplitOfSplits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &memory{lanes: 1, records: 40, batch: 40}
		out := &collect{}
		two := splits(func(_ context.Context, r *pipeline.Record, emit func(*pipeline.Record)) error {
			for range 20 {
				emit(r)
			}
			return nil
		})
		p, err := run(t, Options{
			Source: src, Sinks: []Output{{Name: "out", Sink: out}},
			Steps: []Step{
				{Name: "one", Splitter: two}, {Name: "idle", Stage: does(func(context.Context, *pipeline.Record) error { return nil })},
				{Name: "two", Splitter: two, Wait: &Wait{}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(out.all()); n != 40*400 {
			t.Fatalf("%d parts", n)
		}
		for i, s := range out.all() {
			if s.Offset != int64(i/400) || s.part != int32(i%400+1) {
				t.Fatalf("place %d: %d#%d", i, s.Offset, s.part)
			}
		}
		if src.mark(0) != 40 || p.Snapshot().Created != 40*399 {
			t.Errorf("mark %d, %+v", src.mark(0), p.Snapshot().Counts)
		}
	})
}
