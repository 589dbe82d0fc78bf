package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file is how records of a lane reach a sink, and what becomes of those that do not.
//
// What it guarantees. One Write of a lane at a time, in the lane's order. A record that the
// sink has stored is not written again while the lane lasts. One that cannot be stored for the
// moment is tried again without end, unless the sink has a limit, and everything behind it
// waits: the lane stands, its source is held back (sink.go), other lanes go on. One that is
// refused for good goes to the dead letters and holds nothing back; without dead letters it
// stops the pipeline. A panic in Write is a permanent error: it is narrowed down like a refusal.
//
// How. A batch is taken from the lane's queue: as many records as there are, up to what a Write
// may have. To wait until a batch is full would cost latency, and under load it is full in any
// case; where each Write has a price of its own, a linger can be set. When a Write of a batch
// fails for good and as a whole, nobody has said which record is at fault. Then the batch is
// written in smaller parts, down to single records, until the one that is refused stands alone;
// it is rejected, and the parts grow again. A *WriteError names the records, and spares that.
//
// Not chosen. A Write for each record after a failure: of 5,000 that is 5,000 requests for one
// bad record; halving, and doubling again, takes some 35. Several Writes of a lane at once: it
// is then luck in which order they arrive at the sink, which is how other programs lose the
// order with settings that look harmless.

// A writer writes the records of one lane to one sink, one Write at a time. Its state
// outlives a panic in Write.
type writer struct {
	q          *sinkQueue
	batch      []item             // what is left of the batch, in order
	recs       []*pipeline.Record // the records of the next Write, for the sink
	tries      []int              // how often each record of batch has been tried
	next       int                // how many records of batch the next Write has
	taken      bool               // a batch was taken from the queue, and resolved has not been called for it
	wait       time.Duration      // before the next Write
	clock      *clock             // the context of Writes; nil: to be made
	made       time.Time          // when it was
	call       bool               // a Write is under way
	span       Span               // of that Write, when a record in it is traced; nil: none
	ended      time.Time          // when the last Write returned
	spareBatch []item             // room for the next batch
	counts     []int              // room for the next tries
	ok         []item             // room for records that a *WriteError does not name
}

func (w *writer) init(q *sinkQueue) { w.q = q }

// work makes one Write, or one step towards it: it takes a batch, gives up, or waits. It gives
// false when there is nothing to write.
func (w *writer) work() bool {
	q := w.q
	if len(w.batch) == 0 && !w.begin() {
		return false
	}
	if q.l.isFrozen() || q.s.alone.is() {
		w.giveUp()
		return true
	}
	if q.park() {
		return false
	}
	if q.s.p.rejects().pausing() && !q.s.letters && q.s.txn == nil {
		q.s.p.rejects().wait(q.l.writesCtx)
		return true
	}
	if w.wait > 0 {
		w.rest()
		return true
	}
	now := time.Now()
	q.mu.Lock()
	if q.closed { // the sink was told that no Write follows; the lane is frozen, and the next turn gives up
		q.mu.Unlock()
		return true
	}
	if w.clock == nil || now.Sub(w.made) > q.s.conf.Timeout/writesShare {
		w.endContext()
		w.clock, w.made = newClock(q.l.writesCtx, q.s.conf.Timeout), now
	}
	q.started, q.call, q.clock = now, true, w.clock
	q.wrote, q.at = true, w.batch[0].rec.Position
	if q.stuck.IsZero() {
		q.stuck = now
	}
	q.mu.Unlock()
	q.s.began(now)
	q.s.p.sending(w.batch[:w.next])
	w.call = true
	ctx := context.Context(w.clock)
	if q.s.p.traces {
		ctx = w.trace(now)
	}
	err := q.s.conf.Sink.Write(ctx, w.list())
	w.end(NoAnswer(err, q.s.conf.Timeout))
	return true
}

// list gives the records of the next Write.
func (w *writer) list() []*pipeline.Record {
	w.recs = w.recs[:0]
	for _, it := range w.batch[:w.next] {
		w.recs = append(w.recs, it.rec)
	}
	return w.recs[:w.next:w.next]
}

// writesShare says how long Writes that succeed share a context: for this part of the timeout,
// as 1/n. A timer for each Write would be most of what a Write of few records costs
// (BenchmarkP1). In return a Write has up to that part less time than the timeout says.
const writesShare = 16

