package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file replaces what records pass, the steps and sinks, while a pipeline runs.
//
// What it guarantees. Each record passes the old chain or the new one as a whole, and of each lane those of the old one come
// first (I1). The source, its lanes, the marks and the totals stay. Nothing is replaced unless everything that can
// fail has not: until Commit the old chain is whole, and goes on after a Cancel. A component that is in both is kept: it is neither opened,
// given an emitter, nor closed. Others are closed when no call of theirs is under way.
//
// How. Prepare opens what is new first, beside the running chain, and then brings the pipeline to rest (rest.go). Commit
// ends the old chain's workers by closing its first channel (I3), stores the new one and starts it. Whoever looks
// from outside finds the one or the other: chains do not change. What counts for a step or sink of the same name and
// kind is handed on, so that it does not begin at 0 (I6).
//
// Why a chain is made anew though most of its steps may be the same. Its channels, windows and indexes belong together; at rest they hold
// nothing, and to make them costs microseconds. What is worth keeping are the components.

// Parts are what records pass, as in [Options].
type Parts struct {
	Steps      []Step
	Sinks      []Output
	DeadLetter DeadLetter
	ConfigHash string
}

// What Prepare answers when it cannot replace anything for the moment, or any more.
var (
	ErrStopping   = errors.New("the pipeline stops, or has ended")
	ErrNotRunning = errors.New("the pipeline has not started yet: try again when it runs")
	ErrChanging   = errors.New("another change is under way: try again when it is done")
)

// changes is what a pipeline has of its changes.
type changes struct {
	busy   sync.Mutex // from Prepare to Commit or Cancel
	closes closes
	staff  sync.Mutex // held while workers change, and while steps are replaced
}

// A Change is made of new parts that are open, and of a pipeline at rest that waits for them. Either
// Commit or Cancel has to follow soon: until then no record begins.
type Change struct {
	p     *Pipeline
	plan  *plan
	chain *chain
	rest  *rest
	done  bool
}

// Prepare makes everything ready for the pipeline to go on with other parts. It checks them, opens the new sinks, and brings
// the pipeline to rest: no record begins any more, and those that have begun get their outcome, but for those at sinks that store nothing and are taken
// away: the sinks in their place get them (parting.go). It blocks until then, at most until ctx ends. A
// component that the running parts have too is kept as it is; a sink that is kept has the same settings but for its When. The order, the key and
// all else of the options stay.
//
// On an error nothing has changed, the pipeline goes on with what it has, and the new components are the caller's to close.
// It is *OpenError when a sink could not be opened, *NotAtRestError when ctx has ended first, and ErrStopping, ErrNotRunning or
// ErrChanging. It wraps ErrNoDeadLetter when the parts have no dead letters and something is skipped, which would stop the pipeline. On success they belong to the pipeline.
func (p *Pipeline) Prepare(ctx context.Context, parts Parts) (_ *Change, err error) {
	if !p.changes.busy.TryLock() {
		return nil, ErrChanging
	}
	defer func() {
		if err != nil {
			p.changes.busy.Unlock()
		}
	}()
	if err := p.canChange(); err != nil {
		return nil, err
	}
	o := p.opts
	o.Steps, o.Sinks, o.DeadLetter, o.ConfigHash = parts.Steps, parts.Sinks, parts.DeadLetter, parts.ConfigHash
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.defaults()
	old := p.chain()
	if err := old.keeps(o.Sinks, o.DeadLetter); err != nil {
		return nil, err
	}
	c := &Change{p: p, plan: p.newPlan(&o)}
	if err := p.steer.mayChange(c.plan); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.steer.goOn()
		}
	}()
	c.chain = newChain(&p.shared, p.txn, c.plan, old)
	if err := guarded(func() error { c.attach(old); return nil }); err != nil {
		return nil, err
	}
	if err := p.openSinks(ctx, c.newSinks(old)); err != nil {
		return nil, err
	}
	if c.rest, err = p.toRest(ctx, c.chain); err != nil {
		return nil, err
	}
	return c, nil
}

