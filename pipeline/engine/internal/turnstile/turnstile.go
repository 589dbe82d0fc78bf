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
	size  uint64    // how many things may wait for an earlier one, and the one whose turn it is
	ring  []*T      // these, each at its number modulo the length, which is size at least
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
	q := &Turnstile[T]{pass: pass, over: over, size: uint64(size), ring: make([]*T, size)}
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
	q.mu.Lock()
	for seq-q.next >= q.size && !q.isOver() {
		q.room.Wait()
		waited = true
	}
	if seq-q.next >= q.size {
		q.mu.Unlock()
		return true, false
	}
	at := seq % uint64(len(q.ring))
	if last {
		q.ring[at] = v
	} else {
		if q.parts == nil {
			q.parts = make([][]*T, len(q.ring))
		}
		q.parts[at] = append(q.parts[at], v)
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

// Resize changes how many places there are. What has one keeps it: when there are fewer, that many
// are filled again only as it goes.
func (q *Turnstile[T]) Resize(size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.size = uint64(size)
	was := uint64(len(q.ring))
	if q.size <= was {
		return
	}
	ring := make([]*T, size)
	var parts [][]*T
	if q.parts != nil {
		parts = make([][]*T, size)
	}
	for seq := q.next; seq-q.next < was; seq++ {
		ring[seq%q.size] = q.ring[seq%was]
		if parts != nil {
			parts[seq%q.size] = q.parts[seq%was]
		}
	}
	q.ring, q.parts = ring, parts
	q.room.Broadcast()
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
