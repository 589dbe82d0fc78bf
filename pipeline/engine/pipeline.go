package engine

import (
	"context"

	"github.com/penstockio/penstock/pipeline/engine/internal/crew"
)

// A Pipeline moves records from its source through its steps to its sinks. It is
// made by [New] and runs once.
type Pipeline struct {
	shared
	chain
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
		stopEarly:     p.stopEarly,
		handBack:      p.handBackLane,
		sendLetter:    func(l *lane, d item) { p.dead.enqueue(l, []item{d}) },
		laneAbandoned: func(l *lane) { p.txn.abandoned(l) },
		commitLast:    func(ctx context.Context, l *lane) error { return p.commits.last(ctx, l) },
		resumed:       p.resumed,
		forgetLane:    p.forgetLane,
	}
	p.use.lookAgain = p.hooks.lookAgain
	p.txn = newTransactions(&p.shared, p.startWriters)
	p.commits.init(&p.shared, p.txn)

	p.first = newPipe(pipeDepth, 0, p.work.over)
	p.fill = newFiller(&p.shared, p.first)
	in := p.first
	for i, conf := range o.Steps {
		out := newPipe(pipeDepth, i+1, p.work.over)
		p.steps = append(p.steps, newStep(&p.shared, conf, i, in, out))
		if s, ok := p.steps[i].(*waitStep); ok && p.firstWait == nil {
			p.firstWait = s
		} else if ok {
			s.win.first = &p.firstWait.win
		}
		in = out
	}
	for _, conf := range o.Sinks {
		p.sinks = append(p.sinks, newSink(&p.shared, p.txn, conf))
	}
	if o.DeadLetter.Sink != nil {
		dead := o.DeadLetter.output()
		dead.defaults()
		p.dead = newSink(&p.shared, p.txn, dead)
		p.dead.letters, p.dead.tap.sides = true, 0 // what is in letters is redacted by other rules
	}
	p.route = newRouter(&p.shared, p.sinks, in)
	p.stats.init(&p.shared, &p.chain, p.Snapshot)
	p.watch.init(&p.shared, &p.chain)
	return p, nil
}

// pipeDepth is how many chunks a channel between two steps holds.
const pipeDepth = 3

func newStep(p *shared, conf Step, index int, in, out *pipe) stepper {
	core := &stepCore{
		p: p, conf: conf, index: index, in: in, out: out, crew: crew.New(),
		events: p.events.Step(conf.Name), undoer: undoerOf(conf),
		tap: p.taps.point(conf.Name, TapBefore|TapAfter|TapRejected|TapFiltered),
	}
	if conf.Wait != nil {
		return newWaitStep(core)
	}
	return newCPUStep(core)
}

// Abort ends Run soon, whatever is in flight: it is abandoned, and read again.
func (p *Pipeline) Abort() { p.phase.abort.Do(func() { close(p.phase.aborted) }) }
