// SPDX-License-Identifier: Apache-2.0

// Package reorder keeps many slow calls going at once while what they are for leaves in
// order.
//
// What it guarantees. As many calls run as there are slots, if there are things that may
// begin. Things leave in the order of their lane, or of their key, or at once, as is asked
// (I1). At most Size of them are in the window (I4). About Backlog wait in front of it, if
// no more is brought while it is [Window.Full]: the rest of what comes at once goes on top,
// and what a lane that is held back still has on its way. Where there are several lanes,
// one whose calls hang leaves some places to the others, if Size is 8 or more; slots it may have all while nobody
// else waits, and gives back as its calls end.
//
// How. A thing is admitted: it gets a place in the window, behind those of its lane. It
// waits for a slot, is called, and when the answer is there the slot is free for the next
// thing, whatever its place. The thing keeps its place until all that are before it, in its
// lane or of its key, have their answers too. Then it is released, and its place is given
// back when it has been sent on. A call that is to be repeated gives its slot back as well,
// and is in nobody's way but that of the things behind it. So does one that asks whether it may
// begin and is not let in: it keeps its place, and others begin meanwhile.
//
// Why two numbers. Slots bound what the server behind the calls has to bear; places bound
// memory, and how far answers may run ahead of a slow one. With as many places as slots, one
// call of a second among those of five milliseconds leaves all other slots idle for most of
// it: 64 slots did an eighth of what they can (lognormal latency, p50 5 ms, p99 100 ms). The
// window that keeps 95 % of the slots busy has about slots x deadline / mean latency places;
// 64 for each slot, the engine's default, is enough for a deadline of 250 ms and the latency
// above (BenchmarkP2 of the engine). The deadline of a call, which its owner keeps, is what
// bounds it: without one, no window is large enough.
//
// Tried and dropped. conc/stream has a goroutine for each thing and starts a call when an
// earlier one has been released: 7 to 11 times slower (BenchmarkP3 of the engine), 15
// allocations a call. Batches as the unit of calls: each waits for its slowest, a tenth to a
// fifth of the rate. One call at a time for each key, in place of order at the release: a
// key with half of the things leaves 3 % of the rate (BenchmarkP13 of the engine); who needs
// calls in order asks for [SerialKey].
//
// What must not be changed without thought. The answer to the first thing of a lane that
// has none yet releases it, and all behind it that have theirs, in one step: two answers
// cannot pass each other on their way out, if one sender takes what is released in the order
// of the hook's calls. Retries that are due, and throttled calls that may ask again, come before
// new things, or a lane waits for a retry that waits for a slot behind its own successors.
//
// Nothing here locks, starts a goroutine, waits or reads a clock: a window, its lanes and
// its places belong to whoever guards them. Hooks are called from within the methods, so
// with that guard held; none of them calls the window back. Where one window stands behind
// another, [LaneHooks.Congested] of the later one may have to wake whoever serves the first,
// and take its lock after that of the later one: so never the other way round.
package reorder

import (
	"iter"

	"github.com/penstockio/penstock/pipeline/engine/internal/fifo"
)

// An Order says for which others a thing waits with its answer before it leaves.
type Order uint8

// What a thing waits for.
const (
	OrderLane Order = iota // those before it in its lane
	OrderKey               // those of them that have its key
	OrderNone              // none
)

// A Serial says which calls follow one another: the next one begins when the one before it
// has its answer, retries included.
type Serial uint8

// Which calls follow one another.
const (
	SerialNone Serial = iota // none
	SerialKey                // those of one lane that have one key
	SerialLane               // those of one lane
)

// A State is how far a call in the window is.
type State uint8

// The states, in the order in which a call comes through them; it may go back from Throttled
// and from Retrying to Due, and from Running to Throttled.
const (
	Parked    State = iota // until the call before it, of its key or lane, has its answer
	Due                    // waits for a slot
	Asking                 // in a slot, and asked whether it may begin
	Throttled              // was not let in, and waits until it may ask again
	Refused                // was throttled, and is about to be answered or abandoned without a call
	Running                // in a slot
	Retrying               // waits for another attempt
	Answered               // waits for its turn to be released
	Abandoned              // taken out of the window, or given up
)

