// SPDX-License-Identifier: Apache-2.0

// Package fifo is a queue that uses its memory again: in steady use it allocates nothing. A
// slice that is appended to and cut at its front would move on through memory instead.
package fifo

// A Queue gives things in the order in which they came. It belongs to whoever guards it.
type Queue[T any] struct {
	items []T // what is in the queue are those from head on
	head  int
}

// Len is how many things are in the queue.
func (q *Queue[T]) Len() int { return len(q.items) - q.head }

// Push puts a thing behind the others. When more than half of the memory is in front of the
// head, what is in the queue moves to the front first.
func (q *Queue[T]) Push(v T) {
	if q.head > 64 && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

// Peek gives the first thing, which must be there.
func (q *Queue[T]) Peek() T { return q.items[q.head] }

// Pop takes the first thing out, which must be there.
func (q *Queue[T]) Pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return v
}

// Keep drops all but the first n things.
func (q *Queue[T]) Keep(n int) {
	clear(q.items[q.head+n:])
	q.items = q.items[:q.head+n]
	if n == 0 {
		q.items, q.head = q.items[:0], 0
	}
}

// Rest gives what is in the queue, in order, without taking it out.
func (q *Queue[T]) Rest() []T { return q.items[q.head:] }
