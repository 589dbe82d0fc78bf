package engine

import (
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/fifo"
	"github.com/penstockio/penstock/pipeline/internal/inside"
)

// This file is how a waiting step keeps many slow calls going at once while its records
// leave in order.
//
// What it guarantees. As many calls run as the step has slots, if there are records for them.
// Records leave in the order of their lane, or of their key, or at once, as the pipeline says
// (I1). At most size records are in the window (I4). About backlog wait in front of it: the
// rest of a chunk comes on top, and what a lane that is held back still has on its way. Where
// there are several lanes, one whose calls hang leaves some places to the others; slots it may
// have all while nobody else waits, and gives back as its attempts time out.
//
// How. A record is admitted: it gets a place in the window, behind those of its lane. It
// waits for a slot, a worker calls the stage with it, and when the answer is there the slot is
// free for the next record, whatever its place. The record keeps its place until all that
// are before it, in its lane or of its key, have their answers too. Then it is released, and
// gives its place back when it has been sent on. A call that is to be repeated gives its slot
// back as well, and is in nobody's way but that of the records behind it.
//
// Why two numbers. Slots bound what the server behind the step has to bear; places bound
// memory, and how far answers may run ahead of a slow one. With as many places as slots, one
// call of a second among those of five milliseconds leaves all other slots idle for most of
// it: 64 slots did an eighth of what they can (lognormal latency, p50 5 ms, p99 100 ms). The
// window that keeps 95 % of the slots busy has about slots x deadline / mean latency places;
// 64 for each slot, the default, is enough for a deadline of 250 ms and the latency above
// (BenchmarkP2). The deadline is what bounds it: without one, no window is large enough.
//
// Tried and dropped. conc/stream has a goroutine for each record and starts a call when an
// earlier one has been released: 7 to 11 times slower here (BenchmarkP3), 15 allocations a
// record. Batches as the unit of calls: each waits for its slowest, a tenth to a fifth of the
// rate. One record in flight for each key, in place of order at the release: a key with half
// of the records leaves 3 % of the rate (BenchmarkP13); who needs calls in order asks for
// serial.
//
// What must not be changed without thought. Whoever answers the first record of a lane that
// has no answer yet releases it, and all behind it that have theirs, under the lock
// (window_release.go): two answers cannot pass each other on their way out; there is one
// sender. Retries that are due come before new records, or a lane waits for a retry that waits
// for a slot behind its own successors. What changes how much of a lane waits here may take the
// lock of the first waiting step after this window's, never before (dam).

// A call is a record in the window of a waiting step: admitted, and not yet released.
type call struct {
	rec      item
	wl       *waitLane
	at       pipeline.Position // for those who look from outside, like piece
	piece    *piece
	place    uint64 // of the record, which may be gone before the call is
	state    callState
	attempts int       // begun
	began    time.Time // the first attempt
	started  time.Time // the attempt at work
	deadline time.Time
	err      error // of the attempt before
	timer    *time.Timer
	timed    bool                              // a timer was started with it and may still fire: it is not used again
	saved    inside.Savepoint[pipeline.Record] // nil: never asked for

	result verdict
	parts  []item // what goes on in its place, when the step splits
	failed bool   // it came as a rejected record, and only keeps its place
}

type callState uint8

const (
	callParked    callState = iota // until the call before it, of its key or lane, has its answer
	callDue                        // waits for a slot
	callRunning                    // in a slot
	callRetrying                   // waits for another attempt
	callAnswered                   // waits for its turn to be released
	callAbandoned                  // given up
)

var callStates = [...]string{"waiting for its turn", "queued", "running", "retrying", "waiting for its turn", "abandoned"}

// A waitLane is what a waiting step has of one lane. Guarded by the window.
type waitLane struct {
	lane      *lane
	pending   fifo.Queue[*chunk] // not admitted
	waiting   int                // records in pending
	queued    bool               // in the queue of lanes with pending records
	taken     int                // places in the window
	running   int
	begun     uint64 // the highest place of a record that was called, or left without
	heldBack  bool   // the lane is held back because of this step
	congested bool   // so much of it waits that the first waiting step begins no more of it
	ended     bool

	calls  map[*call]struct{}
	order  fifo.Queue[*call]             // for OrderPartition
	keys   map[uint64]*fifo.Queue[*call] // for OrderKey
	serial map[uint64]*fifo.Queue[*call] // the call at work, and those that wait for it

	out   fifo.Queue[released]
	ready bool // in the queue of lanes with something to send
}

// A released record waits to be sent to the next step. places is what it gives back
// of the window, counted says that the step has booked its end already.
type released struct {
	rec     item
	places  int
	counted bool
}

