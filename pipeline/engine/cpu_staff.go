package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
)

// This file is how many workers a step that computes has, which may be changed while it runs.
//
// What it guarantees. A worker that is too many ends when it has no chunk: at once where it waits for one, and else behind the one in
// its hands. The last worker alone closes the channel behind the step (I3), so one that is too many is never the last, and
// none begins any more once the last has ended.
//
// How. Workers count themselves in and out under one lock. Each asks one flag before it takes a chunk, and waits for a chunk beside a
// channel that is closed when workers get too many.

// A staff is the workers of a step that computes.
type staff struct {
	surplus atomic.Bool // there are more workers than are wanted

	mu      sync.Mutex
	wanted  int
	alive   int           // workers that have not ended
	leaving int           // of the others, that have been counted out and have not said yet that they have ended
	begun   bool          // the step has started
	fewer   chan struct{} // closed when fewer workers are wanted than there are
}

func (st *staff) init(workers int) { st.wanted, st.fewer = workers, make(chan struct{}) }

// size is how many workers the step is to have.
func (st *staff) size() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.wanted
}

// placesFor is how many chunks may stand behind so many workers until their turn comes: one that each has at hand, and one
// more, so that a slow chunk does not stop them at once.
func placesFor(workers int) int { return 2 * workers }

func (s *cpuStep) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.meter.mu.Lock()
	s.meter.began = now
	s.meter.mu.Unlock()
	s.begun = true
	s.hire(s.wanted, now)
}

// hire starts n more workers. The lock is held.
func (s *cpuStep) hire(n int, now time.Time) {
	for range n {
		w := &cpuWorker{s: s, before: records.NewSavepoint()}
		w.emit = w.parts.emit
		s.count(1, now) // before it works: it is never busier than there are workers
		one := &crew.Worker{Crew: s.crew, Work: w.work, Panicked: onPanic(w.panicked), Ended: s.workerEnded}
		if !one.Start() { // what is left has been given up
			s.count(-1, now)
			return
		}
	}
}

// count counts a worker in or out. The lock is held.
func (s *cpuStep) count(n int, now time.Time) {
	s.alive += n
	s.meter.staffed(now, s.alive)
}

// setWorkers changes how many workers there are.
func (s *cpuStep) setWorkers(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = n
	s.queue.Resize(placesFor(n))
	if !s.begun || s.alive == 0 {
		return
	}
	s.surplus.Store(s.alive > n)
	if s.alive > n {
		close(s.fewer)
		s.fewer = make(chan struct{})
		return
	}
	s.hire(n-s.alive, time.Now())
}

// leaves has a worker without a chunk end, if there are too many.
func (s *cpuStep) leaves() bool {
	if !s.surplus.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	yes := s.alive > s.wanted
	if yes {
		s.count(-1, time.Now())
		s.leaving++
	}
	s.surplus.Store(s.alive > s.wanted)
	return yes
}

// take gives a worker the next chunk. It gives none when there will be no further one, and when the worker is too many.
func (s *cpuStep) take() *chunk {
	for {
		if s.leaves() {
			return nil
		}
		select { // without the lock while there are chunks
		case c, ok := <-s.in.ch:
			if ok {
				return c
			}
			return nil
		default:
		}
		s.mu.Lock()
		fewer := s.fewer
		s.mu.Unlock()
		if s.surplus.Load() { // it has become so before fewer was read
			continue
		}
		select {
		case c, ok := <-s.in.ch:
			if ok {
				return c
			}
			return nil
		case <-s.in.over:
			return nil
		case <-fewer:
		}
	}
}

// workerEnded closes the channel behind the step when its last worker has ended (I3). How long the others have nothing to do
// then still counts as idle.
//
// Which of them says so does not matter. None has a chunk any more.
func (s *cpuStep) workerEnded() {
	s.mu.Lock()
	if s.leaving > 0 {
		s.leaving--
	} else {
		s.alive--
	}
	last := s.alive == 0 && s.leaving == 0
	s.mu.Unlock()
	if last {
		s.out.close()
	}
}
