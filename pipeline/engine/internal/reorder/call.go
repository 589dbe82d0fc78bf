package reorder

import "github.com/penstockio/penstock/pipeline/engine/internal/fifo"

// This file is the way of a call through the window, from its admission to the release of
// its thing, and the ways out before that.

// Pick gives the next call for a free slot: retries first, then those whose turn in a series
// has come, then what can be admitted. Whoever picks one begins it, or asks for its entrance,
// before the window is picked from again. Begin and Ask are apart so that the time until then can
// be booked by the counts that held during it.
func (w *Window[T]) Pick() (of T, ok bool) {
	for {
		var p *Place[T]
		switch {
		case w.retries.Len() > 0:
			p = w.retries.Pop()
		case w.next.Len() > 0:
			p = w.next.Pop()
		case w.counts.Taken < w.conf.Size && (w.conf.Crowded == nil || !w.conf.Crowded()):
			l := w.pickLane()
			if l == nil {
				return of, false
			}
			p = w.admit(l)
		default:
			return of, false
		}
		if p != nil && p.state == Due { // it may have been taken out meanwhile
			return p.of, true
		}
	}
}

// admit gives the first thing that waits in a lane its place. It gives nil when that is all:
// no call is made of the thing.
func (w *Window[T]) admit(l *Lane[T]) *Place[T] {
	p := l.hooks.Next()
	p.lane = l
	w.counts.Taken++
	w.counts.Unanswered++
	l.taken++
	w.wait(l, -1)
	l.add(p)
	switch w.conf.Order {
	case OrderLane:
		l.order.Push(p)
	case OrderKey:
		push(l.keys, p.key, p)
	}
	switch {
	case p.rejected:
		w.answered(p)
		return nil
	case w.conf.Serial == SerialNone || push(l.serial, w.series(p), p):
		p.state = Due
	}
	return p
}

// add puts a place among those of its lane.
func (l *Lane[T]) add(p *Place[T]) {
	p.index = len(l.calls)
	l.calls = append(l.calls, p)
}

// remove takes a place out of those of its lane.
func (l *Lane[T]) remove(p *Place[T]) {
	last := len(l.calls) - 1
	other := l.calls[last]
	l.calls[p.index], other.index = other, p.index
	l.calls[last] = nil
	l.calls = l.calls[:last]
}

// series is the key of the calls of a lane that follow one another.
func (w *Window[T]) series(p *Place[T]) uint64 {
	if w.conf.Serial == SerialKey {
		return p.key
	}
	return 0
}

// push puts a place behind those of its key and says whether it is the first.
func push[T any](m map[uint64]*fifo.Queue[*Place[T]], key uint64, p *Place[T]) (first bool) {
	q := m[key]
	if q == nil {
		q = &fifo.Queue[*Place[T]]{}
		m[key] = q
	}
	q.Push(p)
	return q.Len() == 1
}

// Ask says that somebody asks whether a call that was picked may begin. The call has its slot
// meanwhile. It counts as begun until that is decided: whoever asks may be let in at any moment.
func (w *Window[T]) Ask(p *Place[T]) {
	w.take(p)
	p.lane.undecided++
	p.state = Asking
}

// Begin says that an attempt begins, of a call that was picked, or that has asked and is let in.
func (w *Window[T]) Begin(p *Place[T]) {
	if p.state == Asking {
		p.lane.undecided--
	} else {
		w.take(p)
	}
	p.lane.begun = max(p.lane.begun, p.number)
	p.state, p.called = Running, true
	w.letGo(p.lane)
}

// Hold says that a call which asks, or one at work that has to ask for a further entrance, is not
// let in. It gives its slot back, and is [Window.Due] when it is to ask again.
func (w *Window[T]) Hold(p *Place[T]) {
	w.end(p, Throttled)
	w.counts.Throttled++
}

// Refuse says that a throttled call, or one that is due to ask again, is not to be made: whoever says
// that is about to answer it, or to abandon it. It has no slot, and counts as begun.
func (w *Window[T]) Refuse(p *Place[T]) {
	w.end(p, Refused)
	p.lane.undecided++
}

// take gives a call a slot.
func (w *Window[T]) take(p *Place[T]) {
	w.counts.Running++
	p.lane.running++
}

// end takes a call out of the state that it is in.
func (w *Window[T]) end(p *Place[T], state State) {
	switch p.state {
	case Asking:
		p.lane.undecided--
		w.giveUpSlot(p)
	case Running:
		w.giveUpSlot(p)
	case Refused:
		p.lane.undecided--
	case Throttled:
		w.counts.Throttled--
	}
	p.state = state
}

func (w *Window[T]) giveUpSlot(p *Place[T]) {
	w.counts.Running--
	p.lane.running--
}

// Retry ends an attempt behind which there is to be another one, at a time that the owner
// keeps.
func (w *Window[T]) Retry(p *Place[T]) { w.end(p, Retrying) }

// Due says that the time of the next attempt has come, or that a throttled call may ask again:
// both go ahead of new calls. It does nothing for a call that has been abandoned meanwhile.
func (w *Window[T]) Due(p *Place[T]) {
	if p.state != Retrying && p.state != Throttled {
		return
	}
	w.end(p, Due)
	w.retries.Push(p)
	w.conf.Wake(1)
}

