package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/penstockio/penstock/pipeline/settings"
)

// A Budget bounds what a process has in flight, in records and in bytes (I4).
// Several pipelines may share one. Half of it is set aside in equal shares, one for
// each pipeline for certain; the rest is first come. At most half goes to one lane
// while another waits. A lane with nothing in flight may always take one charge.
type Budget struct {
	maxRecords, maxBytes int64

	mu             sync.Mutex
	records, bytes int64
	pipelines      []*pipelineUse
	waiters        []*waiter // in the order in which they came
}

// A pipelineUse is what one pipeline has of a budget. Guarded by the budget.
type pipelineUse struct {
	records, bytes int64
	lanes          int           // that are open
	blocked        bool          // while grant looks: somebody waits for bytes
	ended          bool          // the pipeline has ended: what comes back late is not counted
	room           chan struct{} // told when something was given back
	starved        int64         // bytes for want of which, or of a place, no record could be made; 0: none is wanting
	lookAgain      func()        // told when there are some
}

type waiter struct {
	lane  *lane
	bytes int64
	ready chan struct{}
}

// NewBudget makes a budget. Zero stands for DefaultInFlight records, 100,000, and for
// DefaultInFlightBytes, 256 MiB.
func NewBudget(records int, bytes settings.Size) *Budget {
	b := &Budget{maxRecords: int64(records), maxBytes: int64(bytes)}
	if b.maxRecords <= 0 {
		b.maxRecords = DefaultInFlight
	}
	if b.maxBytes <= 0 {
		b.maxBytes = int64(DefaultInFlightBytes)
	}
	return b
}

// Use gives what is in flight now.
func (b *Budget) Use() (records int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int(b.records), b.bytes
}

func (b *Budget) join(m *pipelineUse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pipelines = append(b.pipelines, m)
}

// lanes notes how many lanes a pipeline has.
func (b *Budget) lanes(m *pipelineUse, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m.lanes = n
}

// leave takes a pipeline out, with everything that it has not given back.
func (b *Budget) leave(m *pipelineUse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m.ended = true
	b.records -= m.records
	b.bytes -= m.bytes
	for i, o := range b.pipelines {
		if o == m {
			b.pipelines = append(b.pipelines[:i], b.pipelines[i+1:]...)
			break
		}
	}
	b.grant()
}

// free gives the bytes that a member may take without touching what is set aside for
// the others. It may be negative.
func (b *Budget) free(m *pipelineUse) int64 {
	return b.left(m, b.maxBytes, b.bytes, func(m *pipelineUse) int64 { return m.bytes })
}

// places gives the records that a member may have on top of those it has, with what is
// set aside for the others left alone. Unlike bytes, which may be charged late, there are
// never more than the budget has.
func (b *Budget) places(m *pipelineUse) int64 {
	n := b.left(m, b.maxRecords, b.records, func(m *pipelineUse) int64 { return m.records })
	return min(n, b.maxRecords-b.records)
}

// left gives what a member may take of what there is of a whole, in bytes or records, of
// which each has some.
func (b *Budget) left(m *pipelineUse, whole, used int64, has func(*pipelineUse) int64) int64 {
	share := whole / int64(2*max(len(b.pipelines), 1))
	n := whole - used
	for _, o := range b.pipelines {
		if has := has(o); o != m && has < share {
			n -= share - has
		}
	}
	return max(n, share-has(m))
}

// admit takes places for up to n further records of a lane, whose making takes bytes, and
// gives how many it got: one at least for a lane that has none, so that none stands still
// for another (I4). Records of a small budget come in small numbers, so that all lanes
// have some. What is taken is given back by finished.
func (b *Budget) admit(l *lane, n int, bytes int64) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := l.shared
	some := max(b.maxRecords/int64(4*max(m.lanes, 1)), 1)
	got := min(int64(n), some, b.places(m))
	bytes = max(bytes, 1)
	if b.free(m) < bytes {
		got = 0
	}
	if got <= 0 && l.records == 0 {
		got = 1
	}
	if got <= 0 {
		if m.starved == 0 || bytes < m.starved {
			m.starved = bytes
		}
		return 0
	}
	b.count(l, got)
	return int(got)
}

// spare says whether so many bytes can be made for a lane.
func (b *Budget) spare(l *lane, bytes int64) bool {
	if bytes == 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free(l.shared) >= bytes
}