// A Config is what a window is made with: its bounds, which are at least 1, what it keeps,
// and what its owner does for it.
type Config[T any] struct {
	Size    int // most places
	Backlog int // about how many things may wait in front of the window
	Slots   int // most calls that run at a time, which the owner sees to
	Order   Order
	Serial  Serial

	// Several says whether more than one lane is open, whether or not the window has heard
	// of the others: while one is alone, nothing is kept free for others.
	Several func() bool

	// Crowded says that nothing is to be admitted for now, since what has its place already is about
	// to need the slots that are free. Whoever found nothing for that in [Window.Pick] is woken by the owner
	// when it is over. nil: it never is.
	Crowded func() bool

	// Wake says that up to n more calls may begin: as many of those who found none in
	// [Window.Pick] should look again. It is not called for those who have just ended a call
	// and look again anyway. Places and slots that a lane leaves to others when it is
	// dropped or paused are not announced: the next who looks finds them.
	Wake func(n int)

	// Release says that a thing has its turn to leave: it is called in the order of the lane,
	// or of the key. The window does not look at its place any more, which the owner may set
	// anew. gone says that nothing of the thing goes on, and its place is free at once; else
	// the owner gives it back with [Window.Free] when the thing has been sent on.
	Release func(of T) (gone bool)
}

// Counts are how much a window has.
type Counts struct {
	Lanes      int // that were opened and not dropped
	HeldBack   int // of these, that are held back
	Waiting    int // things that are not admitted
	Taken      int // places, until they are given back
	Unanswered int // things admitted that have no answer
	Running    int // calls that have a slot, those that ask included
	Throttled  int // calls that were not let in
}

// A Window admits things that wait, says which call is next, and releases them in order.
// T is what its owner has of a call.
type Window[T any] struct {
	conf   Config[T]
	counts Counts

	waitingHeldBack int                   // of Waiting, in lanes that are held back
	rotation        fifo.Queue[*Lane[T]]  // with things that wait, in turn
	retries         fifo.Queue[*Place[T]] // that are due
	next            fifo.Queue[*Place[T]] // whose turn has come, of those in series
}

// New makes a window without lanes.
func New[T any](conf Config[T]) *Window[T] { return &Window[T]{conf: conf} }

// Resize changes how many calls run at a time, which the owner sees to, and how many things may wait in front of the window.
func (w *Window[T]) Resize(slots, backlog int) {
	w.conf.Slots, w.conf.Backlog = slots, backlog
}

// Counts gives how much the window has.
func (w *Window[T]) Counts() Counts { return w.counts }

// LaneHooks are what the owner of a window does for it with one lane.
type LaneHooks[T any] struct {
	// Next takes the first thing that waits in the lane, and gives the place that it has
	// [Place.Set] for it.
	Next func() *Place[T]

	// HoldBack says that the source of the lane is to send no more of it, because enough
	// waits here or it has half of a window that others need; and later that it may again.
	HoldBack func(yes bool)

	// Congested says that so much of the lane waits here that whoever serves an earlier
	// window should begin no more of it; and later that it may again. What has begun there
	// cannot be handed back, and would have to be finished at a stop (I7). nil: there is no
	// earlier window.
	Congested func(yes bool)

	// Paused says that no more of the lane may be admitted for now. Once it is not paused
	// any more, the owner wakes those who wait. nil: it never is.
	Paused func() bool
}

// A Lane is what a window has of one lane. It is part of what its owner has of it.
type Lane[T any] struct {
	hooks     LaneHooks[T]
	waiting   int  // things not admitted
	queued    bool // in the rotation
	taken     int  // places
	running   int
	begun     uint64 // the highest number that was called, or left without
	undecided int    // calls that ask or are refused, which count as begun as long as they do
	deferred  deferred[T]
	heldBack  bool
	congested bool
	dropped   bool

	// In the window, in no order. A map in its place took 8 % of the engine's time when
	// answers came at once.
	calls  []*Place[T]
	order  fifo.Queue[*Place[T]]             // for OrderLane
	keys   map[uint64]*fifo.Queue[*Place[T]] // for OrderKey
	serial map[uint64]*fifo.Queue[*Place[T]] // the call at work, and those that wait for it
}

// Waiting is how many things wait to be admitted.
func (l *Lane[T]) Waiting() int { return l.waiting }

// Begun is the highest number of a thing that has begun: of which a call was made, or which has
// left without one, since it came as rejected or was refused. One that asks for its entrance now
// counts too, as it may be let in at any moment; one that is throttled does not. So Begun may be
// less later. Things are admitted in order, so none with a higher number has begun; some with a
// lower one may not have, as others pass those that are throttled.
func (l *Lane[T]) Begun() uint64 {
	begun := l.begun
	if l.undecided > 0 {
		for _, p := range l.calls {
			if p.busy() {
				begun = max(begun, p.number)
			}
		}
	}
	return begun
}

