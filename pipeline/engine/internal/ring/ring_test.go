package ring

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A run is an entry with what the model knows of it.
type run struct {
	Entry
	at      []int64 // of its records
	pending []int   // indexes of those that are not done
	lost    []int   // and of those that never will be
	end     int64   // the mark behind it
	exact   bool    // its offsets are those of the log
}

// A model of the ring: whatever is done in whatever order, the mark is the highest offset before
// which everything is done, as far as entries can tell.
func TestRingModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		start := int64(rapid.IntRange(0, 100).Draw(rt, "start"))
		next := start
		var r Ring[*run]
		r.Start(start)
		var all []*run // that were pushed, passed or not
		passed := 0
		add := func() {
			start := next
			b := NewBatch(start, start, rapid.IntRange(0, 9).Draw(rt, "opaque") == 9)
			n := rapid.IntRange(0, 700).Draw(rt, "n")
			gaps := rapid.Bool().Draw(rt, "gaps")
			shift := int64(rapid.SampledFrom([]int{0, 1000}).Draw(rt, "shift")) // of offsets from elsewhere
			offsets := make([]int64, n)
			for i := range offsets {
				if gaps && i%7 == 3 {
					next += int64(i % 4)
				}
				offsets[i] = next
				next++
			}
			next += int64(rapid.IntRange(0, 2).Draw(rt, "tail"))
			b.end = next
			tail := b.opaque || n == 0 && next > start || n > 0 && offsets[n-1]+1 < next
			for len(offsets) > 0 {
				e := &run{exact: !b.opaque}
				e.Reset()
				size := min(len(offsets), rapid.IntRange(1, MaxSize).Draw(rt, "size"))
				for i, o := range offsets[:size] {
					if b.opaque {
						o += shift
					}
					e.Add(&b, o)
					e.at, e.pending = append(e.at, o), append(e.pending, i)
				}
				e.Close(&b)
				if e.end = e.at[size-1] + 1; b.opaque {
					e.end = 0
				}
				offsets = offsets[size:]
				r.Push(&e.Entry, e)
				all = append(all, e)
			}
			if b.HasTail() != tail {
				rt.Fatalf("%v has a tail: %v", b, b.HasTail())
			}
			if tail {
				e := &run{end: next}
				e.Reset()
				e.Tail(&b)
				r.Push(&e.Entry, e)
				all = append(all, e)
			}
		}
		finish := func() {
			var open []*run
			for _, e := range all {
				if len(e.pending) > 0 {
					open = append(open, e)
				}
			}
			if len(open) == 0 {
				return
			}
			e := open[rapid.IntRange(0, len(open)-1).Draw(rt, "which")]
			pending := e.pending
			if rapid.Bool().Draw(rt, "mixed") {
				pending = rapid.Permutation(pending).Draw(rt, "order")
			}
			n := len(pending)
			switch rapid.IntRange(0, 2).Draw(rt, "some") {
			case 1:
				n = rapid.IntRange(1, n).Draw(rt, "done")
			case 2:
				last := min(rapid.SampledFrom([]int{0, 63, 64, 127, 255}).Draw(rt, "last"), n-1)
				pending = append(slices.Delete(slices.Clone(pending), last, last+1), pending[last])
				n = max(n-1, 1)
			}
			switch lost := rapid.IntRange(0, 15).Draw(rt, "lost") == 15; {
			case lost:
				e.Block()
				e.lost = append(e.lost, pending[:n]...)
			case n < len(pending) || e.Blocked():
				for _, i := range pending[:n] {
					e.Note(uint8(i))
				}
			}
			if e.pending = pending[n:]; e.Done(n) != len(e.pending) || e.Left() != len(e.pending) {
				rt.Fatalf("%d left, want %d", e.Left(), len(e.pending))
			}
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			if rapid.IntRange(0, 3).Draw(rt, "what") == 3 {
				add()
			} else {
				finish()
			}
			before := r.Passed()
			for r.CanPass() {
				e, moved := r.Pass()
				if e != all[passed] || e.Open() || e.Seq() != uint64(passed) || moved != (r.Passed() != before) {
					rt.Fatalf("entry %d was passed, want %d", e.Seq(), passed)
				}
				before = r.Passed()
				passed++
			}
			mark := start
			for i, e := range all {
				if len(e.pending) > 0 || len(e.lost) > 0 {
					if i != passed {
						rt.Fatalf("%d entries were passed, want %d", passed, i)
					}
					break
				}
				mark = max(mark, e.end)
			}
			if r.Passed() != mark {
				rt.Fatalf("mark %d, want %d", r.Passed(), mark)
			}
			want := mark
			if passed < len(all) && all[passed].exact {
				e := all[passed]
				first := len(e.at)
				for _, i := range append(e.lost[:len(e.lost):len(e.lost)], e.pending...) {
					first = min(first, i)
				}
				if first > 0 && first < len(e.at) {
					want = max(want, e.at[first])
				}
			}
			if got := r.Committable(); got != want {
				rt.Fatalf("the mark stands at %d within the first entry, want %d", got, want)
			}
			var pending *run // with records that are not done
			for _, e := range all[passed:] {
				if len(e.pending) > 0 {
					pending = e
					break
				}
			}
			if oldest, _ := r.Oldest(); oldest != pending {
				rt.Fatalf("the oldest entry is another one")
			}
			if pending != nil {
				first := slices.Min(append(pending.lost[:len(pending.lost):len(pending.lost)], pending.pending...))
				offset := int64(-1)
				if pending.exact {
					offset = pending.at[first]
				}
				if i, o := pending.Undone(); i != first || o != offset {
					rt.Fatalf("the first record that is not done is %d at %d, want %d at %d", i, o, first, offset)
				}
			}
		}
	})
}