// finished gives back the places of records that have their outcome.
func (b *Budget) finished(l *lane, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(l, -n)
	if m := l.shared; m.starved > 0 && l.records == 0 { // it gets one whatever the others have
		m.starved = 0
		m.lookAgain()
	}
	b.feed()
}

// count books records of a lane.
func (b *Budget) count(l *lane, n int64) {
	l.records += n
	if m := l.shared; !m.ended {
		m.records += n
		b.records += n
	}
}

// feed tells the pipelines that could make no record that there is room again.
func (b *Budget) feed() {
	for _, m := range b.pipelines {
		if m.starved > 0 && b.places(m) > 0 && b.free(m) >= m.starved {
			m.starved = 0
			m.lookAgain()
		}
	}
}

// room gives the bytes that a lane may take now.
func (b *Budget) room(l *lane) int64 {
	free := b.free(l.shared)
	if l.charges == 0 {
		return max(free, min(1<<20, b.maxBytes/16), 1)
	}
	if l.holds.Load() > 0 || l.unfilled.Load() >= b.ahead(l.shared) {
		return 0
	}
	if b.othersWait(l) {
		free = min(free, b.maxBytes/2-l.bytes)
	}
	return max(free, 0)
}

const readAhead = 1 << 20

// ahead is how many bytes of a lane may wait to be made records before no more of it is
// read: they are in the cache, or in nobody's way, while they are few.
func (b *Budget) ahead(m *pipelineUse) int64 {
	return max(min(readAhead, b.maxBytes/int64(4*max(m.lanes, 1))), 1)
}

func (b *Budget) othersWait(l *lane) bool {
	for _, w := range b.waiters {
		if w.lane != l && w.lane.holds.Load() == 0 {
			return true
		}
	}
	return false
}

var errLaneEnded = errors.New("taking bytes: the lane has ended")

func (b *Budget) take(ctx context.Context, l *lane, bytes int64) (*charge, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-l.closing:
		return nil, errLaneEnded
	default:
	}
	b.mu.Lock()
	if l.charges == 0 || len(b.waiters) == 0 && b.room(l) >= bytes {
		b.charge(l, bytes)
		b.mu.Unlock()
		return &charge{lane: l, bytes: bytes}, nil
	}
	w := &waiter{lane: l, bytes: bytes, ready: make(chan struct{})}
	b.waiters = append(b.waiters, w)
	b.grant()
	b.mu.Unlock()

	var err error
	select {
	case <-w.ready:
		return &charge{lane: l, bytes: bytes}, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-l.closing:
		err = errLaneEnded
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, o := range b.waiters {
		if o == w {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			b.grant()
			return nil, err
		}
	}
	b.uncharge(l, bytes) // granted meanwhile
	return nil, err
}

func (b *Budget) charge(l *lane, bytes int64) {
	l.charges++
	b.add(l, bytes)
}

func (b *Budget) uncharge(l *lane, bytes int64) {
	l.charges--
	b.add(l, -bytes)
	b.grant()
}

// open makes a charge of no bytes, for a batch that came without one.
func (b *Budget) open(l *lane, c *charge) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.charge(l, 0)
	*c = charge{lane: l}
}

func (b *Budget) add(l *lane, bytes int64) {
	l.bytes += bytes
	if m := l.shared; !m.ended {
		m.bytes += bytes
		b.bytes += bytes
	}
}

// account charges what a component of the pipeline holds beside records, without
// waiting: it is there already.
func (b *Budget) account(m *pipelineUse, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.ended {
		return
	}
	m.bytes += bytes
	b.bytes += bytes
	if bytes < 0 {
		b.grant()
	}
}

// grant serves those who wait, in their order. One who waits for bytes lets nobody
// overtake but those who need nobody's leave: lanes with nothing in flight.
func (b *Budget) grant() {
	for _, m := range b.pipelines {
		m.blocked = false
	}
	for i := 0; i < len(b.waiters); {
		w := b.waiters[i]
		l := w.lane
		switch {
		case l.charges == 0, !l.shared.blocked && b.room(l) >= w.bytes:
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			b.charge(l, w.bytes)
			close(w.ready)
			continue
		case l.holds.Load() == 0 && b.free(l.shared) < w.bytes:
			l.shared.blocked = true
		}
		i++
	}
	for _, m := range b.pipelines {
		select {
		case m.room <- struct{}{}:
		default:
		}
	}
	b.feed()
}

// regrant looks again at who waits, after a lane has been let go.
func (b *Budget) regrant() {
	b.mu.Lock()
	b.grant()
	b.mu.Unlock()
}
