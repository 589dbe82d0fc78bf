package engine

import (
	"fmt"

	"github.com/penstockio/penstock/pipeline"
)

// This file is what a sink does when a lane is over.

// forgetLane drops the queue of a lane that is over. Its writer ends by itself when it finds
// the lane frozen; one that has ended with a batch in hand (parting.go) finds nothing any more. The sink
// is told of the end when no Write of the lane is under way: here, or by the writer when its Write returns.
func (s *sink) forgetLane(l *lane) {
	s.mu.Lock()
	q := s.queues[l]
	delete(s.queues, l)
	s.mu.Unlock()
	if q == nil {
		return
	}
	q.mu.Lock()
	q.closed = true // first: a writer that is parked behind takeParked would keep its batch for ever
	tell := !q.call
	q.mu.Unlock()
	left := q.takeParked()
	s.abandon(l, append(left, q.drop()...))
	if tell {
		q.tellLaneEnded()
	}
}

// tellLaneEnded lets the sink know that the lane is over, if the sink wants to hear that and
// has had a Write of it. It is called once: the queue is closed, and no Write is under way.
func (q *sinkQueue) tellLaneEnded() {
	e, ok := q.s.conf.Sink.(pipeline.LaneEnder)
	if !ok || !q.wrote {
		return
	}
	err := guarded(func() error { e.LaneEnded(q.at.Topic, q.at.Partition); return nil })
	if err != nil {
		q.s.p.stop(fmt.Errorf("%s: ending lane %s: %w", q.s.conf.Name, q.l.name, err))
	}
}

// forget drops a queue that was made after forgetLane: the router may have found the lane in
// order just before it ended, and have put records of it into a new queue.
func (s *sink) forget(q *sinkQueue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queues[q.l] == q && q.l.isFrozen() {
		delete(s.queues, q.l)
	}
}
