package reorder_test

import (
	"fmt"

	"github.com/penstockio/penstock/pipeline/engine/internal/reorder"
)

// A job is what somebody who calls a server has of a call.
type job struct {
	reorder.Place[*job]
	name string
}

// Three calls in two slots: the answer to the second one comes first, its slot is free for
// the third, and it leaves behind the first.
func Example() {
	w := reorder.New(reorder.Config[*job]{
		Size: 64, Backlog: 64, Slots: 2, Order: reorder.OrderLane,
		Several: func() bool { return false },
		Wake:    func(int) {}, // nobody sleeps here
		Release: func(j *job) (gone bool) {
			fmt.Println(j.name, "leaves")
			return true
		},
	})

	waiting := []string{"first", "second", "third"}
	number := uint64(0)
	var lane reorder.Lane[*job]
	w.Open(&lane, reorder.LaneHooks[*job]{
		Next: func() *reorder.Place[*job] {
			j := &job{name: waiting[0]}
			waiting = waiting[1:]
			number++
			j.Set(j, number, 0, false)
			return &j.Place
		},
		HoldBack: func(bool) {}, // no more comes
	})
	w.Add(&lane, len(waiting))

	begin := func() *job {
		j, _ := w.Pick()
		w.Begin(&j.Place)
		fmt.Println(j.name, "begins")
		return j
	}
	first, second := begin(), begin()
	w.Answer(&second.Place)
	third := begin()
	w.Answer(&first.Place)
	w.Answer(&third.Place)
	fmt.Println(w.Counts().Taken, "places are taken")
	// Output:
	// first begins
	// second begins
	// third begins
	// first leaves
	// second leaves
	// third leaves
	// 0 places are taken
}
