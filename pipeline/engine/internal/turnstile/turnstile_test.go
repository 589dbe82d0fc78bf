package turnstile

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A trial is workers that take numbered things in order, work on each for a while, and
// bring it to a turnstile that takes a while to let it out.
type trial struct {
	workers, size int
	work, pass    []time.Duration // of each thing, or part of it
	parts         []int           // of each thing, how many are brought before the last
	giveUp        time.Duration   // when the turnstile is given up; 0: never
}

func drawTrial(rt *rapid.T, gaveUp bool) trial {
	while := rapid.Map(rapid.IntRange(0, 20), func(n int) time.Duration { return time.Duration(n) * time.Millisecond })
	n := rapid.IntRange(0, 60).Draw(rt, "things")
	tr := trial{
		workers: rapid.IntRange(1, 9).Draw(rt, "workers"),
		size:    rapid.IntRange(1, 12).Draw(rt, "size"),
		work:    rapid.SliceOfN(while, n, n).Draw(rt, "work"),
		pass:    rapid.SliceOfN(while, n, n).Draw(rt, "pass"),
		parts:   rapid.SliceOfN(rapid.SampledFrom([]int{0, 0, 0, 1, 3}), n, n).Draw(rt, "parts"),
	}
	if gaveUp {
		tr.giveUp = time.Duration(rapid.IntRange(1, 200).Draw(rt, "given up at")) * time.Millisecond
	}
	return tr
}

// A result is what came of a trial.
type result struct {
	begun     []int  // things of which the first part was let out, in that order
	out, lost []int  // the same of the last part, or not
	wrong     string // what must not be
}

// run makes the trial, in virtual time.
func (tr trial) run(t *testing.T) (res result) {
	synctest.Test(t, func(*testing.T) {
		type thing struct{ n, part int }
		went := make([]int, len(tr.work)) // how many parts of each thing were let out
		var mu sync.Mutex                 // guards the rest
		passing, wrong := 0, func(format string, args ...any) { res.wrong = fmt.Sprintf(format, args...) }
		gone := make(chan struct{})
		q := New(tr.size, gone, func(v *thing) bool {
			mu.Lock()
			if passing++; passing > 1 {
				wrong("two let out at a time")
			}
			if v.part != went[v.n] {
				wrong("part %d of %d was let out behind %d of its parts", v.part, v.n, went[v.n])
			}
			if went[v.n]++; v.part == 0 {
				res.begun = append(res.begun, v.n)
			}
			if v.part == tr.parts[v.n] {
				res.out = append(res.out, v.n)
			}
			mu.Unlock()
			time.Sleep(tr.pass[v.n])
			mu.Lock()
			passing--
			mu.Unlock()
			return tr.pass[v.n] > 0
		})
		in := make(chan int)
		var all sync.WaitGroup
		for range tr.workers {
			all.Go(func() {
				for n := range in {
					ok := true
					for part := 0; ok && part < tr.parts[n]; part++ {
						time.Sleep(tr.work[n])
						_, ok = q.PutPart(uint64(n), &thing{n, part})
					}
					time.Sleep(tr.work[n])
					began, waited := time.Now(), false
					if ok {
						waited, ok = q.Put(uint64(n), &thing{n, tr.parts[n]})
					}
					mu.Lock()
					if took := time.Since(began); ok && waited != (took > 0) && !(waited && took == 0) {
						wrong("%d took %s, and Put says %v", n, took, waited)
					}
					if !ok {
						res.lost = append(res.lost, n)
					}
					mu.Unlock()
				}
			})
		}
		if tr.giveUp > 0 {
			all.Go(func() {
				time.Sleep(tr.giveUp)
				close(gone)
				q.Wake()
			})
		}
		for n := range tr.work {
			in <- n
		}
		close(in)
		all.Wait()
	})
	return res
}

// Things go out in the order in which they came, one at a time and each once, in whatever
// order and by however many workers they are brought.
func TestOrderModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tr := drawTrial(rt, false)
		res := tr.run(t)
		switch {
		case res.wrong != "":
			rt.Fatal(res.wrong)
		case len(res.lost) > 0:
			rt.Fatalf("%v were not let out", res.lost)
		case len(res.out) != len(tr.work) || !slices.IsSorted(res.out) || !slices.Equal(res.out, res.begun):
			rt.Fatalf("%d things went in, and out came %v, begun as %v", len(tr.work), res.out, res.begun)
		}
	})
}

// A turnstile that is given up keeps nobody waiting. What goes out is still in order, and
// what finds no room is its bringer's again.
func TestGivenUpModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tr := drawTrial(rt, true)
		res := tr.run(t)
		if res.wrong != "" {
			rt.Fatal(res.wrong)
		}
		for i, n := range res.out {
			if n != i {
				rt.Fatalf("out came %v", res.out)
			}
		}
		for _, n := range res.lost {
			if n < len(res.out) {
				rt.Fatalf("%d was let out, and given back as well", n)
			}
		}
	})
}

// The worker with the baton lets out what others have left, so that they go on.
func TestOthersDoNotWaitForTheEarlierOne(t *testing.T) {
	var out []int
	q := New(4, nil, func(v *int) bool { out = append(out, *v); return false })
	for _, n := range []int{2, 1, 3} {
		if waited, ok := q.Put(uint64(n), &n); waited || !ok {
			t.Errorf("bringing %d: waited %v, ok %v", n, waited, ok)
		}
	}
	if len(out) > 0 {
		t.Errorf("%v came out before 0", out)
	}
	first := 0
	q.Put(0, &first)
	if !slices.Equal(out, []int{0, 1, 2, 3}) {
		t.Errorf("out came %v", out)
	}
}
