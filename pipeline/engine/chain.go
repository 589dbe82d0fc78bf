package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A chain is what records pass, from the filler to the sinks. It does not change once it
// is made.
type chain struct {
	first     *pipe // to the first step, or to the router
	steps     []stepper
	firstWait *waitStep // the first waiting step, nil without one: what it has not begun can be handed back
	route     *router
	sinks     []*sink
	dead      *sink    // of dead letters, or nil
	gone      attempts // of steps and sinks of the chains before it, whose counts nothing here goes on with
}

// attempts are those that failed, and those after the first.
type attempts struct{ errors, retries int64 }

// newChain makes a chain that does not run yet. It takes over the sinks whose component is in the chain before it, nil: there is
// none, as they are: their queues know which lanes they have written.
func newChain(p *shared, txn *transactions, of *plan, before *chain) *chain {
	c := &chain{first: newPipe(pipeDepth, 0, p.work.over)}
	in := c.first
	for i, conf := range of.steps {
		out := newPipe(pipeDepth, i+1, p.work.over)
		c.steps = append(c.steps, newStep(p, conf, i, in, out))
		if s, ok := c.steps[i].(*waitStep); ok {
			s.win.hashed = of.keys
			if c.firstWait == nil {
				c.firstWait = s
			} else {
				s.win.first = &c.firstWait.win
			}
		}
		in = out
	}
	var conditions []condition
	for _, conf := range of.sinks {
		s := before.sinkOf(conf.Sink)
		if s == nil {
			s = newSink(p, txn, conf)
		}
		c.sinks = append(c.sinks, s)
		conditions = append(conditions, conf.When)
	}
	if of.dead.Sink != nil {
		c.dead = before.sinkOf(of.dead.Sink)
		if c.dead == nil {
			dead := of.dead.output()
			dead.defaults()
			c.dead = newSink(p, txn, dead)
			c.dead.letters = true
		}
	}
	c.route = newRouter(p, c.sinks, conditions, in)
	return c
}

// sinkOf gives the sink with a component; nil: there is none.
func (c *chain) sinkOf(component pipeline.Sink) *sink {
	if c == nil {
		return nil
	}
	for _, s := range c.allSinks() {
		if isSame(s.conf.Sink, component) {
			return s
		}
	}
	return nil
}

// start starts the workers, from the sinks' end on.
func (c *chain) start() {
	c.route.start()
	for _, s := range c.steps {
		s.start()
	}
}

// allSinks gives the sinks, that of the dead letters included.
func (c *chain) allSinks() []*sink {
	if c.dead == nil {
		return c.sinks
	}
	return append(c.sinks[:len(c.sinks):len(c.sinks)], c.dead)
}

// loads gives how the steps and then the sinks have spent their time, the dead letters' left out.
func (c *chain) loads(now time.Time) (all []load) {
	for _, s := range c.steps {
		all = append(all, s.load(now))
	}
	for _, s := range c.sinks {
		all = append(all, s.load(now))
	}
	return all
}

// partName gives the name of the i-th place: the steps come first, and then the sinks.
func (c *chain) partName(i int) string {
	if i < len(c.steps) {
		return c.steps[i].core().conf.Name
	}
	return c.sinks[i-len(c.steps)].conf.Name
}

// waitForWorkers blocks until no worker of a step, of the router or of a sink is left.
func (c *chain) waitForWorkers() {
	c.route.crew.Wait()
	for _, s := range c.steps {
		s.core().crew.Wait()
	}
	for _, s := range c.allSinks() {
		s.crew.Wait()
	}
}

// running counts the calls of stages and sinks that have not returned.
func (c *chain) running() (n int) {
	for _, s := range c.steps {
		n += int(s.core().outstanding.Load())
	}
	for _, s := range c.allSinks() {
		n += int(s.outstanding.Load())
	}
	return n
}

// stopEarly has the steps give up what they have.
func (c *chain) stopEarly() {
	for _, s := range c.steps {
		s.stopEarly()
	}
}

// forgetLane has steps and sinks forget a lane.
func (c *chain) forgetLane(l *lane) {
	for _, s := range c.steps {
		s.forgetLane(l)
	}
	for _, s := range c.allSinks() {
		s.forgetLane(l)
	}
}

// resumed has the steps go on after a pause.
func (c *chain) resumed() {
	for _, s := range c.steps {
		s.resumed()
	}
}

// seal ends the counting of steps and sinks: calls that come back later change nothing.
func (c *chain) seal() {
	for _, s := range c.steps {
		s.core().meter.seal()
	}
	for _, s := range c.allSinks() {
		s.meter.seal()
	}
}

// startWriters has the sinks write what they hold, as far as it may be written now.
func (c *chain) startWriters() {
	for _, s := range c.allSinks() {
		s.startWriters()
	}
}

// A stepper is a step of either kind, at work: one that computes, or one that waits.
type stepper interface {
	core() *stepCore
	start()
	forgetLane(l *lane)
	stopEarly()
	resumed()          // a pause is over
	setWorkers(n int)  // Step.allows so many
	size() int         // how many workers there are to be
	skip(set *skipSet) // there is more to skip
	snapshot(now time.Time) StepSnapshot
	load(now time.Time) load
	holdup(now time.Time) holdup
	fullness() float64 // how full its queue is, from 0 to 1
	inFlight(now time.Time, add func(InFlight))
	seek(now time.Time, f *search)
}

// handBackLane hands back what has been made records of a lane and has not begun.
func (c *chain) handBackLane(l *lane) {
	if c.firstWait != nil {
		c.firstWait.handBack(l)
	}
}
