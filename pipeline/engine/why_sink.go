package engine

import (
	"cmp"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/reorder"
)

// This file is what sinks say of the records that hold marks.

// seek looks for the records that are searched for among those of the sink. Of a dead letter it is the record
// that it stands for.
func (s *sink) seek(now time.Time, f *search) {
	host := hostOf(s.conf.Sink)
	for _, q := range s.allQueues() {
		wanted := f.lanes[q.l]
		if wanted == nil {
			continue
		}
		q.mu.Lock()
		for _, it := range q.batch {
			if it.stands().number() == wanted.number {
				wanted.found(it.rec.Position, q.describe(it, host, now))
			}
		}
		for _, it := range q.queue[q.head:] {
			if it.stands().number() == wanted.number {
				wanted.found(it.rec.Position, q.describeQueued(it, host, now))
			}
		}
		q.mu.Unlock()
	}
}

// stands gives the record that one stands for as a copy, or as a dead letter.
func (it item) stands() item {
	if it.origin != nil {
		return *it.origin
	}
	return it
}

// hostOf asks a sink or source for its host.
func hostOf(component any) (host string) {
	h, ok := component.(pipeline.Hosted)
	if !ok {
		return ""
	}
	defer func() { _ = recover() }() // it is asked for a word in a message: that it cannot say it ends nothing
	return h.Host()
}

// describe says how the Writes of a record fare. The queue is locked.
func (q *sinkQueue) describe(it item, host string, now time.Time) Hold {
	s := q.s
	h := Hold{
		Lane: q.l.name, Position: it.rec.Position, Root: it.rec.Position, Where: s.conf.Name, Kind: s.conf.Kind, Host: host,
		State: "retrying", Cause: CauseSink, Attempt: q.fails, Attempts: s.conf.Retry.Attempts, Age: now.Sub(it.piece.read),
	}
	if s.letters {
		h.Cause, h.Attempts = CauseDeadLetter, 0
	}
	last := says(q.lastErr)
	h.ErrorType, h.ErrorMessage = last.kind, last.message
	h.Since = h.Age
	if !q.stuck.IsZero() {
		h.Since = q.age(now)
	}
	switch {
	case q.call:
		h.State = "writing"
		h.Attempt++
		if _, held := q.clock.stoodStill(now); held > 0 {
			by, of := q.clock.waitsFor()
			h.limited(by, of, held, now)
			h.Attempt-- // it has not been sent
		}
	case now.Before(q.askedUntil):
		who := cmp.Or(host, "the sink")
		h.limited(heldFor{cause: CauseHost, waits: who + ", which has asked to wait", until: q.askedUntil}, host, now.Sub(q.asked), now)
	case q.lastErr != nil && q.retryAt.After(now):
		h.Until = q.retryAt
	}
	return h
}

// limited has a limit be what holds a write up.
func (h *Hold) limited(by heldFor, host string, since time.Duration, now time.Time) {
	h.State, h.Cause, h.For, h.Since = callStates[reorder.Throttled], cmp.Or(by.cause, CauseLimit), by.waits, since
	h.Host = cmp.Or(host, h.Host)
	if by.until.After(now) {
		h.Until = by.until
	}
}

// describeQueued says what a record waits for that no Write has had. The queue is locked.
func (q *sinkQueue) describeQueued(it item, host string, now time.Time) Hold {
	if len(q.batch) > 0 {
		return q.describe(q.batch[0], host, now)
	}
	h := q.describe(it, host, now)
	h.State, h.Attempt, h.Since = "queued", 0, h.Age
	switch {
	case q.s.txn != nil && !q.running:
		h.Cause = CauseTransaction
	case q.linger:
		h.Cause, h.For = CauseQueue, "more records for its write"
	default:
		h.Cause = CauseQueue
	}
	return h
}