// SetConfigHash says that the configuration has another hash, where nothing of the parts is another.
func (p *Pipeline) SetConfigHash(hash string) {
	p.changes.busy.Lock()
	defer p.changes.busy.Unlock()
	n := *p.plan()
	n.hash = hash
	p.current.Store(&n)
}

// canChange says why nothing can be replaced now.
func (p *Pipeline) canChange() error {
	var s Snapshot
	p.phase.show(&s)
	switch {
	case s.State == "starting":
		return ErrNotRunning
	case s.State != "running", p.read.ctx.Err() != nil:
		return ErrStopping
	}
	return nil
}

// keeps checks that the sinks that are kept have the settings that they have.
func (c *chain) keeps(sinks []Output, dead DeadLetter) error {
	check := func(conf Output, letters bool) error {
		s := c.sinkOf(conf.Sink)
		if s == nil {
			return nil
		}
		a, b := conf, s.conf
		a.When, b.When, a.Sink, b.Sink = nil, nil, nil, nil
		if !reflect.DeepEqual(a, b) || s.letters != letters {
			return fmt.Errorf("sink %s: its component is kept, and its settings are others", conf.Name)
		}
		return nil
	}
	for _, conf := range sinks {
		if err := check(conf, false); err != nil {
			return err
		}
	}
	if dead.Sink == nil {
		return nil
	}
	conf := dead.output()
	conf.defaults()
	return check(conf, true)
}

// attach gives the new components what they may use.
func (c *Change) attach(old *chain) {
	for _, s := range c.chain.steps {
		core := s.core()
		if part := core.component(); !old.has(part) {
			c.p.give(part, core.events)
		}
	}
	for _, s := range c.newSinks(old) {
		c.p.give(s.conf.Sink, s.events)
	}
}

// newSinks gives the sinks that the old chain does not have.
func (c *Change) newSinks(old *chain) (all []*sink) {
	for _, s := range c.chain.allSinks() {
		if old.sinkOf(s.conf.Sink) == nil {
			all = append(all, s)
		}
	}
	return all
}

// Commit has the pipeline go on with the new parts, and closes those that are not used any more, which it does not wait for. It cannot
// fail, and may be called once, by the goroutine that has called Prepare or after it. It gives false when the pipeline has been told to stop meanwhile: then
// it ends with the old parts, and Commit has done what Cancel does.
func (c *Change) Commit() bool {
	if c.done {
		return false
	}
	p, r := c.p, c.rest
	r.mu.Lock()
	if r.void {
		r.mu.Unlock()
		c.Cancel()
		return false
	}
	c.done = true
	old := p.chain()
	old.first.close()
	old.waitForSteps()
	handed := c.takeAway(old)
	now := time.Now()
	c.chain.countOn(old, now)
	p.changes.staff.Lock()
	untold := c.chain.staffLike(old)
	was := p.plan()
	if was.rejects != nil && was.rejects.appliesTo(c.plan) {
		c.plan.rejects = was.rejects
	}
	p.current.Store(c.plan)
	p.now.Store(c.chain)
	p.steer.goOn()
	for _, s := range untold {
		c.tellWorkers(s)
	}
	p.taps.follow(c.chain)
	p.changes.staff.Unlock()
	if was.rejects != c.plan.rejects {
		was.rejects.resume()
	}
	if p.noPauses.Load() {
		c.plan.rejects.forbid()
	}
	p.fill.out, p.fill.keys = c.chain.first, c.plan.keys
	c.handOver(handed)
	c.chain.start()
	if p.phase.stopsEarly.Load() || p.work.isOver() {
		c.chain.stopEarly()
	}
	p.stats.changed(now)
	r.mu.Unlock()
	c.closeUnused(old, c.chain) // before the run may end, which waits for that
	r.end(p.fill)
	p.changes.busy.Unlock()
	return true
}

// Cancel has the pipeline go on with the parts that it has, and closes the new ones, which it does not wait for. After Commit, or
// again, it does nothing.
func (c *Change) Cancel() {
	if c.done {
		return
	}
	c.done = true
	c.p.steer.goOn()
	c.closeUnused(c.chain, c.p.chain())
	c.rest.end(c.p.fill)
	c.p.changes.busy.Unlock()
}

