package letters

import (
	"testing"

	"pgregory.net/rapid"
)

// TestDoneAgainstModel compares the set, and what is read back from both of its texts, with a set
// of single offsets.
func TestDoneAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d Done
		model := map[int64]bool{}
		for range rapid.IntRange(0, 30).Draw(t, "adds") {
			from := rapid.Int64Range(0, 200).Draw(t, "from")
			to := from + rapid.Int64Range(0, 20).Draw(t, "length")
			d.Add(from, to)
			for o := from; o < to; o++ {
				model[o] = true
			}
		}
		first := int64(0)
		for model[first] {
			first++
		}
		if got := d.First(0); got != first {
			t.Fatalf("the first that is not done is %d, not %d: %v", got, first, d.Lines())
		}
		if got, want := d.GapsLen(first), len(d.Gaps(first)); got != want {
			t.Fatalf("its text is %d long, not %d: %v", want, got, d.Lines())
		}
		var gaps, lines Done
		gaps.Add(0, first)
		if err := gaps.AddGaps(d.Gaps(first), first); err != nil {
			t.Fatal(err)
		}
		if err := lines.addLines(d.Lines()); err != nil {
			t.Fatal(err)
		}
		for o := range int64(230) {
			for name, set := range map[string]*Done{"set": &d, "gaps": &gaps, "lines": &lines, "copy": d.Clone()} {
				if set.Has(o) != model[o] {
					t.Fatalf("%s: has %d: %v: %v", name, o, set.Has(o), d.Lines())
				}
			}
			if next := d.First(o); next < o || model[next] || next > o && !model[o] {
				t.Fatalf("from %d on, %d is the first: %v", o, next, d.Lines())
			}
		}
	})
}

func TestDoneRefusesForeignText(t *testing.T) {
	for _, text := range []string{"?", "AA", "AAA", "gICAgICAgICAgAE"} {
		if err := new(Done).AddGaps(text, 0); err == nil {
			t.Errorf("gaps %q were read", text)
		}
	}
	for _, line := range []string{"", "x", "5-3", "-1", "1-2-3", "1-"} {
		if err := new(Done).addLines([]string{line}); err == nil {
			t.Errorf("lines %q were read", line)
		}
	}
}
