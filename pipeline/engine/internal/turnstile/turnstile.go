// Package turnstile restores the order of what several workers bring.
//
// Workers take things in order from one channel, each works on its own as long as that
// takes, and Put lets the things out in the order in which they were taken.
package turnstile

import "sync"

// A Turnstile lets things out in the order of their numbers, which are counted from 0,
// whichever worker brings them (I1). The worker that brings the next one has the baton: it
// alone lets out then, also what others leave behind it. The others go back to work
// instead of waiting until their number comes up, so that one slow thing does not stop the
// workers that are done with later ones, as long as there is room for these (I4). No
// goroutine of its own does the letting out: it would be a hop more for each thing.
type Turnstile[T any] struct {
	pass func(*T) (waited bool)
	gone <-chan struct{}

	mu    sync.Mutex
	room  sync.Cond
	ring  []*T // what waits for an earlier one, at its number modulo the size
	next  uint64
	baton bool
}

// New makes a turnstile with size places for things that wait for an earlier one. The
// earliest thing always has a place, so whoever brings it never waits for room, and those
// who do are let go by it: any size from 1 will do.
//
// pass is called for each thing, in order, by one worker at a time and without a lock held;
// it says whether it took time. Once gone is closed and Wake is called, nobody waits for
// room any more.
func New[T any](size int, gone <-chan struct{}, pass func(*T) (waited bool)) *Turnstile[T] {
	q := &Turnstile[T]{pass: pass, gone: gone, ring: make([]*T, size)}
	q.room.L = &q.mu
	return q
}

// Put brings the thing of a number. It blocks while there is no room for it, and says
// whether it took time. It fails when there is no room and gone is closed: the thing is
// then still the caller's.
func (q *Turnstile[T]) Put(seq uint64, v *T) (waited, ok bool) {
	size := uint64(len(q.ring))
	q.mu.Lock()
	for seq-q.next >= size && !q.isGone() {
		q.room.Wait()
		waited = true
	}
	if seq-q.next >= size {
		q.mu.Unlock()
		return true, false
	}
	q.ring[seq%size] = v
	if q.baton {
		q.mu.Unlock()
		return waited, true
	}
	q.baton = true
	for {
		v := q.ring[q.next%size]
		if v == nil {
			break
		}
		q.ring[q.next%size] = nil
		q.next++
		q.mu.Unlock()
		if q.pass(v) {
			waited = true
		}
		q.mu.Lock()
		q.room.Broadcast()
	}
	q.baton = false
	q.mu.Unlock()
	return waited, true
}

// Wake has those look at gone who wait for room.
func (q *Turnstile[T]) Wake() {
	q.mu.Lock()
	q.room.Broadcast()
	q.mu.Unlock()
}

func (q *Turnstile[T]) isGone() bool {
	select {
	case <-q.gone:
		return true
	default:
		return false
	}
}