// A window holds the records of a waiting step: those that wait to be admitted, those
// admitted in order and not yet released, and those to be sent on (I1, I4).
type window struct {
	windowBounds
	order   Order
	serial  Serial
	several func() bool // more than one lane is open
	first   *window     // of the first step that waits; nil: this is it

	mu    sync.Mutex // guards the rest
	work  sync.Cond  // workers wait for a call
	space sync.Cond  // the receiver waits until less is pending
	exit  sync.Cond  // the sender waits for released records
	windowCounts
	lanes    map[*lane]*waitLane
	rotation fifo.Queue[*waitLane] // with pending records, in turn
	retries  fifo.Queue[*call]     // retries that are due
	next     fifo.Queue[*call]     // whose turn has come, of those in series
	ready    fifo.Queue[*waitLane]
	spare    []*call
	closed   bool // nothing more will come
	givenUp  bool // the pipeline is given up
}

// windowBounds are how much a window holds (I4).
type windowBounds struct {
	size    int // most places
	backlog int // most records that wait to be admitted
	slots   int
}

// windowCounts are how much a window has.
type windowCounts struct {
	idlers          int // workers that wait
	waiting         int // records pending
	waitingHeldBack int // records pending of lanes that are held back
	heldBack        int // lanes held back
	taken           int // places taken
	unanswered      int // calls without an answer
	running         int
}

func (w *window) init(size, backlog, slots int, order Order, serial Serial) {
	w.size, w.backlog, w.slots, w.order, w.serial = size, backlog, slots, order, serial
	w.lanes = map[*lane]*waitLane{}
	w.work.L, w.space.L, w.exit.L = &w.mu, &w.mu, &w.mu
}

// lane gives what the window has of a lane.
func (w *window) lane(l *lane) *waitLane {
	wl := w.lanes[l]
	if wl == nil {
		wl = &waitLane{lane: l, calls: map[*call]struct{}{}}
		if w.order == OrderKey {
			wl.keys = map[uint64]*fifo.Queue[*call]{}
		}
		if w.serial != SerialNone {
			wl.serial = map[uint64]*fifo.Queue[*call]{}
		}
		w.lanes[l] = wl
	}
	return wl
}

// full says whether the receiver has to wait. The records of lanes that are held back do
// not count while other lanes are open: their source sends no more of them, and if they
// counted, one slow lane would stop the receiver for all.
func (w *window) full() bool {
	n := w.waiting
	if w.several() {
		n -= w.waitingHeldBack
	}
	return n >= w.backlog
}

// fill is how full the queue in front of the window is, from 0 to 1.
func (w *window) fill() float64 { return min(float64(w.waiting)/float64(w.backlog), 1) }

// add puts a chunk behind what is pending of its lane.
func (w *window) add(c *chunk) {
	wl := w.lane(c.lane)
	n := len(c.recs)
	wl.pending.Push(c)
	wl.waiting += n
	w.waiting += n
	if wl.heldBack {
		w.waitingHeldBack += n
	}
	w.restrain(wl)
	if !wl.queued {
		wl.queued = true
		w.rotation.Push(wl)
	}
	w.wakeWorkers(n)
}

// A lane is held back when it has half of a window that others need, and read again below
// three eighths: with one number for both it would go to and fro.
const (
	holdEighths = 4
	readEighths = 3
)

// restrain holds the lane back at its source while too much of it waits, or while it
// has half of a window that others need too.
func (w *window) restrain(wl *waitLane) {
	if w.first != nil {
		w.restrainFirst(wl)
	}
	switch {
	case wl.ended:
	case !wl.heldBack && (wl.waiting >= w.backlog/2 || len(w.lanes) > 1 && 8*wl.taken >= holdEighths*w.size):
		wl.heldBack = true
		w.heldBack++
		w.waitingHeldBack += wl.waiting
		wl.lane.holdBack()
	case wl.heldBack && wl.waiting <= w.backlog/4 && (len(w.lanes) == 1 || 8*wl.taken < readEighths*w.size):
		wl.heldBack = false
		w.heldBack--
		w.waitingHeldBack -= wl.waiting
		wl.lane.release()
	}
}

// restrainFirst keeps the first waiting step from beginning more of a lane of which as much waits
// here as holds back its source: what has begun cannot be handed back, and would have to be
// finished at a stop (I7). The lock of this window is taken before that of the first.
func (w *window) restrainFirst(wl *waitLane) {
	congested := wl.waiting >= w.backlog/2
	if congested == wl.congested {
		return
	}
	if wl.congested = congested; congested {
		wl.lane.congested.Add(1)
		return
	}
	wl.lane.congested.Add(-1)
	first := w.first
	first.mu.Lock()
	if at := first.lanes[wl.lane]; at != nil {
		first.wakeWorkers(at.waiting)
	}
	first.mu.Unlock()
}

