package engine

import (
	"context"
	"sync/atomic"

	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
)

// A Pipeline moves records from its source through its steps to its sinks. It is
// made by [New] and runs once.
type Pipeline struct {
	shared
	now     atomic.Pointer[chain] // what records pass: another one takes its place, while nothing is in flight
	changes changes
	fill    *filler
	commits committer
	txn     *transactions // nil without a Transactor
	stats   stats
	watch   watch
}

// Runner is what the command line needs of a pipeline.
type Runner interface {
	Controller
	// Run opens the source, moves records until the source ends or ctx is
	// cancelled, drains, commits, closes the components, and returns. It may be
	// called once.
	Run(ctx context.Context) error
	// Abort ends Run soon, whatever is in flight.
	Abort()
	Snapshot() Snapshot
	InFlight() []InFlight
	Why() []Hold
	Latency() RunLatency
}

var _ Runner = (*Pipeline)(nil)

// New checks the options, fills in defaults and makes a pipeline of them. It starts
// nothing. The error names everything that is wrong.
func New(o Options) (*Pipeline, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.defaults()
	p := new(Pipeline)
	p.shared.init(o)
	p.hooks = hooks{
		lookAgain:     func() { p.fill.lookAgain() },
		recordsCame:   p.watch.wake,
		stopEarly:     func() { p.chain().stopEarly() },
		handBack:      func(l *lane) { p.chain().handBackLane(l) },
		sendLetter:    func(l *lane, d item) { p.chain().dead.enqueue(l, []item{d}) },
		laneAbandoned: func(l *lane) { p.txn.abandoned(l) },
		commitLast:    func(ctx context.Context, l *lane) error { return p.commits.last(ctx, l) },
		resumed:       func() { p.chain().resumed() },
		forgetLane:    func(l *lane) { p.chain().forgetLane(l) },
	}
	p.use.lookAgain = p.hooks.lookAgain
	p.txn = newTransactions(&p.shared, func() { p.chain().startWriters() })
	p.commits.init(&p.shared, p.txn)
	p.changes.closes.none.L = &p.changes.closes.mu

	c := newChain(&p.shared, p.txn, p.plan(), nil)
	p.now.Store(c)
	p.taps.follow(c)
	p.fill = newFiller(&p.shared, c.first)
	p.stats.init(&p.shared, p.chain, p.Snapshot)
	p.watch.init(&p.shared, p.chain)
	return p, nil
}

// chain gives what records pass at this moment.
func (p *Pipeline) chain() *chain { return p.now.Load() }

// pipeDepth is how many chunks a channel between two steps holds.
const pipeDepth = 3

func newStep(p *shared, conf Step, index int, in, out *pipe) stepper {
	core := &stepCore{
		p: p, conf: conf, index: index, in: in, out: out, crew: crew.New(),
		events: p.events.Step(conf.Name), undoer: undoerOf(conf), meter: new(meter),
		tap: p.taps.point(conf.Name),
	}
	if conf.Wait != nil {
		return newWaitStep(core)
	}
	return newCPUStep(core)
}

// Abort ends Run soon, whatever is in flight: it is abandoned, and read again.
func (p *Pipeline) Abort() { p.phase.abort.Do(func() { close(p.phase.aborted) }) }
