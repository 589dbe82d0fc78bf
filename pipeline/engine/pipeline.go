package engine

import (
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
	"github.com/penstockio/penstock/pipeline/event"
)

// A Pipeline moves records from its source through its steps to its sinks. It is
// made by [New] and runs once.
type Pipeline struct {
	opts   Options
	events *event.Emitter
	budget *Budget
	use    pipelineUse // what the pipeline has of the budget

	chain
	fill  *filler
	lanes laneSet
	pool  pool // of chunks and blocks

	phase phase        // how far the run is
	work  lifetime     // how long records are worked on
	read  reading      // how far reading is
	calls atomic.Int32 // calls of the source, of Fill and of the transactor that have not returned

	commits commits
	txn     *transactions // nil without a Transactor

	meter    meter // of the records of the whole pipeline
	stats    stats
	watch    watch
	bytesIn  atomic.Int64 // of the records that have been made
	bytesOut atomic.Int64 // of the records that sinks have stored, dead letters left out
}

var _ Runner = (*Pipeline)(nil)

// A stepper is a step of either kind, at work: one that computes, or one that waits.
type stepper interface {
	core() *stepCore
	start()
	forgetLane(l *lane)
	stopEarly()
	snapshot(now time.Time) StepSnapshot
	load(now time.Time) load
	holdup(now time.Time) holdup
	fill() float64 // how full its queue is, from 0 to 1
	inFlight(now time.Time, add func(InFlight))
}

// New checks the options, fills in defaults and makes a pipeline of them. It starts
// nothing. The error names everything that is wrong.
func New(o Options) (*Pipeline, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.defaults()
	p := &Pipeline{opts: o, events: o.Events.Pipeline(o.Name), budget: o.Budget}
	p.use.room = make(chan struct{}, 1)
	p.lanes.counted = func(n int) { p.budget.lanes(&p.use, n) }
	p.phase.init()
	p.work.init()
	p.read.init(p.work.ctx)
	p.fill = newFiller(p)
	p.pool.init(func(bytes int64) { p.budget.account(&p.use, bytes) })
	p.use.lookAgain = p.fill.lookAgain
	p.meter.lat.keepAll()
	p.commits.init(p.work.ctx)
	p.txn = newTransactions(p)

	p.first = newPipe(pipeDepth, 0, p.work.over)
	in := p.first
	for i, conf := range o.Steps {
		out := newPipe(pipeDepth, i+1, p.work.over)
		p.steps = append(p.steps, newStep(p, conf, i, in, out))
		if s, ok := p.steps[i].(*waitStep); ok && p.firstWait == nil {
			p.firstWait = s
		} else if ok {
			s.win.first = &p.firstWait.win
		}
		in = out
	}
	for _, conf := range o.Sinks {
		p.sinks = append(p.sinks, newSink(p, conf))
	}
	if o.DeadLetter.Sink != nil {
		dead := o.DeadLetter.output()
		dead.defaults()
		p.dead = newSink(p, dead)
		p.dead.letters = true
	}
	p.route = newRouter(p, in)
	p.keepsLaneOrder = len(p.sinks) == 1 && o.Order == OrderPartition
	p.stats.init(p)
	p.watch.init(p)
	return p, nil
}

// pipeDepth is how many chunks a channel between two steps holds.
const pipeDepth = 3

func newStep(p *Pipeline, conf Step, index int, in, out *pipe) stepper {
	core := &stepCore{
		p: p, conf: conf, index: index, in: in, out: out, crew: crew.New(),
		events: p.events.Step(conf.Name), undoer: undoerOf(conf),
	}
	p.undoes = p.undoes || core.undoer != nil
	if conf.Wait != nil {
		return newWaitStep(core)
	}
	return newCPUStep(core)
}

// Abort ends Run soon, whatever is in flight: it is abandoned, and read again.
func (p *Pipeline) Abort() { p.phase.abort.Do(func() { close(p.phase.aborted) }) }

// stop ends the pipeline early because of err: reading stops, steps abandon what they
// have, and sinks finish what they hold within the drain budget. The first error counts.
func (p *Pipeline) stop(err error) {
	if !p.phase.fail(err) {
		return
	}
	p.handBack()
	for _, l := range p.lanes.all() { // others may end meanwhile
		l.cancelCalls()
	}
	p.stopEarly()
}

// handBack ends reading. Batches that wait are given back unread: they are read again by
// another run.
func (p *Pipeline) handBack() {
	p.read.discard.Store(true)
	p.read.stop()
	p.fill.lookAgain()
}
