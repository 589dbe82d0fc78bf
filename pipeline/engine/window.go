package engine

import (
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/fifo"
	"github.com/penstockio/penstock/pipeline/engine/internal/reorder"
	"github.com/penstockio/penstock/pipeline/internal/inside"
)

// This file joins the records of a waiting step to the window that keeps their order, which
// is in pipeline/engine/internal/reorder and knows no records.

// A call is a record in the window of a waiting step: admitted, and not yet released.
type call struct {
	reorder.Place[*call]
	wl  *waitLane
	rec item
	// Of the record, which may be gone before the call is, for those who look from outside.
	at    pipeline.Position
	piece *piece
	skippable

	attempts int       // begun
	began    time.Time // the first attempt
	started  time.Time // the attempt at work
	deadline time.Time
	paused   time.Duration // how long pauses had taken when it was picked last
	err      error         // of the attempt before; it changes under the window's lock
	since    time.Time     // since when it waits for another attempt, or for a slot for that
	timer    *time.Timer
	timed    bool                              // a timer was started with it and may still fire, or the queue of a gate may still have it: it is not used again
	saved    inside.Savepoint[pipeline.Record] // nil: never asked for

	result verdict
	parts  []item // what goes on in its place, when the step splits

	onlookers
	admission
}

// onlookers are those who look at a call from outside.
type onlookers struct {
	trace   StepTrace // of its record; nil: that is not traced, or was not picked yet
	tapping *tapping  // what taps see of it; nil: none looks
}

// passOver moves the deadline of a call that has begun by what pauses took since it was picked last: nothing
// of it could go on in them. What limits held back is moved when it is let on (letOn).
func (c *call) passOver(paused time.Duration) {
	if c.attempts > 0 && c.heldSince.IsZero() {
		c.deadline = c.deadline.Add(paused - c.paused)
	}
	c.paused = paused
}

// callStates are the states of calls as those see them who look from outside.
var callStates = [...]string{
	reorder.Parked:    "waiting for its turn",
	reorder.Due:       "queued",
	reorder.Asking:    "queued",
	reorder.Throttled: "throttled",
	reorder.Refused:   "throttled",
	reorder.Running:   "running",
	reorder.Retrying:  "retrying",
	reorder.Answered:  "waiting for its turn",
	reorder.Abandoned: "abandoned",
}

// A waitLane is what a waiting step has of one lane. Guarded by the window.
type waitLane struct {
	reorder.Lane[*call]
	lane    *lane
	pending fifo.Queue[*chunk] // not admitted

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
	size   int // most places (I4)
	pool   *pool
	hashed bool    // records have the hash of their key
	first  *window // of the first step that waits; nil: this is it

	mu sync.Mutex // guards the rest
	*reorder.Window[*call]
	backlog int       // about how many records wait to be admitted at most (I4)
	work    sync.Cond // workers wait for a call
	space   sync.Cond // the receiver waits until less is pending
	exit    sync.Cond // the sender waits for released records
	lanes   map[*lane]*waitLane
	ready   fifo.Queue[*waitLane]
	spare   []*call
	leaving int // places of what was released and has not been sent on

	gateSet
	slotSet

	closed  bool // nothing more will come
	givenUp bool // the pipeline is given up
}

func (w *window) init(lanes *laneSet, pool *pool, order Order, workers int, conf *Wait, gates bool) {
	var crowded func() bool
	if gates {
		w.gates, crowded = map[any]*gate{}, w.crowded
	}
	w.size, w.slots = conf.Window, workers
	w.backlog = w.backlogFor(workers)
	w.Window = reorder.New(reorder.Config[*call]{
		Size: w.size, Backlog: w.backlog, Slots: workers,
		Order: orders[order], Serial: serials[conf.Serial],
		Several: func() bool { return lanes.count() > 1 },
		Wake:    w.wakeWorkers, Release: w.release, Crowded: crowded,
	})
	w.pool = pool
	w.lanes = map[*lane]*waitLane{}
	w.work.L, w.space.L, w.exit.L, w.refusal.L = &w.mu, &w.mu, &w.mu, &w.mu
}

// What the options stand for in the window.
var (
	orders = [...]reorder.Order{
		OrderPartition: reorder.OrderLane, OrderKey: reorder.OrderKey, OrderNone: reorder.OrderNone,
	}
	serials = [...]reorder.Serial{
		SerialNone: reorder.SerialNone, SerialKey: reorder.SerialKey, SerialPartition: reorder.SerialLane,
	}
)

