package reorder

// This file is how lanes share the window and its slots, and when the source of one is held
// back.

// A lane is held back when it has half of a window that others need, and let on below three
// eighths: with one number for both it would go to and fro.
const (
	holdEighths = 4
	readEighths = 3
)

// restrain holds a lane back at its source while too much of it waits, or while it has half
// of a window that others need too. It comes with every change of either.
func (w *Window[T]) restrain(l *Lane[T]) {
	enough := l.waiting >= max(w.conf.Backlog/2, 1)
	if l.hooks.Congested != nil && enough != l.congested {
		l.congested = enough
		l.hooks.Congested(enough)
	}
	several := w.counts.Lanes > 1
	switch {
	case l.dropped:
	case !l.heldBack && (enough || several && 8*l.taken >= holdEighths*w.conf.Size):
		w.holdBack(l, true)
	case l.heldBack && l.waiting <= w.conf.Backlog/4 && (!several || 8*l.taken < readEighths*w.conf.Size):
		w.holdBack(l, false)
	}
}

func (w *Window[T]) holdBack(l *Lane[T], yes bool) {
	if l.heldBack = yes; yes {
		w.counts.HeldBack++
		w.waitingHeldBack += l.waiting
	} else {
		w.counts.HeldBack--
		w.waitingHeldBack -= l.waiting
	}
	l.hooks.HoldBack(yes)
}

// lastPlaces says which places of the window are kept for other lanes: a lane that has this
// many times what is left gets no more. An eighth of the places is then left when it stands
// alone, and a lane that comes is admitted at once, though all calls of the first one hang.
const lastPlaces = 7

// pickLane gives the lane to admit from. No lane takes more than half of the window, or of
// the slots, while another waits; and where there are several, none takes the last places,
// so that one that is stuck leaves room for those that come.
func (w *Window[T]) pickLane() *Lane[T] {
	for range w.rotation.Len() {
		l := w.rotation.Pop()
		if l.waiting == 0 || l.dropped {
			l.queued = false
			continue
		}
		w.rotation.Push(l)
		if l.paused() {
			continue
		}
		if l.taken >= lastPlaces*(w.conf.Size-w.counts.Taken) && w.conf.Several() {
			continue
		}
		if !w.greedy(l) || !w.others(l) {
			return l
		}
	}
	return nil
}

func (l *Lane[T]) paused() bool { return l.hooks.Paused != nil && l.hooks.Paused() }

// greedy says whether a lane has half of the window, or of the slots.
func (w *Window[T]) greedy(l *Lane[T]) bool {
	return 2*l.taken >= w.conf.Size || 2*l.running >= w.conf.Slots
}

// others says whether another lane waits that has less than half.
func (w *Window[T]) others(l *Lane[T]) bool {
	for _, o := range w.rotation.Rest() {
		if o != l && o.waiting > 0 && !o.dropped && !w.greedy(o) && !o.paused() {
			return true
		}
	}
	return false
}
