package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
)

// A router stands behind the last step and puts each record into the queues of the
// sinks that want it. It never waits for a sink.
type router struct {
	p     *shared
	sinks []*sink
	when  []condition // of each of the sinks
	in    *pipe
	crew  *crew.Crew
	ended chan struct{} // closed when every record has been through
	asks  bool          // some sink has a condition, which may fail
	plain bool          // there is one sink, and it takes every record

	c     *chunk   // at work; nil: none
	recs  []item   // its records
	i     int      // the record at work
	asked int      // the index of the sink whose condition is being asked
	wants []int    // the indexes of the sinks that want the record
	lists [][]item // for each sink, records of the chunk that it gets
	none  []item   // records of the chunk that no sink wants
	lost  []item   // records of the chunk that are abandoned

	through  int64 // how many records of the chunk some sink gets, of which the budget of rejections does not know
	unwanted int   // of how many of none it knows
}

// A condition says whether a sink wants a record; nil: it wants every one.
type condition = func(*pipeline.Record) (bool, error)

func newRouter(p *shared, sinks []*sink, when []condition, in *pipe) *router {
	return &router{
		p: p, sinks: sinks, when: when, in: in, crew: crew.New(), ended: make(chan struct{}),
		plain: len(sinks) == 1 && when[0] == nil,
		asks:  slices.ContainsFunc(when, func(c condition) bool { return c != nil }),
		lists: make([][]item, len(sinks)),
	}
}

func (r *router) start() {
	w := &crew.Worker{Crew: r.crew, Work: r.work, Panicked: onPanic(r.panicked), Ended: func() { close(r.ended) }}
	w.Start()
}

func (r *router) work() bool {
	if r.c == nil {
		c, ok := r.in.receive()
		if !ok {
			return false
		}
		if r.asks && c.failed < len(c.recs) && r.p.rejects().pausing() { // before it is taken: those who look from outside see the chunk
			r.p.rejects().wait(c.lane.stepsCtx)
		}
		r.c, r.recs, r.i = c, c.take(), 0
	}
	l := r.c.lane
	switch {
	case r.i == 0 && (r.p.phase.stopsEarly.Load() || l.isFrozen()):
		l.finish(r.recs, abandoned)
	case r.plain && r.c.failed == 0:
		r.through = int64(len(r.recs))
		r.tell()
		r.sinks[0].enqueue(l, r.recs)
	default:
		for ; r.i < len(r.recs); r.i++ {
			r.route(r.recs[r.i])
		}
		r.flush()
	}
	r.p.pool.drop(r.c)
	r.c = nil
	return true
}

// panicked rejects the record whose condition panicked.
func (r *router) panicked(err *pipeline.PanicError) {
	if r.c == nil || r.i >= len(r.recs) {
		r.p.stop(fmt.Errorf("routing records to sinks: in the engine: %w\n%s", err, err.Stack))
		return
	}
	it := r.recs[r.i]
	r.i++
	r.unclear(it, r.asked, err)
}

// route decides which sinks a record is for.
func (r *router) route(it item) {
	p := r.p
	if p.phase.stopsEarly.Load() {
		r.lost = append(r.lost, it)
		return
	}
	if it.fail != nil {
		r.reject(it, it.fail)
		return
	}
	r.wants = r.wants[:0]
	for i := range r.sinks {
		if when := r.when[i]; when != nil {
			r.asked = i
			yes, err := when(it.rec)
			if err != nil {
				r.unclear(it, i, err)
				return
			}
			if !yes {
				continue
			}
		}
		r.wants = append(r.wants, i)
	}
	if len(r.wants) > 0 {
		r.through++
	}
	switch len(r.wants) {
	case 0:
		r.none = append(r.none, it)
	case 1:
		i := r.wants[0]
		r.lists[i] = append(r.lists[i], it)
	default:
		it.rec.Value() // edits are put in here, once: the copies share the bytes
		for j, i := range r.wants {
			one := it
			if j > 0 {
				one = it.copyForSink()
			}
			r.lists[i] = append(r.lists[i], one)
		}
		it.refs = int16(len(r.wants))
	}
}

// unclear rejects a record on which a sink's condition failed: nobody can say whether the sink
// wants it. The sink counts it as one that came in and was rejected.
func (r *router) unclear(it item, sink int, err error) {
	s := r.sinks[sink]
	if pipeline.IsFatal(err) {
		s.meter.enter(1)
		s.meter.failed(it.rec.Position, err)
		s.meter.count(increments{abandoned: 1}, 1)
		r.lost = append(r.lost, it)
		r.p.stop(fmt.Errorf("%s: %s: %w", s.conf.Name, it.rec.Position, err))
		return
	}
	reason, ok := pipeline.IsPermanent(err)
	if !ok {
		reason = pipeline.ReasonExpression
	}
	var pe *pipeline.PanicError
	if errors.As(err, &pe) {
		r.p.panicked(s.conf.Name, it.rec, pe)
	}
	s.meter.enter(1)
	s.meter.failed(it.rec.Position, err)
	r.tell()
	it.fail = r.p.failure(s.conf.Name, OnErrorDeadLetter, it.rec, reason, err, 1, func() error { rejects := r.p.rejects(); return rejects.spend(rejects.atConditions()) })
	it.fail.meter = s.meter
	r.reject(it, it.fail)
}

// reject sends a failed record to the dead letters, or stops the pipeline. It comes here, where
// records are in the order of their lane again: when it stops the pipeline, sinks get what is
// before the record, and nothing that is behind it.
func (r *router) reject(it item, why *failure) {
	if why.stop {
		r.lost = append(r.lost, it)
		r.p.stop(why.fatal(it.rec))
		return
	}
	it.piece.lane.reject(it, why)
}

// tell has the budget of rejections know of the records that passed.
func (r *router) tell() {
	rejects := r.p.rejects()
	rejects.passed(rejects.atConditions(), r.through, int64(len(r.none)-r.unwanted))
	r.through, r.unwanted = 0, len(r.none)
}

// flush hands the lists to the sinks.
func (r *router) flush() {
	l := r.c.lane
	r.tell()
	r.unwanted = 0
	for i, list := range r.lists {
		if len(list) > 0 {
			r.sinks[i].enqueue(l, list)
			clear(list)
			r.lists[i] = list[:0]
		}
	}
	l.finish(r.none, filtered)
	l.finish(r.lost, abandoned)
	clear(r.none)
	clear(r.lost)
	r.none, r.lost = r.none[:0], r.lost[:0]
}
