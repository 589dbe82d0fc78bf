// SPDX-License-Identifier: Apache-2.0

// Package turnstile restores the order of what several workers bring.
//
// Workers take things in order from one channel, each works on its own as long as that
// takes, and Put lets the things out in the order in which they were taken. Of a thing that takes long
// PutPart lets out what is done.
package turnstile

import "sync"

// A Turnstile lets things out in the order of their numbers, which are counted from 0,
// whichever worker brings them (I1). One worker at a time lets out: it has the baton. It goes on
// as long as the next thing is there, also with things that others have brought meanwhile. The
// others leave their things and go back to work instead of waiting for their turn, so that one
// slow thing does not stop the workers that are done with later ones, as long as there is room
// for these (I4). No goroutine of its own does the letting out: that would be one more hop for
// each thing.
type Turnstile[T any] struct {
	pass func(*T) (waited bool) // lets a thing out
	over <-chan struct{}        // closed when nobody is to wait for room any more

	mu    sync.Mutex
	room  sync.Cond // a place has become free, or over is closed
	ring  []*T      // things that wait for an earlier one, each at its number modulo the size
	parts [][]*T    // the same of parts that were brought before; nil: no part was ever brought
	next  uint64    // the number of the thing that is let out next
	baton bool      // some worker lets out
}

// New makes a turnstile with size places for things that wait for an earlier one. The thing
// whose turn it is always has a place. So whoever brings it never waits for room, and by
// letting it out makes room for those who do: any size from 1 will do.
//
// pass is called for each thing, in order, by one worker at a time and without a lock held;
// it says whether it had to wait. Once over is closed and Wake is called, nobody waits for
// room any more.
func New[T any](size int, over <-chan struct{}, pass func(*T) (waited bool)) *Turnstile[T] {
	q := &Turnstile[T]{pass: pass, over: over, ring: make([]*T, size)}
	q.room.L = &q.mu
	return q
}

// Put brings the thing with a number, or the last part of it. It blocks while there is no room for it. waited says
// whether it, or a pass that it has called, had to wait. It fails when there is no room and over
// is closed: the thing is then still the caller's.
func (q *Turnstile[T]) Put(seq uint64, v *T) (waited, ok bool) { return q.put(seq, v, true) }

// PutPart brings a part of the thing with a number, which goes out in the place of the thing: before the parts that are brought
// later, the last of them by Put. It blocks and fails as Put does.
func (q *Turnstile[T]) PutPart(seq uint64, v *T) (waited, ok bool) { return q.put(seq, v, false) }

func (q *Turnstile[T]) put(seq uint64, v *T, last bool) (waited, ok bool) {
	size := uint64(len(q.ring))
	q.mu.Lock()
	for seq-q.next >= size && !q.isOver() {
		q.room.Wait()
		waited = true
	}
	if seq-q.next >= size {
		q.mu.Unlock()
		return true, false
	}
	if last {
		q.ring[seq%size] = v
	} else {
		if q.parts == nil {
			q.parts = make([][]*T, size)
		}
		q.parts[seq%size] = append(q.parts[seq%size], v)
	}
	if q.baton {
		q.mu.Unlock()
		return waited, true
	}
	q.baton = true
	for {
		v := q.take()
		if v == nil {
			break
		}
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

// take gives what is to be let out next; nil: it is not there yet. The lock is held.
func (q *Turnstile[T]) take() *T {
	at := q.next % uint64(len(q.ring))
	if q.parts != nil && len(q.parts[at]) > 0 {
		v := q.parts[at][0]
		q.parts[at] = q.parts[at][1:]
		return v
	}
	v := q.ring[at]
	if v != nil {
		q.ring[at] = nil
		q.next++
	}
	return v
}

// Wake has those who wait for room look at over.
func (q *Turnstile[T]) Wake() {
	q.mu.Lock()
	q.room.Broadcast()
	q.mu.Unlock()
}

func (q *Turnstile[T]) isOver() bool {
	select {
	case <-q.over:
		return true
	default:
		return false
	}
}
