package engine

import (
	"slices"
	"sync"
)

// A laneSet holds the lanes of a pipeline that are not over.
type laneSet struct {
	counted func(n int) // called, under the lock, with how many there are

	mu     sync.Mutex
	open   []*lane // those that are not over
	closed bool    // no lane may be opened any more
}

// add takes a lane in, unless the pipeline stops.
func (s *laneSet) add(l *lane) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.open = append(s.open, l)
	s.counted(len(s.open))
	return true
}

func (s *laneSet) remove(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.open, l); i >= 0 {
		s.open = slices.Delete(s.open, i, i+1)
		s.counted(len(s.open))
	}
}

// close has no lane opened any more.
func (s *laneSet) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}

func (s *laneSet) all() []*lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.open)
}

func (s *laneSet) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}
