package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
	"github.com/penstockio/penstock/pipeline/engine/internal/reorder"
)

// This file is how many slots a step that waits has, which may be changed while it runs.
//
// What it guarantees. No call begins while as many run as there are slots. A worker that is too many ends when its call has,
// which is not cut short. The window keeps its places, so that nothing that is admitted has to go.
//
// How. A worker looks whether it is too many before it picks a call, under the lock under which they are picked: so there are no more
// workers than slots when one is.

// A slotSet is how many calls of a step may run, and who makes them. Guarded by the window.
type slotSet struct {
	slots  int  // how many calls may run at a time
	staff  int  // workers that have not ended; more than slots while some of them are too many
	begun  bool // they have been started
	idlers int  // of these, that wait
}

// backlogFor is about how many records may wait in front of the window for so many slots.
func (w *window) backlogFor(slots int) int {
	return min(max(w.size, chunkRecords), max(8*slots, 2*chunkRecords))
}

// idle is how many slots are free. While workers that are too many end their calls, more run than there are slots.
func (w *window) idle(n reorder.Counts) int { return max(w.slots-n.Running, 0) }

// begin says that the step starts, and gives how many workers it has to begin with.
func (w *window) begin() (workers int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun, w.staff = true, w.slots
	return w.slots
}

// leaves says whether a worker that is about to look for a call is too many, and ends. The lock is held.
func (w *window) leaves() bool {
	if w.staff <= w.slots {
		return false
	}
	w.staff--
	return true
}

// hire starts workers that have been counted.
func (s *waitStep) hire(workers int) {
	for range workers {
		sl := &slot{s: s}
		sl.emit = sl.parts.emit
		(&crew.Worker{Crew: s.crew, Work: sl.work, Panicked: onPanic(sl.panicked)}).Start()
	}
}

// size is how many slots the step is to have.
func (s *waitStep) size() int {
	s.win.mu.Lock()
	defer s.win.mu.Unlock()
	return s.win.slots
}

// setWorkers changes how many slots there are.
func (s *waitStep) setWorkers(n int) {
	w := &s.win
	w.mu.Lock()
	s.tick(time.Now())
	w.slots, w.backlog = n, w.backlogFor(n)
	w.Resize(w.slots, w.backlog)
	more := 0
	if w.begun && !w.done() {
		more = max(n-w.staff, 0)
		w.staff += more
	}
	w.work.Broadcast() // those that are too many end
	w.space.Broadcast()
	w.mu.Unlock()
	s.hire(more)
}
