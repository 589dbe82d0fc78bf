package engine

import "errors"

// This file ends a pipeline that is told to stop during a pause, or whose budget of rejections is spent while it stops.
//
// What it guarantees. Nothing more is rejected: to try what has begun to its end would fill the dead letters with the
// outage that the pause is about. What has not begun is handed back (I7). What has begun, and what would be rejected, is
// abandoned: no mark passes it, and it is read again. What sinks hold is written, but by one that would reject more (refusing.go).
// The pipeline has not failed.
//
// How. As when an error stops the pipeline early (shared.stop), without an error. Whoever would reject a record
// is told to stop the pipeline with errHalted, and abandons the record on the way. Where no pause is on at the stop, the first
// who is told so halts the pipeline.
//
// A source that cannot be read again is not halted: its records are finished, or they would be lost.

// errHalted is why a record is not rejected any more.
var errHalted = errors.New("the pipeline stops, and its budget of dead letters is spent: nothing more is rejected, the record is read again")

// halt ends the pause. What has not begun has been handed back before.
func (p *shared) halt() {
	for _, l := range p.lanes.all() {
		l.cancelCalls()
	}
	p.hooks.stopEarly()
	p.rejects().resume()
}

// halts says whether the sink gives up what is left of a batch instead of trying it again: it would be rejected after some more attempts.
func (w *writer) halts() bool { return w.q.s.p.phase.halted.Load() && w.limit() > 0 }
