package fifo

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A queue is a slice to whoever uses it.
func TestQueueModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var q Queue[*int]
		var want []*int
		for i := range rapid.IntRange(1, 400).Draw(rt, "steps") {
			switch what := rapid.IntRange(0, 9).Draw(rt, "what"); {
			case what < 5:
				q.Push(&i)
				want = append(want, &i)
			case what < 9 && len(want) > 0:
				if first, got := q.Peek(), q.Pop(); first != want[0] || got != first {
					rt.Fatalf("%d comes out, want %d", *got, *want[0])
				}
				want = want[1:]
			case what == 9:
				n := rapid.IntRange(0, len(want)).Draw(rt, "kept")
				n = max(n, len(want)-3)
				q.Keep(n)
				want = want[:n]
			}
			if q.Len() != len(want) || !slices.Equal(q.Rest(), want) {
				rt.Fatalf("%d in the queue, want %d", q.Len(), len(want))
			}
		}
	})
}
