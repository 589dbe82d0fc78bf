package engine

// A fifo is a queue that uses its memory again. It belongs to whoever guards it.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

func (q *fifo[T]) push(v T) {
	if q.head > 64 && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

func (q *fifo[T]) peek() T { return q.items[q.head] }

func (q *fifo[T]) pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return v
}

// keep drops all but the first n.
func (q *fifo[T]) keep(n int) {
	clear(q.items[q.head+n:])
	q.items = q.items[:q.head+n]
	if n == 0 {
		q.items, q.head = q.items[:0], 0
	}
}

// rest gives what is in the queue, in order, without taking it out.
func (q *fifo[T]) rest() []T { return q.items[q.head:] }
