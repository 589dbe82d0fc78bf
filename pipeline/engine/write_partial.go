package engine

import (
	"errors"
	"slices"

	"github.com/penstockio/penstock/pipeline"
)

// A refusal is a record that is to be rejected: the sink refuses it, or its last attempt failed.
type refusal struct {
	rec    item
	reason string
	err    error
	tries  int
}

// isPanic says whether err comes from a panic, or from the end of a goroutine.
func isPanic(err error) bool {
	var p *pipeline.PanicError
	return errors.As(err, &p)
}

// obeysContract says whether a *WriteError obeys the contract of Write for n records. One that does not
// says nothing that can be relied on: then none of the records counts as stored.
func obeysContract(e *pipeline.WriteError, n int) bool {
	last := -1
	for _, f := range e.Failed {
		if f.Index <= last || f.Index >= n || f.Err == nil {
			return false
		}
		last = f.Index
	}
	return len(e.Failed) > 0
}

// failedPartly handles an error that names the records that are not durable. They alone
// are written again, in order, before anything else of the lane.
func (w *writer) failedPartly(e *pipeline.WriteError) {
	e = &pipeline.WriteError{Failed: slices.Clone(e.Failed)} // the sink's own stays as it is
	for i, f := range e.Failed {
		e.Failed[i].Err = NoAnswer(f.Err, w.q.s.conf.Timeout)
	}
	m := w.q.s.meter
	var end error
	var at pipeline.Position // kept, as the record may be done when the error is reported
	for _, f := range e.Failed {
		if pipeline.IsFatal(f.Err) {
			end, at = f.Err, w.batch[f.Index].rec.Position
			break
		}
	}
	refused, kept, again := w.divide(e)
	if end != nil { // the records that are stored count as delivered, the rest is read again
		for _, r := range refused {
			w.abandon(r.rec)
		}
		m.failed(at, end)
		w.show()
		w.stored(w.ok)
		w.fatal(at, end)
		return
	}
	for _, r := range refused {
		m.failed(r.rec.rec.Position, r.err)
	}
	if again != nil && kept > 0 {
		m.failed(w.batch[0].rec.Position, again)
	}
	moved := len(w.ok)+len(refused) > 0
	if moved {
		w.progress()
	}
	w.next = len(w.batch)
	w.show()
	w.stored(w.ok)
	for _, r := range refused {
		w.reject(r.rec, r.reason, r.err, r.tries)
	}
	if kept > 0 && len(refused) == 0 {
		w.later(again)
	}
}

// divide takes out of the batch the records that are stored, into w.ok, and those that are to be
// rejected. It gives how many of the others were written and are to be tried again, and the
// first error of these.
func (w *writer) divide(e *pipeline.WriteError) (refused []refusal, kept int, again error) {
	w.ok = w.ok[:0]
	limit := w.limit()
	k := 0
	w.q.mu.Lock() // others may be looking at the batch
	defer w.q.mu.Unlock()
	for i := range w.next {
		rec := w.batch[i]
		if k == len(e.Failed) || e.Failed[k].Index != i {
			w.ok = append(w.ok, rec)
			continue
		}
		err := e.Failed[k].Err
		k++
		reason, permanent := pipeline.IsPermanent(err)
		tries := w.tries[i] + 1
		if !permanent && len(refused) > 0 { // perhaps it was only held back: then it has not been tried
			tries--
		}
		if !permanent && again == nil {
			again = err
			if limit > 0 && tries >= limit {
				reason, permanent = pipeline.ReasonAttempts, true
			}
		}
		if permanent {
			refused = append(refused, refusal{rec, reason, err, tries})
			continue
		}
		if limit > 0 { // nobody knows whether it failed or was held back: one attempt is left to it
			tries = min(tries, limit-1)
		}
		w.batch[kept], w.tries[kept] = rec, tries
		kept++
	}
	n := kept + copy(w.batch[kept:], w.batch[w.next:])
	copy(w.tries[kept:], w.tries[w.next:])
	w.batch, w.tries = w.batch[:n], w.tries[:n]
	w.q.batch = w.batch
	return refused, kept, again
}

// tooLate ends a Write of a lane that was given up meanwhile. What the sink has stored it tells the batches that follow
// their records; no mark passes it.
func (w *writer) tooLate(err error) {
	switch {
	case !w.q.s.p.follows.Load():
		w.giveUp()
	case err == nil:
		w.stored(w.advance(w.next))
		w.giveUp()
	default:
		w.cutOff(err)
	}
}
