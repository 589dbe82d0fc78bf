package reorder

import "testing"

// Where the window is crowded nothing is admitted, and what has its place already goes on.
func TestCrowdedAdmitsNothing(t *testing.T) {
	type job struct{ Place[*job] }
	crowded, number := false, uint64(0)
	w := New(Config[*job]{
		Size: 8, Backlog: 8, Slots: 2, Order: OrderLane,
		Several: func() bool { return false }, Crowded: func() bool { return crowded },
		Wake: func(int) {}, Release: func(*job) bool { return true },
	})
	var lane Lane[*job]
	w.Open(&lane, LaneHooks[*job]{HoldBack: func(bool) {}, Next: func() *Place[*job] {
		j := &job{}
		number++
		j.Set(j, number, 0, false)
		return &j.Place
	}})
	w.Add(&lane, 3)
	first, _ := w.Pick()
	w.Ask(&first.Place)
	w.Hold(&first.Place)
	crowded = true
	if j, ok := w.Pick(); ok {
		t.Fatalf("%d is picked", j.Number())
	}
	w.Due(&first.Place)
	if j, ok := w.Pick(); !ok || j != first {
		t.Fatal("what is due is not picked")
	}
	w.Begin(&first.Place)
	if _, ok := w.Pick(); ok || w.Counts().Waiting != 2 {
		t.Fatalf("%d wait", w.Counts().Waiting)
	}
	crowded = false
	if j, ok := w.Pick(); !ok || j.Number() != 2 {
		t.Fatal("nothing is admitted though there is room")
	}
}