// lane gives what the window has of a lane.
func (w *window) lane(l *lane) *waitLane {
	wl := w.lanes[l]
	if wl == nil {
		wl = &waitLane{lane: l}
		hooks := reorder.LaneHooks[*call]{
			Next: func() *reorder.Place[*call] { return w.admit(wl) },
			HoldBack: func(yes bool) {
				if yes {
					l.holdBack()
				} else {
					l.release()
				}
			},
		}
		if w.first == nil {
			hooks.Paused = func() bool { return l.congested.Load() > 0 }
		} else {
			hooks.Congested = func(yes bool) { w.congest(l, yes) }
		}
		w.Open(&wl.Lane, hooks)
		w.lanes[l] = wl
	}
	return wl
}

// congest has the first waiting step begin no more of a lane, of which too much waits here,
// or go on with it. The lock of this window is taken before that of the first.
func (w *window) congest(l *lane, yes bool) {
	if yes {
		l.congested.Add(1)
		return
	}
	l.congested.Add(-1)
	first := w.first
	first.mu.Lock()
	if at := first.lanes[l]; at != nil {
		first.wakeWorkers(at.Waiting())
	}
	first.mu.Unlock()
}

// add puts a chunk behind what is pending of its lane.
func (w *window) add(c *chunk) {
	wl := w.lane(c.lane)
	wl.pending.Push(c)
	w.Add(&wl.Lane, len(c.recs))
}

// fullness is how full the queue in front of the window is, from 0 to 1.
func (w *window) fullness() float64 { return min(float64(w.Counts().Waiting)/float64(w.backlog), 1) }

// wakeWorkers wakes as many workers as there may be work for.
func (w *window) wakeWorkers(n int) {
	for range min(n, w.idlers) {
		w.work.Signal()
	}
}

// admit makes the call of the first pending record of a lane, which gets its place in the
// window.
func (w *window) admit(wl *waitLane) *reorder.Place[*call] {
	ch := wl.pending.Peek()
	rec := ch.recs[ch.from]
	ch.mu.Lock()
	ch.from++
	ch.mu.Unlock()
	rejected := rec.fail != nil
	if rejected {
		ch.failed--
	}
	if ch.from == len(ch.recs) {
		wl.pending.Pop()
		w.pool.drop(ch)
	}
	w.space.Signal()
	c := w.newCall()
	c.rec, c.wl, c.at, c.piece = rec, wl, rec.rec.Position, rec.piece
	if !w.hashed {
		c.key, _, _ = rec.rec.Original()
	}
	if rejected {
		c.result = fail
	}
	c.Set(c, rec.number(), rec.key, rejected)
	if rejected && rec.fail.reason == pipeline.ReasonSkipped {
		c.Defer() // nobody has begun with it, and what is before it may be handed back
	}
	return &c.Place
}

// release puts what goes on of a call where it is sent from.
func (w *window) release(c *call) (gone bool) {
	wl := c.wl
	if w.gates != nil {
		w.released.Add(1)
	}
	switch {
	case c.result == pass && c.parts != nil:
		for i, part := range c.parts {
			r := released{rec: part}
			if i == len(c.parts)-1 {
				r.places = 1
			}
			wl.out.Push(r)
		}
	case c.result == pass:
		wl.out.Push(released{rec: c.rec, places: 1})
	case c.result == fail:
		wl.out.Push(released{rec: c.rec, places: 1, counted: true})
	default:
		gone = true
	}
	if !gone {
		w.leaving++
	}
	if wl.out.Len() > 0 && !wl.ready {
		wl.ready = true
		w.ready.Push(wl)
		w.exit.Signal()
	}
	w.recycle(c)
	return gone
}

// done says whether nothing is left and nothing will come.
func (w *window) done() bool {
	if w.givenUp {
		return true
	}
	n := w.Counts()
	return w.closed && n.Waiting == 0 && n.Unanswered == 0
}

// tellDone tells workers and the sender, if that is so, that nothing will come.
func (w *window) tellDone() {
	if w.done() {
		w.work.Broadcast()
		w.exit.Broadcast()
		w.refusal.Broadcast()
	}
}

// newCall gives a call without a record, one that was used before if there is one.
func (w *window) newCall() *call {
	if n := len(w.spare); n > 0 {
		c := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return c
	}
	return &call{}
}

// recycle keeps a call that was released for another record.
func (w *window) recycle(c *call) {
	if c.timed || len(w.spare) >= w.size {
		return
	}
	saved := c.saved
	if saved != nil {
		saved.Forget()
	}
	*c = call{saved: saved, admission: admission{limit: c.limit}}
	w.spare = append(w.spare, c)
}
