package engine

import (
	"slices"
	"time"
)

// DurationBounds are the upper bounds of the buckets into which durations are counted for those who take in no
// finer ones, in microseconds.
var DurationBounds = []int64{100, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000, 300_000_000}

// An Exemplar is one duration that was counted, of a record whose trace can be looked at.
type Exemplar struct {
	Value   int64 // in microseconds
	TraceID string
	At      time.Time
}

// exemplars are the last exemplar of each bucket of DurationBounds, and of what is above them. nil: there is none yet.
type exemplars []Exemplar

func (e *exemplars) note(d time.Duration, trace string, at time.Time) {
	if *e == nil {
		*e = make(exemplars, len(DurationBounds)+1)
	}
	v := min(max(int64(d/time.Microsecond), 0), longest)
	i, _ := slices.BinarySearch(DurationBounds, v)
	(*e)[i] = Exemplar{v, trace, at}
}

// list gives the exemplars, from small to large. nil: there is none.
func (e exemplars) list() (all []Exemplar) {
	for _, x := range e {
		if x.TraceID != "" {
			all = append(all, x)
		}
	}
	return all
}

// attempted is count behind an attempt of a step that waits. took is how long the record was in the step, if it is done there; below
// 0: it is not, or no call was made. trace is that of the record; nil: it has none.
func (m *meter) attempted(t increments, left int64, took time.Duration, trace Trace, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(t, left)
	if took < 0 {
		return
	}
	m.lat.add(took, 1)
	if trace != nil {
		m.exemplars.note(took, trace.ID(), at)
	}
}

// exemplar notes a duration of a record that is traced.
func (m *meter) exemplar(d time.Duration, trace string, at time.Time) {
	m.mu.Lock()
	m.exemplars.note(d, trace, at)
	m.mu.Unlock()
}
