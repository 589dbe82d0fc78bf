package engine

import (
	"sync"
	"time"
)

// increments is what is added to counters at once, for many records.
type increments struct {
	out, created, filtered, rejected, abandoned int64
	retries                                     int64
}

// A meter holds the counters of a step, of a sink or of the pipeline. One lock
// guards them; they change once a batch, and a snapshot takes the lock (I6).
type meter struct {
	mu     sync.Mutex
	counts Counts
	sealed bool         // counts do not change any more
	lat    distribution // latencies: of a step's calls, of a sink's Writes, of a pipeline's records to their outcome

	past           [3]time.Duration       // busy, idle and blocked, of the steps that this one has replaced
	busy, blocked  time.Duration          // what workers have spent in calls, and handing chunks over, that are over
	began          time.Time              // when the workers began; zero: they have not
	staff          staffing               // how many workers there are
	working        shift                  // the workers that are in a call of a component now
	handing        shift                  // the workers that hand a chunk over now
	fill, lastFill float64                // how full the queue was at most in this interval, and in the last one
	errors         map[string]*errorCount // by the type of error
	most           [4]time.Duration       // what risen has given last
	exemplars      exemplars              // of lat
}

// enter books records that come in.
func (m *meter) enter(n int64) {
	m.mu.Lock()
	if !m.sealed {
		m.counts.In += n
		m.counts.InFlight += n
	}
	m.mu.Unlock()
}

// A shift is the workers that do something now, and the sum of the moments at which they
// began: so what they have spent on it is known also when none of them comes back.
type shift struct {
	n   int           // how many workers
	sum time.Duration // of the moments, counted from meter.began
}

// spent gives how long the workers have been at it at a moment, all together.
func (s shift) spent(now time.Duration) time.Duration { return time.Duration(s.n)*now - s.sum }

func (s *shift) enter(at time.Duration) { s.n, s.sum = s.n+1, s.sum+at }
func (s *shift) leave(at time.Duration) { s.n, s.sum = s.n-1, s.sum-at }

// A staffing is how many workers there are, and how long all those that there have been were there: a number that changes
// is counted for as long as it held, so that what is left when busy and blocked are taken off is idle, whenever it has changed.
type staffing struct {
	n     int
	since time.Duration // when it became n, counted from meter.began
	sum   time.Duration // up to then, all together
}

func (s staffing) spent(now time.Duration) time.Duration {
	return s.sum + time.Duration(s.n)*(now-s.since)
}

// staffed notes that there are so many workers from now on.
func (m *meter) staffed(now time.Time, workers int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := now.Sub(m.began)
	m.staff = staffing{n: workers, since: d, sum: m.staff.spent(d)}
}

// times gives how workers have spent their time. What they are doing now counts: one that
// hangs in a call is busy. The meter's lock is held.
func (m *meter) times(now time.Time) (busy, idle, blocked time.Duration) {
	if m.began.IsZero() {
		return m.past[0], m.past[1], m.past[2]
	}
	d := now.Sub(m.began)
	busy = m.busy + m.working.spent(d)
	blocked = m.blocked + m.handing.spent(d)
	idle = max(m.staff.spent(d)-busy-blocked, 0)
	return m.past[0] + busy, m.past[1] + idle, m.past[2] + blocked
}

// rest has the meter count on for a step that takes the place of this one, whose workers have ended.
func (m *meter) rest(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.past[0], m.past[1], m.past[2] = m.times(now)
	m.busy, m.blocked, m.began, m.staff = 0, 0, time.Time{}, staffing{}
}

// risen keeps the times of a step from falling from one snapshot to the next: they count what a
// worker is at now for what it most likely is, and what it was is known when it is done. A count
// that falls is taken for a start from 0.
func (m *meter) risen(s *StepSnapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, t := range []*time.Duration{&s.Busy, &s.Idle, &s.Blocked, &s.ThrottleWait} {
		*t = max(*t, m.most[i])
		m.most[i] = *t
	}
}

// filled notes how full the queue is.
func (m *meter) filled(fill float64) {
	m.mu.Lock()
	m.fill = max(m.fill, fill)
	m.mu.Unlock()
}

// count adds increments, and takes left records out of those in flight. left is given apart
// because records in flight are counted on their own (I6).
func (m *meter) count(t increments, left int64) {
	m.mu.Lock()
	m.add(t, left)
	m.mu.Unlock()
}

// add is count with the lock held.
func (m *meter) add(t increments, left int64) {
	if m.sealed {
		return
	}
	c := &m.counts
	c.Out += t.out
	c.Created += t.created
	c.Filtered += t.filtered
	c.Rejected += t.rejected
	c.Abandoned += t.abandoned
	c.Retries += t.retries
	c.InFlight -= left
}

// seal books what is still in flight as abandoned and ends the counting: what comes
// back late changes nothing.
func (m *meter) seal() {
	m.mu.Lock()
	if !m.sealed {
		m.counts.Abandoned += m.counts.InFlight
		m.counts.InFlight = 0
		m.sealed = true
	}
	m.mu.Unlock()
}

func (m *meter) read() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

// rotate ends the interval of a meter. fill is how full the queue is now: it is the least
// that the interval that begins has seen, also when nothing moves in it.
func (m *meter) rotate(unit, fill float64) {
	m.mu.Lock()
	m.lat.rotate(unit)
	m.lastFill, m.fill = max(m.fill, fill), fill
	m.mu.Unlock()
}