// component gives the stage or the splitter of the step.
func (s *stepCore) component() any {
	if s.conf.Stage != nil {
		return s.conf.Stage
	}
	return s.conf.Splitter
}

// has says whether a step of the chain has a component.
func (c *chain) has(component any) bool {
	for _, s := range c.steps {
		if isSameComponent(s.core().component(), component) {
			return true
		}
	}
	return false
}

func isSameComponent(a, b any) bool {
	return a != nil && b != nil && reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.TypeOf(a).Comparable() && a == b
}

// isSame says whether two sinks are one. Those that cannot be compared are not.
func isSame(a, b pipeline.Sink) bool { return isSameComponent(a, b) }

// counted is how many records steps and sinks have in flight, by their own count.
func (c *chain) counted() (n int64) {
	for _, s := range c.steps {
		n += s.core().meter.read().InFlight
	}
	for _, s := range c.allSinks() {
		n += s.meter.read().InFlight
	}
	return n
}

// waitForSteps blocks until no worker of a step or of the router is left.
func (c *chain) waitForSteps() {
	for _, s := range c.steps {
		s.core().crew.Wait()
	}
	c.route.crew.Wait()
}

// countOn has steps and sinks that take the place of one of their name and kind count on from there. No worker of either chain runs.
func (c *chain) countOn(old *chain, now time.Time) {
	for _, s := range c.steps {
		core := s.core()
		for _, was := range old.steps {
			if o := was.core(); o.conf.Name == core.conf.Name && o.conf.Kind == core.conf.Kind {
				o.meter.rest(now)
				core.meter = o.meter
				if w, ok := s.(*waitStep); ok {
					w.countOn(was, now)
				}
			}
		}
	}
	for _, s := range c.allSinks() {
		for _, o := range old.allSinks() {
			if s != o && o.conf.Name == s.conf.Name && o.conf.Kind == s.conf.Kind && o.letters == s.letters {
				s.meter, s.tally = o.meter, o.tally
			}
		}
	}
	c.gone = old.gone
	here := c.meters()
	for _, m := range old.meters() {
		if !slices.Contains(here, m) {
			m.mu.Lock()
			c.gone.errors += m.counts.Errors
			c.gone.retries += m.counts.Retries
			m.mu.Unlock()
		}
	}
}

// meters gives those of the steps and sinks, that of the dead letters too.
func (c *chain) meters() (all []*meter) {
	for _, s := range c.steps {
		all = append(all, s.core().meter)
	}
	for _, s := range c.allSinks() {
		all = append(all, s.meter)
	}
	return all
}

// staffLike has steps that take the place of one of their name and kind have as many workers as that one was given by command, where the
// file says the same number for both. It gives the steps whose component knows another number.
func (c *chain) staffLike(old *chain) (untold []stepper) {
	for _, s := range c.steps {
		core := s.core()
		knows := core.conf.Workers
		for _, was := range old.steps {
			o := was.core()
			same := o.conf.Name == core.conf.Name && o.conf.Kind == core.conf.Kind && o.conf.Workers == core.conf.Workers
			if n := was.size(); same && n != o.conf.Workers && core.conf.allows(n) == nil {
				s.setWorkers(n)
			}
			if isSameComponent(o.component(), core.component()) {
				knows = was.size()
			}
		}
		if s.size() != knows {
			untold = append(untold, s)
		}
	}
	return untold
}

// tellWorkers tells the component of a step how many workers there are.
func (c *Change) tellWorkers(s stepper) {
	if err := c.p.resize(s.core(), s.size()); err != nil && c.p.events != nil {
		c.p.events.Log().Warn().Err(err).Msg("a step has as many workers as a command has given it, and its stage does not know")
	}
}

// countOn takes over what the step before has spent, which waits too.
func (s *waitStep) countOn(before stepper, now time.Time) {
	was, ok := before.(*waitStep)
	if !ok {
		return
	}
	was.win.mu.Lock()
	was.tick(now)
	spent, held, throttled, limited := was.spent, was.heldTime, was.throttled, was.limited
	was.win.mu.Unlock()
	s.win.mu.Lock()
	s.spent, s.heldTime, s.throttled, s.limited = spent, held, throttled, limited
	s.win.mu.Unlock()
}