// endContext ends the context of Writes.
func (w *writer) endContext() {
	if w.clock != nil {
		w.clock.end(context.Canceled)
		w.clock = nil
	}
}

// begin takes the next batch, after the linger.
func (w *writer) begin() bool {
	w.resolved()
	if w.q.s.conf.Linger > 0 {
		w.linger()
	}
	batch, ok := w.q.next(w.spareBatch[:0])
	if !ok {
		return false
	}
	w.spareBatch, w.batch, w.next = batch, batch, len(batch)
	w.counts = slices.Grow(w.counts[:0], len(batch))[:len(batch)]
	clear(w.counts)
	w.taken = true
	w.tries = w.counts
	return true
}

// resolved tells the transactions that every record of the batch that was taken is done with.
func (w *writer) resolved() {
	if w.taken {
		w.taken = false
		w.q.s.txn.resolved()
	}
}

// linger waits until the queue has enough for a full write, or has waited as long as
// the sink says. A stop ends it, and that somebody waits for the pipeline to be at rest.
func (w *writer) linger() {
	q, s := w.q, w.q.s
	timer := time.NewTimer(s.conf.Linger)
	defer timer.Stop()
	for {
		q.mu.Lock()
		n := len(q.queue) - q.head
		full := n >= s.conf.MaxRecords || q.weight >= int64(s.conf.MaxBytes)
		late := time.Since(q.arrived) >= s.conf.Linger || s.p.resting.Load() > 0
		q.linger = n > 0 && !full && !late
		wait := q.linger
		q.mu.Unlock()
		if !wait {
			return
		}
		select {
		case <-q.more:
		case <-timer.C:
		case <-s.p.read.ctx.Done():
			return
		case <-q.l.writesCtx.Done():
			return
		}
	}
}

// panicked ends a Write that has panicked.
func (w *writer) panicked(err *pipeline.PanicError) {
	if w.call {
		w.end(err)
		return
	}
	w.q.s.p.stop(fmt.Errorf("%s: in the engine: %w\n%s", w.q.s.conf.Name, err, err.Stack))
	w.wait = panicPause
}

// panicPause is how long a writer rests behind a panic that is not of a Write: it comes to the same
// place again, and the pipeline has until the end of its drain budget.
const panicPause = time.Second

// end decides what a Write has led to.
func (w *writer) end(err error) {
	q, s := w.q, w.q.s
	w.call = false
	now := time.Now()
	stood, _ := w.clock.stoodStill(now)
	if err != nil || stood > 0 { // it may stand still yet, and is not for the next Write
		w.endContext()
	}
	w.ended = now
	w.endSpan(err)
	q.mu.Lock()
	q.stood += stood
	q.clock = nil
	took := now.Sub(q.started)
	q.call = false
	tell := q.closed
	q.mu.Unlock()
	if tell {
		q.tellLaneEnded()
	}
	s.done(now, w.next, took)
	if q.l.isFrozen() { // its result counts for nothing (I8)
		w.tooLate(err)
		return
	}
	if err == nil {
		w.stored(w.advance(w.next))
		w.next = min(2*w.next, len(w.batch))
		return
	}
	if s.alone.cut.Load() {
		w.cutOff(err)
		return
	}
	var partial *pipeline.WriteError
	if errors.As(err, &partial) && obeysContract(partial, w.next) && !isPanic(err) {
		w.failedPartly(partial)
		return
	}
	w.failedWhole(err)
}

// failedWhole handles an error that says that none of the records is durable.
func (w *writer) failedWhole(err error) {
	s, first := w.q.s, w.batch[0]
	s.meter.failed(first.rec.Position, err)
	if pipeline.IsFatal(err) {
		w.fatal(first.rec.Position, err)
		return
	}
	if isPanic(err) {
		var p *pipeline.PanicError
		errors.As(err, &p)
		s.p.panicked(s.conf.Name, first.rec, p)
	}
	if reason, ok := pipeline.IsPermanent(err); ok {
		if w.next > 1 { // one of them is at fault: find out which
			w.next = (w.next + 1) / 2
			return
		}
		tries := w.tries[0] + 1
		w.advance(1)
		w.reject(first, reason, err, tries)
		w.next = min(2*w.next, len(w.batch))
		return
	}
	for i := range w.tries[:w.next] {
		w.tries[i]++
	}
	if limit := w.limit(); limit > 0 && w.tries[0] >= limit {
		n := 0
		for n < w.next && w.tries[n] >= limit {
			n++
		}
		for _, rec := range w.advance(n) {
			w.reject(rec, pipeline.ReasonAttempts, err, limit)
		}
		w.next = len(w.batch)
		return
	}
	w.later(err)
}

