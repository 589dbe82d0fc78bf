package engine

import (
	"sync"
	"time"
)

// A turnstile lets chunks out in the order of their numbers, whichever worker brings
// them (I1). The worker that brings the next one has the baton: it alone is the
// sender then, also of those that others leave behind it.
type turnstile struct {
	s     *cpuStep
	mu    sync.Mutex
	room  sync.Cond
	ring  []*chunk
	next  uint64
	baton bool
}

func (q *turnstile) init(s *cpuStep, size int) {
	q.s, q.ring = s, make([]*chunk, size)
	q.room.L = &q.mu
}

// put brings a chunk. It blocks while too many wait for an earlier one (I4), and says
// whether it took time.
func (q *turnstile) put(c *chunk) (waited bool) {
	size := uint64(len(q.ring))
	q.mu.Lock()
	for c.seq-q.next >= size && !q.s.p.isGone() {
		q.room.Wait()
		waited = true
	}
	if c.seq-q.next >= size {
		q.mu.Unlock()
		q.s.p.lose(c)
		return true
	}
	q.ring[c.seq%size] = c
	if q.baton {
		q.mu.Unlock()
		return waited
	}
	q.baton = true
	for {
		c := q.ring[q.next%size]
		if c == nil {
			break
		}
		q.ring[q.next%size] = nil
		q.next++
		q.mu.Unlock()
		if q.send(c) > 0 {
			waited = true
		}
		q.mu.Lock()
		q.room.Broadcast()
	}
	q.baton = false
	q.mu.Unlock()
	return waited
}

// send hands a chunk to the next step: none when it is empty, and several when a
// split has made it too large.
func (q *turnstile) send(c *chunk) (waited time.Duration) {
	p := q.s.p
	if len(c.recs) == 0 {
		p.roll.drop(c)
		return 0
	}
	if q.s.conf.Splitter != nil {
		q.s.number(c.recs)
	}
	for len(c.recs) > chunkRecords {
		head := p.roll.make(c.lane)
		c.mu.Lock()
		head.recs = append(head.recs, c.recs[:chunkRecords]...)
		c.recs = c.recs[chunkRecords:]
		c.mu.Unlock()
		for _, it := range head.recs {
			if it.fail != nil {
				head.failed++
			}
		}
		c.failed -= head.failed
		waited += q.hand(head)
	}
	return waited + q.hand(c)
}

func (q *turnstile) hand(c *chunk) time.Duration {
	waited, ok := q.s.out.send(c)
	if !ok {
		q.s.p.lose(c)
	}
	return waited
}

// wake lets those go who wait for room when the pipeline is given up.
func (q *turnstile) wake() {
	q.mu.Lock()
	q.room.Broadcast()
	q.mu.Unlock()
}
