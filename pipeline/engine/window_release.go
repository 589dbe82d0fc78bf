package engine

import "github.com/penstockio/penstock/pipeline/engine/internal/fifo"

// answered notes that a call has its result, lets the next of its series begin, and
// releases what has its turn.
func (w *window) answered(c *call) {
	wl := c.wl
	c.state = callAnswered
	w.unanswered--
	if w.serial != SerialNone && !c.failed {
		w.nextInSeries(wl, w.series(c.rec))
	}
	switch w.order {
	case OrderPartition:
		w.releaseFrom(&wl.order)
	case OrderKey:
		key := c.rec.key
		if q := wl.keys[key]; q != nil {
			if w.releaseFrom(q); q.Len() == 0 {
				delete(wl.keys, key)
			}
		}
	case OrderNone:
		w.release(c)
	}
}

func (w *window) nextInSeries(wl *waitLane, key uint64) {
	q := wl.serial[key]
	if q == nil {
		return
	}
	q.Pop()
	if q.Len() == 0 {
		delete(wl.serial, key)
		return
	}
	c := q.Peek()
	c.state = callDue
	w.next.Push(c)
	w.wakeWorkers(1)
}

// releaseFrom releases the calls at the head of a queue that have their result (I1).
func (w *window) releaseFrom(q *fifo.Queue[*call]) {
	for q.Len() > 0 && q.Peek().state == callAnswered {
		w.release(q.Pop())
	}
}

// release takes a call out of its order and puts what goes on where it is sent from.
func (w *window) release(c *call) {
	wl := c.wl
	wl.begun = max(wl.begun, c.place) // also when it was not called
	delete(wl.calls, c)
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
		w.free(wl, 1)
	}
	if wl.out.Len() > 0 && !wl.ready {
		wl.ready = true
		w.ready.Push(wl)
		w.exit.Signal()
	}
	w.recycle(c)
}

// free gives places of the window back.
func (w *window) free(wl *waitLane, places int) {
	wl.taken -= places
	w.taken -= places
	w.restrain(wl)
	if w.waiting > 0 {
		w.wakeWorkers(places)
	}
	if w.done() {
		w.work.Broadcast()
		w.exit.Broadcast()
	}
}