// wakeWorkers wakes as many workers as there may be work for.
func (w *window) wakeWorkers(n int) {
	for range min(n, w.idlers) {
		w.work.Signal()
	}
}

// pick gives the next call for a free slot: retries first, then whose turn in a
// series has come, then what can be admitted.
func (w *window) pick(make func(*waitLane, item) *call) *call {
	for {
		var c *call
		switch {
		case w.retries.Len() > 0:
			c = w.retries.Pop()
		case w.next.Len() > 0:
			c = w.next.Pop()
		case w.taken < w.size:
			if c = w.admit(make); c == nil {
				return nil
			}
		default:
			return nil
		}
		if c.state == callDue {
			return c
		}
	}
}

// lastPlaces says which places of the window are kept for other lanes: a lane that has this
// many times what is left gets no more. An eighth of the places is then left when it stands alone,
// and a lane that comes is admitted at once, though all calls of the first one hang.
const lastPlaces = 7

// pickLane gives the lane to admit from. No lane takes more than half of the window, or
// of the slots, while another waits; and where there are several, none takes the last
// places, so that one that is stuck leaves room for those that come.
func (w *window) pickLane() *waitLane {
	for range w.rotation.Len() {
		wl := w.rotation.Pop()
		if wl.waiting == 0 || wl.ended {
			wl.queued = false
			continue
		}
		w.rotation.Push(wl)
		if wl.lane.congested.Load() > 0 && w.first == nil {
			continue
		}
		if wl.taken >= lastPlaces*(w.size-w.taken) && w.several() {
			continue
		}
		if !w.greedy(wl) || !w.others(wl) {
			return wl
		}
	}
	return nil
}

// greedy says whether a lane has half of the window, or of the slots.
func (w *window) greedy(wl *waitLane) bool {
	return 2*wl.taken >= w.size || 2*wl.running >= w.slots
}

// others says whether another lane waits that has less than half.
func (w *window) others(wl *waitLane) bool {
	for _, o := range w.rotation.Rest() {
		if o != wl && o.waiting > 0 && !o.ended && !w.greedy(o) && (w.first != nil || o.lane.congested.Load() == 0) {
			return true
		}
	}
	return false
}

// admit gives the next pending record its place. It gives nil when none is pending;
// the state of the call says whether it may run.
func (w *window) admit(make func(*waitLane, item) *call) *call {
	wl := w.pickLane()
	if wl == nil {
		return nil
	}
	ch := wl.pending.Peek()
	rec := ch.recs[ch.from]
	ch.mu.Lock()
	ch.from++
	ch.mu.Unlock()
	if rec.fail != nil {
		ch.failed--
	}
	wl.waiting--
	w.waiting--
	if wl.heldBack {
		w.waitingHeldBack--
	}
	w.space.Signal()
	c := make(wl, rec)
	w.taken++
	wl.taken++
	w.unanswered++
	w.restrain(wl)
	wl.calls[c] = struct{}{}
	switch w.order {
	case OrderPartition:
		wl.order.Push(c)
	case OrderKey:
		push(wl.keys, rec.key, c)
	}
	switch {
	case rec.fail != nil: // it keeps its place, and asks for nothing
		c.failed, c.result = true, fail
		w.answered(c)
	case w.serial != SerialNone && !push(wl.serial, w.series(rec), c):
		c.state = callParked
	default:
		c.state = callDue
	}
	return c
}

// series is the key of the calls that follow one another.
func (w *window) series(rec item) uint64 {
	if w.serial == SerialKey {
		return rec.key
	}
	return 0
}

// push appends a call to its key's queue and says whether it is the first.
func push(m map[uint64]*fifo.Queue[*call], key uint64, c *call) (first bool) {
	q := m[key]
	if q == nil {
		q = &fifo.Queue[*call]{}
		m[key] = q
	}
	q.Push(c)
	return q.Len() == 1
}

// done says whether nothing is left and nothing will come.
func (w *window) done() bool {
	return w.givenUp || w.closed && w.waiting == 0 && w.unanswered == 0
}

func (w *window) recycle(c *call) {
	if c.timed || len(w.spare) >= w.size {
		return
	}
	saved := c.saved
	if saved != nil {
		saved.Forget()
	}
	*c = call{saved: saved}
	w.spare = append(w.spare, c)
}

func (w *window) newCall() *call {
	if n := len(w.spare); n > 0 {
		c := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return c
	}
	return &call{}
}