// Dropped says whether the window has forgotten the lane. A call of it that ends is to be
// given up, with [Window.Abandon].
func (l *Lane[T]) Dropped() bool { return l.dropped }

// All gives what there is of the calls of the lane, from its admission to its release, in
// any order. The window stays as it is meanwhile.
func (l *Lane[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, p := range l.calls {
			if !yield(p.of) {
				return
			}
		}
	}
}

// Ahead gives what a call waits for that waits for its turn: the first that is to be called before it, or
// released. It gives false when that is nothing but itself.
func (w *Window[T]) Ahead(p *Place[T]) (first T, ok bool) {
	l := p.lane
	var q *fifo.Queue[*Place[T]]
	switch {
	case p.state == Parked:
		q = l.serial[w.series(p)]
	case p.state == Answered && w.conf.Order == OrderLane:
		q = &l.order
	case p.state == Answered && p.isHeld:
		if at := l.deferred.waitsFor(l); at != nil {
			return at.of, true
		}
	case p.state == Answered && w.conf.Order == OrderKey:
		q = l.keys[p.key]
	}
	if q == nil || q.Len() == 0 || q.Peek() == p {
		return first, false
	}
	return q.Peek().of, true
}

// A Place is the place of a thing in the window, and how far its call is. It is part of what
// the owner has of the call.
type Place[T any] struct {
	of       T
	lane     *Lane[T]
	number   uint64
	key      uint64
	index    int // in the calls of its lane
	state    State
	rejected bool
	called   bool // a call of it has begun
	defers   bool // it is to leave behind what is before it and has not begun
	isHeld   bool // it has its answer, and is kept because of that
}

// Number is the number that the place was set with.
func (p *Place[T]) Number() uint64 { return p.number }

// Set makes it the place of a thing that is about to be admitted. number grows from thing to
// thing within a lane, from 1. key is looked at for [OrderKey] and [SerialKey] alone. A
// thing that is rejected keeps its place, and asks for nothing: it is answered at once, and
// no call in series waits for it.
//
// A place may be set again behind its release. One that was abandoned may not: it may still
// stand in a queue of the window.
func (p *Place[T]) Set(of T, number, key uint64, rejected bool) {
	*p = Place[T]{of: of, number: number, key: key, rejected: rejected}
}

// Defer has a thing that was set as rejected leave behind all that are before it in its lane and have not begun, whatever the order: as
// long as one of those has not, it can be withdrawn.
func (p *Place[T]) Defer() { p.defers = true }

// busy says whether somebody has the call in hand, and is going to say what came of it.
func (p *Place[T]) busy() bool { return p.state == Asking || p.state == Refused || p.state == Running }

// State is how far the call is.
func (p *Place[T]) State() State { return p.state }

// Open takes a lane in, of which nothing waits.
func (w *Window[T]) Open(l *Lane[T], hooks LaneHooks[T]) {
	*l = Lane[T]{hooks: hooks}
	if w.conf.Order == OrderKey {
		l.keys = map[uint64]*fifo.Queue[*Place[T]]{}
	}
	if w.conf.Serial != SerialNone {
		l.serial = map[uint64]*fifo.Queue[*Place[T]]{}
	}
	w.counts.Lanes++
}

// Full says whether no more should be brought. What waits in lanes that are held back does
// not count while other lanes are open: their source sends no more of them, and if it
// counted, one slow lane would keep out all others.
func (w *Window[T]) Full() bool {
	n := w.counts.Waiting
	if w.conf.Several() {
		n -= w.waitingHeldBack
	}
	return n >= w.conf.Backlog
}

// Add says that n more things wait in a lane.
func (w *Window[T]) Add(l *Lane[T], n int) {
	w.wait(l, n)
	if !l.queued {
		l.queued = true
		w.rotation.Push(l)
	}
	w.conf.Wake(n)
}

// Remove says that the last n of the things that wait in a lane wait no more.
func (w *Window[T]) Remove(l *Lane[T], n int) { w.wait(l, -n) }

// wait counts n more things that wait in a lane.
func (w *Window[T]) wait(l *Lane[T], n int) {
	l.waiting += n
	w.counts.Waiting += n
	if l.heldBack {
		w.waitingHeldBack += n
	}
	w.restrain(l)
}
