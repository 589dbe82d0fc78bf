package turnstile

import "testing"

// What has a place keeps it when the turnstile gets larger or smaller, parts too, and leaves in its turn.
func TestResizeKeepsWhatIsThere(t *testing.T) {
	var out []int
	q := New(4, make(chan struct{}), func(v *int) bool { out = append(out, *v); return false })
	thing := func(n int) *int { return &n }
	put := func(seq uint64, v int, last bool) {
		t.Helper()
		if waited, ok := q.put(seq, thing(v), last); waited || !ok {
			t.Errorf("%d: waited %t, ok %t", v, waited, ok)
		}
	}
	put(3, 30, true)
	put(1, 10, false)
	q.Resize(9) // 3 and the part of 1 have other places now
	put(8, 80, true)
	put(5, 50, true)
	q.Resize(2) // 3, 5 and 8 stay, though they would not come in any more
	put(1, 11, true)
	put(0, 0, true)
	q.Resize(3)
	put(2, 20, true)
	q.Resize(1)
	put(4, 40, true)
	put(6, 60, true)
	q.Resize(5)
	put(7, 70, true)
	want := []int{0, 10, 11, 20, 30, 40, 50, 60, 70, 80}
	if len(out) != len(want) {
		t.Fatalf("%v came out, want %v", out, want)
	}
	for i, v := range want {
		if out[i] != v {
			t.Fatalf("%v came out, want %v", out, want)
		}
	}
}