// Answer ends the last attempt of a call, or one that was never made. The next of its series may
// begin, and what has its turn is released.
func (w *Window[T]) Answer(p *Place[T]) {
	p.lane.begun = max(p.lane.begun, p.number) // what has its answer is not handed back
	w.end(p, Answered)
	w.answered(p)
}

// Decline is Answer for a thing of which no call was made, and may be none: it does not count as begun before it is released.
// So it can be withdrawn as long as it waits for those before it, and leaves behind all that have not begun (see [Place.Defer]).
func (w *Window[T]) Decline(p *Place[T]) {
	p.defers = !p.called
	w.end(p, Answered)
	w.answered(p)
}

// answered says that a thing needs no call any more. Its place may be another's behind it.
func (w *Window[T]) answered(p *Place[T]) {
	l := p.lane
	p.state = Answered
	w.counts.Unanswered--
	if w.conf.Serial != SerialNone && !p.rejected {
		w.nextInSeries(l, w.series(p))
	}
	if p.defers && w.conf.Order != OrderLane {
		l.deferred.add(p)
	} else {
		w.leaves(p)
	}
	w.letGo(l)
}

// leaves releases a thing that has its answer, if it has its turn, and what waits for it.
func (w *Window[T]) leaves(p *Place[T]) {
	l := p.lane
	switch w.conf.Order {
	case OrderLane:
		w.releaseFrom(&l.order)
	case OrderKey:
		key := p.key
		q := l.keys[key]
		if w.releaseFrom(q); q.Len() == 0 {
			delete(l.keys, key)
		}
	case OrderNone:
		w.release(p)
	}
}

// nextInSeries has the call begin behind the one that has its answer.
func (w *Window[T]) nextInSeries(l *Lane[T], key uint64) {
	q := l.serial[key]
	q.Pop()
	if q.Len() == 0 {
		delete(l.serial, key)
		return
	}
	p := q.Peek()
	p.state = Due
	w.next.Push(p)
	w.conf.Wake(1)
}

// releaseFrom releases what stands at the head of a queue and has its answer (I1).
func (w *Window[T]) releaseFrom(q *fifo.Queue[*Place[T]]) {
	for q.Len() > 0 && q.Peek().state == Answered && !q.Peek().isHeld {
		w.release(q.Pop())
	}
}

// release lets a thing go, which has been taken out of its order.
func (w *Window[T]) release(p *Place[T]) {
	l := p.lane
	l.begun = max(l.begun, p.number) // also when it was not called
	l.remove(p)
	if w.conf.Release(p.of) {
		w.Free(l, 1)
	}
}

// Free gives places back, of things of a lane that were released and have been sent on.
func (w *Window[T]) Free(l *Lane[T], places int) {
	w.counts.Taken -= places
	l.taken -= places
	w.restrain(l)
	if w.counts.Waiting > 0 {
		w.conf.Wake(places)
	}
}

// Abandon ends a call at work of a lane that was dropped, or when all lanes are about to be: in
// a lane that goes on, those behind it would wait for it.
func (w *Window[T]) Abandon(p *Place[T]) {
	w.end(p, Abandoned)
	w.takeOut(p)
	w.Free(p.lane, 1)
}

// takeOut forgets a call that is not released.
func (w *Window[T]) takeOut(p *Place[T]) {
	if p.state != Answered {
		w.counts.Unanswered--
	}
	w.end(p, Abandoned)
	p.lane.deferred.remove(p)
	p.lane.remove(p)
}

// Withdraw takes what a lane has in the window from a number on out of it, of which nothing
// has begun or been released: the number is above [Lane.Begun]. each hears of every call
// while its state is still what it was.
func (w *Window[T]) Withdraw(l *Lane[T], from uint64, each func(of T)) {
	trim := func(q *fifo.Queue[*Place[T]]) int {
		n := q.Len()
		for n > 0 && q.Rest()[n-1].number >= from {
			n--
		}
		q.Keep(n)
		return n
	}
	trim(&l.order)
	for _, m := range []map[uint64]*fifo.Queue[*Place[T]]{l.keys, l.serial} {
		for key, q := range m {
			if trim(q) == 0 {
				delete(m, key)
			}
		}
	}
	w.withdraw(l, from, each)
}

func (w *Window[T]) withdraw(l *Lane[T], from uint64, each func(of T)) {
	places := 0
	for i := len(l.calls) - 1; i >= 0; i-- { // from the end: the last one moves to where one goes
		p := l.calls[i]
		if p.busy() || p.number < from {
			continue
		}
		each(p.of)
		w.takeOut(p)
		places++
	}
	w.Free(l, places)
}

// Drop forgets a lane: nothing of it waits any more, and what it has in the window is taken
// out. Calls at work, or being asked for or refused, stay until they are abandoned, and what was released and not sent on
// until its places are given back. each hears of every call that is taken out, while its
// state is still what it was.
func (w *Window[T]) Drop(l *Lane[T], each func(of T)) {
	w.counts.Lanes--
	l.dropped = true
	if l.heldBack {
		w.holdBack(l, false)
	}
	w.wait(l, -l.waiting)
	w.withdraw(l, 0, each)
}
