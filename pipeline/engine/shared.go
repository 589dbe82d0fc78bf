package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// shared is what the parts of a pipeline have in common: its options, its counters, how far
// the run is. The parts hold this and not the [Pipeline], which holds them. What one of them
// needs of another that stands above it is a hook, so that each can be read, and tested,
// without the rest.
type shared struct {
	opts   Options
	events *event.Emitter
	budget *Budget
	use    pipelineUse // what the pipeline has of the budget

	phase       phase         // how far the run is
	work        lifetime      // how long records are worked on
	read        reading       // how far reading is
	outstanding atomic.Int32  // calls of the source, of Fill and of the transactor that have not returned
	moved       chan struct{} // told when there is something to commit, or a lane ends

	lanes laneSet
	pool  pool // of chunks and blocks

	current  atomic.Pointer[plan] // what a Change replaces
	resting  atomic.Int32         // somebody waits for the pipeline to be at rest: no sink lingers
	noPauses atomic.Bool          // the budget of rejections has no pause begin any more
	steer    steering             // what is steered by command

	meter meter // of the records of the whole pipeline
	traffic

	taps taps // who looks at records

	traits
	hooks hooks
}

// traffic is what has come and gone, in bytes.
type traffic struct {
	bytesIn  atomic.Int64 // of the records that have been made
	bytesOut atomic.Int64 // of the records that sinks have stored, dead letters left out
}

// traits are what an outcome has to look after beside the marks, which most pipelines have none of.
type traits struct {
	traces  bool        // there is a Tracer: without one a piece is not looked at, whose traces stand in another cache line
	follows atomic.Bool // some batch wants to hear of each of its records
}

// hooks are what lanes and the parts of a run ask of those above them. [New] sets all of them
// before anything runs.
type hooks struct {
	lookAgain     func()                             // the filler can do more than when it looked last
	recordsCame   func()                             // there is something to watch
	stopEarly     func()                             // the steps abandon what they have
	handBack      func(*lane)                        // the first waiting step hands back what it has not begun of the lane
	sendLetter    func(*lane, item)                  // a dead letter is on its way
	laneAbandoned func(*lane)                        // what an open transaction has written of the lane may not be committed
	commitLast    func(context.Context, *lane) error // has the lane's mark committed for the last time
	resumed       func()                             // steps go on after a pause
	forgetLane    func(*lane)                        // steps and sinks drop what they keep of the lane
}

func (p *shared) init(o Options) {
	p.opts, p.events, p.budget = o, o.Events.Pipeline(o.Name), o.Budget
	p.use.room = make(chan struct{}, 1)
	p.lanes.counted = func(n int) { p.budget.lanes(&p.use, n) }
	p.phase.init()
	p.work.init()
	p.read.init(p.work.ctx)
	p.taps.init()
	p.pool.init(func(bytes int64) { p.budget.account(&p.use, bytes) })
	p.moved = make(chan struct{}, 1)
	p.current.Store(p.newPlan(&o))
	p.opts.Steps, p.opts.Sinks, p.opts.DeadLetter, p.opts.ConfigHash = nil, nil, DeadLetter{}, "" // the plan has them
	p.traces = o.Tracer != nil
	p.steer.init(p)
}

// stop ends the pipeline early because of err: reading stops, steps abandon what they
// have, and sinks finish what they hold within the drain budget. The first error counts. errHalted is
// none: the pipeline stops already, and is halted.
func (p *shared) stop(err error) {
	if errors.Is(err, errHalted) {
		if p.phase.halt() {
			p.discardUnread()
			p.halt()
		}
		return
	}
	if !p.phase.fail(err) {
		return
	}
	p.forbidPauses()
	p.discardUnread()
	for _, l := range p.lanes.all() { // others may end meanwhile
		l.cancelCalls()
	}
	p.hooks.stopEarly()
	p.rejects().resume()
}

// discardUnread ends reading. Batches that wait are given back unread: they are read again by
// another run.
func (p *shared) discardUnread() {
	p.read.discard.Store(true)
	p.read.stop()
	p.hooks.lookAgain()
}

// wake tells the committer that there is something to commit, or that a lane ends.
func (p *shared) wake() {
	select {
	case p.moved <- struct{}{}:
	default:
	}
}

// dirty says whether a lane has a mark that is not committed.
func (p *shared) dirty() bool {
	for _, l := range p.lanes.all() {
		if _, ok := l.unsaved(); ok {
			return true
		}
	}
	return false
}

// failRead ends the reading with an error; the first one counts. What was read before
// goes on.
func (p *shared) failRead(err error) {
	p.read.fail(err)
	p.read.stop()
}

// abandonChunk abandons the records of a chunk that cannot be sent on, as the pipeline has
// been given up.
func (p *shared) abandonChunk(c *chunk) {
	c.lane.finish(c.take(), abandoned)
	p.pool.drop(c)
}

// forget drops what the pipeline keeps for a lane that is over.
func (p *shared) forget(l *lane) {
	p.steer.forgetPassed() // also what the lane's last mark has passed
	p.lanes.remove(l)
	p.hooks.forgetLane(l)
}

// contained runs f, which is code of the engine and not of a component. A panic in it stops
// this pipeline; the other pipelines of the process go on.
func (p *shared) contained(f func()) {
	defer func() {
		if v := recover(); v != nil {
			_ = p.panicIn(v)
		}
	}()
	f()
}

// spawn runs f contained, in a goroutine.
func (p *shared) spawn(f func()) { go p.contained(f) }

// panicIn stops the pipeline because the engine panicked, and gives the error.
func (p *shared) panicIn(v any) error {
	err := &pipeline.PanicError{Value: v, Stack: debug.Stack()}
	p.panicked("engine", &pipeline.Record{}, err)
	p.stop(fmt.Errorf("running the engine: %w", err))
	return fmt.Errorf("running the engine: %w", err)
}
