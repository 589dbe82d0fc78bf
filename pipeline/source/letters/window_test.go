package letters

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A place is where a record was read, and its key; "" stands for none.
type place struct {
	partition int32
	offset    int64
	key       string
}

func (p place) choice() Choice {
	l := new(deadletter.Letter)
	var key []byte
	if p.key != "" {
		key = []byte(p.key)
	}
	l.Record.Init(pipeline.Position{Topic: "in", Partition: p.partition, Offset: p.offset}, key, []byte("{}"), nil, 0)
	return Choice{Letter: l}
}

// through gives what comes out of a window, into which at most so many letters go at a time.
func throughWindow(w *Window, in []place, most int, fits func(pipeline.Position) bool) (out []place) {
	take := func() {
		at, c, ok := w.Next(fits)
		if !ok {
			panic("nothing is there")
		}
		if at.Offset%5 == 4 != (c.Verdict == Pass) {
			panic("not what was put in")
		}
		if c.Verdict == Replay {
			r := &c.Letter.Record
			out = append(out, place{r.Partition, r.Offset, string(r.Key())})
		}
	}
	for i, p := range in {
		at := pipeline.Position{Topic: "dead", Offset: int64(i)*5 + 1}
		w.Add(at, p.choice())
		w.Add(pipeline.Position{Topic: "dead", Offset: int64(i)*5 + 4}, Choice{Verdict: Pass})
		for w.n >= most*2 {
			take()
		}
	}
	for w.n > 0 {
		take()
	}
	return out
}

// Whatever order letters have: all come out, those of a key in the order of their records where they are no further apart than the
// window reaches, and those in order stay where they are. What comes behind a later one of its key is counted, each.
func TestWindowKeepsTheOrderOfKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.IntRange(0, 4).Draw(t, "keys")
		in := make([]place, rapid.IntRange(1, 60).Draw(t, "letters"))
		for i := range in {
			in[i] = place{partition: int32(i % 2), offset: int64(i)}
			if k := i % (keys + 1); k > 0 {
				in[i].key = fmt.Sprint(k)
			}
		}
		inOrder := slices.Clone(in)
		reach := rapid.IntRange(1, 70).Draw(t, "reach")
		if reach > 1 {
			in = rapid.Permutation(in).Draw(t, "order")
		}
		w := &Window{ByPartition: rapid.Bool().Draw(t, "by partition")}
		out := throughWindow(w, in, reach, nil)
		late, last := int64(0), map[place]int64{}
		for _, p := range out {
			k := place{partition: p.partition, key: p.key}
			if w.ByPartition {
				k.key = ""
			}
			if before, ok := last[k]; ok && p.offset < before {
				late++
				continue
			}
			last[k] = p.offset
		}
		got, atLeast := w.Late()
		if len(out) != len(in) || got != late || atLeast || reach > len(in) && late > 0 {
			t.Fatalf("%v came out, %d counted late, not %d", out, got, late)
		}
		if reach == 1 && !slices.Equal(out, inOrder) {
			t.Fatalf("what was in order came as %v", out)
		}
		if w.n != 0 || w.bytes != 0 || w.letters != 0 || len(w.groups) != 0 || len(w.slots) != 0 || len(w.log) != 0 {
			t.Fatalf("it holds %+v", w)
		}
	})
}

// Where it could not be remembered what is done, the first of the log is given, whatever its group: nothing is lost.
func TestWindowGivesTheFirstWhereNothingElseFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := make([]place, 40)
		for i := range in {
			in[i] = place{offset: int64(i), key: fmt.Sprint(i % 3)}
		}
		in = rapid.Permutation(in).Draw(t, "order")
		refused := 0
		out := throughWindow(new(Window), in, 30, func(pipeline.Position) bool {
			fits := rapid.Bool().Draw(t, "fits")
			if !fits {
				refused++
			}
			return fits
		})
		seen := map[place]bool{}
		for _, p := range out {
			seen[p] = true
		}
		if len(seen) != len(in) || len(out) != len(in) {
			t.Fatalf("%d of %d came", len(seen), len(in))
		}
	})
	in := []place{{offset: 9, key: "a"}, {offset: 1, key: "a"}, {offset: 3, key: "a"}, {offset: 2, key: "b"}}
	w := new(Window)
	out := throughWindow(w, in, 9, func(pipeline.Position) bool { return false })
	if late, _ := w.Late(); !slices.Equal(out, in) || late != 2 {
		t.Errorf("%v came, %d late", out, late)
	}
}

// A letter whose turn does not come for long holds none of the others.
func TestWindowHoldsNoMoreThanItSays(t *testing.T) {
	w := new(Window)
	w.Add(pipeline.Position{}, place{offset: 1 << 40, key: "a"}.choice())
	for i := range 100_000 {
		w.Add(pipeline.Position{Offset: int64(i) + 1}, place{offset: int64(i), key: "a"}.choice())
		if _, c, _ := w.Next(nil); c.Letter.Record.Offset != int64(i) {
			t.Fatalf("%d came", c.Letter.Record.Offset)
		}
		if len(w.log) > 200 || len(w.slots) > 2 || w.n != 1 {
			t.Fatalf("after %d it holds %d, %d places", i, len(w.log), len(w.slots))
		}
	}
}

