package reorder

import (
	"cmp"
	"math"
	"slices"
)

// This file keeps things that were never to be called from leaving ahead of what has not begun, where the order does not: what has left
// cannot be withdrawn, and neither can anything before it ([Lane.Begun]).

// A deferred is what of a lane has its answer and is kept for that. Nothing is, most of the time.
type deferred[T any] struct {
	held []*Place[T] // in the order of their numbers
	// first is what has not begun and has the lowest number, the last time that somebody looked. It may be another's place by now, with another
	// number.
	first  *Place[T]
	number uint64
}

func byNumber[T any](p *Place[T], number uint64) int { return cmp.Compare(p.number, number) }

// add keeps a thing, until letGo.
func (d *deferred[T]) add(p *Place[T]) {
	p.isHeld = true
	at, _ := slices.BinarySearchFunc(d.held, p.number, byNumber[T])
	d.held = slices.Insert(d.held, at, p)
}

// remove forgets a thing, if it is kept.
func (d *deferred[T]) remove(p *Place[T]) {
	if !p.isHeld {
		return
	}
	p.isHeld = false
	at, _ := slices.BinarySearchFunc(d.held, p.number, byNumber[T])
	for d.held[at] != p { // things of one number, as the parts of one
		at++
	}
	d.held = slices.Delete(d.held, at, at+1)
}

// waitsFor gives what has not begun and has the lowest number in a lane; nil: all has.
func (d *deferred[T]) waitsFor(l *Lane[T]) *Place[T] {
	if f := d.first; f != nil && f.lane == l && f.number == d.number && !f.hasBegun() {
		return f
	}
	d.first = nil
	for _, p := range l.calls {
		if !p.hasBegun() && (d.first == nil || p.number < d.number) {
			d.first, d.number = p, p.number
		}
	}
	return d.first
}

// hasBegun says whether a call of the thing was made, or is not to be made any more.
func (p *Place[T]) hasBegun() bool { return p.called || p.state == Answered || p.state == Abandoned }

// letGo releases what is kept and needs it no more.
func (w *Window[T]) letGo(l *Lane[T]) {
	d := &l.deferred
	for len(d.held) > 0 {
		before := uint64(math.MaxUint64)
		if first := d.waitsFor(l); first != nil {
			before = first.number
		}
		p := d.held[0]
		if p.number >= before && p.number > l.begun {
			return
		}
		d.remove(p)
		w.leaves(p)
	}
}