// limit is how often a record may be tried; 0: without end.
func (w *writer) limit() int {
	if w.q.s.letters {
		return 0
	}
	return w.q.s.conf.Retry.Attempts
}

// later has what is left of the batch tried again after a while.
func (w *writer) later(err error) {
	q := w.q
	if w.halts() {
		w.giveUp()
		return
	}
	w.wait = q.again(err, w.ended)
	q.s.meter.count(increments{retries: 1}, 0)
}

// stored books records as durable.
func (w *writer) stored(recs []item) {
	if len(recs) == 0 {
		return
	}
	q, s := w.q, w.q.s
	n := int64(len(recs))
	s.meter.count(increments{out: n}, n)
	if s.tap.watched() {
		s.tap.look(TapAfter, recs, nil, w.ended)
	}
	if s.letters {
		q.l.finishAt(recs, rejected, w.ended)
	} else {
		w.recs = w.recs[:0] // made anew: the sink had the list in its hands
		for _, r := range recs {
			w.recs = append(w.recs, r.rec)
		}
		s.p.bytesOut.Add(records.Sent(w.recs))
		q.l.finishAt(recs, delivered, w.ended)
	}
}

// reject rejects a record that the sink refuses for good. A dead letter is never dropped: one
// that is refused stops the pipeline.
func (w *writer) reject(rec item, reason string, err error, tries int) {
	s, l := w.q.s, w.q.l
	if s.letters {
		err = fmt.Errorf("%s: %s: storing a dead letter: %w", s.conf.Name, rec.rec.Position, err)
		w.abandon(rec)
		s.p.stop(err)
		return
	}
	f := s.p.failure(s.conf.Name, OnErrorDeadLetter, rec.rec, reason, err, tries, func() error { return l.spend(rec) })
	if f.stop {
		if f.spent != nil {
			s.leaveAlone()
		}
		err = f.fatal(rec.rec) // while the record is still there
		w.abandon(rec)
		s.p.stop(err)
		return
	}
	s.meter.count(increments{rejected: 1}, 1)
	if s.tap.watched() {
		s.tap.look(TapRejected, []item{rec}, f, w.ended)
	}
	l.reject(rec, f)
}

// abandon abandons a record.
func (w *writer) abandon(rec item) { w.q.s.abandon(w.q.l, []item{rec}) }

// advance takes the first n records off the batch.
func (w *writer) advance(n int) []item {
	recs := w.batch[:n]
	w.batch, w.tries = w.batch[n:], w.tries[n:]
	w.progress()
	w.show()
	return recs
}

// show lets those who look from outside see what is left of the batch.
func (w *writer) show() {
	w.q.mu.Lock()
	w.q.batch = w.batch
	w.q.mu.Unlock()
}

// progress notes that some records are done: failures are counted from 0 again, and the time
// without progress begins anew with the next Write.
func (w *writer) progress() {
	q := w.q
	q.mu.Lock()
	q.fails, q.lastErr = 0, nil
	q.stuck, q.stood = time.Time{}, 0
	q.mu.Unlock()
}

// fatal stops the pipeline; the lane's records are abandoned.
func (w *writer) fatal(at pipeline.Position, err error) {
	w.q.s.p.stop(fmt.Errorf("%s: %s: %w", w.q.s.conf.Name, at, err))
	w.giveUp()
}

// giveUp abandons the batch and the queue.
func (w *writer) giveUp() {
	s, l := w.q.s, w.q.l
	w.endContext()
	batch := w.batch
	w.batch, w.tries, w.spareBatch, w.recs, w.wait = nil, nil, nil, nil, 0
	w.show()
	w.progress()
	s.abandon(l, batch)
	s.forget(w.q)
	s.abandon(l, w.q.drop())
	w.resolved()
}