// Letters that are given before their turn, because nothing else could be remembered, are not held until then.
func TestWindowHoldsNothingThatIsOut(t *testing.T) {
	w, never := new(Window), func(pipeline.Position) bool { return false }
	for i := range 64 {
		w.Add(pipeline.Position{Offset: int64(i)}, place{offset: 1_000_000 - int64(i), key: "a"}.choice())
	}
	for i := range 20_000 {
		w.Add(pipeline.Position{Offset: 64 + int64(i)}, place{offset: 900_000 - int64(i), key: "a"}.choice())
		w.Next(never)
		if n := len(w.slots[0].held); n > 300 || w.n != 64 || len(w.log) > 300 {
			t.Fatalf("after %d it holds %d, %d of the log, for %d", i, n, len(w.log), w.n)
		}
	}
}

// What is looked ahead has a bound in letters and in bytes, and many keys make the count of late ones one of at least.
func TestWindowIsFull(t *testing.T) {
	w := new(Window)
	for i := 0; !w.Full(); i++ {
		w.Add(pipeline.Position{Offset: int64(i)}, place{offset: int64(i)}.choice())
	}
	if w.n != WindowRecords || w.bytes < WindowRecords*heldBytes {
		t.Errorf("it is full with %d letters, %d bytes", w.n, w.bytes)
	}
	w = new(Window)
	big := new(deadletter.Letter)
	big.Record.Init(pipeline.Position{}, nil, make([]byte, 1<<20), nil, 0)
	for !w.Full() {
		w.Add(pipeline.Position{}, Choice{Letter: big})
	}
	if w.n > 32 {
		t.Errorf("it is full with %d letters of 1 MiB", w.n)
	}
	w = new(Window)
	for i := range maxLatest + 1 {
		w.Add(pipeline.Position{}, place{offset: 1, key: fmt.Sprint("k", i)}.choice())
		w.Next(nil)
		if _, atLeast := w.Late(); atLeast != (i == maxLatest) {
			t.Fatalf("of %d keys it knows all: %v", i+1, !atLeast)
		}
	}
}

// partsLines are letters as a split writes them: the odd records of each of some keys, then the even ones.
func partsLines(n int) (lines []string) {
	for _, odd := range []int{1, 0} {
		for i := odd; i < n; i += 2 {
			lines = append(lines, letterLine(int64(i), fmt.Sprint(i)))
		}
	}
	return lines
}

// TestSourceSendsInTheOrderOfReading has letters in another order than their records: those of a key go back as they were read,
// with a limit and over restarts too.
func TestSourceSendsInTheOrderOfReading(t *testing.T) {
	const all = 1000
	var want []string
	for i := range all {
		want = append(want, fmt.Sprint(i))
	}
	for _, limit := range []int64{0, 7, 300, 999} {
		name, m := letterFile(t, partsLines(all)...), new(pipelinetest.Memory)
		for runs := 0; len(m.Values()) < all; runs++ {
			s := New(Options{Log: NewFile(name, "late"), Choose: chooseAll, Ahead: 1 + 15*rand.IntN(2), Limit: limit})
			before := len(m.Values())
			if err := run(t.Context(), t, s, m); err != nil {
				t.Fatal(err)
			}
			sent := int64(len(m.Values()) - before)
			if got := s.Tally(); sent == 0 || got.Chosen != sent || got.Stored != sent || got.Late != 0 || !got.Complete || limit > 0 && sent > limit {
				t.Fatalf("limit %d: %d came, %+v", limit, sent, got)
			}
			if limit == 7 && runs == 20 {
				break
			}
		}
		if got := values(m); got != strings.Join(want[:len(m.Values())], " ") {
			t.Errorf("limit %d: came %s", limit, got)
		}
	}
}

// TestSourceTellsOfLateLetters has letters further apart than what was replayed can be remembered: they are sent, and counted.
func TestSourceTellsOfLateLetters(t *testing.T) {
	lines := numbered(200)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	name := letterFile(t, lines...)
	s, m := New(Options{Log: forgetful{NewFile(name, "late"), aheadReserve + 20}, Choose: chooseAll, Ahead: 1}), new(pipelinetest.Memory)
	err := run(t.Context(), t, s, m)
	got := s.Tally()
	if err != nil || got.Stored != 200 || got.Late == 0 || got.Late > 199 {
		t.Errorf("it ended with %v, %+v", err, got)
	}
	var last, late int64
	for _, v := range m.Values() {
		var n int64
		if _, err := fmt.Sscan(string(v), &n); err != nil {
			t.Fatal(err)
		}
		if n < last {
			late++
		}
		last = max(last, n)
	}
	if late != got.Late {
		t.Errorf("%d came late, %d are counted", late, got.Late)
	}
}

// TestSourceCountsWhatItHolds has what is looked ahead told to the budget, and given back.
func TestSourceCountsWhatItHolds(t *testing.T) {
	for _, limit := range []int64{0, 10} {
		s := New(Options{Log: &memoryLog{n: 500, saved: Progress{}}, Choose: chooseAll, Ahead: 1, Limit: limit})
		var now, most int64
		s.Account(func(n int64) { now += n; most = max(most, now) })
		s.planned = Progress{}
		for {
			if _, err := s.nextEntry(t.Context()); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if now != 0 || most < 500*heldBytes {
			t.Errorf("limit %d: at most %d bytes, at the end %d", limit, most, now)
		}
	}
}
