package top

import (
	"slices"
	"sort"
	"time"
)

// A series is the values of one thing over time, in the order of time. A value that was put in is not changed any more.
type series[T any] struct {
	at     []time.Time
	values []*T
}

// put adds a value. One that comes late, as from the second of two logs, goes where it belongs.
func (s *series[T]) put(at time.Time, v *T) {
	n := len(s.at)
	if n == 0 || !at.Before(s.at[n-1]) {
		s.at, s.values = append(s.at, at), append(s.values, v)
		return
	}
	i := sort.Search(n, func(i int) bool { return s.at[i].After(at) })
	s.at, s.values = slices.Insert(s.at, i, at), slices.Insert(s.values, i, v)
}

// until gives how many values there are up to a moment.
func (s *series[T]) until(t time.Time) int {
	n := len(s.at)
	if n == 0 || !s.at[n-1].After(t) {
		return n
	}
	return sort.Search(n, func(i int) bool { return s.at[i].After(t) })
}

// last gives the latest value up to a moment; nil: there was none.
func (s *series[T]) last(t time.Time) (at time.Time, v *T) {
	if i := s.until(t); i > 0 {
		return s.at[i-1], s.values[i-1]
	}
	return time.Time{}, nil
}

// before gives the value before the latest one up to a moment.
func (s *series[T]) before(t time.Time) (at time.Time, v *T) {
	if i := s.until(t); i > 1 {
		return s.at[i-2], s.values[i-2]
	}
	return time.Time{}, nil
}

func (s *series[T]) len() int { return len(s.at) }

// forget drops what is older than t, but never the latest value.
func (s *series[T]) forget(t time.Time) {
	n := min(s.until(t), len(s.at)-1)
	if n <= 0 {
		return
	}
	s.at, s.values = slices.Delete(s.at, 0, n), slices.Delete(s.values, 0, n)
}

// thin drops every second value of the older half, so that a log of any length has room.
func (s *series[T]) thin() {
	half := len(s.at) / 2
	if half < 2 {
		return
	}
	keep := 0
	for i := range s.at {
		if i >= half || i%2 == 0 {
			s.at[keep], s.values[keep] = s.at[i], s.values[i]
			keep++
		}
	}
	clear(s.values[keep:])
	s.at, s.values = s.at[:keep], s.values[:keep]
}
