package engine

import (
	"context"
	"slices"
	"sync"
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
	member member

	work    context.Context // ends when what is in flight is given up
	giveUp  context.CancelFunc
	reading context.Context // ends when reading stops
	unread  context.CancelFunc
	dead    *sink         // of dead letters, or nil
	gone    chan struct{} // closed with work: nobody waits for a channel any more

	steps []stepper
	gate  *waitStep // the first step that waits: what it has not begun can be handed back
	sinks []*sink
	route *router

	readers *crew.Crew // the one reader, and the filler
	fill    *filler
	undoes  bool // some step is an Undoer
	simple  bool // records reach the one sink in the order of their lane
	first   *pipe
	roll    roll
	meter   meter

	mu    sync.Mutex
	lanes []*lane // that are not over
	over  bool    // no lane may be opened any more
	state string
	err   error // why the pipeline stops early, the first reason
	ended error // what Run has given
	began time.Time

	ran      atomic.Bool
	cut      atomic.Bool   // steps drop what they have: the pipeline stops early
	failed   chan struct{} // closed with the first error
	aborted  chan struct{}
	abort    sync.Once
	readDone chan struct{} // closed when the reader has ended
	readErr  error         // why reading ended early; guarded by mu
	broken   chan struct{} // closed with it
	discard  atomic.Bool   // what waits to be filled is handed back
	draining atomic.Bool
	quiet    chan struct{} // told, while draining, when something got its outcome
	calls    atomic.Int32  // of the source, outstanding

	commits   commits
	txn       *transactions
	stats     stats
	watch     watch
	bytesIn   atomic.Int64
	bytesOut  atomic.Int64
	readBlock atomic.Int64 // nanoseconds that the reader waited to hand over
}

var _ Runner = (*Pipeline)(nil)

// A stepper is a step at work.
type stepper interface {
	core() *stepCore
	start()
	laneOver(l *lane)
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
	p := &Pipeline{
		opts: o, events: o.Events.Pipeline(o.Name), budget: o.Budget, state: "starting",
		gone: make(chan struct{}), failed: make(chan struct{}), aborted: make(chan struct{}),
		readDone: make(chan struct{}), broken: make(chan struct{}), readers: crew.New(), quiet: make(chan struct{}, 1),
	}
	p.member.room = make(chan struct{}, 1)
	p.work, p.giveUp = context.WithCancel(context.Background())
	p.reading, p.unread = context.WithCancel(p.work)
	p.fill = newFiller(p)
	p.roll.init(func(bytes int64) { p.budget.account(&p.member, bytes) })
	p.member.poke = p.fill.poke
	p.meter.lat.keep()
	p.commits.init(p.work)
	p.txn = newTransactions(p)

	p.first = newPipe(pipeDepth, 0, p.gone)
	in := p.first
	for i, conf := range o.Steps {
		out := newPipe(pipeDepth, i+1, p.gone)
		p.steps = append(p.steps, newStep(p, conf, i, in, out))
		if s, ok := p.steps[i].(*waitStep); ok && p.gate == nil {
			p.gate = s
		} else if ok {
			s.win.gate = &p.gate.win
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
	p.simple = len(p.sinks) == 1 && o.Order == OrderPartition
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
func (p *Pipeline) Abort() { p.abort.Do(func() { close(p.aborted) }) }

// stop ends the pipeline early because of err: reading stops, steps drop what they
// have, sinks finish what they hold within the drain budget.
func (p *Pipeline) stop(err error) {
	p.mu.Lock()
	first := p.err == nil
	if first {
		p.err = err
		close(p.failed)
	}
	lanes := slices.Clone(p.lanes) // others may end meanwhile
	p.mu.Unlock()
	if !first {
		return
	}
	p.cut.Store(true)
	p.handBack()
	for _, l := range lanes {
		l.hangUp()
	}
	for _, s := range p.steps {
		s.stopEarly()
	}
}

// handBack ends reading: what has not been made records is read again another time.
func (p *Pipeline) handBack() {
	p.discard.Store(true)
	p.unread()
	p.fill.poke()
}

func (p *Pipeline) setState(s string) {
	p.mu.Lock()
	p.state = s
	p.mu.Unlock()
}

// settled tells Run that something got its outcome, when it waits for that.
func (p *Pipeline) settled() {
	if p.draining.Load() {
		select {
		case p.quiet <- struct{}{}:
		default:
		}
	}
}
